/** Once before all end-to-end tests: the command is built, and the fixtures are there. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

export default function setup(): void {
  execFileSync('npm', ['run', '--silent', 'build:cli'], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (!existsSync('/nix/store')) throw new Error('there are no fixtures: run `npm run fixtures` first')
}
