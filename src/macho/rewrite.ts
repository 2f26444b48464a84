/**
 * A Mach-O file with other load commands and a new signature: bytes in, bytes out.
 */
import { BundleError } from '../errors.ts'
import type { ByteSource } from '../io/bytes.ts'
import { editMachO, type MachOEdit, type Refusal } from './edit.ts'
import { parseMachO } from './parse.ts'
import { patched } from './patch.ts'
import { signMachO } from './sign.ts'

/**
 * @param source with all overwrites of equal length made
 * @param name the identifier of what has no signature yet
 * @param about the file that errors name
 * @throws BundleError('edit-refused' | 'malformed')
 */
export function rewriteMachO(source: ByteSource, edits: readonly MachOEdit[], name: string, about: string): ByteSource {
  const facts = parseMachO(source, about)
  const { writes, refusals } = editMachO(source, facts, edits)
  const [refusal] = refusals
  if (refusal !== undefined) throw refused(refusal, about)
  const edited = patched(source, writes)
  return signMachO(edited, parseMachO(edited, about), name, about).source
}

function refused(refusal: Refusal, path: string): BundleError {
  if ('need' in refusal)
    return new BundleError(
      'edit-refused',
      `its load commands would need ${refusal.need} more bytes (${refusal.arch}), and ${refusal.room} are free`,
      { path, hint: 'a shorter --prefix, a relocatable bundle, or --patcher install_name_tool on macOS' },
    )
  const why =
    refusal.reason === 'duplicate'
      ? `two libraries would be ${refusal.name}`
      : `${refusal.edit.op} is ${refusal.reason}`
  return new BundleError('edit-refused', `its load commands cannot be changed: ${why}`, { path })
}
