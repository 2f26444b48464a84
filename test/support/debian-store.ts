/** Debian's programs in the shape that Nix gives them: in store paths, with the interpreter and the search path of a store. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fixture } from './bundle.ts'
import { storePath } from './store-lab.ts'

/** What `ldd` finds for a program or plugin of this machine. */
const needed = (file: string): string[] =>
  execFileSync('ldd', [file], { encoding: 'utf8' })
    .split('\n')
    .flatMap(line => /(?:=> |^\t)(\/\S+) \(/.exec(line)?.[1] ?? [])

const GLIBC = /^(?:ld-linux-x86-64|lib(?:c|m|dl|rt|pthread|resolv|util))\.so\.\d$/
const LOADER = 'ld-linux-x86-64.so.2'

let glibc: string | null = null
/** The machine's C library, for all of them. */
function libc(): string {
  if (glibc !== null) return glibc
  const names = [
    'libc.so.6',
    'libm.so.6',
    'libdl.so.2',
    'librt.so.1',
    'libpthread.so.0',
    'libresolv.so.2',
    'libutil.so.1',
  ]
  glibc = storePath('glibc-2.36', {
    [`lib/${LOADER}`]: { from: realpathSync(`/lib64/${LOADER}`) },
    ...Object.fromEntries(names.map(name => [`lib/${name}`, { from: realpathSync(`/lib/x86_64-linux-gnu/${name}`) }])),
  })
  return glibc
}

/**
 * Puts programs and plugins of this machine into a store path, and the libraries that they need into its lib/.
 * @param objects where each goes in it -> the machine's file
 */
export function install(root: string, objects: Readonly<Record<string, string>>): void {
  const put = (at: string, from: string): void => {
    const to = join(root, at)
    if (existsSync(to)) return
    mkdirSync(join(to, '..'), { recursive: true })
    copyFileSync(realpathSync(from), to)
    chmodSync(to, 0o755)
    const rpath = ['--force-rpath', '--set-rpath', `${root}/lib:${libc()}/lib`]
    const interp = /(?:^|\/)bin\//.test(at) ? ['--set-interpreter', `${libc()}/lib/${LOADER}`] : []
    execFileSync('patchelf', [...interp, ...rpath, to])
    for (const library of needed(from)) if (!GLIBC.test(basename(library))) put(`lib/${basename(library)}`, library)
  }
  for (const [at, from] of Object.entries(objects)) put(at, from)
}

/** A wrapper as makeWrapper writes it: a program with variables set. */
export const wrapper = (program: string, variables: Readonly<Record<string, string>>, flags = ''): string =>
  `#! ${fixture('bash')}/bin/bash -e\n${Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value}'\n`)
    .join('')}exec "${program}" ${flags} "$@" \n`
