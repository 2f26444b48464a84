/**
 * The picture: each file an area as large as its bytes, within its directory, within its package. It is a list box: arrow
 * keys go from one to the next, Enter goes in or chooses, Escape goes out.
 */
import { type Area, areasOf, wayTo } from './areas.ts'
import type { Bundle } from './bundle.ts'
import { byId, bytesText, counted, el } from './dom.ts'
import { type Rectangle, squarify } from './squarify.ts'

/** In pixels: what is smaller is drawn as a whole, and what is larger has its name on it. */
const SMALLEST = 14
const HEAD = 17
const NAMED = { width: 34, height: 15 }
/** As wide as a size in figures. */
const SIZED = 54
/** What a page of paper has for it (page.css). */
const PAPER = { width: 680, height: 454 }
/** Elements of one picture. */
const TILES_MAX = 4000

export class TreeMap {
  readonly #bundle: Bundle
  readonly #box = byId('map')
  readonly #way = byId('way')
  #colour: 'role' | 'cause' = 'role'
  #withOut = false
  #root: Area
  #at: Area
  #tiles: { area: Area; element: HTMLElement }[] = []
  #active = -1
  #size = { width: 0, height: 0 }
  #chosen: number | null = null

  constructor(bundle: Bundle) {
    this.#bundle = bundle
    this.#root = this.#at = areasOf(bundle, false)
    this.#box.addEventListener('keydown', event => this.#key(event))
    this.#box.addEventListener('click', event => this.#click(event))
    new ResizeObserver(() => this.draw()).observe(this.#box)
    addEventListener('beforeprint', () => this.draw(PAPER.width, PAPER.height))
    addEventListener('afterprint', () => this.draw())
  }

  colourBy(what: 'role' | 'cause'): void {
    this.#colour = what
    this.draw()
  }

  /** Whether what stayed out of Nix's closure is shown. */
  showOut(withOut: boolean): void {
    this.#withOut = withOut
    const names = wayTo(this.#at).slice(1)
    this.#root = this.#at = areasOf(this.#bundle, this.#withOut)
    for (const { name } of names) {
      const next = this.#at.areas.find(a => a.name === name && a.areas.length > 0)
      if (next === undefined) break
      this.#at = next
    }
    this.draw()
  }

  /** Shows where a file lies; the picture goes out as far as it has to. */
  mark(file: number): void {
    this.#chosen = file
    const owner = this.#bundle.owner(file)
    if (this.#at !== this.#root && this.#at.package !== owner) this.#at = this.#root
    this.draw()
  }

  /** @param width in pixels, with `height`, where it is not what the window gives it */
  draw(width = this.#box.clientWidth, height = this.#box.clientHeight): void {
    this.#size = { width, height }
    this.#tiles = []
    this.#active = -1
    const whole = { x: 0, y: 0, width, height }
    if (width > 0 && height > 0) this.#place(this.#at, whole, 0)
    this.#box.replaceChildren(...this.#tiles.map(({ element }) => element))
    this.#box.removeAttribute('aria-activedescendant')
    const way = wayTo(this.#at)
    this.#way.replaceChildren(
      ...way.flatMap((area, i) => {
        const isLast = i === way.length - 1
        const text = `${area.name}${isLast ? ` ${bytesText(area.size)}` : ''}`
        const step = isLast
          ? el('span', {}, text)
          : el('button', { type: 'button', onclick: () => this.#go(area) }, text)
        return i === 0 ? [step] : [' / ', step]
      }),
    )
  }

  #place(at: Area, whole: Rectangle, level: number): void {
    for (const [i, rectangle] of squarify(
      at.areas.map(a => a.size),
      whole,
    ).entries()) {
      const area = at.areas[i]!
      const { width, height } = rectangle
      if (width < 1.5 || height < 1.5 || this.#tiles.length > TILES_MAX) continue
      // A directory that holds one thing is not worth a frame.
      const isOpen = area.areas.length > 0 && width > 2 * SMALLEST && height > HEAD + SMALLEST && level < 12
      this.#tile(area, rectangle, isOpen)
      if (!isOpen) continue
      const { x, y } = rectangle
      this.#place(area, { x: x + 2, y: y + HEAD, width: width - 4, height: height - HEAD - 2 }, level + 1)
    }
  }

  #tile(area: Area, { x, y, width, height }: Rectangle, isOpen: boolean): void {
    const files = area.file === null ? countFiles(area) : 0
    const path = wayTo(area)
      .slice(1)
      .map(a => a.name)
      .join('/')
    const more = area.out ? '; in Nix’s closure and not in the bundle' : files > 1 ? `, ${counted(files, 'file')}` : ''
    const title = `${path}: ${bytesText(area.size)}${more}`
    const isNamed = width > NAMED.width && height > NAMED.height
    const element = el(
      'div',
      {
        id: `tile-${this.#tiles.length}`,
        role: 'option',
        title,
        'aria-label': `${area.name} ${bytesText(area.size)}, ${path}${more}`,
        'aria-selected': area.file !== null && area.file === this.#chosen ? 'true' : 'false',
        class: `tile ${isOpen ? 'open' : area.out ? 'out' : this.#classOf(area)}`,
      },
      isNamed ? el('bdi', {}, area.name) : null,
      isNamed && !isOpen && width > SIZED && height > 2 * NAMED.height
        ? el('small', {}, ` ${bytesText(area.size)}`)
        : null,
    )
    // By shares of the whole: a printer has other pixels.
    const { style } = element
    const { width: w, height: h } = this.#size
    style.left = `${(100 * x) / w}%`
    style.top = `${(100 * y) / h}%`
    style.width = `${(100 * width) / w}%`
    style.height = `${(100 * height) / h}%`
    this.#tiles.push({ area, element })
  }

  #classOf(area: Area): string {
    const file = area.file ?? largestFile(area)
    if (file === null) return ''
    return this.#colour === 'role' ? `role-${this.#bundle.files[file]!.role}` : `cause-${this.#bundle.cause(file)}`
  }

  #go(area: Area): void {
    this.#at = area
    this.draw()
    this.#box.focus({ preventScroll: true })
  }

  #open(area: Area): void {
    if (area.file !== null) location.hash = `file-${area.file}`
    else if (area.areas.length > 0) this.#go(area)
    else if (area.package !== null) location.hash = `package-${area.package}`
  }

  #click({ target }: MouseEvent): void {
    const element = target instanceof Element ? target.closest('.tile') : null
    const tile = this.#tiles.find(t => t.element === element)
    if (tile) this.#open(tile.area)
  }

  #key(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
    if (step !== undefined) {
      const { length } = this.#tiles
      if (length > 0) this.#activate((this.#active + step + length) % length)
    } else if (event.key === 'Home') this.#activate(0)
    else if (event.key === 'End') this.#activate(this.#tiles.length - 1)
    else if (event.key === 'Enter' || event.key === ' ') {
      const tile = this.#tiles[this.#active]
      if (tile) this.#open(tile.area)
    } else if (event.key === 'Escape' && this.#at.above !== null) this.#go(this.#at.above)
    else return
    event.preventDefault()
  }

  #activate(index: number): void {
    this.#tiles[this.#active]?.element.classList.remove('active')
    this.#active = index
    const tile = this.#tiles[index]
    if (!tile) return
    tile.element.classList.add('active')
    this.#box.setAttribute('aria-activedescendant', tile.element.id)
  }
}

const countFiles = (area: Area): number =>
  area.file === null ? area.areas.reduce((sum, other) => sum + countFiles(other), 0) : 1

function largestFile(area: Area): number | null {
  for (let at: Area | undefined = area; at !== undefined; at = at.areas[0]) if (at.file !== null) return at.file
  return null
}
