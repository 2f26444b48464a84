/** The parts of programs and libraries that are there: of an input by offset, of a bundle's files all sections. */
import { open } from '../archive/members.ts'
import { gathered } from '../archive/stream.ts'
import { BundleError } from '../errors.ts'
import { bufferSource } from '../io/bytes.ts'
import { withFile } from '../io/store.ts'
import type { SourcePath } from '../paths.ts'
import { type Part, partsOf, sectionsOf } from './checks/parts.ts'

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

/** The part of an input that an offset lies in. */
export const partsIn = (path: SourcePath): ((offset: number) => string | null) =>
  withFile(path, source => partsOf(source, path))
