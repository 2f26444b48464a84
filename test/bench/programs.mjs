/** The fixtures' programs, and what starts them many times. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const repository = resolve(import.meta.dirname, '../..')

/** A fixture's store path; it is built where it is not there. Throws where it cannot be. */
export function fixture(attribute) {
  const script = `. native-fixtures/env.sh; NIX_PATH=nixpkgs=native-fixtures nix-build '<nixpkgs>' -A ${attribute} --no-out-link`
  return execFileSync('bash', ['-euc', script], {
    cwd: repository,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}

/** The same, null where it is not there and cannot be built. */
export function fixtureOrNull(attribute) {
  try {
    const path = fixture(attribute)
    return existsSync(path) ? path : null
  } catch {
    return null
  }
}

/** Builds test/bench/spawn.c, which starts programs in turn and says the medians. Static: it runs in any root. */
export function spawner(directory) {
  const path = join(directory, 'spawn')
  execFileSync('gcc', ['-O2', '-static', '-o', path, join(import.meta.dirname, 'spawn.c')])
  return path
}
