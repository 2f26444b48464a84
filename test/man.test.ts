/** The manual page is made from the definitions of the commands, and its readers have nothing to say against it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { describedOf } from '../src/cli/described.ts'
import { programOf } from '../src/cli/program.ts'
import { manPage } from '../src/cli/shell/man.ts'

const program = programOf([])
const page = manPage(describedOf(program), '1.2.3')
const MANDOC = ['-T', 'utf8', '-O', 'width=400']
/** As it is read, without the overstruck letters of bold and underlined words. */
const read = execFileSync('mandoc', MANDOC, { input: page, encoding: 'utf8' }).replace(/.\x08/g, '')

test.each(program.commands.map(command => [command.name(), command] as const))('has every option of %s', (name, c) => {
  const from = name === 'make' ? read.indexOf('\nOPTIONS') : read.search(new RegExp(`^   bundle ${name}$`, 'm'))
  expect(from).toBeGreaterThan(0)
  const rest = read.slice(from + 1)
  const section = rest.slice(0, name === 'make' ? rest.indexOf('\nCOMMANDS') : rest.search(/\n {3}bundle |\nEXIT/))
  for (const { long, short, description } of c.options) {
    expect(section).toMatch(new RegExp(`^ +${short ? `${short}, ` : ''}${long}(?: |$)`, 'm'))
    expect(section.toLowerCase()).toContain(description.toLowerCase())
  }
})

test('mandoc finds nothing wrong', () => {
  const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning'], { input: page, encoding: 'utf8' })
  // It has no date: equal inputs give equal bytes.
  expect(stdout.split('\n').filter(line => line !== '' && !line.includes('missing date'))).toEqual([])
})
