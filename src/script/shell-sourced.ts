/** What shell texts source: such a file is read by a shell that runs another script, and has to stay a text. */
import { forEachChild, type ParsedScript, parse, type SyntaxNode, type Word, type WordPart } from 'unbash'
import { mayHoldCommands } from './shell-parsed.ts'

/**
 * Names of the files that a shell text sources: what stands behind the last slash of the word after `.` or `source`,
 * where that is no expansion. Sorted.
 * @param isKnown whether a name is of interest; of others some are left out
 * @param parsed the text, parsed; asked where it is of interest
 */
export function sourcedNames(
  text: string,
  isKnown: (name: string) => boolean = () => true,
  parsed: (text: string) => ParsedScript = parse,
): string[] {
  if (!maySource(text, isKnown)) return []
  const names = new Set<string>()
  const add = (name: string): void => {
    if (name !== '') names.add(name)
  }
  const visitAll = (node: SyntaxNode): void => {
    if (node.type === 'Command') {
      const words = [node.name, ...node.args].filter(word => word?.type === 'Word')
      while (words[0]?.value === 'command' || words[0]?.value === 'builtin') words.shift()
      const file = words[words[1]?.value === '--' ? 2 : 1]
      if ((words[0]?.value === '.' || words[0]?.value === 'source') && file) for (const tail of tails(file)) add(tail)
    }
    if (node.type !== 'Word' || mayHoldCommands(node)) forEachChild(node, visitAll)
  }
  const script = parsed(text)
  visitAll(script)
  // What cannot be parsed is searched: one name too many does no harm.
  if (script.errors?.length)
    for (const match of text.matchAll(/(?<![^\s;&|({])(?:\.|source)[ \t]+(?:[^\s;&|)]*\/)?([^\s;&|)"'/]+)/g))
      add(match[1] ?? '')
  return [...names].sort()
}

/** `.` or `source` where a command may begin, quoted or not, with the word behind it where nothing in that is quoted or expanded. */
const CANDIDATE =
  /(?<![^\s;&|({!`])["'\\]?(?:\.|source)["']?(?:\\\n|[ \t](?=[ \t]*(?:([\w./~+\]][\w./~+\]-]*)(?:[\s;&|)]|$))?))/g

/** Whether a text may source a known name. To look for it costs next to nothing, to parse much. */
function maySource(text: string, isKnown: (name: string) => boolean): boolean {
  for (const [, word] of text.matchAll(CANDIDATE)) if (word === undefined || isKnown(behindSlash(word))) return true
  return false
}

const behindSlash = (text: string): string => text.slice(text.lastIndexOf('/') + 1)

/** What a word may end in, behind its last slash. */
function tails(word: Word): string[] {
  const only = word.parts?.length === 1 ? word.parts[0] : undefined
  const inner = only?.type === 'DoubleQuoted' && only.parts.length === 1 ? only.parts[0] : only
  if (inner?.type === 'ParameterExpansion' && inner.operation?.type === 'Default') return tails(inner.operation.operand)
  const parts = (word.parts ?? []).flatMap((part): readonly WordPart[] =>
    part.type === 'DoubleQuoted' || part.type === 'LocaleString' ? part.parts : [part],
  )
  if (word.parts === undefined) return [behindSlash(word.value)]
  let tail = ''
  for (const part of parts.toReversed()) {
    if (part.type !== 'Literal' && part.type !== 'SingleQuoted' && part.type !== 'AnsiCQuoted') return []
    tail = part.value + tail
    if (part.value.includes('/')) return [behindSlash(tail)]
  }
  return [tail]
}
