/** What `bundle inspect` saw, for people and as JSON (docs/explain.schema.json). */
import { ET } from '../elf/constants.ts'
import type { ElfFacts } from '../elf/facts.ts'
import type { EnvironmentOperation } from '../entry/launcher.ts'
import { MH } from '../macho/constants.ts'
import type { MachOFacts, MachOSlice } from '../macho/facts.ts'
import type { Verdict } from '../model/graph.ts'
import { storePathOf } from '../nix/store-path.ts'
import { toText } from '../paths.ts'
import { RULES } from '../references/follow.ts'
import type { Reference } from '../references/reference.ts'
import type { ElfInspection, Inspection, Wish } from '../scan/inspect.ts'
import { line } from './describe.ts'
import { type Held, heldJson } from './inspect-held.ts'
import { jsonFinding, toJson } from './json.ts'

/** Where an offset of the inspected file lies (verify/checks/parts.ts). */
export type PartAt = (offset: number) => string | null

const ROWS = 40

export function inspectText(inspection: Inspection, partAt: PartAt): string {
  const { node, elf, wrapper, findings } = inspection
  const { facts } = node
  const rows: [string, string][] = []
  if (facts.format === 'elf' && elf !== null) rows.push(...elfRows(facts, elf))
  if (facts.format === 'macho')
    for (const slice of facts.slices) rows.push(...sliceRows(slice, facts.slices.length > 1))
  if (facts.format === 'script') {
    const { interpreter, argument } = facts
    rows.push(['interpreter', `${short(interpreter.value)}${argument === null ? '' : ` ${toText(argument)}`}`])
  }
  if (wrapper !== null) {
    rows.push(['starts', short(wrapper.program)])
    for (const operation of wrapper.environment) rows.push(['', environmentText(operation)])
    const args = [...wrapper.before.map(a => short(a)), '"$@"', ...wrapper.after.map(a => short(a))]
    if (args.length > 1) rows.push(['', `with the arguments ${args.join(' ')}`])
  }
  rows.push(...referenceRows(inspection, partAt))
  const fate = fateOf(inspection)
  if (fate !== null) rows.push(['bundle', fate])
  const width = Math.max(...rows.map(([label]) => label.length), 0)
  return [
    `${toText(inspection.asked)}: ${titleOf(inspection)}`,
    ...rows.map(([label, text]) => `  ${label.padEnd(width)}  ${text}`),
    ...findings.map(finding => `  ${line({ ...finding, file: short(finding.file) })}`),
  ].join('\n')
}

const short = (path: string): string => toText(path.replace(/\/nix\/store\/[0-9a-df-np-sv-z]{32}-/g, ''))

function titleOf({ node: { facts, size, text, members }, elf, language, wrapper, container }: Inspection): string {
  const bytes = `${size} bytes`
  if (facts.format === 'elf' && elf !== null) {
    const what = facts.program
      ? elf.isStatic
        ? 'static program'
        : 'program'
      : facts.type === ET.dyn
        ? 'shared library'
        : facts.type === 1
          ? 'object file'
          : `file of type ${facts.type}`
    const parts = [
      `ELF ${what}, ${facts.arch}, ${facts.class} bits, ${facts.little ? 'little' : 'big'} endian`,
      facts.program && facts.type === ET.dyn && 'PIE',
      bytes,
      elf.isStripped ? 'stripped' : 'not stripped',
    ].filter(part => part !== false)
    const hardening = [elf.isBoundNow && 'BIND_NOW', elf.hasRelro && 'RELRO'].filter(part => part !== false)
    const id = elf.buildId === null ? [] : [`build id ${elf.buildId}`]
    return [parts.join(', '), ...(hardening.length > 0 ? [hardening.join(', ')] : []), ...id].join('; ')
  }
  if (facts.format === 'macho') {
    const archs = facts.slices.map(s => s.arch).join(', ')
    const kind = MACHO[facts.slices[0]!.filetype] ?? 'file'
    return `Mach-O ${kind}, ${facts.container === 'thin' ? '' : 'universal: '}${archs}, ${bytes}`
  }
  if (facts.format === 'script') return `${language ?? ''} script${wrapper ? ', a wrapper' : ''}, ${bytes}`.trim()
  if (container !== null)
    return `${container}, ${bytes}${members.length > 0 ? `; ${members.length} members name the store` : ''}`
  return `${text ? `text${language === null ? '' : ` (${language.replace('-', ' ')})`}` : 'data'}, ${bytes}`
}

const MACHO: Readonly<Record<number, string>> = {
  [MH.object]: 'object file',
  [MH.execute]: 'program',
  [MH.dylib]: 'library',
  [MH.bundle]: 'bundle',
  [MH.dylinker]: 'dynamic linker',
}

// ---- ELF -------------------------------------------------------------------------------------------------------------

