/**
 * The commands that documents show. A fenced block says what it is: `sh` is run, `console` is run and printed, `text`, `json`
 * and others are not. What a block needs stands in comments before it, which no reader of the page sees:
 *
 *     <!-- given: COMMANDS -->           run before it, in its directory
 *     <!-- each -->                      each of its lines stands for itself, in a directory of its own
 *     <!-- exit: 1 -->                   how it ends; 0 without
 *     <!-- run by: test/e2e/x.test.ts -->   a test of its own does
 *     <!-- not run: REASON -->           what a machine with tests has not
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './bundle.ts'

export interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly text: string
  readonly given: string
  readonly each: boolean
  readonly exit: number
  /** Why it is not run; null for what is. */
  readonly unrun: string | null
}

export const pages = (): string[] =>
  ['README.md', ...readdirSync(join(repository, 'docs')).map(name => `docs/${name}`)].filter(n => n.endsWith('.md'))

/** The fenced blocks of a page; @throws Error for one without a language, or code that is only indented */
export function blocksOf(page: string): Block[] {
  const lines = readFileSync(join(repository, page), 'utf8').split('\n')
  const blocks: Block[] = []
  let notes: string[] = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    const fence = /^( *)```(.*)$/.exec(line)
    if (fence !== null) {
      const end = lines.findIndex((other, j) => j > i && other === `${fence[1]}\`\`\``)
      const text = lines
        .slice(i + 1, end)
        .map(other => other.slice(fence[1]!.length))
        .join('\n')
      if (fence[2] === '') throw new Error(`${page}:${i + 1}: a block of no language`)
      blocks.push(block(page, i + 1, fence[2]!, text, notes))
      i = end
      notes = []
    } else if (line.startsWith('<!-- ')) {
      const end = lines.findIndex((other, j) => j >= i && other.endsWith(' -->'))
      notes.push(
        lines
          .slice(i, end + 1)
          .join('\n')
          .slice('<!-- '.length, -' -->'.length),
      )
      i = end
    } else if (/^ {4}\S/.test(line) && lines[i - 1] === '') throw new Error(`${page}:${i + 1}: code that has no fence`)
    else if (line !== '') notes = []
  }
  return blocks
}

function block(page: string, line: number, language: string, text: string, notes: readonly string[]): Block {
  const note = (name: string): string | undefined => notes.find(n => n.startsWith(`${name}: `))?.slice(name.length + 2)
  const elsewhere = note('run by')
  if (elsewhere !== undefined && !existsSync(join(repository, elsewhere)))
    throw new Error(`${page}:${line}: there is no ${elsewhere}`)
  return {
    ...{ page, line, language, text },
    given: note('given') ?? '',
    each: notes.includes('each'),
    exit: Number(note('exit') ?? 0),
    unrun: elsewhere ?? note('not run') ?? null,
  }
}
