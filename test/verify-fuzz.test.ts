/** Whatever the bytes are: a verdict or an error with a code, never a stack trace, a hang or much memory. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { silent } from '../src/io/progress.ts'
import { verify } from '../src/verify/verify.ts'

const work = fs.mkdtempSync(join(tmpdir(), 'storefree-fuzz-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const ROUNDS = Number(process.env.STOREFREE_FUZZ ?? 150)
const SEED = Number(process.env.STOREFREE_SEED ?? 1)

/** mulberry32 */
function random(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

test('mutated archives, alone and packed in others', async () => {
  execFileSync(
    'bash',
    [
      '-euc',
      `echo /nix/store/x > x; head -c 3000 /dev/zero >> x; echo 'int main(void) { return 0; }' > a.c
       gcc -g -gz=zlib -o app a.c; gzip -k x; zip -q a.zip x app x.gz; tar cf a.tar x app x.gz a.zip; gzip -k a.tar
       zstd -qk a.tar; xz -k a.tar; zip -q0 b.jar a.zip a.tar.gz`,
    ],
    { cwd: work },
  )
  const sources = ['app', 'x.gz', 'a.zip', 'a.tar', 'a.tar.gz', 'a.tar.zst', 'a.tar.xz', 'b.jar']
  const next = random(SEED)
  const below = (n: number): number => Math.floor(next() * n)
  for (let round = 0; round < ROUNDS; round++) {
    const name = sources[round % sources.length]!
    let bytes = fs.readFileSync(join(work, name))
    for (let i = below(6); i >= 0; i--) {
      if (bytes.length === 0) break
      const at = below(bytes.length)
      const choice = below(4)
      if (choice === 0) bytes[at] = below(256)
      else if (choice === 1) bytes.fill(0xff, at, Math.min(bytes.length, at + 4))
      else if (choice === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + below(40))])
      else bytes = bytes.subarray(0, Math.max(1, below(2) === 0 ? at : bytes.length - below(600)))
    }
    const directory = join(work, 'd')
    fs.mkdirSync(directory, { recursive: true })
    fs.writeFileSync(join(directory, 'm'), bytes)
    const start = performance.now()
    await verify(directory, silent, { closed: true })
    for (const path of [join(directory, 'm'), join(work, `m-${name}`)]) {
      fs.copyFileSync(join(directory, 'm'), join(work, `m-${name}`))
      try {
        await verify(path, silent)
      } catch (error) {
        if (!(error instanceof BundleError)) throw new Error(`seed ${SEED} round ${round} ${name}`, { cause: error })
        expect(['archive-unreadable', 'unsupported']).toContain(error.code)
      }
    }
    expect(performance.now() - start, `seed ${SEED} round ${round} ${name}`).toBeLessThan(20_000)
  }
})
