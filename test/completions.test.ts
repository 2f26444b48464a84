/** Completions are made from the definitions of the commands, and the shells themselves take them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { describedOf } from '../src/cli/described.ts'
import { programOf } from '../src/cli/program.ts'
import { bashCompletion } from '../src/cli/shell/bash.ts'
import { fishCompletion } from '../src/cli/shell/fish.ts'
import { zshCompletion } from '../src/cli/shell/zsh.ts'

const program = programOf([])
const described = describedOf(program)
const texts = { bash: bashCompletion(described), zsh: zshCompletion(described), fish: fishCompletion(described) }
const directory = mkdtempSync(join(tmpdir(), 'storefree-completions-'))
afterAll(() => rmSync(directory, { recursive: true }))
for (const [shell, text] of Object.entries(texts)) writeFileSync(join(directory, shell), text)
mkdirSync(join(directory, 'sub'))

/** The lines of a text that are about one command. */
const sections = {
  bash: (name: string) => new RegExp(`^    ${name}\\)$.*?^      ;;$`, 'ms').exec(texts.bash)![0],
  zsh: (name: string) => new RegExp(`^    ${name}\\)$.*?^      ;;$`, 'ms').exec(texts.zsh)![0],
  fish: (name: string) =>
    texts.fish
      .split('\n')
      .filter(line => line.includes(`'__bundle_on ${name}'`))
      .join('\n'),
}

describe.each(['bash', 'zsh', 'fish'] as const)('%s', shell => {
  test('reads it', () => {
    execFileSync(shell, ['-n', join(directory, shell)])
  })

  // Asked of commander, not of the description that the text is made from.
  test.each(program.commands.map(command => [command.name(), command] as const))(
    'has every option of %s',
    (name, c) => {
      const section = sections[shell](name)
      for (const { long, short, argChoices } of c.options) {
        expect(section).toContain(shell === 'fish' ? `-l ${long!.slice(2)} ` : long!)
        if (short) expect(section).toContain(shell === 'fish' ? `-s ${short.slice(1)} ` : short)
        if (argChoices) expect(section).toContain(argChoices.join(' '))
      }
    },
  )
})

/** What bash has for the last of these words. */
const inBash = (...words: string[]): string[] =>
  execFileSync(
    'bash',
    [
      '-c',
      `. ./bash; complete -p bundle storefree > /dev/null || exit
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _bundle; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      'bundle',
      ...words,
    ],
    { cwd: directory, encoding: 'utf8' },
  )
    .split('\n')
    .filter(line => line !== '')

const inFish = (line: string): string[] =>
  execFileSync('fish', ['--no-config', '-c', 'source ./fish; complete -C $argv[1]', '--', line], {
    cwd: directory,
    encoding: 'utf8',
    env: { ...process.env, HOME: directory },
  })
    .split('\n')
    .filter(word => word !== '')
    .map(word => word.split('\t')[0]!)

test('bash completes commands, options, choices and lists', () => {
  expect(inBash('ve')).toEqual(['verify'])
  expect(inBash('verify', '--str')).toEqual(['--strict'])
  expect(inBash('--sig')).toEqual(['--signer'])
  expect(inBash('--vers')).toEqual(['--version'])
  expect(inBash('nginx', '-f', 'o')).toEqual(['oci'])
  expect(inBash('nginx', '--format', '=', 'o')).toEqual(['oci'])
  expect(inBash('nginx', '--launcher', '=')).toEqual(['auto', 'stub', 'shell'])
  expect(inBash('--with', 'locales,t')).toEqual(['locales,tzdata'])
  expect(inBash('why', 'nginx', '--kind', 'need')).toEqual(['needed'])
  expect(inBash('completions', '')).toEqual(['bash', 'zsh', 'fish'])
  // Options of another command, files (readline's), and what is a traced command's own.
  expect(inBash('verify', '--sig')).toEqual([])
  expect(inBash('verify', './')).toEqual([])
  expect(inBash('app', '--trace', '--', 'app', '--')).toEqual([])
})

test('fish completes the same, and files', () => {
  expect(inFish('bundle ve')).toEqual(['verify'])
  expect(inFish('bundle verify --str')).toEqual(['--strict'])
  expect(inFish('storefree nginx -f o')).toEqual(['oci'])
  expect(inFish('bundle nginx --launcher=s').sort()).toEqual(['--launcher=shell', '--launcher=stub'])
  expect(inFish('bundle verify ./s')).toEqual(['./sub/'])
  expect(inFish('bundle verify --sig')).toEqual([])
})

test('zsh knows it as the completion of both names', () => {
  const script = 'autoload -U compinit; compinit -u -D; . ./zsh; print -r -- $_comps[bundle] $_comps[storefree]'
  const options = { cwd: directory, encoding: 'utf8' } as const
  expect(execFileSync('zsh', ['-f', '-c', script], options)).toBe('_bundle _bundle\n')
})
