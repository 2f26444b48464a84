/**
 * install_name_tool(1), for load commands that have to grow where there is no room: Apple's can make some, by moving
 * nothing but what it knows how to move, and says so when it cannot. LLVM's writes over the code instead and exits 0, so
 * whatever the tool made is compared with the plan afterwards (apply/fidelity.ts).
 */
import { BundleError } from '../errors.ts'
import { withFile } from '../io/store.ts'
import { runTool } from '../io/tool.ts'
import { toText } from '../paths.ts'
import type { MachOEdit } from './edit.ts'
import type { MachOFacts } from './facts.ts'
import { parseMachO } from './parse.ts'

/**
 * Edits a file in place, all slices alike.
 * @param facts of the file
 * @param about the file that errors name
 * @returns the edits that the tool has no option for
 * @throws BundleError('tool-missing' | 'tool-failed' | 'edit-refused')
 */
export async function installNameTool(
  file: string,
  facts: MachOFacts,
  edits: readonly MachOEdit[],
  about: string,
): Promise<MachOEdit[]> {
  const args = argumentsOf(facts, edits, about)
  if (args.length > 0) {
    const result = await runTool('install_name_tool', [...args, file], {
      hint: "install Apple's command line tools (xcode-select --install), or use --patcher auto",
    })
    if (result.code !== 0)
      throw new BundleError('tool-failed', `install_name_tool failed: ${result.stderr.trim()}`, { path: about })
    try {
      withFile(file, source => parseMachO(source, about))
    } catch (error) {
      if (!(error instanceof BundleError) || error.code !== 'malformed') throw error
      throw new BundleError('tool-failed', 'install_name_tool broke it: its load commands are malformed', {
        path: about,
        cause: error,
        hint: 'a shorter --prefix, or --patcher auto',
      })
    }
  }
  return edits.filter(edit => OPTION[edit.op] === undefined)
}

const OPTION: Readonly<Partial<Record<MachOEdit['op'], string>>> = {
  'change-install-name': '-change',
  'set-id': '-id',
  'change-rpath': '-rpath',
  'delete-rpath': '-delete_rpath',
}

function argumentsOf({ slices }: MachOFacts, edits: readonly MachOEdit[], path: string): string[] {
  const args: string[] = []
  const changed = new Map<string, string | null>()
  const rpaths = new Set(slices.flatMap(slice => slice.rpaths.map(r => r.value)))
  for (const edit of edits) {
    const option = OPTION[edit.op]
    if (option === undefined) continue
    const from = 'from' in edit ? edit.from : ''
    const to = 'to' in edit ? edit.to : null
    const key = `${edit.op}\0${from}`
    const known = changed.get(key)
    if (known !== undefined) {
      if (known === to) continue
      throw new BundleError('edit-refused', 'install_name_tool cannot edit CPUs differently', {
        path,
        hint: 'use --patcher auto',
      })
    }
    changed.set(key, to)
    // It refuses a search path that is there already.
    if (edit.op === 'change-rpath' && rpaths.has(edit.to)) args.push('-delete_rpath', from)
    else args.push(option, ...('from' in edit ? [from] : []), ...(to === null ? [] : [to]))
    if (edit.op === 'change-rpath') rpaths.add(edit.to)
  }
  return args.map(toText)
}
