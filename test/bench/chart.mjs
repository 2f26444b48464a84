/** The rows that have a goal, as bars on a scale of ratios to it: one is the goal. */

const WIDTH = 860
const [LABEL, BAR, ROW] = [330, 420, 26]
/** A bar is no longer than this many times its goal. */
const MOST = 4

const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

export function chart(rows) {
  const shown = rows.filter(r => r.goal !== null)
  const height = shown.length * ROW + 50
  const x = share => LABEL + (Math.min(share, MOST) / MOST) * BAR
  const bars = shown.map((r, i) => {
    const value = r.ratio?.[r.by] ?? { median: r.value, p5: r.value, p95: r.value }
    const y = 30 + i * ROW
    const share = value.median / r.goal
    const unit = r.unit ? ` ${r.unit}` : 'x'
    const digits = r.unit ? 0 : 2
    return [
      `<text x="${LABEL - 8}" y="${y + 14}" text-anchor="end">${escaped(r.what)}</text>`,
      `<rect x="${LABEL}" y="${y + 3}" width="${(x(share) - LABEL).toFixed(1)}" height="14" class="${share <= 1 ? 'good' : 'missed'}"/>`,
      `<line x1="${x(value.p5 / r.goal).toFixed(1)}" x2="${x(value.p95 / r.goal).toFixed(1)}" y1="${y + 10}" y2="${y + 10}" class="spread"/>`,
      `<text x="${LABEL + BAR + 8}" y="${y + 14}">${value.median.toFixed(digits)}${unit}</text>`,
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<title>What was measured by wall clock, beside its goal</title>
<style>text{fill:#333}.good{fill:#3a9a5b}.missed{fill:#d98a3d}.spread{stroke:#333;stroke-width:1}.goal{stroke:#888;stroke-dasharray:3 3}@media(prefers-color-scheme:dark){text{fill:#ddd}.spread{stroke:#ddd}}</style>
<text x="${x(1)}" y="18" text-anchor="middle">goal</text>
<line x1="${x(1)}" x2="${x(1)}" y1="24" y2="${height - 16}" class="goal"/>
${bars.join('\n')}
</svg>
`
}
