/** Once before all end-to-end tests: the command is built, the fixtures are there, and a place for what tests share. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export default function setup(): () => void {
  execFileSync('npm', ['run', '--silent', 'build:cli'], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (!existsSync('/nix/store')) throw new Error('there are no fixtures: run `npm run fixtures` first')
  const shared = mkdtempSync(join(tmpdir(), 'storefree-shared-'))
  process.env.STOREFREE_SHARED = shared
  return () => rmSync(shared, { recursive: true, force: true, maxRetries: 3 })
}
