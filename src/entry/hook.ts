/**
 * The hook: where in a loader the stub puts a jump to itself, which is taken whenever libraries were mapped (stub.c, 2;
 * cpu/NAME-stub.h has the jump). Pure.
 */
import { EM } from '../elf/constants.ts'
import { readImage } from '../elf/image.ts'
import { definedSymbol } from '../elf/symbols.ts'
import type { ByteSource } from '../io/bytes.ts'
import { entryCpu } from './cpus.ts'

/** Bytes of a loader's function, and of the segment that it lies in. */
interface Code {
  readonly code: Buffer
  /** The segment, and where in it the function begins. */
  readonly text: () => Buffer
  readonly place: number
}

/**
 * The address of a loader's `_dl_debug_state`, which does nothing and is called whenever libraries were mapped; null
 * where it is no such function, or has no room for a jump and is not called by what can be changed. Of Thumb code the
 * address is odd, as everywhere.
 */
export function debugStateOf(source: ByteSource, path: string): number | null {
  const image = readImage(source, path)
  const isUsable = entryCpu(image.header) === null ? undefined : USABLE[image.header.machine]
  if (isUsable === undefined) return null
  const address = definedSymbol(image, '_dl_debug_state')
  const isThumb = image.header.machine === EM.arm && address % 2 === 1
  const at = isThumb ? address - 1 : address
  const load = image.segments.find(s => s.type === 1 && at >= s.vaddr && at + ROOM <= s.vaddr + s.filesz)
  if (address === 0 || load === undefined) return null
  const place = at - load.vaddr
  const text = (): Buffer => source.read(load.offset, load.filesz)
  return isUsable({ code: source.read(load.offset + place, 32), text, place }, isThumb) ? address : null
}

/** More than any CPU's jump takes. In bytes. */
const ROOM = 12

const USABLE: Readonly<Record<number, (code: Code, isThumb: boolean) => boolean>> = {
  [EM.x8664]: ({ code }) => isEmptyX86(code, 0xfa1e0ff3, 12, nopAt),
  [EM.i386]: ({ code }) => isEmptyX86(code, 0xfb1e0ff3, 7, code => nopAt(code) || leaAt(code)),
  [EM.aarch64]: ({ code }) => isEmptyAarch64(code),
  [EM.arm]: (code, isThumb) => (isThumb ? isUsableThumb(code) : code.code.readUInt32LE(0) === 0xe12fff1e),
  [EM.riscv]: code => isEmptyRiscv(code.code) && isCalled(code, 4, riscvTarget),
}

/** `[bti c] ret`. */
function isEmptyAarch64(code: Buffer): boolean {
  const [first, second] = [code.readUInt32LE(0), code.readUInt32LE(4)]
  return first === 0xd65f03c0 || (first === 0xd503245f && second === 0xd65f03c0)
}

/** `bx lr` with a nop behind it, over which a branch fits; or calls of it. */
function isUsableThumb(code: Code): boolean {
  const [first, second] = [code.code.readUInt16LE(0), code.code.readUInt16LE(2)]
  return first === 0x4770 && (second === 0xbf00 || second === 0x46c0 || isCalled(code, 4, thumbTarget))
}

/** `ret`, of two or four bytes: there it is the calls that are changed. */
function isEmptyRiscv(code: Buffer): boolean {
  return code.readUInt16LE(0) === 0x8082 || code.readUInt32LE(0) === 0x00008067
}

/** Whether a call leads to a place in its text. */
function isCalled({ text, place }: Code, size: number, target: (code: number, at: number) => number | null): boolean {
  const all = text()
  for (let at = 0; at + size <= all.length; at += 2) if (target(all.readUInt32LE(at), at) === place) return true
  return false
}

/** Where `jal` or `j` of RISC-V leads. */
function riscvTarget(code: number, at: number): number | null {
  if ((code & 0x7f) !== 0x6f || ((code >>> 7) & 31) > 1) return null
  const way = (((code >>> 21) & 0x3ff) << 1) | (((code >>> 20) & 1) << 11) | (((code >>> 12) & 0xff) << 12)
  return at + way - (code >>> 31 ? 1 << 20 : 0)
}

/** Where `bl` or `b.w` of Thumb-2 leads. */
function thumbTarget(code: number, at: number): number | null {
  const [sign, low] = [(code >>> 10) & 1, code >>> 16]
  if ((code & 0xf800) !== 0xf000 || (low & 0x9000) !== 0x9000) return null
  const bit = (i: number): number => ~((low >>> i) ^ sign) & 1
  const way = ((code & 0x3ff) << 12) | ((low & 0x7ff) << 1) | (bit(13) << 23) | (bit(11) << 22)
  return at + 4 + way - (sign ? 1 << 24 : 0)
}

/** `[endbr] ret`, and nothing but padding up to so many bytes. */
function isEmptyX86(code: Buffer, endbr: number, room: number, padding: (code: Buffer) => number): boolean {
  let at = code.readUInt32LE(0) === endbr ? 4 : 0
  if (code[at++] !== 0xc3) return false
  while (at < room) {
    const length = padding(code.subarray(at))
    if (length === 0) return false
    at += length
  }
  return true
}

/** Bytes of an instruction that pads: int3, nop with any prefixes (0f 1f with its operand, or 90); 0 for another. */
function nopAt(code: Buffer): number {
  if (code[0] === 0xcc) return 1
  let at = 0
  while (code[at] === 0x66 || code[at] === 0x2e) at++
  if (code[at] === 0x90) return at + 1
  if (code[at] !== 0x0f || code[at + 1] !== 0x1f) return 0
  const modrm = code[at + 2] ?? 0xff
  const mode = modrm >> 6
  if (mode === 3) return 0
  return at + 3 + ((modrm & 7) === 4 ? 1 : 0) + (mode === 1 ? 1 : mode === 2 ? 4 : 0)
}

/** What assemblers for i686 pad with, for not all of these CPUs have the long nop: `lea 0(%esi), %esi` in every length. */
const LEA = ['89f6', '89ff', '8d7600', '8d7f00', '8d742600', '8d7c2700']
  .concat(['8db600000000', '8dbf00000000', '8db42600000000', '8dbc2700000000'])
  .map(code => Buffer.from(code, 'hex'))
function leaAt(code: Buffer): number {
  const at = code[0] === 0x2e || code[0] === 0x66 ? 1 : 0
  const lea = LEA.find(bytes => code.subarray(at, at + bytes.length).equals(bytes))
  return lea === undefined ? 0 : at + lea.length
}
