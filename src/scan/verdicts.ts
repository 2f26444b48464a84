/**
 * The verdict on each reference while the graph grows (scan.ts): what it leads to is looked up, and the table of
 * references/follow.ts is asked. Some rows ask in turn what the bundle's objects import; these wait until it is known.
 */

import { inDynstr } from '../elf/dlopen.ts'
import { symbolNames } from '../elf/parse.ts'
import { stat, withFile } from '../io/store.ts'
import { inLoadCommands } from '../macho/facts.ts'
import type { FileFacts, FileNode, ScanOptions, Verdict } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import type { SourcePath } from '../paths.ts'
import { answer, type Condition } from '../references/follow.ts'
import type { Reference } from '../references/reference.ts'
import { textBefore } from './contents.ts'
import { type Named, named, type Sources } from './sources.ts'

/** A directory or file that comes along if the bundle's objects import what its rule asks for. */
interface Waiting {
  readonly target: SourcePath
  readonly condition: Condition
  /** Objects of this package define the functions and so do not count. */
  readonly root: SourcePath
  readonly verdict: { followed: boolean }
}

export class Verdicts {
  readonly #sources: Sources
  readonly #store: ReadonlyMap<string, SourcePath>
  readonly #data: ScanOptions['data']
  readonly #excluded: (path: string) => boolean
  #waiting: Waiting[] = []
  readonly #symbols = new Map<SourcePath, ReadonlySet<string>>()
  /** By text: many files name the same. */
  readonly #named = new Map<string, Named | null>()

  /** @param store every store path of this machine by its hash */
  constructor(
    sources: Sources,
    store: ReadonlyMap<string, SourcePath>,
    data: ScanOptions['data'],
    excluded: (path: string) => boolean,
  ) {
    this.#sources = sources
    this.#store = store
    this.#data = data
    this.#excluded = excluded
  }

  /** What becomes of a reference of the file at `from`. One that waits is settled later, in place. */
  of(from: SourcePath, facts: FileFacts, isWrapper: boolean, reference: Reference): Verdict {
    const all = this.#data === 'all'
    const target = all ? this.#packageOf(reference) : this.#lookUp(reference)
    const verdict = (rule: string, followed: boolean): Verdict & { followed: boolean } => ({
      rule,
      // What is not there names nothing, though its directory may be.
      target: target?.type === 'missing' ? null : (target?.path ?? null),
      followed,
    })
    if (all) return verdict(target ? 'data-all' : 'gone', target !== null)
    if (facts.format === 'script' && reference.offset === facts.interpreter.offset) return verdict('shebang', false)
    const root = storePathOf(from)?.root ?? null
    const { rule, follow } = answer({
      from: {
        format: facts.format,
        path: root === null ? from : from.slice(root.length + 1),
        wrapper: isWrapper,
        loader: this.#sources.loaders.has(from),
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
    if (target === null || follow === false) return verdict(rule, false)
    if (this.#excluded(target.path)) return verdict('excluded', false)
    if (this.#data === 'none' && !this.#sources.isObject(target.path, facts)) return verdict('data-none', false)
    if (follow === true) return verdict(rule, true)
    const waiting = verdict(rule, false)
    this.#waiting.push({ target: target.path, condition: follow, root: target.root, verdict: waiting })
    return waiting
  }

  /** What waited for functions that some of the files import; its verdicts become those of what is followed. */
  settle(files: Iterable<FileNode>): { readonly target: SourcePath; readonly only: RegExp }[] {
    const all = [...files]
    const due = this.#waiting.filter(({ condition, root }) => this.#imports(all, condition.imports, root))
    this.#waiting = this.#waiting.filter(waiting => !due.includes(waiting))
    for (const { verdict } of due) verdict.followed = true
    return due.map(({ target, condition }) => ({ target, only: condition.only }))
  }

  #lookUp(reference: Reference): Named | null {
    if (reference.bare) return null
    const known = this.#named.get(reference.text)
    if (known !== undefined) return known
    const found = named(reference)
    this.#named.set(reference.text, found)
    return found
  }

  /** With `--data all`: the package that a hash belongs to, whatever stands around it. */
  #packageOf({ hash }: Reference): Named | null {
    const root = hash === null ? undefined : this.#store.get(hash)
    const store = root === undefined ? null : storePathOf(root)
    if (root === undefined || store === null) return null
    return { path: root, root, name: store.name, type: stat(root)?.type === 'file' ? 'file' : 'directory' }
  }

  #imports(files: readonly FileNode[], functions: readonly string[], definedIn: SourcePath): boolean {
    return files.some(({ path, facts }) => {
      if (facts.format !== 'elf' || facts.dynstr === null) return false
      if (!facts.program && path.startsWith(`${definedIn}/`)) return false
      let names = this.#symbols.get(path)
      if (!names) {
        names = new Set(withFile(path, source => symbolNames(source, path)))
        this.#symbols.set(path, names)
      }
      return functions.some(name => names.has(name))
    })
  }
}
