/** Decisions are made in pure code: these modules touch no file and no process. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const PURE = [
  'src/plan.ts',
  'src/texts.ts',
  'src/install-names.ts',
  'src/graph.ts',
  'src/accounts.ts',
  'src/relocate.ts',
  'src/launch.ts',
  'src/rpath.ts',
  'src/layout.ts',
  'src/elf/strip.ts',
  'src/elf/parse.ts',
  'src/elf/image.ts',
  'src/elf/symbols.ts',
  'src/elf/copies.ts',
  'src/elf/notes.ts',
  'src/elf/search.ts',
  'src/elf/edit.ts',
  'src/elf/loader.ts',
  'src/elf/cache.ts',
  'src/elf/dlopen.ts',
  'src/entry/shell.ts',
  'src/entry/launcher.ts',
  'src/entry/inject.ts',
  'src/entry/relocations.ts',
  'src/elf/sections.ts',
  'src/elf/payload.ts',
  'src/elf/packed-sections.ts',
  'src/archive/kind.ts',
  'src/archive/untar.ts',
  'src/archive/unzip.ts',
  'src/checks/baseline.ts',
  'src/checks/closure.ts',
  'src/checks/entries.ts',
  'src/checks/image.ts',
  'src/checks/manifest.ts',
  'src/checks/parts.ts',
  'src/checks/references.ts',
  'src/pack/tar.ts',
  ...readdirSync('src/macho')
    .filter(name => name !== 'codesign.ts' && name !== 'install-name-tool.ts')
    .map(name => `src/macho/${name}`),
  ...readdirSync('src/references').map(name => `src/references/${name}`),
  ...readdirSync('src/script').map(name => `src/script/${name}`),
]

test.each(PURE)('%s imports no file system and no process', file => {
  const imports = [...readFileSync(file, 'utf8').matchAll(/from '([^']+)'/g)].map(match => match[1])
  expect(imports.filter(name => /^(node:(fs|child_process|process).*|execa|.*\/io\/(?!bytes).*)$/.test(name!))).toEqual(
    [],
  )
})
