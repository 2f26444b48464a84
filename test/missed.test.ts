/** What is told of references that nothing stands for any more: few findings, whatever their number. */
import { expect, test } from 'vitest'
import type { Account } from '../src/model/plan.ts'
import { missedReferences } from '../src/plan/missed.ts'
import { describe as words } from '../src/report/describe.ts'

const root = (name: string): string => `/nix/store/0arvck0l4mjdgx5lhvfay9p27mgmilpn-${name}`
const APP = root('app-1')

/** A reference that is missed, or one that stayed out. */
const account = (file: string, target: string, { rule = 'file', missed = true } = {}): Account =>
  ({
    file,
    outcome: 'blanked',
    missed,
    reference: {},
    verdict: { rule, target, followed: missed },
  }) as unknown as Account

const told = (accounts: readonly Account[], relocatable = true) =>
  missedReferences(
    accounts,
    relocatable,
    path => path.includes('/bundled/'),
    path => path.includes('/bin/') || path.endsWith('.so'),
  )

const many = (n: number, make: (i: number) => Account): Account[] => Array.from({ length: n }, (_, i) => make(i))

test('a list of 1442 files is one finding, with a count and three examples', () => {
  const [finding, ...others] = told(many(1442, i => account(`${APP}/share/list`, `${APP}/lib/${i}.pm`)))
  expect(others).toEqual([])
  expect(finding).toMatchObject({ code: 'reference-blanked', severity: 'warning', count: 1442 })
  expect(words(finding!)).toBe(
    'finds app-1/lib/0.pm, app-1/lib/1.pm, app-1/lib/2.pm and 1439 more by store path, which a relocatable bundle cannot keep: name the place on its command line, or bundle with --prefix',
  )
})

test('files of a package that miss the same are one finding, in whatever order they name it', () => {
  const [bash, tree] = [root('bash-5/bin/bash'), `${APP}/share`]
  const findings = told(many(40, i => account(`${APP}/bin/${i >> 1}`, i % 4 === 0 || i % 4 === 3 ? bash : tree)))
  expect(findings).toMatchObject([{ count: 40, targets: [bash, tree] }])
  expect(words(findings[0]!)).toContain('(nor do app-1/bin/1, app-1/bin/2, app-1/bin/3 and 16 more)')
})

test('many files of a package that miss something else each are one finding; programs are another', () => {
  const data = many(9, i => account(`${APP}/share/${i}`, `${APP}/lib/${i}`))
  const programs = many(3, i => account(`${APP}/bin/${i}`, `${APP}/lib/${i}`))
  expect(told([...data, ...programs]).map(f => f.file)).toEqual([`${APP}/share/0`, ...programs.map(({ file }) => file)])
  expect(told([...data, account(`${root('other-2')}/share/x`, `${APP}/lib/1`)])).toHaveLength(2)
})

test('what no run notices is a note', () => {
  const file = `${root('ncurses-6.4')}/share/terminfo/v/vt220`
  expect(told([account(file, `${root('ncurses-6.4')}/share/tabset/vt100`, { rule: 'tabset' })])).toMatchObject([
    { code: 'reference-blanked', severity: 'note' },
  ])
})

test('what stayed out is a note for each rule; what is in the bundle did not stay out', () => {
  const left = (i: number, rule: string, path = `${root('gcc-12')}/bin/${i}`): Account =>
    account(`${APP}/bin/${i}`, path, { rule, missed: false })
  const accounts = [...many(5, i => left(i, 'compiler')), left(1, 'option'), left(2, 'option', `${APP}/bundled/x`)]
  expect(told(accounts)).toMatchObject([
    { code: 'reference-left', severity: 'note', rule: 'compiler', count: 5 },
    { code: 'reference-left', severity: 'note', rule: 'option', count: 1 },
  ])
})

test('for one place --prefix is no advice', () => {
  expect(words(told([account(`${APP}/share/x`, `${APP}/y`)], false)[0]!)).not.toContain('--prefix')
})

test('what is spelled with escaped slashes is told to be, for that is why it was not kept', () => {
  const escaped = { ...account(`${APP}/etc/x.sed`, `${APP}/share/x`), reference: { escaped: { slash: '\\/' } } }
  const [first] = told([escaped as unknown as Account])
  expect(words(first!)).toContain('finds app-1/share/x by store path with escaped slashes, which a relocatable bundle')
  const [both] = told([escaped as unknown as Account, account(`${APP}/etc/x.sed`, `${APP}/share/x`)])
  expect(words(both!)).toContain('finds app-1/share/x by store path, which')
})

test('a build tool that something names by its file stays out with a warning', () => {
  const tool = (rule: string): Account => account(`${APP}/bin/x`, root('gcc-12/bin/gcc'), { rule, missed: false })
  expect(told([tool('build-tool'), tool('compiler')])).toMatchObject([
    { code: 'reference-left', severity: 'warning', rule: 'build-tool' },
    { code: 'reference-left', severity: 'note', rule: 'compiler' },
  ])
})
