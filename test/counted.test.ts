import { expect, test } from 'vitest'
import { isCounted } from '../src/references/counted.ts'
import type { Reference } from '../src/references/reference.ts'

const PATH = `/nix/store/${'0'.repeat(32)}-dep-1.0/share/one`
const bytes = PATH.length
const counted = (text: string): boolean =>
  isCounted(text, [{ offset: text.indexOf('/nix/store'), text: PATH } as Reference])

test.each([
  ["PHP's serialize", `a:2:{i:0;s:${bytes}:"${PATH}";i:1;s:1:"x";}`],
  ['the same, in the middle of a string', `s:${bytes + 9}:"dir=${PATH}:/usr";`],
  ['a netstring', `${bytes}:${PATH},`],
  ['bencode', `d4:path${bytes}:${PATH}4:name1:xe`],
  ['compiled Emacs Lisp', `;ELC\x1c\n(defvar x "${PATH}")\n`],
  ['a PDF', `%PDF-1.4\n1 0 obj (${PATH}) endobj\n`],
])('counts: %s', (_, text) => expect(counted(text)).toBe(true))

test.each([
  ['JSON', `{"a": 61, "b": "${PATH}"}`],
  ['a line of grep', `77:${PATH} is there, and more\n`],
  ['the wrong length', `s:${bytes - 3}:"${PATH}";`],
  ['a string before it', `s:3:"abc"; ${PATH}`],
  ['a time', `12:59:${PATH}`],
  ['a search path', `PATH=${PATH}:/usr/bin`],
])('counts not: %s', (_, text) => expect(counted(text)).toBe(false))
