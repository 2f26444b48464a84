/**
 * Part of stage 5 (apply.ts): a staged Mach-O file gets its load commands, and last of all its signature, of which every
 * other byte is a part.
 */

import { BundleError } from '../errors.ts'
import type { Staging } from '../io/staging.ts'
import { withFile } from '../io/store.ts'
import { codesign } from '../macho/codesign.ts'
import type { MachOEdit } from '../macho/edit.ts'
import type { MachOFacts } from '../macho/facts.ts'
import { installNameTool } from '../macho/install-name-tool.ts'
import { chunks } from '../macho/patch.ts'
import { rewriteMachO } from '../macho/rewrite.ts'
import { isSigned } from '../macho/sign.ts'
import type { Finding } from '../model/findings.ts'
import type { PlanOptions, Step } from '../model/plan.ts'
import { checkMachO, untouched } from './fidelity.ts'

/**
 * Carries out `load-commands` and `sign` of a step whose file lies in staging with all other edits made.
 * @param facts of the input
 * @returns the differences from the plan
 * @throws BundleError('edit-refused' | 'tool-missing' | 'tool-failed')
 */
export async function editAndSign(
  step: Step & { do: 'copy' },
  facts: MachOFacts,
  { patcher, signer }: PlanOptions,
  staging: Staging,
): Promise<Finding[]> {
  const onMacOS = process.platform === 'darwin'
  const path = staging.path(step.at)
  const name = step.edits.find(e => e.op === 'sign')!.name
  const edits = step.edits.find(e => e.op === 'load-commands')?.edits ?? []
  const known = (inPlace: boolean) => withFile(path, source => untouched(source, facts, inPlace))
  const rewrite = (edits: readonly MachOEdit[]): void =>
    withFile(path, source => staging.rewrite(path, chunks(rewriteMachO(source, edits, name, step.from))))
  // A tool gets a name that any argument vector can carry.
  const underName = async <T>(name: string, use: (scratch: string) => Promise<T>): Promise<T> => {
    const scratch = staging.scratch(name)
    staging.move(path, scratch)
    const result = await use(scratch)
    staging.move(scratch, path)
    return result
  }
  const throughTool = async (): Promise<void> =>
    rewrite(await underName('install-names', scratch => installNameTool(scratch, facts, edits, step.from)))

  // An object file it would sign in extended attributes; and what needed no signature needs none now.
  const byCodesign = onMacOS && signer === 'auto' && facts.slices.some(isSigned)
  // Apple's tools may lay out __LINKEDIT anew, to make room.
  let inPlace = patcher !== 'install_name_tool' && !byCodesign
  let before = known(inPlace)
  if (patcher === 'install_name_tool') await throughTool()
  else
    try {
      rewrite(edits)
    } catch (error) {
      if (!onMacOS || !(error instanceof BundleError) || error.code !== 'edit-refused') throw error
      inPlace = false
      before = known(inPlace)
      await throughTool()
    }
  if (byCodesign) await underName('signed', scratch => codesign(scratch))
  return withFile(path, source => checkMachO(step.from, facts, before, edits, inPlace, source))
}