function elfRows(facts: ElfFacts, elf: ElfInspection): [string, string][] {
  const rows: [string, string][] = []
  if (facts.soname) rows.push(['soname', toText(facts.soname.value)])
  if (facts.interp) {
    const { value, offset } = facts.interp
    const missing = elf.isLoaderThere ? '' : ', which is not there'
    rows.push(['interpreter', `${short(value)}${missing}  offset ${offset}, ${value.length} bytes`])
  }
  for (const [name, path] of [
    ['RUNPATH', facts.runpath],
    ['RPATH', facts.rpath],
  ] as const)
    for (const [i, entry] of path?.value.split(':').entries() ?? []) {
      const finds = elf.needed.filter(wish => wish.via === `${name}[${i}]`).map(wish => toText(wish.name))
      const used =
        finds.length > 0 ? `finds ${finds.join(', ')}` : elf.loader === null ? '' : 'finds nothing that is needed'
      rows.push([`${name}[${i}]`, `${short(entry)}  ${used}`.trimEnd()])
    }
  const missing = elf.needed.filter(wish => wish.found === null)
  const newest =
    elf.newest.length === 0 ? '' : `; newest versions asked for: ${elf.newest.map(v => toText(v)).join(', ')}`
  if (elf.needed.length > 0 || facts.dynamic.length > 0) {
    const found =
      elf.loader === null
        ? 'no loader is known to look them up by'
        : missing.length === 0
          ? 'all found'
          : `${missing.length} not found`
    rows.push(['needs', `${elf.needed.length} ${elf.needed.length === 1 ? 'library' : 'libraries'}, ${found}${newest}`])
    for (const wish of elf.needed) rows.push(['', wishText(wish)])
  }
  for (const [i, wish] of elf.opens.entries()) rows.push([i === 0 ? 'opens' : '', wishText(wish)])
  return rows
}

function wishText({ name, offset, found, via }: Wish): string {
  const where = found === null ? 'not found' : `${short(found)} by ${via}`
  return `${toText(name)}  ${where}${offset === null ? '' : `  offset ${offset}`}`
}

// ---- Mach-O ----------------------------------------------------------------------------------------------------------

function sliceRows(slice: MachOSlice, isOne: boolean): [string, string][] {
  const rows: [string, string][] = []
  const add = (label: string, text: string): void => void rows.push([isOne ? `${slice.arch} ${label}` : label, text])
  if (slice.id) add('id', `${short(slice.id.value)}  offset ${slice.id.offset}`)
  for (const { platform, minos, sdk } of slice.versions) add('built for', `${platform} ${minos}, SDK ${sdk}`)
  for (const [i, rpath] of slice.rpaths.entries())
    add(`LC_RPATH[${i}]`, `${short(rpath.value)}  offset ${rpath.offset}`)
  for (const { name, kind, compatibility, current } of slice.dylibs)
    add(
      'needs',
      `${short(name.value)}  ${kind === 'load' ? '' : `${kind}, `}version ${current}, compatible with ${compatibility}`,
    )
  if (slice.dylinker) add('dyld', short(slice.dylinker.value))
  add('signature', slice.signature === null ? 'none' : `${slice.signature.size} bytes at ${slice.signature.offset}`)
  add('room', `${slice.room} bytes behind the load commands`)
  return rows
}

// ---- References ------------------------------------------------------------------------------------------------------

interface Group {
  readonly text: string
  readonly member: string | null
  readonly part: string | null
  readonly verdict: Verdict
  readonly offsets: number[]
}

function groupsOf({ node }: Inspection, partAt: PartAt): Group[] {
  const groups = new Map<string, Group>()
  const add = (reference: Reference, verdict: Verdict, member: string | null): void => {
    const part = member === null && !node.text ? partAt(reference.offset) : null
    const key = JSON.stringify([member, part, reference.text, verdict.rule])
    const known = groups.get(key) ?? { text: reference.text, member, part, verdict, offsets: [] }
    known.offsets.push(reference.offset)
    groups.set(key, known)
  }
  for (const [i, reference] of node.references.entries()) add(reference, node.verdicts[i]!, null)
  for (const { names, references, verdicts } of node.members)
    for (const [i, reference] of references.entries()) add(reference, verdicts[i]!, names.join('!'))
  return [...groups.values()]
}

function referenceRows(inspection: Inspection, partAt: PartAt): [string, string][] {
  const groups = groupsOf(inspection, partAt)
  const total = groups.reduce((sum, { offsets }) => sum + offsets.length, 0)
  if (total === 0) return [['store paths', 'none']]
  const byPart = new Map<string, number>()
  for (const { part, member, offsets } of groups) {
    const where = member !== null ? 'packed' : (part ?? '')
    byPart.set(where, (byPart.get(where) ?? 0) + offsets.length)
  }
  const parts = [...byPart].filter(([part]) => part !== '').map(([part, count]) => `${toText(part)} ${count}`)
  // What the loader reads is told above.
  const others = groups.filter(({ verdict }) => verdict.rule !== 'loader')
  const rows = others.slice(0, ROWS).map(({ text, member, verdict, offsets }): [string, string] => {
    const places = `${offsets.slice(0, 4).join(', ')}${offsets.length > 4 ? ` and ${offsets.length - 4} more` : ''}`
    const reason = RULES.get(verdict.rule) ?? ''
    const where = member === null ? '' : `${toText(member)}!`
    return ['', `${where}${places}  ${short(text)}  ${verdict.rule}: ${reason}`]
  })
  const more: [string, string][] =
    others.length > ROWS ? [['', `and ${others.length - ROWS} more (--json has all)`]] : []
  return [['store paths', `${total}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`], ...rows, ...more]
}

