/** Scripts of Debian's packages in store paths, as nixpkgs has them: patched `#!` lines, modules by `-I`, wrappers of both kinds. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fixture } from './bundle.ts'
import { storePath } from './store-lab.ts'
import { filesBelow, patchShebangs, type WrapperKind, wrap } from './store-shape.ts'

export interface DebianScripts {
  readonly name: string
  /** Whose programs they are. */
  readonly packages: readonly string[]
  /** Directories that come along, by their place in the store path. */
  readonly trees?: Readonly<Record<string, string>>
  /** Packages whose Perl modules are in a store path of their own. */
  readonly modules?: readonly string[]
}

const filesOf = (name: string): string[] =>
  execFileSync('dpkg', ['-L', name], { encoding: 'utf8' })
    .split('\n')
    .filter(path => path !== '' && lstatSync(path).isDirectory() === false)

const isScript = (path: string): boolean => readFileSync(path).subarray(0, 2).equals(Buffer.from('#!'))

/** A store path of Perl modules. */
function perlModules(packages: readonly string[]): string {
  const root = storePath('perl5.36.0-modules')
  for (const path of packages.flatMap(filesOf).filter(file => file.startsWith('/usr/share/perl5/'))) {
    const to = join(root, 'lib/perl5/site_perl', path.slice('/usr/share/perl5/'.length))
    mkdirSync(dirname(to), { recursive: true })
    copyFileSync(path, to)
  }
  return join(root, 'lib/perl5/site_perl')
}

/**
 * A store path with the scripts of Debian packages in bin/.
 * @param wrapper what each of them is behind, as wrapProgram puts it there; null for nothing
 */
export function debianScripts(
  { name, packages, trees = {}, modules }: DebianScripts,
  wrapper: WrapperKind | null,
): string {
  const root = storePath(name)
  const bin = join(root, 'bin')
  mkdirSync(bin)
  const programs = packages.flatMap(filesOf).filter(path => /^(?:\/usr)?\/bin\//.test(path))
  for (const path of programs.filter(file => !lstatSync(file).isSymbolicLink() && isScript(file))) {
    copyFileSync(path, join(bin, basename(path)))
    chmodSync(join(bin, basename(path)), 0o755)
  }
  const scripts = readdirSync(bin)
  for (const path of programs)
    if (lstatSync(path).isSymbolicLink() && scripts.includes(basename(readlinkSync(path))))
      symlinkSync(basename(readlinkSync(path)), join(bin, basename(path)))
  for (const [from, to] of Object.entries(trees)) cpSync(from, join(root, to), { recursive: true, dereference: true })

  const perl = `${fixture('full.perl')}/bin/perl`
  const bash = fixture('full.bash')
  const flags = modules === undefined ? '' : ` -I${perlModules(modules)}`
  patchShebangs(root, { perl: `${perl}${flags}`, sh: `${bash}/bin/sh`, bash: `${bash}/bin/bash` })
  for (const path of filesBelow(root)) {
    const text = readFileSync(path, 'latin1')
    if (text.includes('\0')) continue
    let changed = text
    for (const [from, to] of Object.entries(trees)) changed = changed.replaceAll(from, join(root, to))
    // What a script puts together from configure's directories.
    if (Object.keys(trees).length > 0)
      changed = changed.replaceAll(/\/usr\/(share|lib)(?=['"]|\/texinfo)/g, `${root}/$1`)
    changed = changed.replaceAll(/\/usr\/bin\/perl\b/g, perl)
    if (changed !== text) writeFileSync(path, changed, 'latin1')
  }
  if (wrapper === null) return root
  const path = ['coreutils', 'gnugrep', 'gnused'].map(tool => `${fixture(`full.${tool}`)}/bin`).join(':')
  for (const script of scripts) renameSync(join(bin, script), join(bin, `.${script}-wrapped`))
  wrap(
    wrapper,
    scripts.map(script => ({
      program: join(bin, `.${script}-wrapped`),
      wrapper: join(bin, script),
      options: ['--inherit-argv0', '--prefix', 'PATH', ':', path, '--set', 'WRAPPED', '1'],
    })),
  )
  return root
}
