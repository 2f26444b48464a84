/** Completions as they are typed: Tab in a real bash, zsh and fish, each in a terminal of tmux. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, run, temporary } from '../support/bundle.ts'

const home = temporary()
const socket = join(home, 'tmux')
const tmux = (...args: string[]) => run('tmux', ['-S', socket, '-f', '/dev/null', ...args])
afterAll(() => void tmux('kill-server'))

beforeAll(() => {
  fs.mkdirSync(join(home, 'bin'))
  for (const name of ['bundle', 'storefree']) fs.symlinkSync(command, join(home, 'bin', name))
  fs.writeFileSync(join(home, 'bashrc'), 'PS1="$ "; . <(bundle completions bash)\n')
  fs.writeFileSync(
    join(home, '.zshrc'),
    'PS1="$ "; autoload -U compinit; compinit -u -D; . <(bundle completions zsh)\n',
  )
  fs.mkdirSync(join(home, '.config/fish'), { recursive: true })
  fs.writeFileSync(
    join(home, '.config/fish/config.fish'),
    'set fish_greeting; function fish_prompt; echo "\\$ "; end; bundle completions fish | source\n',
  )
})

const SHELLS = { bash: `bash --rcfile ${home}/bashrc -i`, zsh: 'zsh -i', fish: 'fish -i' }

describe.each(Object.entries(SHELLS))('%s', (shell, start) => {
  const inside = `cd ${home}; PATH=${home}/bin:${process.env.PATH} HOME=${home} TERM=screen ${start}`
  beforeAll(() => void tmux('new-session', '-d', '-s', shell, '-x', '150', '-y', '50', inside))

  /** Waits for a text on the screen. */
  async function shown(text: string): Promise<string> {
    let screen = ''
    for (let i = 0; i < 200 && !screen.includes(text); i++) {
      await new Promise(resolve => setTimeout(resolve, 50))
      screen = tmux('capture-pane', '-p', '-t', shell).stdout
    }
    return screen
  }

  async function typed(keys: string, wanted: string): Promise<void> {
    // A shell of its own for each: Ctrl-C and Ctrl-L leave fish's list of choices there, at times.
    for (let attempt = 0; attempt < 3; attempt++) {
      tmux('respawn-pane', '-k', '-t', shell, inside)
      await shown('$')
      tmux('send-keys', '-t', shell, '-l', keys)
      // In this order: what is typed is there before Tab is. What is typed while a shell starts may be dropped.
      if ((await shown(keys.trim())).includes(keys.trim())) break
    }
    tmux('send-keys', '-t', shell, 'Tab')
    if (wanted === 'shell') tmux('send-keys', '-t', shell, 'Tab')
    expect(await shown(wanted)).toContain(wanted)
  }

  test('a command', () => typed('bundle veri', '$ bundle verify'))
  test('an option of it', () => typed('storefree verify --str', '$ storefree verify --strict'))
  test('what an option takes', () => typed('bundle nginx --compression zs', '$ bundle nginx --compression zstd'))
  test('choices are shown', () => typed('bundle nginx --launcher ', 'shell'))
  test('a topic of help', () => typed('bundle help verd', '$ bundle help verdicts'))
})
