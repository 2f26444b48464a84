/** Debian's packages for any CPU, fetched by apt with a state of its own; kept between runs in the temporary directory. */
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporary } from './bundle.ts'
import { output } from './elf-tools.ts'

const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** An apt of another architecture and release, with nothing installed. */
async function apt(arch: string, suites: readonly string[]) {
  const state = temporary()
  mkdirSync(join(state, 'lists/partial'), { recursive: true })
  mkdirSync(join(state, 'cache/archives/partial'), { recursive: true })
  mkdirSync(join(state, 'parts'))
  const sources = suites.map(suite => `deb [signed-by=${KEYS}] http://deb.debian.org/debian ${suite} main\n`)
  writeFileSync(join(state, 'sources.list'), sources.join(''))
  const options = [
    `APT::Architecture=${arch}`,
    `APT::Architectures=${arch}`,
    `Dir::State=${state}`,
    `Dir::State::lists=${state}/lists`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${state}/cache`,
    `Dir::Etc::sourcelist=${state}/sources.list`,
    `Dir::Etc::sourceparts=${state}/parts`,
    'APT::Sandbox::User=root',
    'APT::Install-Recommends=false',
  ].flatMap(option => ['-o', option])
  await output('apt-get', [...options, 'update'])
  return { state, options }
}

/** Unpacks .deb files into a directory, which is there when all of it is. */
async function unpacked(kept: string, debs: readonly string[]): Promise<string> {
  const partial = `${kept}.partial-${process.pid}`
  for (const deb of debs) await output('dpkg-deb', ['-x', deb, partial])
  if (!existsSync(kept)) renameSync(partial, kept)
  return kept
}

const debsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter(name => name.endsWith('.deb'))
    .map(name => join(directory, name))

/** A tree with these packages and all that they need. Returns its path. */
export async function packages(arch: string, suite: string, names: readonly string[]): Promise<string> {
  const kept = join(tmpdir(), `storefree-debian-${arch}-${suite}-${names.join('-')}`)
  if (existsSync(kept)) return kept
  const { state, options } = await apt(arch, [suite])
  await output('apt-get', [...options, 'install', '-y', '--download-only', ...names])
  return unpacked(kept, debsIn(join(state, 'cache/archives')))
}

/**
 * The newest kernel of this major version. Returns the tree of its package.
 * @param flavour what its package's name ends in
 */
export async function kernel(
  arch: string,
  suites: readonly string[],
  version: string,
  flavour: string,
): Promise<string> {
  const kept = join(tmpdir(), `storefree-kernel-${arch}-${version}`)
  if (existsSync(join(kept, 'boot'))) return kept
  const { state, options } = await apt(arch, suites)
  const pattern = `^linux-image-${version}.*[0-9]-?${flavour}$`
  const names = await output('apt-cache', [...options, 'search', '--names-only', pattern])
  const newest = names
    .split('\n')
    .map(line => line.split(' ')[0]!)
    .filter(name => name !== '')
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)!
  await output('apt-get', [...options, 'download', newest], { cwd: state })
  return unpacked(kept, debsIn(state))
}
