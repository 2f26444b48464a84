/**
 * `bundle verify` on a large tree, beside grep: bytes a second of CPU time from the page cache, and peak memory.
 *
 *     node test/bench/verify.mjs [directory [rounds]]
 *
 * What is packed in files is unpacked and read too, and not counted: a tree of archives shows fewer bytes a second.
 */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

const command = resolve(import.meta.dirname, '../../bin/bundle.js')
const directory = process.argv[2] ?? '/usr/lib/x86_64-linux-gnu'
const rounds = Number(process.argv[3] ?? 3)
const median = numbers => numbers.sort((a, b) => a - b)[numbers.length >> 1]

const atExit = `process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  process.stderr.write(JSON.stringify({ cpu: (userCPUTime + systemCPUTime) / 1e6, rss: maxRSS * 1024 }))
})`
function verify() {
  const { stdout, stderr } = spawnSync(process.execPath, [command, 'verify', '--json', directory], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    env: { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(atExit)}` },
  })
  const [{ files, bytes }] = JSON.parse(stdout).results
  return { files, bytes, ...JSON.parse(stderr.slice(stderr.lastIndexOf('{"cpu"'))) }
}
function grep() {
  const script = `TIMEFORMAT='%3U %3S'; time LC_ALL=C grep -rcaF /nix/store '${directory}' > /dev/null`
  const [user, system] = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
    .stderr.trim()
    .split('\n')
    .at(-1)
    .split(' ')
    .map(Number)
  return user + system
}

// The first round fills the page cache.
const { files, bytes } = verify()
const runs = Array.from({ length: rounds }, () => ({ ...verify(), grep: grep() }))
const ours = median(runs.map(run => run.cpu))
const theirs = median(runs.map(run => run.grep))
console.log(
  `verify ${directory}: ${files} files, ${(bytes / 1e6).toFixed(0)} MB: ${(bytes / ours / 1e9).toFixed(2)} GB per second of CPU time (${(theirs / ours).toFixed(2)}x of grep's speed), peak ${(Math.max(...runs.map(run => run.rss)) / 1e6).toFixed(0)} MB`,
)
