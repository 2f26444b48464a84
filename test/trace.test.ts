/** Reading what strace writes. */
import { expect, test } from 'vitest'
import { openedBy } from '../src/target/trace.ts'

const hex = (text: string): string =>
  [...Buffer.from(text, 'latin1')].map(b => `\\x${b.toString(16).padStart(2, '0')}`).join('')
const opened = (...lines: string[]) => [...openedBy(lines.join('\n'))]

test('names are made absolute by the directory that they start from', () => {
  const call = (from: string, name: string): string => `openat(${from}, "${hex(name)}", O_RDONLY) = 3<${hex('/real')}>`
  expect(
    opened(
      call(`AT_FDCWD<${hex('/work dir')}>`, '/a'),
      call(`AT_FDCWD<${hex('/work\n\xff')}>`, 'b'),
      call(`7<${hex('/dir')}>`, 'c'),
      `open("${hex('/d')}", O_RDONLY) = 3<${hex('/d')}>`,
    ),
  ).toEqual(['/a', '/work\n\xff/b', '/dir/c', '/d'].map(file => ({ file, program: null })))
})

test('a program is the one that was executed last', () => {
  expect(
    opened(
      `execve("${hex('/bin/one')}", ["${hex('one')}"], 0x7ffd /* 3 vars */) = 0`,
      `open("${hex('/a')}", O_RDONLY) = 3<${hex('/a')}>`,
      `execve("${hex('relative')}", ["${hex('x')}"], 0x7ffd /* 3 vars */) = 0`,
      `execve("${hex('/bin/two')}", ["${hex('two')}"], 0x7ffd /* 3 vars */) = 0`,
      `open("${hex('/b')}", O_RDONLY) = 3<${hex('/b')}>`,
    ),
  ).toEqual([
    { file: '/bin/one', program: '/bin/one' },
    { file: '/a', program: '/bin/one' },
    { file: '/bin/two', program: '/bin/two' },
    { file: '/b', program: '/bin/two' },
  ])
})

test('directories, failures and other lines are passed over', () => {
  expect(
    opened(
      `openat(AT_FDCWD<${hex('/')}>, "${hex('/a')}", O_RDONLY|O_DIRECTORY) = 3<${hex('/a')}>`,
      `openat(AT_FDCWD<${hex('/')}>, "${hex('/b')}", O_RDONLY|O_PATH) = 3<${hex('/b')}>`,
      `open("${hex('/c')}", O_RDONLY) = -1 ENOENT (No such file or directory)`,
      '--- SIGCHLD {si_signo=SIGCHLD} ---',
      '+++ exited with 0 +++',
      'open("\\x2',
      '',
    ),
  ).toEqual([])
})
