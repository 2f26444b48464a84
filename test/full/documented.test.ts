/**
 * Every command in the README and in docs/ is run as it stands there (support/documented.ts), and prints what is said; so are the
 * examples of the library. Both are those of the npm archive, installed into an empty directory where there is no registry.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fixture, fixtureEnv, type Run, repository, run, temporary } from '../support/bundle.ts'
import { type Block, blocksOf, pages } from '../support/documented.ts'

const home = temporary()
const npm = (args: readonly string[], cwd: string): string => {
  const { code, stdout, stderr } = run('npm', args, {
    cwd,
    env: { ...process.env, HOME: home, npm_config_registry: 'http://127.0.0.1:9', npm_config_cache: join(home, 'npm') },
  })
  if (code !== 0) throw new Error(`npm ${args.join(' ')}: ${stderr}`)
  return stdout.trim()
}
npm(['run', '--silent', 'build:api'], repository)
npm(['run', '--silent', 'build:types'], repository)
const archive = npm(['pack', '--silent', '--ignore-scripts', '--pack-destination', home], repository)
fs.writeFileSync(join(home, 'package.json'), '{}')
npm(['install', '--no-audit', '--no-fund', `./${archive}`], home)
const env: NodeJS.ProcessEnv = {
  ...fixtureEnv,
  PATH: `${home}/node_modules/.bin:${process.env.PATH}`,
  HOME: home,
  TMPDIR: home,
  REPOSITORY: repository,
  NGINX: fixture('nginx'),
}
/** For what stands before blocks: a link as `nix build` leaves it, a flake with a program, a bundle. */
const GIVEN = `
result() { ln -s "$NGINX" result; }
archive() { cp ~/nginx.tar.gz app.tar.gz; }
flake() {
  cp -r "$REPOSITORY/native-fixtures" native-fixtures
  echo '{ outputs = _: { packages.x86_64-linux.app = (import ./native-fixtures { }).'$1'; }; }' > flake.nix
}
`
run(join(home, 'node_modules/.bin/bundle'), [fixture('nginx'), '-q', '-o', join(home, 'nginx.tar.gz')], { env })
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

test.for(blocks.filter(b => b.language === 'js'))('$page:$line is a program', ({ text, given, exit }: Block) => {
  must(shell(`cat > example.mjs <<'END'\n${text}\nEND\nnode example.mjs`, given), exit)
})

test("the installed package's types need no other package's but Node's", () => {
  const cwd = fs.mkdtempSync(join(home, 'types-'))
  fs.mkdirSync(join(cwd, 'node_modules'))
  fs.symlinkSync(join(home, 'node_modules/storefree'), join(cwd, 'node_modules/storefree'))
  for (const name of ['@types', 'undici-types'])
    fs.symlinkSync(join(repository, 'node_modules', name), join(cwd, 'node_modules', name))
  const text = "import * as all from 'storefree'\nexport const verified = await all.verify('x')\nexport default all\n"
  fs.writeFileSync(join(cwd, 'user.mts'), text)
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
  must(run(join(repository, 'node_modules/.bin/tsc'), [...options, 'user.mts'], { cwd }), 0)
})

test('each command of the installed package has help', () => {
  for (const name of [
    'make',
    'verify',
    'try',
    'why',
    'size',
    'tree',
    'graph',
    'report',
    'sbom',
    'inspect',
    'completions',
    'man',
  ])
    expect(must(shell(`storefree ${name} --help`, ''), 0)).toContain('Usage: ')
  expect(fs.readdirSync(join(home, 'node_modules')).filter(name => !name.startsWith('.'))).toEqual(['storefree'])
})

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
