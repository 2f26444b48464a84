/** The page of `--html`, opened by a browser from a file, without a network: what people do with it, and hostile names. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Browser } from '../support/browser.ts'
import { bundle, fixture, mustBundle, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

let browser: Browser
let page: string
beforeAll(() => {
  browser = new Browser(temporary())
  page = join(temporary(), 'nginx.html')
  mustBundle(['report', fixture('nginx'), '--html', page])
})
afterAll(() => browser.close())

const text = (selector: string): Promise<string> =>
  browser.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).innerText`)

/** What it shows of a file, and that nothing was wrong on the way. */
async function clean(): Promise<string> {
  expect(browser.complaints).toEqual([])
  return text('#details')
}

test('search finds a library and shows by which chain it comes, from the keyboard alone', async () => {
  await browser.open(page)
  expect(browser.requests).toEqual([`file://${page}`])
  await browser.press('/')
  await browser.type('padlock')
  await browser.press('Enter')
  const said = await clean()
  expect(said).toContain('openssl-3.0/lib/engines-3/padlock.so')
  expect(said).toMatch(/nginx-1.22.1\/bin\/nginx needs libcrypto.so.3\s+DT_NEEDED, offset \d+; found by RUNPATH\[\d\]/)
  expect(said).toMatch(/libcrypto.so.3 names openssl-3.0\/lib\/engines-3\s+.rodata, offsets \d+, \d+; rule directory/)
  expect(said).toContain('Without it the bundle is 31,760 bytes smaller.')
  // As `bundle why` says it.
  expect(bundle(['why', fixture('nginx'), 'padlock.so']).stdout).toContain(
    'Without it the bundle is 31760 bytes smaller.',
  )
})

test('a step of the chain leads to its file, and the browser back again', async () => {
  await browser.open(page)
  await browser.press('/')
  await browser.type('padlock')
  await browser.press('Enter')
  await browser.click('#details .chain li:nth-child(3) a')
  expect(await clean()).toMatch(/^openssl-3.0\/lib\/libcrypto.so.3\n/)
  await browser.evaluate('new Promise(r => { addEventListener("hashchange", r, { once: true }); history.back() })')
  expect(await clean()).toMatch(/^openssl-3.0\/lib\/engines-3\/padlock.so\n/)
})

test('the picture: in and out by keys, areas as bytes, a name for whoever does not see it', async () => {
  await browser.open(page)
  const shares = await browser.evaluate<[string, number][]>(
    `[...document.querySelectorAll('.tile:not(.open)')].map(t => [t.getAttribute('aria-label'), t.offsetWidth * t.offsetHeight])`,
  )
  const area = (name: string): number => shares.find(([label]) => label.startsWith(`${name} `))![1]
  // 5.3 of 1.9 MB, less what frames take.
  expect(area('libcrypto.so.3') / area('libc.so.6')).toBeGreaterThan(2.3)
  expect(area('libcrypto.so.3') / area('libc.so.6')).toBeLessThan(3.3)
  await browser.evaluate(`document.querySelector('#map').focus()`)
  await browser.press('ArrowRight')
  await browser.press('Enter')
  expect(await text('#way')).toMatch(/^nginx \/ openssl-3.0 6.4 MB$/)
  await browser.press('ArrowRight')
  await browser.press('ArrowRight')
  await browser.press('Enter')
  expect(await clean()).toContain('openssl-3.0/lib/libcrypto.so.3')
  await browser.press('Escape')
  expect(await text('#way')).toMatch(/^nginx 1\d\.\d MB$/)
})

test('tables: packages sorted by what is asked, what loaders do, what Nix has besides', async () => {
  await browser.open(page)
  const first = (): Promise<string> => text('#packages tbody th')
  expect(await first()).toBe('openssl-3.0')
  await browser.evaluate(`document.querySelector('#packages thead button').click()`)
  expect(await first()).toBe('glibc-2.36')
  await browser.click('#tab-libraries')
  await browser.evaluate(`document.querySelector('#libraries .opener').click()`)
  await browser.evaluate('new Promise(r => setTimeout(r, 50))')
  expect(await text('#libraries')).toContain('openssl-3.0/lib/libcrypto.so.3')
  await browser.click('#tab-references')
  expect(await text('#references [role=status]')).toMatch(/^\d+$/)
  await browser.evaluate(`document.querySelector('#references input').focus()`)
  await browser.type('lib/engines-3 LIBCRYPTO rodata')
  const [row, ...others] = await browser.evaluate<string[]>(
    `[...document.querySelectorAll('#references tbody tr')].map(r => r.innerText)`,
  )
  expect(others).toEqual([])
  expect(row).toMatch(
    /libcrypto\.so\.3\s+names openssl-3\.0\/lib\/engines-3\s+openssl-3\.0\/lib\/engines-3\s+\.rodata, offsets \d+, \d+;/,
  )
  await browser.evaluate(`document.querySelector('#show-out').click()`)
  expect(await browser.evaluate(`document.querySelector('.tile.out').title`)).toMatch(/^glibc-2.36\/stayed out: /)
  await clean()
})

