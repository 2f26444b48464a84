/**
 * Shell texts as they are parsed. Each is asked twice: what it sources, before it is known in which form any script comes
 * along, and then where its store paths stand. To parse is what costs, so the first who asks leaves it for the second.
 */
import { type ParsedScript, parse, type Word } from 'unbash'

/** The texts that are kept together have so many bytes at most: what is parsed of one takes 12 to 40 times its own. */
const KEPT_MAX = 256 << 10

/** Whether there may be commands in a word: `$(...)`, backquotes, `${ ...; }`. To know its parts is to parse the word too. */
export const mayHoldCommands = ({ text }: Word): boolean => /[(`]|\$\{[\s|]/.test(text)

export class ParsedShell {
  readonly #kept = new Map<string, ParsedScript>()
  #bytes = 0

  /** For who asks first. */
  keep(text: string): ParsedScript {
    const script = this.#kept.get(text) ?? parse(text)
    if (this.#kept.has(text) || this.#bytes + text.length > KEPT_MAX) return script
    this.#kept.set(text, script)
    this.#bytes += text.length
    return script
  }

  /** For who asks last. */
  take(text: string): ParsedScript {
    const script = this.#kept.get(text)
    if (script === undefined) return parse(text)
    this.#kept.delete(text)
    this.#bytes -= text.length
    return script
  }
}
