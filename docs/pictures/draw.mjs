/** Draws the pictures of how-it-works.md: `node docs/pictures/draw.mjs`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const escaped = text => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

/** Boxes with lines of text in them, and arrows with a word on them; all in pixels. */
function picture(name, title, width, height, boxes, arrows) {
  const box = ({ x, y, w, h, lines, kind = 'box' }) =>
    [
      `<rect class="${kind}" x="${x}" y="${y}" width="${w}" height="${h}" rx="6"/>`,
      ...lines.map(
        (line, i) =>
          `<text class="${i === 0 ? 'head' : 'line'}" x="${x + w / 2}" y="${y + h / 2 + 5 + (i - (lines.length - 1) / 2) * 17}">${escaped(line)}</text>`,
      ),
    ].join('\n')
  const arrow = ([x1, y1, x2, y2, word = '']) =>
    `<line class="arrow" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" marker-end="url(#tip)"/>` +
    (word === '' ? '' : `<text class="word" x="${(x1 + x2) / 2}" y="${(y1 + y2) / 2 - 6}">${escaped(word)}</text>`)
  writeFileSync(
    join(import.meta.dirname, `${name}.svg`),
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">${escaped(title)}</title>
<style>
text { font: 13px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; text-anchor: middle; fill: #1f2328 }
.head { font-weight: bold } .line { font-size: 12px } .word { font-size: 11px; fill: #57606a }
.box { fill: #ddf4ff; stroke: #54aeff } .ours { fill: #dafbe1; stroke: #4ac26b } .gone { fill: #ffebe9; stroke: #ff8182; stroke-dasharray: 4 3 }
.arrow { stroke: #57606a; stroke-width: 1.5 }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff"/>
${boxes.map(box).join('\n')}
${arrows.map(arrow).join('\n')}
</svg>
`,
  )
}

const stages = [
  ['target', 'what was typed'],
  ['scan', 'files, names'],
  ['plan', 'decisions'],
  ['apply', 'a staged tree'],
  ['verify', 'the proof'],
  ['pack', 'tar, oci, deb, exe'],
]
picture(
  'stages',
  'The stages of a bundle: target, scan, plan, apply, verify, pack',
  900,
  110,
  stages.map(([head, line], i) => ({
    x: 10 + i * 150,
    y: 25,
    w: 125,
    h: 60,
    lines: [head, line],
    kind: i === 4 ? 'ours' : 'box',
  })),
  stages.slice(1).map((_, i) => [135 + i * 150, 55, 158 + i * 150, 55]),
)
picture(
  'start',
  'Above: the kernel maps the loader of the store. Below: the stub in the program maps the loader of the bundle',
  900,
  230,
  [
    { x: 10, y: 30, w: 130, h: 60, lines: ['kernel', 'execve'] },
    { x: 330, y: 30, w: 200, h: 60, lines: ['nginx', 'PT_INTERP: /nix/store/…'] },
    { x: 690, y: 30, w: 200, h: 60, lines: ['/nix/store/…/ld-linux', 'not there without Nix'], kind: 'gone' },
    { x: 10, y: 140, w: 130, h: 60, lines: ['kernel', 'execve'] },
    { x: 330, y: 140, w: 200, h: 60, lines: ['nginx', 'entry: the stub'] },
    { x: 690, y: 140, w: 200, h: 60, lines: ['lib/ld-linux', 'of the bundle'], kind: 'ours' },
  ],
  [
    [140, 60, 325, 60, 'maps'],
    [530, 60, 685, 60, 'kernel maps'],
    [140, 170, 325, 170, 'maps and starts'],
    [530, 170, 685, 170, 'the stub maps, jumps'],
  ],
)
picture(
  'string',
  'A string in the store, in the bundle’s file, and in memory once the program has started',
  900,
  120,
  [
    { x: 10, y: 30, w: 270, h: 60, lines: ['in the store', '/nix/store/<hash>-nginx/conf'] },
    { x: 330, y: 30, w: 230, h: 60, lines: ['in the bundle', '/var/empty/eeeeee…/conf'] },
    { x: 640, y: 30, w: 250, h: 60, lines: ['in memory', '/home/me/nginx/p/0-nginx/conf'], kind: 'ours' },
  ],
  [
    [280, 60, 325, 60, ''],
    [560, 60, 635, 60, 'at start'],
  ],
)
