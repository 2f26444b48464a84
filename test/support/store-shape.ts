/** What nixpkgs' setup hooks make of a package's files: patched `#!` lines, and wrappers of both kinds. */
import { execFileSync } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fixture, repository, temporary } from './bundle.ts'

/** Every regular file below a directory. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap(entry => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}

/**
 * As patchShebangs: in executable files, the interpreter by its name, also behind `env`, becomes a store path. A name that
 * is not known stays.
 * @param interpreters store paths of programs, by name
 */
export function patchShebangs(root: string, interpreters: Readonly<Record<string, string>>): void {
  for (const path of filesBelow(root)) {
    if ((lstatSync(path).mode & 0o100) === 0) continue
    const text = readFileSync(path, 'latin1')
    const line = /^#![ \t]*(?:\S*\/env[ \t]+)?(?:\S*\/)?([\w.+-]+)([^\n]*)/.exec(text)
    const program = line && interpreters[line[1]!]
    if (line && program) writeFileSync(path, `#!${program}${line[2]}${text.slice(line[0].length)}`, 'latin1')
  }
}

/** As native-fixtures/build/wrappers.sh writes them. */
export type WrapperKind = 'make_wrapper' | 'make_binary_wrapper'

export interface ToWrap {
  readonly program: string
  readonly wrapper: string
  /** Options of makeWrapper. */
  readonly options?: readonly string[]
}

/** Writes wrappers. Compiled ones are linked with the fixtures' C library. */
export function wrap(kind: WrapperKind, wrappers: readonly ToWrap[]): void {
  const glibc = fixture('glibc')
  const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`
  const lines = wrappers.map(({ program, wrapper, options = [] }) =>
    [kind, program, wrapper, ...options].map(quoted).join(' '),
  )
  const script = [
    `bash=${fixture('bash')}`,
    `cc() { gcc "$@" -Wl,--dynamic-linker=${glibc}/lib/ld-linux-x86-64.so.2 -Wl,-rpath,${glibc}/lib; }`,
    `. ${quoted(join(repository, 'native-fixtures/build/wrappers.sh'))}`,
    ...lines,
  ]
  execFileSync('bash', ['-euc', script.join('\n')], { cwd: temporary(), stdio: ['ignore', 'ignore', 'inherit'] })
}
