/** Commands side by side: each round runs all of them once, so that the machine's mood is in every one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const scratch = join(mkdtempSync(join(tmpdir(), 'storefree-time-')), 'time')
const [CLOCK, PEAK] = [`${scratch}.clock`, `${scratch}.peak`]

/** Bash tells milliseconds, of which a start has fifty, and GNU time tens of them; of peak memory only GNU time tells. */
const TIMED = `exec 3>&2; TIMEFORMAT='%3R %3U %3S'; { time /usr/bin/time -f %M -o ${PEAK} "$@" 2>&3 3>&-; } 2> ${CLOCK}`
const numbersIn = file =>
  readFileSync(file, 'utf8').replaceAll(',', '.').trim().split('\n').at(-1).split(' ').map(Number)

/**
 * One run under the clock.
 * @param command an argument vector, or a text for bash
 * @returns seconds of wall clock and of CPU (user and system, children too), peak memory in bytes
 */
export function timed(command, { before } = {}) {
  before?.()
  const argv = typeof command === 'string' ? ['bash', '-euo', 'pipefail', '-c', command] : command
  const { status, stderr } = spawnSync('bash', ['-c', TIMED, 'bash', ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 1 << 28,
    encoding: 'utf8',
  })
  // What is found is told with 1; nothing else is expected.
  if (status !== 0 && status !== 1) throw new Error(`${argv.join(' ')}: exit ${status}\n${stderr.slice(-2000)}`)
  const [wall, user, system] = numbersIn(CLOCK)
  const [peak] = numbersIn(PEAK)
  return { wall, cpu: user + system, peak: peak * 1024 }
}

/**
 * Runs commands side by side, after one round that fills the caches.
 * @param commands by name: a command, or `{ command, before }`
 * @returns by name, the runs of all rounds
 */
export function sideBySide(commands, rounds) {
  const runs = Object.fromEntries(Object.keys(commands).map(name => [name, []]))
  for (let round = -1; round < rounds; round++)
    for (const [name, given] of Object.entries(commands)) {
      const { command, before } = typeof given === 'object' && !Array.isArray(given) ? given : { command: given }
      const run = timed(command, { before })
      if (round >= 0 || rounds === 0) runs[name].push(run)
    }
  return runs
}

export const quantile = (numbers, q) => {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
}
export const median = numbers => quantile(numbers, 0.5)

/** Median, 5th and 95th percentile of numbers. */
export const spread = numbers => ({
  median: median(numbers),
  p5: quantile(numbers, 0.05),
  p95: quantile(numbers, 0.95),
})

/** The ratios of two commands' runs, round by round, by wall clock and by CPU. */
export const ratios = (ours, theirs) => ({
  wall: spread(ours.map((run, i) => run.wall / Math.max(theirs[i].wall, 0.001))),
  cpu: spread(ours.map((run, i) => run.cpu / Math.max(theirs[i].cpu, 0.001))),
})
