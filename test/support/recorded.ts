/**
 * The picture in the README: commands that are run, and what they print, as a terminal in SVG. `npm run record` writes it
 * anew; test/e2e/recorded.test.ts compares what it shows with a run.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, fixtureEnv, repository, run } from './bundle.ts'

export const PICTURE = join(repository, 'docs/pictures/terminal.svg')

/** A command and what it printed. */
export interface Recorded {
  /** Which machine: the one with Nix, or one with nothing but /bin/sh. */
  readonly prompt: 'nix' | 'vm'
  readonly command: string
  readonly lines: readonly string[]
}

const COMMANDS = [
  ['nix', 'bundle nginx'],
  ['nix', 'scp nginx-*.tar.gz vm:'],
  ['vm', 'ls /nix'],
  ['vm', 'tar xzf nginx-*.tar.gz'],
  ['vm', 'nginx-1.22.1/bin/nginx -v'],
  ['nix', 'bundle verify nginx-*.tar.gz'],
] as const

/** Runs the commands: the machine without Nix is an empty root with busybox in it. */
export function record(): Recorded[] {
  const work = mkdtempSync(join(tmpdir(), 'storefree-recorded-'))
  try {
    const [tools, here, vm] = ['tools', 'here', 'vm'].map(name => join(work, name)) as [string, string, string]
    for (const directory of [tools, here, vm, join(vm, 'bin')]) mkdirSync(directory)
    symlinkSync(command, join(tools, 'bundle'))
    const busybox = join(vm, 'bin/busybox')
    copyFileSync(run('sh', ['-c', 'command -v busybox']).stdout.trim(), busybox)
    for (const applet of ['sh', 'ls', 'tar']) symlinkSync('busybox', join(vm, 'bin', applet))
    chmodSync(vm, 0o755)
    const env = { ...fixtureEnv, PATH: `${tools}:${process.env.PATH}`, HOME: work, TMPDIR: work }
    const there = ['--die-with-parent', '--bind', vm, '/', '--proc', '/proc', '--dev', '/dev', '--chdir', '/']
    return COMMANDS.map(([prompt, text]) => {
      const script = `${text} 2>&1`
      const { stdout } =
        prompt === 'vm'
          ? run('bwrap', [...there, '--', '/bin/sh', '-c', script], { env: { PATH: '/bin' } })
          : text.startsWith('scp ')
            ? copied(here, vm)
            : run('sh', ['-c', script], { cwd: here, env })
      return { prompt, command: text, lines: stdout.split('\n').slice(0, -1) }
    })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function copied(from: string, to: string): { stdout: string } {
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name))
  return { stdout: '' }
}

const COLUMNS = 108
const [WIDTH, HEIGHT, LEFT, TOP] = [8.4, 19, 20, 52]

/** A session as a picture. Lines come one after another where movement is wanted, and all stand there in the end. */
export function drawn(session: readonly Recorded[]): string {
  const rows: { y: number; spans: { text: string; as: string }[]; after: number }[] = []
  let seconds = 0.4
  const row = (...spans: { text: string; as: string }[]): void => {
    rows.push({ y: TOP + rows.length * HEIGHT, spans, after: seconds })
  }
  for (const { prompt, command: text, lines } of session) {
    row({ text: `${prompt} $ `, as: prompt }, { text, as: 'typed' })
    seconds += lines.length ? 0.9 : 0.5
    for (const line of lines) for (const piece of folded(line)) row({ text: piece, as: 'said' })
    seconds += lines.length ? 1.4 : 0
  }
  const [width, height] = [LEFT * 2 + COLUMNS * WIDTH, TOP + rows.length * HEIGHT + 4]
  const texts = rows.map(({ y, spans, after }) => {
    const pieces = spans.map(({ text, as }) => `<tspan class="${as}">${escaped(text)}</tspan>`).join('')
    const length = spans.reduce((sum, { text }) => sum + text.length, 0) * WIDTH
    return `<text x="${LEFT}" y="${y}" textLength="${length.toFixed(1)}" style="animation-delay:${after.toFixed(1)}s">${pieces}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${escaped(session.map(s => `${s.prompt} $ ${s.command}`).join('; '))}</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; animation: come 0.1s both }
.nix { fill: #7fb4ff } .vm { fill: #8bd49c } .typed { fill: #ffffff; font-weight: bold } .said { fill: #c9d1d9 }
@keyframes come { from { opacity: 0 } to { opacity: 1 } }
@media (prefers-reduced-motion: reduce), print { text { animation: none } }
</style>
<rect width="100%" height="100%" rx="8" fill="#161b22"/>
<circle cx="22" cy="20" r="6" fill="#ff5f57"/><circle cx="42" cy="20" r="6" fill="#febc2e"/><circle cx="62" cy="20" r="6" fill="#28c840"/>
${texts.join('\n')}
</svg>
`
}

/** What a picture says, line by line. */
export const readOf = (svg: string): string[] =>
  [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, spans]) =>
    spans!
      .replace(/<[^>]*>/g, '')
      .replace(/&lt;/g, '<')
      .replace(/&gt;/g, '>')
      .replace(/&amp;/g, '&'),
  )

/** As a terminal folds a line that is too long, but between words. */
function folded(line: string): string[] {
  const pieces: string[] = []
  for (let rest = line; ; ) {
    if (rest.length <= COLUMNS) return [...pieces, rest]
    const at = rest.lastIndexOf(' ', COLUMNS)
    pieces.push(rest.slice(0, at))
    rest = `      ${rest.slice(at + 1)}`
  }
}

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
