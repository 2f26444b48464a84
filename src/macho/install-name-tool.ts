/**
 * install_name_tool(1), for load commands that have to grow where there is no room: Apple's can make some, by moving
 * nothing but what it knows how to move, and says so when it cannot. LLVM's writes over the code instead and exits 0, so
 * whatever the tool made is compared with the plan afterwards (checks/fidelity.ts).
 */
import { BundleError } from '../errors.ts'
import { runTool } from '../io/tool.ts'
import type { MachOEdit } from './edit.ts'

/**
 * Edits a file in place.
 * @param about the file that errors name
 * @throws BundleError('tool-missing' | 'tool-failed' | 'edit-refused')
 */
export async function installNameTool(file: string, edits: readonly MachOEdit[], about: string): Promise<void> {
  const changes = new Map(edits.map(edit => [JSON.stringify({ ...edit, slice: undefined }), edit]))
  const args = [...changes.values()].flatMap(edit => argumentsOf(edit, about))
  if (args.length === 0) return
  const result = await runTool('install_name_tool', [...args, file], {
    hint: "install Apple's command line tools: xcode-select --install",
  })
  if (result.code !== 0)
    throw new BundleError('tool-failed', `install_name_tool failed: ${result.stderr.trim()}`, { path: about })
}

function argumentsOf(edit: MachOEdit, path: string): string[] {
  switch (edit.op) {
    case 'change-install-name':
      return ['-change', edit.from, edit.to]
    case 'set-id':
      return ['-id', edit.to]
    case 'change-rpath':
      return ['-rpath', edit.from, edit.to]
    case 'delete-rpath':
      return ['-delete_rpath', edit.from]
    default:
      throw new BundleError('edit-refused', `install_name_tool cannot ${edit.op}`, { path, hint: 'use --patcher auto' })
  }
}
