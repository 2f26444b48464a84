/**
 * Compression of the archive as a stream, both ways. gzip is Node's; zstd is Node's where it has it (22.15 and 23.8
 * on), else the `zstd` program. Compressed bytes may differ between versions of these; what is bit-identical is the tar.
 */
import { spawn } from 'node:child_process'
import { Duplex, Readable, Writable } from 'node:stream'
import * as zlib from 'node:zlib'
import { BundleError } from '../errors.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Node's own size of 16 KiB costs more in calls than in work. In bytes. */
const CHUNK = 128 * 1024
/** `zstd -3` is the program's default, gzip's is 6. */
const ZSTD_LEVEL = 3
const ZSTD_HINT = 'install zstd (apt-get install zstd, nix-env -iA nixpkgs.zstd), or choose -f tar.gz'

/** The compression that a file's first bytes show. */
export function compressionOf(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd'
  return 'none'
}

/** A stream that compresses what is written to it; null when nothing is to be done. */
export function compressor(compression: Compression): Duplex | null {
  if (compression === 'gzip') return zlib.createGzip({ level: 6, chunkSize: CHUNK })
  if (compression === 'none') return null
  const create = zstdOf('createZstdCompress')
  return create ? create() : viaProgram([`-${ZSTD_LEVEL}`, '-q', '-c'])
}

/** A stream that decompresses what is written to it; null when nothing is to be done. */
export function decompressor(compression: Compression): Duplex | null {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize: CHUNK })
  if (compression === 'none') return null
  const create = zstdOf('createZstdDecompress')
  return create ? create() : viaProgram(['-d', '-q', '-c'])
}

/** Node's own zstd, which the types of the lowest supported Node do not know. */
const zstdOf = (name: string): (() => Duplex) | undefined => (zlib as unknown as Record<string, () => Duplex>)[name]

function viaProgram(args: readonly string[]): Duplex {
  const child = spawn('zstd', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const stderr: Buffer[] = []
  child.stderr.on('data', (data: Buffer) => stderr.push(data))
  const exited = new Promise<void>((resolve, reject) => {
    child.on('error', cause =>
      reject(
        new BundleError('tool-missing', 'zstd: not found on PATH, and this Node has no zstd', {
          hint: ZSTD_HINT,
          cause,
        }),
      ),
    )
    child.on('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(
            new BundleError(
              'tool-failed',
              `zstd: ${Buffer.concat(stderr).toString().trim() || `exit ${code ?? signal}`}`,
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
