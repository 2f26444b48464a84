/**
 * Store paths in the text of a Lua script or module.
 *
 * A literal with a store path is split there, with the bundle's root put in:
 *
 *     "/nix/store/<hash>-x/bin/y"      (""..<root>.."/pkg/x/bin/y")
 *
 * Lua's grammar of strings and comments can be read without knowing more of a program (the manual's section 3.1), so it
 * is never in doubt what a literal is. The root is a local of the file, set at its beginning: a chunk knows the path by
 * which it was loaded. Lua cannot read links; so the file's directories are walked up until the bundle is found. Where
 * that ends in nothing (no `debug`, a link to the file from outside the bundle), the path names nothing, as on disk.
 *
 * A configuration (luarocks', Prosody's) is Lua too, and who loads it gives it globals of its own: no `debug`, and nothing
 * to say that it is missing. So only a text that shows that it has Lua's own globals is edited: a script, a module in a
 * directory of such, what calls one of them. The others are left to `relocate`.
 */
import type { BundlePath } from '../paths.ts'
import {
  blankedSite,
  indexAround,
  isEscaped,
  joined,
  NOWHERE,
  refuseAll,
  type Site,
  type TextEdit,
  textEdit,
  withAround,
  withInserted,
} from './edit.ts'

interface Token {
  readonly type: 'comment' | 'string'
  readonly pos: number
  readonly end: number
  /** Bytes of the quotes, or of `[==[` with the newline behind it. */
  readonly opens: number
  readonly closes: number
}

/** Lua has 200 local variables in a function; one more may not fit. */
const LOCALS = 150

/** Lua's own functions and tables, as they are used. */
const GLOBALS =
  /(?<![\w.:])(?:(?:require|print|type|i?pairs|setmetatable|tostring|tonumber|assert|error|x?pcall|dofile|loadfile|load|select)[ \t]*[("'{[]|(?:package|string|table|io|os|debug|math)\.[a-z])/

/** Directories of modules: `share/lua/5.4`, `lib/lua/5.1`, Neovim's `lua/`. */
const MODULES = /\/lua(?:jit)?(?:[-/]?[0-9.]+)?\//

/** Whether what loads a text gives it Lua's own globals. */
function hasGlobals(text: string, place: BundlePath, tokens: readonly Token[]): boolean {
  if (text.startsWith('#!') || MODULES.test(place)) return true
  let code = ''
  let from = 0
  for (const { type, pos, end } of tokens) {
    code += `${text.slice(from, pos)}${type === 'string' ? '""' : ' '}`
    from = end
  }
  return GLOBALS.test(code + text.slice(from))
}

/** @param place where the text will lie */
export function editLua(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const tokens = luaTokens(text)
  if (tokens === null || !hasGlobals(text, place, tokens) || text.split(/\blocal\b/).length > LOCALS)
    return refuseAll(text, sites, 'unparsable')
  const split = new Set<Token>()
  const edit = textEdit(text, sites, site => {
    const { offset, length, to } = site
    const token = tokens[indexAround(tokens, site)]
    if (to === null || token?.type === 'comment') return blankedSite(text, site)
    if (token === undefined) return { refused: 'unparsable' }
    const open = text.slice(token.pos, token.pos + token.opens)
    const close = text.slice(token.end - token.closes, token.end)
    const before = text.slice(token.pos + token.opens, offset)
    // What would not end where it has to: an escape, or `]` and then `]]`.
    const start = token.pos + token.opens
    const isLoose =
      close.length > 1
        ? before.endsWith(close.slice(0, -1))
        : isEscaped(text, start, offset) || isSkipped(text, start, offset)
    if (isLoose) return { refused: 'escape' }
    split.add(token)
    const put = `${close}.._storefree_root..${open}/${to}`
    return { splice: { offset, length, text: put }, outcome: 'templated' }
  })
  if (split.size === 0) return edit
  return withInserted(withAround(edit, split), firstLine(text), setRoot(place))
}

/** Whether `\z` and blanks stand before `at`. */
function isSkipped(text: string, from: number, at: number): boolean {
  let end = at
  while (end > from && /[ \t]/.test(text[end - 1] ?? '')) end--
  return text[end - 1] === 'z' && isEscaped(text, from, end - 1)
}

/** Behind a first line that Lua skips, and a byte order mark. */
function firstLine(text: string): number {
  const start = text.startsWith('\xef\xbb\xbf') ? 3 : 0
  if (text[start] !== '#') return start
  const newline = text.indexOf('\n', start)
  return newline < 0 ? text.length : newline + 1
}

function setRoot(place: BundlePath): string {
  const at = quoted(`/${place}`)
  const up = '/..'.repeat(place.split('/').length - 1)
  return `${joined(`
    local _storefree_root=(function()
    if not (debug and io) then return ${quoted(NOWHERE)} end
    local s=debug.getinfo(1,"S").source
    if s:sub(1,1)~="@" then return ${quoted(NOWHERE)} end
    s=s:sub(2)
    if not s:find("/",1,true) then s="./"..s end
    local at=${at}
    if s:sub(1,1)=="/" and s:sub(-#at)==at then return s:sub(1,-#at-1) end
    local function is(r) local f=io.open(r..at) if f then f:close() end return f end
    local d=s:match("^(.*)/")
    local r=d${up === '' ? '' : `..${quoted(up)}`}
    while not is(r) do if not d then return ${quoted(NOWHERE)} end r=d d=d:match("^(.*)/") end
    return r
    end)();
  `)} `
}

/** In bytes: what is no letter of ASCII as its number. */
const quoted = (text: string): string =>
  `"${text.replace(/[^\x20-\x7e]|["\\]/g, c => `\\${c.charCodeAt(0).toString().padStart(3, '0')}`)}"`

/** The strings and comments of a text; null when one of them has no end. */
function luaTokens(text: string): Token[] | null {
  const tokens: Token[] = []
  const next = /--|\[=*\[|["']/g
  next.lastIndex = firstLine(text)
  for (let match = next.exec(text); match; match = next.exec(text)) {
    const pos = match.index
    const isComment = match[0] === '--'
    const long = /\[(=*)\[(?:\r\n|\n\r|\n|\r)?/y
    long.lastIndex = isComment ? pos + 2 : pos
    const bracket = long.exec(text)
    let end: number
    let closes = 1
    if (bracket) {
      closes = (bracket[1] ?? '').length + 2
      const close = text.indexOf(`]${bracket[1]}]`, long.lastIndex)
      end = close < 0 ? -1 : close + closes
    } else if (isComment) {
      end = text.indexOf('\n', pos)
      if (end < 0) end = text.length
    } else end = shortEnd(text, pos)
    if (end < 0) return null
    tokens.push({ type: isComment ? 'comment' : 'string', pos, end, opens: bracket ? bracket[0].length : 1, closes })
    next.lastIndex = end
  }
  return tokens
}

/** Behind the quote that ends a literal; -1: it has no end. */
function shortEnd(text: string, pos: number): number {
  const quote = text[pos]
  for (let at = pos + 1; at < text.length; at++) {
    const c = text[at]
    if (c === quote) return at + 1
    if (c === '\n' || c === '\r') return -1
    if (c !== '\\') continue
    at++
    // Behind \z blanks are skipped, lines too; \ and two bytes may end one line.
    if (text[at] === 'z') while (/\s/.test(text[at + 1] ?? 'x')) at++
    else if (/^(?:\r\n|\n\r)/.test(text.slice(at, at + 2))) at++
  }
  return -1
}