/** What bundle would do with it. */
function fateOf({ node: { facts }, elf, wrapper }: Inspection): string | null {
  if (wrapper !== null) return 'a launcher stands in its place'
  if (facts.format === 'elf' && elf !== null && facts.program) {
    if (facts.stub !== null) return `has a bundle's stub; its loader is ${short(stubLoader(facts.stub))}`
    if (elf.bySidecar) return `is entered by a sidecar (${elf.refusal})`
    if (elf.refusal === 'payload') return 'carries data behind its end: needs --prefix'
    if (elf.refusal !== null) return `cannot take the stub (${elf.refusal}): starts through a launcher`
    return elf.isStatic ? 'takes the stub where it names the store' : 'takes the stub; relocates itself'
  }
  return null
}

/** From where the program lies. */
const stubLoader = ({ up, path }: NonNullable<ElfFacts['stub']>): string =>
  path === '' ? 'none, for it is static' : `${'../'.repeat(up)}${path}`

function environmentText(operation: EnvironmentOperation): string {
  const { op, name } = operation
  if (op === 'unset') return `unsets ${toText(name)}`
  const value = short(operation.value)
  if (op === 'prefix') return `puts ${value} before ${toText(name)}`
  if (op === 'suffix') return `puts ${value} behind ${toText(name)}`
  return `sets ${toText(name)} to ${value}${op === 'set-default' ? ' where it is not set' : ''}`
}

// ---- JSON ------------------------------------------------------------------------------------------------------------

export function inspectJson(all: readonly ({ inspection: Inspection; partAt: PartAt } | { held: Held })[]): string {
  const files = all.map(seen => ('held' in seen ? heldJson(seen.held) : jsonInspection(seen.inspection, seen.partAt)))
  return toJson({ command: 'inspect', files })
}

function jsonInspection(inspection: Inspection, partAt: PartAt): object {
  const { asked, path, node, elf, language, wrapper, container, findings } = inspection
  const { facts } = node
  return {
    file: toText(asked),
    path: toText(path),
    format: facts.format,
    size: node.size,
    executable: node.executable,
    message: titleOf(inspection),
    elf: facts.format === 'elf' && elf !== null ? jsonElf(facts, elf) : null,
    macho: facts.format === 'macho' ? jsonMachO(facts) : null,
    script:
      facts.format === 'script'
        ? { interpreter: toText(facts.interpreter.value), argument: facts.argument && toText(facts.argument), language }
        : null,
    wraps: wrapper === null ? null : toText(wrapper.program),
    container,
    references: groupsOf(inspection, partAt).map(({ text, member, part, verdict, offsets }) => ({
      text: toText(text),
      package: storePathOf(text)?.name ?? null,
      member: member === null ? null : toText(member),
      part,
      offsets,
      rule: verdict.rule,
      reason: RULES.get(verdict.rule) ?? '',
      target: verdict.target === null ? null : toText(verdict.target),
      followed: verdict.followed,
    })),
    bundle: fateOf(inspection),
    findings: findings.map(jsonFinding),
  }
}

const jsonWish = ({ name, offset, found, via }: Wish): object => ({
  name: toText(name),
  offset,
  found: found === null ? null : toText(found),
  via,
})

const jsonElf = (facts: ElfFacts, elf: ElfInspection): object => ({
  class: facts.class,
  little: facts.little,
  arch: facts.arch,
  abi: facts.abi,
  type: facts.type,
  program: facts.program,
  static: elf.isStatic,
  stripped: elf.isStripped,
  bindNow: elf.isBoundNow,
  relro: elf.hasRelro,
  buildId: elf.buildId,
  interpreter: facts.interp && {
    value: toText(facts.interp.value),
    offset: facts.interp.offset,
    there: elf.isLoaderThere,
  },
  soname: facts.soname && toText(facts.soname.value),
  runpath: facts.runpath?.value.split(':').map(toText) ?? null,
  rpath: facts.rpath?.value.split(':').map(toText) ?? null,
  needed: elf.needed.map(jsonWish),
  opens: elf.opens.map(jsonWish),
  newestVersions: elf.newest.map(toText),
})

const jsonMachO = ({ slices }: MachOFacts): object[] =>
  slices.map(slice => ({
    arch: slice.arch,
    filetype: slice.filetype,
    id: slice.id && toText(slice.id.value),
    needed: slice.dylibs.map(({ name, kind, current, compatibility }) => ({
      name: toText(name.value),
      kind,
      current,
      compatibility,
    })),
    rpaths: slice.rpaths.map(rpath => toText(rpath.value)),
    versions: slice.versions,
    signed: slice.signature !== null,
    room: slice.room,
  }))
