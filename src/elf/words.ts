/** Numbers as an ELF file has them: in its byte order, addresses and offsets in its class's width. Pure. */
import type { ElfFacts } from './facts.ts'

type Layout = Pick<ElfFacts, 'class' | 'little'>

export const writeHalf = (to: Buffer, at: number, value: number, { little }: Layout): void =>
  void (little ? to.writeUInt16LE(value, at) : to.writeUInt16BE(value, at))
export const writeInt = (to: Buffer, at: number, value: number, { little }: Layout): void =>
  void (little ? to.writeUInt32LE(value, at) : to.writeUInt32BE(value, at))
/** 32 or 64 bits by the file's class. */
export function writeWord(to: Buffer, at: number, value: number | bigint, layout: Layout): void {
  if (layout.class === 32) writeInt(to, at, Number(value), layout)
  else if (layout.little) to.writeBigUInt64LE(BigInt(value), at)
  else to.writeBigUInt64BE(BigInt(value), at)
}

export const readHalf = (from: Buffer, at: number, { little }: Layout): number =>
  little ? from.readUInt16LE(at) : from.readUInt16BE(at)
export const readInt = (from: Buffer, at: number, { little }: Layout): number =>
  little ? from.readUInt32LE(at) : from.readUInt32BE(at)
/** As it stands, whatever its size: an address of ia64 is no safe number. */
export const readExact = (from: Buffer, at: number, layout: Layout): bigint =>
  layout.class === 32
    ? BigInt(readInt(from, at, layout))
    : layout.little
      ? from.readBigUInt64LE(at)
      : from.readBigUInt64BE(at)
export const readWord = (from: Buffer, at: number, layout: Layout): number => Number(readExact(from, at, layout))

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to
