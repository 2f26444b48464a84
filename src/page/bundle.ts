/** The bundle as the page asks of it: what things are called, how they came, what would be without one. Pure. */
import type { FileRole, NeedKind } from '../model/explained.ts'
import type { PageData, PagePackage } from '../model/page.ts'

export interface File {
  readonly id: number
  readonly at: string
  readonly label: string
  readonly part: string
  readonly package: number | null
  readonly size: number
  readonly role: FileRole
  readonly isLink: boolean
}

export interface Step {
  readonly from: number
  readonly to: number
  readonly kind: NeedKind
  readonly verb: string
  readonly evidence: string
}

/** Why a file is there, in one word: the last step of its chain that decides. */
export const CAUSES = ['loader', 'needed', 'opened', 'named', 'own', 'asked', 'made'] as const
export type Cause = (typeof CAUSES)[number]

const CAUSE_OF: Readonly<Partial<Record<NeedKind, Cause>>> = {
  interp: 'loader',
  shebang: 'loader',
  needed: 'needed',
  'install-name': 'needed',
  loaded: 'needed',
  variant: 'needed',
  image: 'needed',
  wrapper: 'needed',
  dlopen: 'opened',
  trace: 'opened',
  reference: 'named',
  condition: 'named',
}

export class Bundle {
  readonly data: PageData
  readonly files: readonly File[]
  /** Needs by where they begin, and by where they end: their indices. */
  readonly #from: number[][]
  readonly #to: number[][]
  readonly #causes = new Map<number, Cause>()

  constructor(data: PageData) {
    this.data = data
    this.files = data.files.map(([at, part, owner, size, role, isLink], id) => {
      const label = owner === null ? null : data.packages[owner]!.label
      const own = part ?? (label === null ? '' : at.slice(`pkg/${label}/`.length))
      return {
        id,
        at,
        label: label === null ? at : own === '' ? label : `${label}/${own}`,
        part: own,
        package: owner,
        size,
        role: data.roles[role]!,
        isLink: isLink === 1,
      }
    })
    const count = data.files.length + data.directories.length
    this.#from = Array.from({ length: count }, () => [])
    this.#to = Array.from({ length: count }, () => [])
    for (const [i, [from, to]] of data.needs.entries()) {
      this.#from[from]!.push(i)
      this.#to[to]!.push(i)
    }
  }

  package(id: number): PagePackage {
    return this.data.packages[id]!
  }

  /** What a file or directory is called: its package and its path there. */
  label(id: number): string {
    const file = this.files[id]
    if (file) return file.label
    const [owner, part] = this.data.directories[id - this.files.length]!
    const { label } = this.package(owner)
    return part === '' ? label : `${label}/${part}`
  }

  owner(id: number): number | null {
    return id < this.files.length ? this.files[id]!.package : this.data.directories[id - this.files.length]![0]
  }

  step(index: number): Step {
    const [from, to, kind, verb, evidence] = this.data.needs[index]!
    const [whole, part] = [this.label(from), this.label(to)]
    const held = part.startsWith(`${whole}/`) ? part.slice(whole.length + 1) : part
    return { from, to, kind: this.data.kinds[kind]!, verb: verb ?? `holds ${held}`, evidence: evidence ?? '' }
  }

  /** How it came: what was asked for, and the steps from there. Null when nothing leads to it. */
  chain(id: number): { readonly asked: string; readonly first: number; readonly steps: readonly Step[] } | null {
    const steps: Step[] = []
    for (let at = id; steps.length <= this.data.needs.length; ) {
      const came = this.#came(at)
      if (came === null) return null
      if (came < 0) return { asked: this.data.asked[-1 - came]![1], first: at, steps: steps.reverse() }
      const step = this.step(came)
      steps.push(step)
      at = step.from
    }
    return null
  }

  /** Who needs it, each once. */
  users(id: number): Step[] {
    const found = new Map<number, Step>()
    for (const index of this.#to[id]!) {
      const step = this.step(index)
      if (step.from !== id && !found.has(step.from)) found.set(step.from, step)
    }
    return [...found.values()]
  }

  /** What it needs. */
  needs(id: number): Step[] {
    return this.#from[id]!.map(index => this.step(index))
  }

  cause(id: number): Cause {
    const passed: number[] = []
    let cause: Cause | undefined
    for (let at = id; cause === undefined; ) {
      cause = this.#causes.get(at)
      if (cause !== undefined) break
      passed.push(at)
      const came = this.#came(at)
      if (came === null || passed.length > this.data.needs.length) cause = 'asked'
      else if (came < 0) cause = this.#askedCause(at, this.data.asked[-1 - came]![0])
      else {
        const [from, , kind] = this.data.needs[came]!
        cause = CAUSE_OF[this.data.kinds[kind]!]
        at = from
      }
    }
    for (const at of passed) this.#causes.set(at, cause)
    return cause
  }

  #askedCause(id: number, asked: string): Cause {
    if (this.files[id]?.role === 'made' || asked === 'bundle') return 'made'
    return asked === 'entry' || asked === 'target' ? 'own' : 'asked'
  }

  /** By how many bytes the bundle is smaller without some; null where not all needs are told. */
  bytesWithout(isGone: (id: number) => boolean): number | null {
    if (this.data.left > 0) return null
    const reached = new Uint8Array(this.#from.length)
    const queue: number[] = []
    const arrive = (id: number): void => {
      if (reached[id] || isGone(id)) return
      reached[id] = 1
      queue.push(id)
    }
    for (const [, , to] of this.data.asked) arrive(to)
    for (let id = queue.pop(); id !== undefined; id = queue.pop())
      for (const index of this.#from[id]!) arrive(this.data.needs[index]![1])
    return this.files.reduce((sum, { size, id }) => sum + (reached[id] || this.#came(id) === null ? 0 : size), 0)
  }

  #came(id: number): number | null {
    return id < this.files.length ? this.data.files[id]![6] : this.data.directories[id - this.files.length]![2]
  }
}
