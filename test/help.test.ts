/** `bundle help`: topics speak of options and commands that there are. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describedOf } from '../src/cli/described.ts'
import { programOf } from '../src/cli/program.ts'
import { helpNames, TOPICS } from '../src/cli/topics.ts'

const program = programOf([])
const options = new Set(program.commands.flatMap(command => command.options.flatMap(o => [o.long, o.short])))

test.each(TOPICS.map(topic => [topic.name, topic] as const))('%s', (_, { text, about }) => {
  for (const [, option] of text.matchAll(/(?<![\w-])(--?[a-z][a-z-]*)/g)) expect(options).toContain(option)
  for (const [, command] of text.matchAll(/\bbundle (\w+) [A-Z]/g))
    expect(program.commands.map(c => c.name())).toContain(command)
  for (const line of [...text.split('\n'), about]) expect(line.length).toBeLessThanOrEqual(122)
})

test('no two things are called alike', () => {
  expect(new Set(helpNames(program)).size).toBe(helpNames(program).length)
})

test.each([
  ['make', 'docs/command.md'],
  ['verify', 'docs/verify.md'],
])('every option of %s is in a table of %s', (name, page) => {
  const { options } = describedOf(program).commands.find(command => command.name === name)!
  const rows = readFileSync(page, 'utf8')
    .match(/^\|.*$/gm)!
    .join('\n')
  const told = new Set([...rows.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option))
  const untold = options.map(option => option.long).filter(long => !told.has(long))
  expect(untold.filter(long => !['--help', '--version'].includes(long))).toEqual([])
})
