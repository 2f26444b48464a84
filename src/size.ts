/** Sizes as people write them. */

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1 << 10,
  MIB: 1 << 20,
  GIB: 1 << 30,
}

/** `90MB`, `512kB`, `10MiB`, `1000` in bytes; null for what is no size. */
export function parseSize(text: string): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text) ?? []
  const factor = Object.hasOwn(UNITS, unit.toUpperCase()) ? UNITS[unit.toUpperCase()] : undefined
  return number === undefined || factor === undefined ? null : Math.round(Number(number) * factor)
}
