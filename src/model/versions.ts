/** By their numbers: 2.4 before 2.31, 12 as 12.0; what is no number counts as zero. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map(v => v.split('.').map(part => Number.parseInt(part, 10) || 0))
  for (let i = 0; i < Math.max(x!.length, y!.length); i++) {
    const difference = (x![i] ?? 0) - (y![i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