test('nothing is wider than a narrow window; dark where the reader wants it dark', async () => {
  for (const width of [360, 700, 1400]) {
    await browser.open(page, { width, dark: true })
    await browser.press('/')
    await browser.type('lib')
    await browser.press('Enter')
    expect(await browser.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    expect(await browser.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(20, 23, 26)')
  }
})

test('its policy lets in its own script and style, and nothing else', async () => {
  await browser.open(page)
  const tries = `(() => {
    const script = document.createElement('script'); script.textContent = 'globalThis.isIn = true'; document.body.append(script)
    const image = new Image(); image.src = 'https://example.org/x.png'; document.body.append(image)
    return fetch('https://example.org/').then(() => 'fetched', () => String(globalThis.isIn))
  })()`
  expect(await browser.evaluate(tries)).toBe('undefined')
  expect(browser.complaints.filter(c => c.includes('Content Security Policy')).length).toBeGreaterThanOrEqual(3)
  expect(readFileSync(page, 'utf8')).not.toMatch(/unsafe|https?:(?!\/\/(?:www\.w3\.org))/)
})

test.each([
  ['light', { dark: false }],
  ['dark', { dark: true }],
  ['narrow', { width: 380 }],
])('axe finds nothing in it, in no tab: %s', async (_, how) => {
  await browser.open(page, how)
  await browser.evaluate(`${readFileSync('node_modules/axe-core/axe.min.js', 'utf8')}; 0`)
  for (const tab of ['packages', 'libraries', 'references', 'out']) {
    await browser.click(`#tab-${tab}`)
    const found = 'axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)]))'
    expect(await browser.evaluate(found), tab).toEqual([])
  }
})

test('names that are markup, end the script, or are no text at all are text', async () => {
  const names = [
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert('2')<!--",
    '&lt;b&gt;&#60;',
    '\u202egpj.exe',
    '__proto__',
    'line\nbreak',
    '\x1b[31mred',
  ]
  const app = storePath('app-1', {
    'bin/app': '#!/bin/sh\n',
    ...Object.fromEntries(names.map(name => [`share/${name.replaceAll('/', '')}/${name.replaceAll('/', '')}`, name])),
  })
  writeFileSync(Buffer.concat([Buffer.from(join(app, 'share/')), Buffer.from([0xff, 0xfe])]), 'no text')
  const odd = join(temporary(), 'odd.html')
  mustBundle(['size', app, '--html', odd])
  await browser.open(odd)
  for (const [typed, shown] of [
    ['onerror', 'app-1/share/"><img src=x onerror=alert(1)>/"><img src=x onerror=alert(1)>'],
    ["alert('2')", "<script><script>alert('2')<!--"],
    ['lt;b', '&lt;b&gt;&#60;'],
    ['__proto__', 'app-1/share/__proto__/__proto__'],
    ['break', 'line\\x0abreak'],
    ['red', '\\x1b[31mred'],
    ['\\xff', 'app-1/share/\\xff\\xfe'],
  ]) {
    await browser.press('/')
    await browser.evaluate(`document.querySelector('#search').value = ''`)
    await browser.type(typed!)
    await browser.press('Enter')
    expect(await clean()).toContain(shown)
  }
  expect(await browser.evaluate('document.images.length + document.scripts.length')).toBe(2)
})

test('a bundle of anybody: its name, packages and needs are text too, and a circle ends', async () => {
  const made = join(temporary(), 'made')
  mustBundle([storePath('app-1', { 'bin/app': '#!/bin/sh\n' }), '-f', 'dir', '-o', made, '-q'])
  const manifest = JSON.parse(readFileSync(join(made, 'bundle.json'), 'utf8'))
  const evil = '</title></script><img src=x onerror=alert(1)>'
  const file = (path: string): object => ({ path, type: 'file', executable: false, size: 5, sha256: 'x', target: null })
  const forged = {
    ...manifest,
    name: evil,
    version: evil,
    system: evil,
    packages: [{ name: evil, tree: false }],
    files: [
      { ...file(`pkg/${evil}/a`), package: 0, part: { path: 'a' } },
      { ...file('b'), package: 0, part: { path: 'b' } },
    ],
    directories: [],
    accounts: [],
    needs: [
      { from: 0, to: 1, kind: 'needed', name: evil, via: evil },
      { from: 1, to: 0, kind: 'needed', name: evil },
      { from: 1, to: 1, kind: 'dlopen', name: evil },
    ],
    asked: [{ kind: 'entry', name: evil, to: 0 }],
  }
  const place = join(temporary(), 'forged')
  mkdirSync(place)
  writeFileSync(join(place, 'bundle.json'), JSON.stringify(forged))
  const odd = join(temporary(), 'odd.html')
  mustBundle(['why', place, 'b', '--html', odd])
  await browser.open(odd)
  expect(await clean()).toContain(`needs ${evil}`)
  expect(await text('h1')).toBe(`${evil} ${evil}`)
  expect(await browser.evaluate('document.images.length + document.scripts.length')).toBe(2)
  await browser.click('#tab-libraries')
  for (let depth = 1; depth < 6; depth++) {
    await browser.evaluate(`[...document.querySelectorAll('#libraries .opener')].at(-1).click()`)
    await browser.evaluate('new Promise(r => setTimeout(r, 20))')
  }
  await clean()
})

test('equal bundles have equal pages; where it cannot be written is an error', () => {
  const again = join(temporary(), 'again.html')
  mustBundle(['report', fixture('nginx'), '--html', again])
  expect(readFileSync(again).equals(readFileSync(page))).toBe(true)
  const { code, stderr } = bundle(['report', fixture('nginx'), '--html', join(temporary(), 'no/such/place.html')])
  expect(code).toBe(2)
  expect(stderr).toMatch(/^error: .*place\.html/)
})
