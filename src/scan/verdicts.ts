/**
 * The verdict on each reference while the graph grows (scan.ts): what it leads to is looked up, and the table of
 * references/follow.ts is asked. Some rows ask in turn what the bundle's objects import; these wait until it is known.
 */

import { inDynstr } from '../elf/dlopen.ts'
import { symbolNames } from '../elf/parse.ts'
import { stat, withFile } from '../io/store.ts'
import { inLoadCommands } from '../macho/facts.ts'
import type { Evidence, FileFacts, FileNode, ScanOptions, Verdict } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { answer, type Condition } from '../references/follow.ts'
import type { Reference } from '../references/reference.ts'
import { byteBehind, textBefore } from './contents.ts'
import { type Behind, lookUp, type Named } from './lookup.ts'
import type { Sources } from './sources.ts'

/** Who names something. */
export interface Namer {
  readonly path: SourcePath
  readonly facts: FileFacts
  readonly isWrapper: boolean
  /** Whether its own bytes are read: no member of a container, and no text. */
  readonly isBinary: boolean
  /** Whether another file of the bundle names it, or a directory that it lies in. */
  readonly isNamed: boolean
}

/** A directory or file that comes along if the bundle's objects import what its rule asks for. */
interface Waiting {
  readonly target: SourcePath
  readonly rule: string
  readonly text: string
  /** Who names it, and where. */
  readonly named: Evidence
  readonly condition: Condition
  /** Objects of this package define the functions and so do not count. */
  readonly root: SourcePath
  readonly verdict: { followed: boolean }
}

/** What came along by a condition. */
export interface Settled {
  readonly target: SourcePath
  readonly rule: string
  /** As it is named first. */
  readonly text: string
  readonly named: readonly Evidence[]
  /** None for what waited only until its namers were read. */
  readonly importers: readonly { readonly path: SourcePath; readonly name: string; readonly offset: number | null }[]
}

export class Verdicts {
  readonly #sources: Sources
  readonly #data: ScanOptions['data']
  readonly #excluded: (path: string) => boolean
  #waiting: Waiting[] = []
  readonly #settled: Waiting[] = []
  readonly #symbols = new Map<SourcePath, ReadonlySet<string>>()
  /** By what stands behind, and text: many files name the same. */
  readonly #named = new Map<string, Named | null>()

  constructor(sources: Sources, data: ScanOptions['data'], excluded: (path: string) => boolean) {
    this.#sources = sources
    this.#data = data
    this.#excluded = excluded
  }

  /** What becomes of a reference. One that waits is settled later, in place. */
  of(namer: Namer, reference: Reference): Verdict {
    const { facts } = namer
    const all = this.#data === 'all' && !reference.bare
    const found = all ? this.#packageOf(reference) : this.#lookUp(namer, reference)
    if (all) return verdict(found ? 'data-all' : 'gone', found, found !== null)
    if (facts.format === 'script' && reference.offset === facts.interpreter.offset)
      return verdict('shebang', found, false)
    if (found === null || found.all.length < 2) return this.#judge(namer, reference, found)
    // Of several, those that come along; the first of them speaks for all.
    const each = found.all.map(path => {
      const type = stat(path)?.type === 'directory' ? 'directory' : 'file'
      return this.#judge(namer, reference, { ...found, path, type, all: [path] })
    })
    const followed = each.filter(v => v.followed)
    const [first, ...others] = followed
    return first ? { ...first, others: others.map(v => v.target!) } : each[0]!
  }

