/**
 * The language of a text whose store paths may become expressions: by its `#!` line, else by its name.
 */
import { baseName } from '../paths.ts'
import type { ScriptFacts } from './facts.ts'

export type Language = 'shell' | 'python' | 'perl'

const INTERPRETERS: readonly (readonly [RegExp, Language])[] = [
  [/^(?:ba|da|k|mk|a)?sh$/, 'shell'],
  [/^python[\d.]*$/, 'python'],
  [/^perl[\d.]*$/, 'perl'],
]

type Other = { readonly format: 'elf' } | { readonly format: 'macho' } | { readonly format: 'data' }

/** The language of a file's text; null for any other. */
export function languageOf(path: string, facts: ScriptFacts | Other): Language | null {
  if (facts.format === 'elf' || facts.format === 'macho') return null
  if (facts.format === 'data') return /\.(?:ba)?sh$/.test(path) ? 'shell' : path.endsWith('.py') ? 'python' : null
  const words = [facts.interpreter.value, ...(facts.argument?.split(/[ \t]+/) ?? [])].map(baseName)
  const name = words[0] === 'env' ? words.slice(1).find(word => !/^-|=/.test(word)) : words[0]
  return INTERPRETERS.find(([pattern]) => pattern.test(name ?? ''))?.[1] ?? null
}
