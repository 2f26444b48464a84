/** Data files of a relocatable bundle that name other packages: relocate writes them where the bundle lies. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bundle, fixture, grep, mustBundle, run, temporary, withoutNix } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

let app: string
let fonts: string
beforeAll(() => {
  fonts = storePath('fonts-1.0', { 'share/fonts/a.ttf': 'a font\n', 'share/modules/list': 'text\n' })
  app = storePath('lister-1.0', {
    // As fontconfig: the program names its configuration, and that names directories of other packages.
    'bin/lister': '#!',
    'etc/lister.conf': `# where fonts are\ndir ${fonts}/share/fonts\nmodule ${fonts}/share/modules/list\n`,
  })
  const bash = `${fixture('bash')}/bin/bash`
  const script = `#!${bash}\nwhile read -r key value; do\n  [ "$key" = "#" ] || { for f in "$value" "$value"/*; do [ -f "$f" ] && read -r line <"$f" && echo "$key: $line"; done; }\ndone <${app}/etc/lister.conf\n`
  fs.writeFileSync(join(app, 'bin/lister'), script)
})

const WANTED = 'dir: a font\nmodule: text\n'

test('the summary asks for it, and then the program finds what it names, here and after a move', () => {
  expect(run(join(app, 'bin/lister'), []).stdout).toBe(WANTED)
  const work = temporary()
  const out = join(work, 'one')
  const made = mustBundle([app, '-f', 'dir', '-o', out])
  expect(made.stdout).toContain('1 data file names places: run ./relocate in it after unpacking')
  expect(made.stderr).not.toContain('lister.conf')
  expect(grep('/nix/store', out)).toBe('')
  expect(withoutNix(join(out, 'bin/lister')).stdout).toBe('')

  expect(withoutNix(join(out, 'relocate')).code).toBe(0)
  expect(withoutNix(join(out, 'bin/lister')).stdout).toBe(WANTED)
  expect(bundle(['verify', '--strict', out])).toMatchObject({ code: 0, stderr: '' })

  const moved = join(work, 'another-place')
  fs.renameSync(out, moved)
  const verified = bundle(['verify', moved])
  expect([verified.code, verified.stderr]).toEqual([0, expect.stringContaining('run ./relocate in it again')])
  expect(withoutNix(join(moved, 'relocate')).code).toBe(0)
  expect(withoutNix(join(moved, 'bin/lister')).stdout).toBe(WANTED)
  expect(run(join(moved, 'relocate'), ['--undo']).code).toBe(0)
  expect(bundle(['verify', '--strict', moved])).toMatchObject({ code: 0, stderr: '' })
})

test('a file that was changed in any other way is still no longer as listed', () => {
  const out = join(temporary(), 'out')
  mustBundle([app, '-f', 'dir', '-o', out])
  run(join(out, 'relocate'), [])
  const [conf] = run('find', [out, '-name', 'lister.conf']).stdout.split('\n')
  fs.appendFileSync(conf!, 'x')
  expect(bundle(['verify', out])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('other contents than listed'),
  })
})

test('a bundle without such files has no relocate; one for a fixed place needs none', () => {
  const plain = join(temporary(), 'plain')
  expect(mustBundle(['multicall', '-f', 'dir', '-o', plain]).stdout).not.toContain('relocate in it')
  expect(fs.readdirSync(plain)).not.toContain('relocate')
  const fixed = join(temporary(), 'fixed')
  mustBundle([app, '-f', 'dir', '-o', fixed, '--prefix', '/opt/lister'])
  expect(fs.readdirSync(fixed)).not.toContain('.templates')
})
