/** Which directories of its own a program names and its image lacks. */
import { expect, test } from 'vitest'
import { placesOf, unwritableOf } from '../src/pack/unwritable.ts'

const named = (text: string, given: readonly string[] = []): string[] =>
  unwritableOf(Buffer.from(text, 'latin1'), new Set(['nginx']), given)

test('directories that are called as the program, by what lies in them or by themselves', () => {
  expect(named('\0/var/log/nginx/error.log\0/var/log/nginx/access.log\0/var/cache/nginx\0')).toEqual([
    '/var/cache/nginx',
    '/var/log/nginx',
  ])
  expect(named('/run/nginx/socket\0')).toEqual(['/run/nginx'])
})

test("neither files, nor other programs' directories, nor the ends of longer paths", () => {
  expect(named('\0/run/nginx.pid\0/var/run/utmp\0/var/lib/dpkg/status\0/srv/var/log/nginx/x\0')).toEqual([])
})

test('what --writable makes and --add brings is there', () => {
  const text = '\0/var/log/nginx/error.log\0'
  expect(named(text, placesOf(['/var/log/nginx/'], []))).toEqual([])
  expect(named(text, placesOf([], ['./x:/var/log/nginx/error.log']))).toEqual([])
  expect(named(text, placesOf(['/var/log'], []))).toEqual(['/var/log/nginx'])
})
