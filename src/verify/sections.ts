/** The parts of programs and libraries that are there: of an input by offset, of a bundle's files all sections. */
import { open } from '../archive/members.ts'
import { gathered } from '../archive/stream.ts'
import { BundleError } from '../errors.ts'
import { bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import type { FileFacts } from '../model/graph.ts'
import type { SourcePath } from '../paths.ts'
import { loaderParts, nameAt, type Part, partsOf, sectionsOf } from './checks/parts.ts'

/** Of larger files none are looked for. In bytes. */
const LOOK_MAX = 512 << 20

/**
 * Of those files that are wanted, by their places in the bundle.
 * @throws BundleError('unreadable') for a member that cannot be read
 */
export async function sectionsIn(
  path: string,
  isWanted: (at: string) => boolean,
): Promise<Map<string, readonly Part[]>> {
  const found = new Map<string, readonly Part[]>()
  for await (const member of (await open(path)).members()) {
    if (member.type !== 'file' || member.size > LOOK_MAX || !isWanted(member.inside)) continue
    if (member.problem !== null) throw new BundleError('unreadable', `${member.inside} cannot be read`, { path })
    found.set(member.inside, sectionsOf(bufferSource(await gathered(member.contents())), member.inside))
  }
  return found
}

/**
 * The part of an input that an offset lies in.
 * @param facts of the input, where they are known: then most of an ELF file's is known too, and it is not opened for that
 */
export function partsIn(path: SourcePath, facts: FileFacts | undefined): (offset: number) => string | null {
  if (facts?.format !== 'elf') return withFile(path, source => partsOf(source, path))
  const ofLoader = nameAt(loaderParts(facts))
  let ofSections: ((offset: number) => string | null) | null = null
  return offset =>
    ofLoader(offset) ?? (ofSections ??= nameAt(withFile(path, source => sectionsOf(source, path))))(offset)
}
