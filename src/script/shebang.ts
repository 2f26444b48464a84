/**
 * What a `#!` line starts, once the kernel and env(1) have read it. The kernel hands all behind the interpreter on as one
 * argument; `env -S` takes it apart, and so does perl, which reads the line itself (perlrun(1), "#! and quoting").
 */
import { baseName } from '../paths.ts'
import type { ScriptFacts } from './facts.ts'

/** A program and its arguments before the script's own path. */
export interface Started {
  readonly program: string
  readonly flags: readonly string[]
}

/**
 * What runs a script. `env -S /a/program words` is that program with these words: env adds nothing to it. Where env is
 * asked for more (a name that it looks for on PATH, variables, options, quotes), it is env that runs the script.
 */
export function startedBy({ interpreter, argument }: ScriptFacts): Started {
  const program = interpreter.value
  if (argument === null) return { program, flags: [] }
  const split = baseName(program) === 'env' ? /^(?:-S|--split-string[= ])([^\\'"$#]*)$/.exec(argument) : null
  const words = split?.[1]?.split(/[ \t]+/).filter(word => word !== '') ?? []
  const [first, ...flags] = words
  if (first?.startsWith('/') && !first.includes('=')) return { program: first, flags }
  return { program, flags: words.length > 0 ? words : [argument] }
}

/** The name of what interprets a script, without its version: `python` of `/nix/store/...-python3-3.11/bin/python3.11`. */
export function interpreterName(facts: ScriptFacts): string {
  const { program, flags } = startedBy(facts)
  const words = [program, ...flags].map(baseName)
  const name = words[0] === 'env' ? words.slice(1).find(word => !/^-|=/.test(word)) : words[0]
  return stem(name ?? '')
}

/** A program's name without the digits of its version. */
export const stem = (name: string): string => name.replace(/-?[\d.]+$/, '')
