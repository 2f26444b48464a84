/**
 * The scan for references beside grep: bytes a second of CPU time from the page cache, over ELF files, text and Python.
 * All in one run and interleaved: the machine's mood is in all of them.
 *
 *     node test/bench/scan.mjs [rounds [megabytes]]
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const repository = resolve(import.meta.dirname, '../..')
const rounds = Number(process.argv[2] ?? 5)
/** Of each kind of file. */
const most = Number(process.argv[3] ?? 200) * 1e6
const work = mkdtempSync(join(tmpdir(), 'storefree-bench-'))

const startsWith = magic => path => readFileSync(path).subarray(0, magic.length).toString('latin1') === magic
const KINDS = [
  ['ELF', ['/usr/lib'], path => /\.so[.\d]*$/.test(path) && startsWith('\x7fELF')(path)],
  ['text', ['/usr/share', '/usr/include'], path => !readFileSync(path).includes(0)],
  ['Python', ['/usr/lib', '/usr/local/lib', '/usr/share'], path => path.endsWith('.py')],
]

function files(directories, wanted) {
  const found = []
  let bytes = 0
  const walk = directory => {
    for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (bytes > most) return
      const path = join(directory, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile() && statSync(path).size > 4096 && wanted(path)) {
        found.push(path)
        bytes += statSync(path).size
      }
    }
  }
  for (const directory of directories) walk(directory)
  return { found, bytes }
}

/** Hashes as a store has them: random. */
const hashes = new Set()
const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'
for (let i = 0; i < 2000; i++)
  hashes.add([...createHash('sha256').update(`${i}`).digest()].map(byte => alphabet[byte % 32]).join(''))

/** Seconds of CPU time: what one core takes, also when others want it. */
const ours = run => {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}
const ofShell = script => {
  const { stderr } = spawnSync('bash', ['-c', `TIMEFORMAT='%3U %3S'; time ${script}`], { encoding: 'utf8' })
  const [user, system] = stderr.trim().split('\n').at(-1).split(' ').map(Number)
  return user + system
}
const median = numbers => numbers.sort((a, b) => a - b)[numbers.length >> 1]

try {
  const built = join(work, 'scan.mjs')
  execFileSync(
    join(repository, 'node_modules/.bin/esbuild'),
    [
      join(repository, 'src/references/scan.ts'),
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--log-level=warning',
      `--outfile=${built}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const { ReferenceScanner } = await import(pathToFileURL(built).href)
  const piece = Buffer.allocUnsafe(128 * 1024)
  const read = (paths, push) => {
    for (const path of paths) {
      const file = openSync(path)
      for (let n; (n = readSync(file, piece)) > 0; ) push(piece.subarray(0, n))
      closeSync(file)
    }
  }
  const scan = (paths, forbidden) => {
    for (const path of paths) {
      const scanner = new ReferenceScanner(forbidden, () => {})
      read([path], bytes => scanner.push(bytes))
      scanner.end()
    }
  }

  console.log(
    `scan for references, GB per second of CPU time (medians of ${rounds} interleaved runs), in times of grep's speed`,
  )
  for (const [kind, directories, wanted] of KINDS) {
    const { found, bytes } = files(directories, wanted)
    const list = join(work, 'list')
    writeFileSync(list, found.join('\0'))
    const runs = {
      read: () => ours(() => read(found, () => {})),
      'all patterns': () => ours(() => scan(found, hashes)),
      'no hashes': () => ours(() => scan(found, null)),
      grep: () => ofShell(`LC_ALL=C xargs -0 grep -caF /nix/store < '${list}' > '${join(work, 'out')}'`),
    }
    const times = Object.fromEntries(Object.keys(runs).map(name => [name, []]))
    // The first round fills the page cache and warms the code.
    for (let round = 0; round <= rounds; round++)
      for (const [name, run] of Object.entries(runs)) {
        const time = run()
        if (round > 0) times[name].push(time)
      }
    const grep = median(times.grep)
    const figures = Object.entries(times).map(([name, all]) => {
      const time = median(all)
      return `${name} ${(bytes / time / 1e9).toFixed(2)}${name === 'grep' ? '' : ` (${(grep / time).toFixed(2)}x)`}`
    })
    console.log(
      `  ${kind.padEnd(7)} ${`${(bytes / 1e6).toFixed(0)} MB in ${found.length}`.padEnd(18)} ${figures.join('   ')}`,
    )
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
