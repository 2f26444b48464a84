/** Store paths whose slashes are escaped: found wherever they lie, and spelled afterwards as they were. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BundlePath } from '../src/paths.ts'
import { escapePath, SPELLINGS } from '../src/references/escaped.ts'
import type { Reference } from '../src/references/reference.ts'
import { blanked, fixed, inText, rootLength, type Target } from '../src/references/rewrite.ts'
import { scanReferences } from '../src/references/scan.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const HASHES = new Set([HASH])
const PATH = `/nix/store/${HASH}-nginx-1.22.1/sbin/nginx`
const TARGET: Target = {
  root: PATH.slice(0, -'/sbin/nginx'.length),
  prefix: '/opt/n',
  path: '/pkg/nginx-1.22.1',
  at: 'pkg/nginx-1.22.1' as BundlePath,
  link: { number: 0, at: 'p/0-nginx-1.22.1' as BundlePath },
}

const scan = (text: string, size = text.length || 1): Reference[] => {
  const bytes = Buffer.from(text, 'latin1')
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  return scanReferences(pieces, HASHES)
}

describe.each(SPELLINGS)('%s', slash => {
  const escaped = PATH.replaceAll('/', slash)

  test('is found once, with its hash, at every place, however it is cut, known hash or not', () => {
    for (let before = 0; before < 40; before++)
      for (const size of [1, 7, 31, 1000]) {
        const text = `${'.'.repeat(before)}${escaped}"`
        const expected = { offset: before, encoding: 'utf8', hash: HASH, bare: false, text: PATH }
        expect(scan(text, size)).toEqual([{ ...expected, escaped: { slash, raw: escaped } }])
        expect(scanReferences([Buffer.from(text)], null)).toHaveLength(1)
      }
  })

  test('is found around the borders of the window that the scan goes through', () => {
    for (const border of [112 * 1024, 128 * 1024])
      for (let back = -2; back < 60; back++) {
        const text = '.'.repeat(border - back) + escaped
        expect(scan(text.padEnd(border + 20_000, ' ')).map(r => r.offset)).toEqual([border - back])
      }
  })

  test('becomes its new place in a text, spelled as it was', () => {
    const text = `"${escaped}"`
    const [reference] = scan(text)
    const { offset } = reference!
    const after =
      text.slice(0, offset) + inText(reference!, TARGET) + text.slice(offset + rootLength(reference!, TARGET))
    expect(after).toBe(`"${'/opt/n/pkg/nginx-1.22.1/sbin/nginx'.replaceAll('/', slash)}"`)
  })

  test('becomes its new place at equal length, or nothing; and no scan finds it any more', () => {
    const [reference] = scan(escaped)
    for (const edit of [fixed(reference!, TARGET), blanked(reference!)]) {
      if (edit === null) continue
      expect(edit.to.length).toBe(edit.from.length)
      const from = Buffer.from(edit.from).toString('latin1')
      const to = Buffer.from(edit.to).toString('latin1')
      expect(escaped.startsWith(from)).toBe(true)
      expect(scan(to + escaped.slice(from.length))).toEqual([])
      const plain = (to + escaped.slice(from.length)).replaceAll(slash, '/').replace(/\/(?:\.?\/)+/g, '/')
      expect(['/opt/n/p/0-nginx-1.22.1/sbin/nginx', `/var/empty/${'e'.repeat(32)}-nginx-1.22.1/sbin/nginx`]).toContain(
        plain,
      )
    }
  })
})

test.each([2, 3, 4, 5, 6])('a slash of %i bytes fills any room that has a few of them', length => {
  const slash = SPELLINGS.find(s => s.length === length)!
  const root = `/nix/store/${HASH}-n`
  const raw = root.replaceAll('/', slash)
  const [path, link] = ['/pkg/n', { number: 0, at: 'p/0-n' as BundlePath }]
  const reference: Reference = {
    offset: 0,
    encoding: 'utf8',
    hash: HASH,
    bare: false,
    text: root,
    escaped: { slash, raw },
  }
  for (let size = 1; ; size++) {
    const prefix = `/${'o'.repeat(size)}`
    const room = raw.length - '-n'.length - `${prefix}/p/0`.replaceAll('/', slash).length
    if (room < length * length) break
    const edit = fixed(reference, { root, prefix, path, at: 'pkg/n' as BundlePath, link })
    expect(edit!.to.length).toBe(raw.length - '-n'.length)
    const to = Buffer.from(edit!.to).toString('latin1').replaceAll(slash, '/')
    expect(to.replace(/\/(?:\.?\/)+/g, '/')).toBe(`${prefix}/p/0`)
  }
})

test('a text ends where its own escapes end: at a plain slash, at another escape, at a quote', () => {
  const sed = String.raw`s/\/nix\/store\/${HASH}-foo-1.0/X/`
  expect(scan(sed).map(r => r.text)).toEqual([`/nix/store/${HASH}-foo-1.0`])
  expect(scan(String.raw`"\/nix\/store\/${HASH}-foo\/a\tb"`).map(r => r.text)).toEqual([`/nix/store/${HASH}-foo/a`])
  expect(scan(`x=%2Fnix%2Fstore%2F${HASH}-gtk%2B3%2Flib&y`)[0]).toMatchObject({ text: `/nix/store/${HASH}-gtk+3/lib` })
  expect(scan(String.raw`"\/nix\/store"`).map(r => [r.text, r.hash])).toEqual([['/nix/store', null]])
})

test('what an address may not hold is escaped there', () => {
  expect(escapePath('/opt/my app/ü', '%2F')).toBe('%2Fopt%2Fmy%20app%2F%FC')
  expect(escapePath('/opt/my app', '\\/')).toBe('\\/opt\\/my app')
})

test('what only resembles one is none', () => {
  for (const text of [
    '\\/nix/store',
    '/nix\\/store',
    '\\/nix\\\\/store',
    '%2Fnix\\/store',
    'nix\\/store',
    '\\/nix\\/stor',
    'Fnix%2Fstore',
  ])
    expect(
      scan(text).filter(r => r.escaped),
      text,
    ).toEqual([])
})

test('a hash behind an escaped store directory is not told twice, one behind anything else is', () => {
  expect(scan(`\\/nix\\/store\\/${HASH}-a`).map(r => r.bare)).toEqual([false])
  expect(scan(`\\/nix\\/store\\/.links\\/${HASH}-a`).map(r => r.bare)).toEqual([false, true])
  expect(scan(`\\/${HASH}-a`).map(r => r.bare)).toEqual([true])
})

test('any mixture of spellings is searched as by looking at each offset', () => {
  const part = fc.constantFrom(...SPELLINGS, 'nix', 'store', '/nix', 'x', '00', '\\', '%', `${HASH}-a`, '/')
  const whole = fc.constantFrom(...SPELLINGS).map(s => `${s}nix${s}store${s}`)
  const text = fc.array(fc.oneof(part, whole), { maxLength: 12 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40 }), (t, size) => {
      const found = scan(t, size)
      expect(found).toEqual(scan(t))
      const starts = new Set<number>()
      for (const s of SPELLINGS)
        for (let at = t.indexOf(`${s}nix${s}store${s}`); at >= 0; at = t.indexOf(`${s}nix${s}store${s}`, at + 1))
          starts.add(at)
      for (const at of starts)
        expect(found.some(r => r.escaped && (r.offset === at || t.slice(at, r.offset).match(/^\\+$/)))).toBe(true)
    }),
    { numRuns: 2000 },
  )
})
