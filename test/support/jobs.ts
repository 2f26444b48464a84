/** Bundles of the larger set, made once a test file, and the jobs of test/full/programs.ts run in them. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Job } from '../full/programs.ts'
import { grep, mustBundle, repository, temporary } from './bundle.ts'
import { EmptyRoot } from './root.ts'

/** Makes bundles, each once. */
export function bundles(...options: string[]): (attribute: string) => string {
  const made = new Map<string, string>()
  const directory = temporary()
  return attribute => {
    const known = made.get(attribute)
    if (known) return known
    const place = join(directory, attribute.replace('^', '-'))
    mustBundle([attribute, '-f', 'dir', '-o', place, '--report', `${place}.json`, '-q', ...options])
    expect(grep('/nix/store', place)).toBe('')
    made.set(attribute, place)
    return place
  }
}

/** Who runs a program: what the root has for it, and the command that starts it. */
export interface User {
  readonly mounts: () => readonly string[]
  readonly before: readonly string[]
}

export const ROOT: User = { mounts: () => [], before: [] }

let as: string | null = null
/** Nobody, who may write to /tmp and /home. */
export const NOBODY: User = {
  mounts: () => {
    if (as === null) {
      as = join(temporary(), 'as')
      execFileSync('gcc', ['-static', '-DAS', '-o', as, join(repository, 'test/support/root-alias.c')])
    }
    return [
      '--cap-add',
      'ALL',
      ...['/tmp', '/dev/shm'].flatMap(d => ['--perms', '1777', '--tmpfs', d]),
      '--ro-bind',
      as,
      '/as',
    ]
  },
  before: ['/as', '65534', '022'],
}

/** Runs a job in an empty root and checks what it shows. */
export function show(job: Job, bundle: string, place: string, user: User = ROOT): void {
  const root = new EmptyRoot(bundle, place, user.mounts(), user.before)
  for (const [name, text] of Object.entries(job.files ?? {})) writeFileSync(join(root.home, name), text)
  const { code, signal, stdout, stderr } = root.run(`bin/${job.program}`, job.args, { input: job.input ?? '' })
  expect({ code, signal }, stdout + stderr).toEqual({ code: job.code ?? 0, signal: null })
  const output = stdout + (stdout === '' || job.code ? stderr : '')
  if (typeof job.shows === 'string') expect(output).toContain(job.shows)
  else expect(output).toMatch(job.shows)
  expect(output).not.toContain('/nix/store')
}
