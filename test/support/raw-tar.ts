/** Layers of images as a stranger would write them. */

export type Entry = readonly [
  name: string,
  type: 'file' | 'directory' | 'link' | 'hardlink',
  text?: string | Buffer,
  mode?: number,
]
const TYPE = { file: '0', hardlink: '1', link: '2', directory: '5' }

/** A tar as a stranger would write it: no name is refused. */
export function tar(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(([name, type, text = '', mode = 0o755]) => {
    const head = Buffer.alloc(512)
    const body = type === 'file' ? Buffer.from(text) : Buffer.alloc(0)
    head.write(name, 0)
    head.write(mode.toString(8).padStart(7, '0'), 100)
    head.write('0000000', 108)
    head.write('0000000', 116)
    head.write(body.length.toString(8).padStart(11, '0'), 124)
    head.write('00000000001', 136)
    head.write(TYPE[type], 156)
    if (type === 'link' || type === 'hardlink') head.write(String(text), 157)
    head.write('ustar\x0000', 257)
    head.fill(0x20, 148, 156)
    head.write(
      `${head
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
    return [head, body, Buffer.alloc(-body.length & 511)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}
