/**
 * What strings that relocate themselves cost: start-up beside the original, at a short path and at a long one, which goes
 * by a link; time for each string, private memory.
 * Medians from interleaved runs: the machine's mood is in all of them.
 *
 *     node test/bench/relocation.mjs [rounds]
 */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fixture, repository, spawner } from './programs.mjs'

const rounds = process.argv[2] ?? '400'
const work = mkdtempSync(join(tmpdir(), 'storefree-bench-'))
const bundle = (target, name) => {
  const place = join(work, name)
  execFileSync(process.execPath, [join(repository, 'bin/bundle.js'), target, '-q', '-f', 'dir', '-o', place])
  return place
}

/** How many strings the table of a bundle has: relocations.ts has its format. In all files of it. */
const sites = place => {
  try {
    return readFileSync(join(place, '.relocations')).readUInt32LE(20)
  } catch {
    return 0
  }
}

const spawned = spawner(work)
/** Medians of these programs' time from start to end, in nanoseconds. */
const times = (argument, programs) =>
  execFileSync(spawned, [rounds, ...programs], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', SPAWN_ARGUMENT: argument },
  })
    .trim()
    .split('\n')
    .map(Number)

const median = numbers => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

/**
 * Private memory of a process that waits, in KiB: Private_Clean and Private_Dirty. A second one runs beside it, so that
 * pages of files are shared as they are between any two processes, and what is left is each one's own.
 */
async function privateMemory(program, args) {
  const options = { stdio: ['pipe', 'ignore', 'ignore'], env: { PATH: '/usr/bin:/bin' } }
  const children = [0, 1].map(() => spawn(program, args, options))
  try {
    await setTimeout(150)
    const text = readFileSync(`/proc/${children[0].pid}/smaps_rollup`, 'latin1')
    return [...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm)].reduce((sum, [, kib]) => sum + Number(kib), 0)
  } finally {
    for (const child of children) {
      const closed = new Promise(done => child.once('close', done))
      child.kill('SIGKILL')
      await closed
    }
  }
}
async function memories(programs, args) {
  const found = programs.map(() => [])
  for (let i = 0; i < 5; i++)
    for (const [n, program] of programs.entries()) found[n].push(await privateMemory(program, args))
  return found.map(median)
}

const row = (...cells) =>
  console.log(`  ${cells.map((cell, i) => (i ? `${cell}`.padStart(13) : cell.padEnd(16))).join('')}`)

/** A program with so many strings, side by side as an array of constants has them. */
function many(count, target) {
  const app = join(work, `app-${count}`)
  mkdirSync(join(app, 'bin'), { recursive: true })
  const strings = Array.from({ length: count }, (_, i) => `"${target}/html/${i}",`).join('\n')
  writeFileSync(
    join(work, 'many.c'),
    `#include <stdio.h>
#include <string.h>
const char strings[][88] = { "${target}/html/index.html", ${strings} };
int main(int argc, char **argv) { return argc > 1 && !strcmp(argv[1], "wait") ? getchar() : 0; }`,
  )
  execFileSync('gcc', ['-O1', '-o', join(app, 'bin/many'), join(work, 'many.c')])
  return app
}

try {
  const nginx = fixture('nginx')
  const conf = join(work, 'nginx.conf')
  writeFileSync(conf, `daemon off; master_process off; pid ${work}/pid; error_log ${work}/error; events {}\n`)
  const programs = [
    { name: 'nginx', target: nginx, argument: '-v', wait: ['-e', join(work, 'error'), '-c', conf] },
    { name: 'openssl', target: fixture('openssl'), argument: 'version', wait: ['dgst'] },
    { name: 'bash', target: fixture('bash'), argument: '--version', wait: ['-c', 'read line'] },
    ...[0, 100, 1000, 10_000].map(count => ({
      name: 'many',
      count,
      target: many(count, nginx),
      argument: 'x',
      wait: ['wait'],
    })),
  ]
  console.log(`strings that relocate themselves: medians of ${rounds} interleaved runs, private memory of 5`)
  row('program', 'strings', 'original', 'bundle', 'ratio', 'long path', 'us a string', 'KiB private', 'bundle KiB')
  let base = 0
  for (const [i, { name, count, target, argument, wait }] of programs.entries()) {
    const place = bundle(target, `bundle-${i}`)
    const deep = join(work, 'd'.repeat(200), `bundle-${i}`)
    cpSync(place, deep, { recursive: true, verbatimSymlinks: true })
    const pair = [join(target, 'bin', name), join(place, 'bin', name)]
    const [original, bundled, far] = times(argument, [...pair, join(deep, 'bin', name)])
    const [before, after] = await memories(pair, wait)
    if (count === 0) base = bundled - original
    const each = count ? ((bundled - original - base) / count / 1000).toFixed(3) : ''
    const ms = ns => `${(ns / 1e6).toFixed(2)} ms`
    row(
      name,
      sites(place),
      ms(original),
      ms(bundled),
      `${(bundled / original).toFixed(2)}x`,
      `${(far / original).toFixed(2)}x`,
      each,
      before,
      after,
    )
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
