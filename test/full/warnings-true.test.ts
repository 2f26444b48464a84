/**
 * Warnings are true: what one says is not found, the original does look for. Its runs are traced, and each thing that a
 * warning names has to be among what was opened or asked for; what no run of ours asks for is listed, with the reason why
 * it counts all the same.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bundle } from '../../src/bundle.ts'
import type { Finding } from '../../src/model/findings.ts'
import { fixture, temporary } from '../support/bundle.ts'
import { PLAIN_ENVIRONMENT, tool } from '../support/root.ts'
import { real, trace } from '../support/trace.ts'
import { JOBS } from './programs.ts'

const MODES = [
  ['relocatable', {}],
  ['with shell launchers', { launcher: 'shell' }],
  ['for one place', { prefix: '/opt/app' }],
] as const

/** What warnings of the loss of data name. */
const targetsOf = (f: Finding): readonly string[] =>
  f.code === 'reference-blanked' || f.code === 'reference-left'
    ? f.targets
    : f.code === 'reference-nowhere'
      ? f.paths
      : []

/** Everything that the original asks for in its jobs. */
function asked(attribute: string): Set<string> {
  const all = new Set<string>()
  const home = temporary()
  const around = [
    ...[tool('bwrap'), '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    ...['--bind', home, '/home', '--chdir', '/home', '--'],
  ]
  for (const job of JOBS.filter(j => j.attribute === attribute)) {
    for (const [name, text] of Object.entries(job.files ?? {})) writeFileSync(join(home, name), text)
    const program = join(fixture(attribute), 'bin', job.program)
    for (const env of [PLAIN_ENVIRONMENT, { ...PLAIN_ENVIRONMENT, LANG: 'de_DE.UTF-8' }]) {
      const { tried } = trace(around, program, job.args, join(temporary(), 'log'), { env, input: job.input ?? '' })
      for (const path of tried) for (const one of [path, real(path)]) all.add(one)
    }
  }
  return all
}

/** What asks for it where none of our jobs does. */
const ASKED_BY: readonly (readonly [file: RegExp, by: string])[] = [
  [/\/libexec\/git-core\/git-filter-branch$/, 'git filter-branch'],
  [/\/bin\/coreutils$/, 'stdbuf'],
  [/\/bin\/gawk$/, 'gawk -l'],
  [/\/bin\/hello$/, 'a locale with translations'],
  [/\/libc\.so\.6$/, 'a locale, of a program that sets one in other jobs'],
  [/\/libncursesw\.so\.6\.4$/, 'a terminal'],
  [/\/libcrypto\.so\.3$/, 'TLS'],
  [/\/libperl\.so$/, 'git svn and others that start Perl'],
]

const counts = { asked: 0, byOthers: 0 }

describe.each([...new Set(JOBS.map(j => j.attribute))])('%s', attribute => {
  test('what warnings name is asked for', async () => {
    const paths = [...asked(attribute)]
    const isAsked = (target: string): boolean =>
      paths.some(p => p === target || p.startsWith(`${target}/`) || p.startsWith(`${real(target)}/`))
    const untrue: string[] = []
    for (const [mode, options] of MODES) {
      const { findings } = await bundle(fixture(attribute), { ...options, dryRun: true })
      for (const finding of findings.filter(f => f.severity === 'warning')) {
        const targets = targetsOf(finding)
        if (targets.length === 0) continue
        if (targets.some(isAsked)) counts.asked++
        else if (ASKED_BY.some(([file]) => file.test(finding.file))) counts.byOthers++
        else untrue.push(`${mode}: ${finding.file}: ${targets.join(' ')}`)
      }
    }
    expect(untrue).toEqual([])
  })
})

test('most are asked for in our own jobs', () => {
  console.log(`${counts.asked} warnings of what our jobs ask for, ${counts.byOthers} of what others do`)
  expect(counts.asked).toBeGreaterThan(counts.byOthers)
})