  /** What the table says of one target. */
  #judge({ path: from, facts, isWrapper, isNamed }: Namer, reference: Reference, target: Named | null): Verdict {
    const root = storePathOf(from)?.root ?? null
    const { rule, follow } = answer({
      from: {
        format: facts.format,
        path: root === null ? from : from.slice(root.length + 1),
        // All that a `#!` line names is there to be used too.
        wrapper: isWrapper || isOnFirstLine(facts, reference),
        loader: this.#sources.loaders.has(from),
        named: isNamed,
      },
      bare: reference.bare,
      ofLoader:
        facts.format === 'elf'
          ? reference.offset === facts.interp?.offset || inDynstr(facts, reference.offset)
          : facts.format === 'macho' && inLoadCommands(facts, reference.offset),
      before: () => textBefore(from, reference.offset),
      target: target && {
        name: target.name,
        path: target.path.slice(target.root.length + 1),
        type: target.type,
        own: target.root === root,
      },
    })
    const isNobodys = this.#data === 'none' && (rule === 'absent' || rule === 'other-tree')
    if (target === null || follow === false) return verdict(isNobodys ? 'data-none' : rule, target, false)
    if (this.#excluded(target.path)) return verdict('excluded', target, false)
    if (this.#data === 'none' && !this.#sources.isObject(target.path, facts)) return verdict('data-none', target, false)
    if (follow === true) return verdict(rule, target, true)
    const waiting = verdict(rule, target, false)
    const { offset, encoding } = reference
    this.#waiting.push({
      target: target.path,
      rule,
      text: reference.text,
      named: { file: from, member: null, offset, encoding },
      condition: follow,
      root: target.root,
      verdict: waiting,
    })
    return waiting
  }

  /** What waited for functions that some of the files import; its verdicts become those of what is followed. */
  settle(files: Iterable<FileNode>): { readonly target: SourcePath; readonly only: RegExp }[] {
    const all = [...files]
    const due = this.#waiting.filter(
      ({ condition: { imports }, root }) => imports.length === 0 || this.#imports(all, imports, root),
    )
    this.#waiting = this.#waiting.filter(waiting => !due.includes(waiting))
    for (const { verdict } of due) verdict.followed = true
    this.#settled.push(...due)
    return due.map(({ target, condition }) => ({ target, only: condition.only }))
  }

  /** What came along by a condition: who names it, and who imports a function that it waited for. */
  conditions(files: Iterable<FileNode>): Settled[] {
    const all = [...files]
    const byTarget = new Map<string, { first: Waiting; named: Evidence[] }>()
    for (const waiting of this.#settled) {
      const key = `${waiting.rule}\0${waiting.target}`
      const known = byTarget.get(key)
      if (known) known.named.push(waiting.named)
      else byTarget.set(key, { first: waiting, named: [waiting.named] })
    }
    return [...byTarget.values()].map(({ first: { target, rule, text, condition, root }, named }) => ({
      target,
      rule,
      text,
      named,
      importers: all.flatMap(node =>
        this.#imported(node, condition.imports, root).map(name => ({
          path: node.path,
          name,
          offset: dynstrOffset(node, name),
        })),
      ),
    }))
  }

  #lookUp({ path, isBinary }: Namer, reference: Reference): Named | null {
    if (reference.bare) return null
    const look = (behind: Behind): Named | null => {
      const key = `${behind} ${reference.text}`
      const known = this.#named.get(key)
      if (known !== undefined) return known
      const found = lookUp(reference.text, behind)
      this.#named.set(key, found)
      return found
    }
    // What stands behind is asked only where it matters.
    const found = look('delimiter')
    return !isBinary || found?.type !== 'missing' || reference.encoding !== 'utf8'
      ? found
      : look(byteBehind(path, reference))
  }

  /** With `--data all`: the package, whatever stands behind its name. */
  #packageOf(reference: Reference): Named | null {
    const root = this.packageOf(reference)
    if (root === null) return null
    const type = stat(root)?.type === 'file' ? 'file' : 'directory'
    return { path: root, root, name: storePathOf(root)!.name, type, all: [root], doubtful: false }
  }

  /** The store path that a reference names, or something in it; null when it is not on this machine. */
  packageOf({ bare, text }: Reference): SourcePath | null {
    return bare ? null : (lookUp(text, 'delimiter')?.root ?? null)
  }

  #imports(files: readonly FileNode[], functions: readonly string[], definedIn: SourcePath): boolean {
    return files.some(node => this.#imported(node, functions, definedIn).length > 0)
  }

  /** Those of the functions that a file imports. */
  #imported({ path, facts }: FileNode, functions: readonly string[], definedIn: SourcePath): readonly string[] {
    if (facts.format !== 'elf' || facts.dynstr === null) return []
    if (!facts.program && path.startsWith(`${definedIn}/`)) return []
    let names = this.#symbols.get(path)
    if (!names) {
      names = new Set(withFile(path, source => symbolNames(source, path)))
      this.#symbols.set(path, names)
    }
    return functions.filter(name => names.has(name))
  }
}

/** Where the name of a symbol stands in a file; it may be the tail of a longer one. */
function dynstrOffset({ path, facts }: FileNode, name: string): number | null {
  if (facts.format !== 'elf' || facts.dynstr === null) return null
  const { offset, size } = facts.dynstr
  const at = withFile(path, source => source.read(offset, size)).indexOf(`${name}\0`, 0, 'latin1')
  return at < 0 ? null : offset + at
}

const verdict = (rule: string, target: Named | null, followed: boolean): Verdict & { followed: boolean } => ({
  rule,
  // What is not there names nothing, though its directory may be.
  target: target === null || target.type === 'missing' ? null : target.path,
  followed,
  ...(target?.type === 'missing' && { missing: { root: target.root, doubtful: target.doubtful } }),
})

/** Whether a reference is an argument in a `#!` line; perl reads it to its end. */
const isOnFirstLine = (facts: FileFacts, { offset }: Reference): boolean =>
  facts.format === 'script' && offset < facts.lineEnd
