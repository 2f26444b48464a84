/**
 * PHP's archives (`.phar`): a PHP script, `__HALT_COMPILER();`, a manifest, files, and a signature over all of it, which
 * ends in `GBMB` (the manual's "Phar file format"). PHP runs none whose signature is wrong.
 */
import type { ByteSource } from '../io/bytes.ts'

/** How much of a file is searched for the end of its script. In bytes. */
const SCRIPT_MAX = 1 << 20

/** Whether a file is one with a signature. */
export const isSignedPhar = (source: ByteSource): boolean =>
  source.size > 28 &&
  source.read(source.size - 4, 4).toString('latin1') === 'GBMB' &&
  source.read(0, Math.min(source.size, SCRIPT_MAX)).includes('__HALT_COMPILER();', 0, 'latin1')
