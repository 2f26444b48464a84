/** Every command in the README and in docs/ is run as it stands there (support/documented.ts), and prints what is said. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command, fixture, fixtureEnv, type Run, repository, run, temporary } from '../support/bundle.ts'
import { type Block, blocksOf, pages } from '../support/documented.ts'

const tools = temporary()
for (const name of ['bundle', 'storefree']) fs.symlinkSync(command, join(tools, name))
const home = temporary()
const env: NodeJS.ProcessEnv = {
  ...fixtureEnv,
  PATH: `${tools}:${process.env.PATH}`,
  HOME: home,
  TMPDIR: home,
  REPOSITORY: repository,
  NGINX: fixture('nginx'),
}
/** For what stands before blocks: a link as `nix build` leaves it, a flake with a program. */
const GIVEN = `
result() { ln -s "$NGINX" result; }
flake() {
  cp -r "$REPOSITORY/native-fixtures" native-fixtures
  echo '{ outputs = _: { packages.x86_64-linux.app = (import ./native-fixtures { }).'$1'; }; }' > flake.nix
}
`
const shell = (text: string, given: string): Run => {
  const cwd = fs.mkdtempSync(join(home, 'work-'))
  const script = `set -euo pipefail\n${GIVEN}\n${given}\n${text}`
  try {
    return run('bash', ['-c', script], { cwd, env })
  } finally {
    fs.rmSync(cwd, { recursive: true, force: true })
  }
}
const must = ({ code, stdout, stderr }: Run, exit: number): string => {
  expect([code, stderr], stdout + stderr).toEqual([exit, stderr])
  return stdout + stderr
}
/** The lines of a block, less those that stood on a page before. */
const seen = new Set<string>()
const commands = (text: string): string[] =>
  text.split('\n').filter(line => {
    const typed = line.replace(/ *#.*$/, '')
    const isNew = typed !== '' && !seen.has(typed)
    seen.add(typed)
    return isNew
  })

const each = (b: Block): boolean => b.language === 'sh' && b.each
const blocks = pages()
  .flatMap(blocksOf)
  .filter(block => block.unrun === null)

test.for(blocks.filter(b => b.language === 'sh' && !b.each))('$page:$line', ({ text, given, exit }: Block) => {
  must(shell(text, given), exit)
})

test.for(blocks.filter(each).flatMap(b => commands(b.text).map(text => ({ ...b, text }))))(
  '$page: $text',
  ({ text, given, exit }: Block) => {
    must(shell(text, given), exit)
  },
)

test.for(blocks.filter(b => b.language === 'console'))('$page:$line shows what is printed', (b: Block) => {
  const [, ...steps] = b.text.split(/^\$ /m)
  for (const step of steps) {
    const [typed, ...shown] = step.split('\n')
    const printed = must(shell(typed!, b.given), b.exit)
    // Sizes and offsets change with every stub; `...` is what differs or was left out.
    const pattern = shown
      .join('\n')
      .trim()
      .replace(/[\\^$*+?()[\]{}|]/g, '\\$&')
    const wanted = pattern
      .replace(/\.\.\./g, '[^]*')
      .replace(/ +/g, ' +')
      .replace(/[\d.]+/g, '[\\d.]+')
    expect(printed.trim()).toMatch(new RegExp(`^${wanted}$`))
  }
})
