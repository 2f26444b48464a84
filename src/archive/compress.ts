/**
 * Compression of the archive as a stream, both ways. gzip is Node's (written by gzip-blocks.ts); zstd is Node's where it has it (22.15 and 23.8
 * on), else the `zstd` program. xz and bzip2 are only read, through their programs. Compressed bytes may differ between
 * versions of these; what is bit-identical is the tar.
 */
import { spawn } from 'node:child_process'
import { Duplex, Readable, Writable } from 'node:stream'
import * as zlib from 'node:zlib'
import { BundleError } from '../errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd'
/** What archives come in; no bundle is written as the last two. */
export type AnyCompression = Compression | 'xz' | 'bzip2'

/** Node's own size of 16 KiB costs more in calls than in work. In bytes. */
const CHUNK = 128 * 1024
/** `zstd -3` is the program's default. */
const ZSTD_LEVEL = 3
const HINTS = {
  zstd: 'install zstd (apt-get install zstd, nix-env -iA nixpkgs.zstd), or use a tar.gz',
  xz: 'install xz (apt-get install xz-utils, nix-env -iA nixpkgs.xz), or use a tar.gz',
  bzip2: 'install bzip2 (apt-get install bzip2, nix-env -iA nixpkgs.bzip2), or use a tar.gz',
} as const

/** The compression that a file's first bytes show (six of them, or all there are). */
export function compressionOf(head: Uint8Array): AnyCompression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  const text = Buffer.from(head).toString('latin1', 0, 6)
  // Or a frame to be skipped, as pzstd begins with.
  if (/^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/.test(text)) return 'zstd'
  if (text === '\xfd7zXZ\0') return 'xz'
  return /^BZh[1-9]/.test(text) ? 'bzip2' : 'none'
}

/** A stream that compresses what is written to it, as zstd: on all cores where its program does, whose bytes are the same on any number. */
export function zstdCompressor(): Duplex {
  const create = zstdOf('createZstdCompress')
  return create ? create() : viaProgram('zstd', [`-${ZSTD_LEVEL}`, '-T0', '-q', '-c'])
}

/** A stream that decompresses what is written to it; null when nothing is to be done. */
export function decompressor(compression: AnyCompression): Duplex | null {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize: CHUNK })
  if (compression === 'none') return null
  if (compression !== 'zstd') return viaProgram(compression, ['-d', '-q', '-c'])
  const create = zstdOf('createZstdDecompress')
  return create ? create() : viaProgram('zstd', ['-d', '-q', '-c'])
}

/** Node's own zstd, which the types of the lowest supported Node do not know. */
const zstdOf = (name: string): (() => Duplex) | undefined => (zlib as unknown as Record<string, () => Duplex>)[name]

function viaProgram(program: keyof typeof HINTS, args: readonly string[]): Duplex {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const stderr: Buffer[] = []
  child.stderr.on('data', (data: Buffer) => stderr.push(data))
  const exited = new Promise<void>((resolve, reject) => {
    child.on('error', cause =>
      reject(
        new BundleError(
          'tool-missing',
          `${program}: not found on PATH${program === 'zstd' ? ', and this Node has no zstd' : ''}`,
          { hint: HINTS[program], cause },
        ),
      ),
    )
    child.on('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(
            new BundleError(
              'tool-failed',
              `${program}: ${Buffer.concat(stderr).toString().trim() || `exit ${code ?? signal}`}`,
            ),
          ),
    )
  })
  // Whoever destroys the stream does not wait for the program.
  exited.catch(() => {})
  // Its output ends before it exits: only the exit code tells that the output is whole.
  async function* output(): AsyncGenerator<Buffer> {
    yield* child.stdout
    await exited
  }
  // A program that has failed reads no more (EPIPE); why it failed is what matters.
  const input = new Writable({
    write: (piece, _, done) => void child.stdin.write(piece, () => done()),
    final: done => void child.stdin.end(() => done()),
  })
  child.stdin.on('error', () => {})
  const stream = Duplex.from({ writable: input, readable: Readable.from(output(), { objectMode: false }) })
  // Whoever has read enough closes the stream: the program would wait for more input, and this process for it.
  stream.on('close', () => child.kill())
  return stream
}
