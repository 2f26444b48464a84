/** While inputs are scanned, each is asked about once; before and behind that, each time. */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { KEPT_MAX, Memory } from '../src/io/memory.ts'
import { lstat, realPath, remembering, stat, withFile } from '../src/io/store.ts'

const work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'storefree-memory-')))
afterAll(() => fs.rmSync(work, { recursive: true }))

test('what changes meanwhile is seen when it is over', () => {
  const file = `${work}/file`
  const all = (path: string): string => withFile(path, s => s.read(0, s.size).toString())
  fs.writeFileSync(file, 'before')
  remembering(() => {
    expect([lstat(file)?.size, stat(`${work}/none`), all(file)]).toEqual([6, null, 'before'])
    fs.writeFileSync(file, 'after it')
    fs.writeFileSync(`${work}/none`, '')
    remembering(() => expect([lstat(file)?.size, stat(`${work}/none`), all(file)]).toEqual([6, null, 'before']))
    expect(all(file)).toBe('before')
  })
  expect([lstat(file)?.size, stat(`${work}/none`)?.size, all(file)]).toEqual([8, 0, 'after it'])
})

test('bytes that were read stay what they are, whatever is read behind them', () => {
  const [file, next] = [`${work}/own`, `${work}/next`]
  fs.writeFileSync(file, 'bytes')
  fs.writeFileSync(next, 'others')
  remembering(() => {
    const held = withFile(file, s => s.read(0, 5))
    expect(withFile(next, s => s.read(0, 6).toString())).toBe('others')
    expect([held.toString(), withFile(file, s => s.read(0, 5).toString())]).toEqual(['bytes', 'bytes'])
    const [into, more] = [Buffer.alloc(8), Buffer.alloc(8)]
    expect([withFile(file, s => s.readInto!(into, 3)), into.toString('latin1', 0, 2)]).toEqual([2, 'es'])
    expect(withFile(file, s => [s.readInto!(more, 5), s.readInto!(more, 9), s.read(9, 2).length])).toEqual([0, 0, 0])
  })
})

test('all of a file is read, whatever was known of its size: of a link, or before it grew or shrank', () => {
  const [file, link] = [`${work}/sized`, `${work}/by-link`]
  fs.symlinkSync('sized', link)
  for (const then of ['longer than before', 'short', '']) {
    fs.writeFileSync(file, 'as before')
    remembering(() => {
      expect([lstat(file)?.size, lstat(link)?.size]).toEqual([9, 5])
      fs.writeFileSync(file, then)
      for (const path of [file, link])
        expect(
          withFile(path, s => s.read(0, s.size).toString()),
          path,
        ).toBe(then)
    })
  }
})

test('a path is resolved as realpath(3) does, also through what was resolved before', () => {
  fs.mkdirSync(`${work}/a/b`, { recursive: true })
  fs.writeFileSync(`${work}/a/b/file`, '')
  fs.symlinkSync('b', `${work}/a/link`)
  fs.symlinkSync('link/file', `${work}/a/to-file`)
  fs.symlinkSync('round', `${work}/a/round`)
  const paths = ['a', 'a/b/file', 'a/link', 'a/link/file', 'a/link/../to-file', 'a//b/./file', 'a/to-file', 'a/b/', '']
  const named = paths.map(p => `${work}/${p}`)
  const expected = named.map(p => fs.realpathSync.native(p))
  remembering(() => {
    expect(named.map(realPath)).toEqual(expected)
    expect(named.map(realPath)).toEqual(expected)
    for (const wrong of ['a/none', 'a/round', 'a/b/file/below', `a/${'x'.repeat(300)}`])
      expect(() => realPath(`${work}/${wrong}`), wrong).toThrow()
    expect([realPath('/'), realPath('/tmp')]).toEqual(['/', fs.realpathSync.native('/tmp')])
  })
})

test('only so many bytes are kept, the last ones', () => {
  const memory = new Memory()
  for (let i = 0; i < 1000; i++) memory.keep(`file ${i}`, memory.room(KEPT_MAX))
  const kept = Array.from({ length: 1000 }, (_, i) => memory.file(`file ${i}`)).filter(bytes => bytes !== undefined)
  expect([kept.length >= 24, kept.length <= 50]).toEqual([true, true])
  expect(memory.file('file 999')).toBeDefined()
})
