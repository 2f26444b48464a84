/**
 * Texts in which a slash may be escaped and need not be: JSON's `\/` and `\u002f`, entities of HTML and XML. Whoever
 * reads them takes a plain slash for the same. In expressions of sed, in regular expressions and in addresses (`%2F`) it
 * is another one. Pure.
 */

const OF_JSON: ReadonlySet<string> = new Set(['\\/', '\\u002f', '\\u002F'])
const OF_MARKUP: ReadonlySet<string> = new Set(['&#47;', '&#x2f;', '&#x2F;'])
const MARKUP = /^(?:\xef\xbb\xbf)?\s*<[?!A-Za-z]/
/** A larger text is not parsed to know. In bytes. */
const JSON_MAX = 64 << 20

/** Whether a plain slash means the same as one that is spelled so in a text (byte string). */
export function plainSlashes(text: string): (slash: string) => boolean {
  let json: boolean | null = null
  return slash =>
    OF_JSON.has(slash) ? (json ??= text.length <= JSON_MAX && isJson(text)) : OF_MARKUP.has(slash) && MARKUP.test(text)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text.replace(/^\xef\xbb\xbf/, ''))
    return true
  } catch {
    return false
  }
}
