/** What programs of a store path print, beside what they print in its bundles, of both kinds, with the store hidden. */
import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { bundle, type Run, run, temporary, withoutNix } from './bundle.ts'

/** A shell command for each thing that is tried; `$T` is the package's or the bundle's root. */
export type Jobs = Readonly<Record<string, string>>

/** What they printed; paths name the package in place of where it lies. */
export type Printed = Readonly<Record<string, string>>

export interface Beside {
  readonly original: Printed
  readonly relocatable: Printed
  readonly prefix: Printed
  /** What bundling said, of each kind: warnings and errors. */
  readonly said: { readonly relocatable: string; readonly prefix: string }
}

const HASH = '[0-9a-df-np-sv-z]{32}'

/** Paths of packages, wherever they lie, by the package's name. */
function normal(text: string, root: string, target: string): string {
  const name = basename(target).slice(33)
  const escaped = root.replaceAll(/[.+]/g, '\\$&')
  return text
    .replaceAll(new RegExp(`/nix/store/${HASH}-`, 'g'), 'PKG/')
    .replaceAll(new RegExp(`${escaped}/+p/[0-9]+-`, 'g'), 'PKG/')
    .replaceAll(new RegExp(`${escaped}/+pkg/`, 'g'), 'PKG/')
    .replaceAll(new RegExp(`${escaped}/+(bin|sbin|libexec|share|etc)\\b`, 'g'), `PKG/${name}/$1`)
    .replaceAll(/\/\.([^/\s]+)-text\//g, '/$1/')
}

const said = ({ code, stdout, stderr }: Run): string => `${stdout}${stderr}exit ${code}`

/** Runs the jobs of a target in the store and in its bundles. A bundle that is not made is its jobs' answer. */
export function besideOriginal(target: string, jobs: Jobs, options: readonly string[] = []): Beside {
  const scratch = temporary()
  // Some programs of root's go on as somebody else (perldoc).
  chmodSync(scratch, 0o755)
  const env = { PATH: '/usr/bin:/bin', HOME: scratch, LANG: 'C.UTF-8' }
  let directories = 0
  const all = (root: string, shell: typeof run): Printed => {
    const cwd = join(scratch, `work-${directories++}`)
    mkdirSync(cwd)
    return Object.fromEntries(
      Object.entries(jobs).map(([name, job]) => {
        const printed = said(shell('/bin/bash', ['-c', job], { cwd, env: { ...env, T: root } }))
        return [name, normal(printed, root, target).replaceAll(cwd, 'CWD')]
      }),
    )
  }
  const of = (at: string, more: readonly string[]): { printed: Printed; said: string } => {
    const made = bundle([target, '-f', 'dir', '-o', at, ...more, ...options])
    if (made.code !== 0)
      return { printed: Object.fromEntries(Object.keys(jobs).map(job => [job, ''])), said: said(made) }
    const verified = bundle(['verify', '-q', at])
    if (existsSync(join(at, 'relocate'))) run(join(at, 'relocate'), [])
    return { printed: all(at, withoutNix), said: `${made.stderr}${verified.stderr}` }
  }
  const place = join(scratch, 'p')
  const original = all(target, run)
  const relocatable = of(join(scratch, 'r'), [])
  const prefix = of(place, ['--prefix', place])
  return {
    original,
    relocatable: relocatable.printed,
    prefix: prefix.printed,
    said: { relocatable: relocatable.said, prefix: prefix.said },
  }
}
