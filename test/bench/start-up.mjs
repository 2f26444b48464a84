/**
 * Start-up: the original, with the stub at a short root, at one of 900 bytes (by a link), by a sidecar, with the shell
 * launcher; and the command itself beside bare Node. Ratios of medians from interleaved runs: the machine's mood is in all of
 * them.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fixture, repository, spawner } from './programs.mjs'

const rounds = process.argv[2] ?? '400'
const work = mkdtempSync(join(tmpdir(), 'sf-bench-'))
const sh = (script, env = {}) =>
  execFileSync('bash', ['-euc', script], { cwd: repository, encoding: 'utf8', env: { ...process.env, ...env } }).trim()

try {
  const spawn = spawner(work)
  const medians = (argument, programs, n = rounds) =>
    execFileSync(spawn, [n, ...programs], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', SPAWN_ARGUMENT: argument },
    })
      .trim()
      .split('\n')
      .map(Number)

  console.log(`start-up, medians of ${rounds} interleaved runs`)
  for (const [attribute, program, argument] of [
    ['probe', 'probe', '--no-env'],
    ['cxx', 'cxx', 'x'],
    ['bash', 'bash', '--version'],
    ['nginx', 'nginx', '-v'],
  ]) {
    const store = fixture(attribute)
    for (const launcher of ['stub', 'shell'])
      execFileSync(process.execPath, [
        ...[join(repository, 'bin/bundle.js'), store, '-q', '--launcher', launcher],
        ...['-f', 'dir', '-o', join(work, `${attribute}-${launcher}`)],
      ])
    // What carries data behind its end is entered by a sidecar.
    const carriers = join(work, `${attribute}-carrier`)
    mkdirSync(carriers)
    copyFileSync(join(store, 'bin', program), join(carriers, program))
    appendFileSync(join(carriers, program), 'payload')
    execFileSync(process.execPath, [
      ...[join(repository, 'bin/bundle.js'), join(carriers, program), '-q'],
      ...['-f', 'dir', '-o', join(work, `${attribute}-sidecar`)],
    ])
    // The other bundles lie where their paths fit.
    const long = join(work, ...Array.from({ length: 7 }, () => 'r'.repeat(127)), attribute)
    mkdirSync(dirname(long), { recursive: true })
    cpSync(join(work, `${attribute}-stub`), long, { recursive: true, verbatimSymlinks: true })
    const [original, stub, alias, sidecar, shell] = medians(argument, [
      join(store, 'bin', program),
      join(work, `${attribute}-stub`, 'bin', program),
      join(long, 'bin', program),
      join(work, `${attribute}-sidecar`, 'bin', program),
      join(work, `${attribute}-shell`, 'bin', program),
    ])
    const ratio = ns => (ns / original).toFixed(2)
    console.log(
      `  ${program.padEnd(8)} original ${(original / 1e6).toFixed(2)} ms   stub ${ratio(stub)}x   by a link ${ratio(alias)}x   sidecar ${ratio(sidecar)}x   shell launcher ${ratio(shell)}x`,
    )
  }

  const version = join(work, 'version')
  const bare = join(work, 'bare')
  sh(`printf '#!/bin/sh\\nexec "${process.execPath}" "${repository}/bin/bundle.js" --version\\n' > '${version}'
    printf '#!/bin/sh\\nexec "${process.execPath}" -e ""\\n' > '${bare}'; chmod +x '${version}' '${bare}'`)
  const [node, ours] = medians('x', [bare, version], '40')
  console.log(`  bundle --version ${(ours / node).toFixed(2)}x of node -e '' (${(node / 1e6).toFixed(0)} ms)`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
