/**
 * The least that a Node program has to do: one thread, synchronous, in pieces of 1 MiB, it reads each file of a tree, looks
 * for `/nix/store` in it, hashes it and writes it.
 *
 *     node test/bench/floor.mjs SOURCE DESTINATION
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'

const [source, destination] = process.argv.slice(2)
const piece = Buffer.allocUnsafe(1 << 20)
let found = 0
function copy(from, to) {
  fs.mkdirSync(to, { recursive: true })
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [a, b] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copy(a, b)
    else if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(a), b)
    else {
      const [input, output] = [fs.openSync(a, 'r'), fs.openSync(b, 'w')]
      const hash = createHash('sha256')
      for (let n = fs.readSync(input, piece); n > 0; n = fs.readSync(input, piece)) {
        const bytes = piece.subarray(0, n)
        for (let at = bytes.indexOf('/nix/store'); at >= 0; at = bytes.indexOf('/nix/store', at + 1)) found++
        hash.update(bytes)
        fs.writeSync(output, bytes)
      }
      hash.digest('hex')
      fs.closeSync(input)
      fs.closeSync(output)
    }
  }
}
copy(source, destination)
console.log(found)
