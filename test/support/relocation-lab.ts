/** Little bundles with strings that the stub relocates, around what a test compiles from relocated.c. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PT } from '../../src/elf/constants.ts'
import type { LoaderPlace } from '../../src/elf/facts.ts'
import { isElf, parseElf } from '../../src/elf/parse.ts'
import { blobOf, entryCpu } from '../../src/entry/cpus.ts'
import { debugStateOf } from '../../src/entry/hook.ts'
import { injectStub } from '../../src/entry/inject.ts'
import { encodeRelocations, libraryKey, type RelocatedFile, type RelocatedSite } from '../../src/entry/relocations.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { type Said, say } from './stub-lab.ts'

const HASH = 'e'.repeat(32)
export const PLACEHOLDER = `/var/empty/${HASH}-package-1.0`
/** The number of the package's link. */
export const LINK = 31

/** What the placeholder becomes in a bundle at `root`. */
export const relocated = (root: string): string => `${root.padEnd(38, '/')}/p/1f-package-1.0`

/** The alias of a root in a directory; the next ones after it when its name is taken. */
export function aliasOf(directory: string, root: string, next = 0): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(root, 'latin1')) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
    hash ^= hash >> 32n
  }
  const name = BigInt.asUintN(48, hash + BigInt(next))
  return `${directory}/${name.toString(16).padStart(12, '0')}`
}

/** The address of every placeholder that is loaded. */
export function sitesOf(bytes: Buffer): RelocatedSite[] {
  const { segments } = parseElf(bufferSource(bytes), '')
  const sites: RelocatedSite[] = []
  for (let at = bytes.indexOf(PLACEHOLDER); at >= 0; at = bytes.indexOf(PLACEHOLDER, at + 1)) {
    const load = segments.find(s => s.type === PT.load && at >= s.offset && at < s.offset + s.filesz)
    if (load) sites.push({ address: at - load.offset + load.vaddr, link: LINK })
  }
  return sites
}

/** The entry of a library or loader in the table. */
export function libraryOf(bytes: Buffer, hooked: boolean): RelocatedFile {
  const { segments } = parseElf(bufferSource(bytes), '')
  return {
    key: libraryKey(bytes),
    dynamic: segments.find(s => s.type === PT.dynamic)?.vaddr ?? 0,
    sites: sitesOf(bytes),
    hook: hooked ? debugStateOf(bufferSource(bytes), '') : null,
  }
}

/**
 * Puts the stub into bin/prog of a bundle and writes its table.
 * @param more sites of the program that its file does not show
 */
export function relocate(
  bundle: string,
  loader: LoaderPlace,
  libraries: readonly string[],
  { hooked = false, more = [] as readonly number[] } = {},
): void {
  const program = join(bundle, 'bin/prog')
  const bytes = readFileSync(program)
  const facts = parseElf(bufferSource(bytes), program)
  const stub = blobOf(entryCpu(facts)!, 'stub')
  const sites = [...sitesOf(bytes), ...more.map(address => ({ address, link: LINK }))]
  writeFileSync(program, injectStub(bytes, facts, stub, loader, { program: 7 }))
  const files = [...libraries, loader.path]
    .filter(path => path !== '')
    .map(path => readFileSync(join(bundle, path)))
    .filter(file => isElf(file))
    .map(file => libraryOf(file, hooked))
  const table = encodeRelocations([{ key: { program: 7 }, dynamic: 0, sites }, ...files])
  writeFileSync(join(bundle, '.relocations'), table)
}

/** Runs a command where there is nothing but a bundle at `root`, /dev and, unless told otherwise, /proc. */
export const sayAt = (
  bundle: string,
  root: string,
  command: readonly string[],
  {
    env = {},
    more = [],
    proc = true,
  }: { env?: Readonly<Record<string, string>>; more?: readonly string[]; proc?: boolean } = {},
): Promise<Said> =>
  say(
    'bwrap',
    [
      ...['--unshare-pid', '--tmpfs', '/', ...(proc ? ['--proc', '/proc'] : []), '--dev', '/dev'],
      ...['--ro-bind', bundle, root, ...more, '--', ...command],
    ],
    env,
  )
