/** Elements of the page. What is said of a bundle comes in as text, never as markup: names may be anybody's. */

type Child = Node | string | null

/** @param given attributes; a function is a listener by its name without `on` */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  given: Readonly<Record<string, string | number | boolean | null | (() => void)>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === false) continue
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter(child => child !== null))
  return element
}

/** An element that is in the page from the beginning. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no #${id}`)
  return element
}

/** A name as people may read it: what it holds does not turn the words around it. */
export const name = (text: string): HTMLElement => el('bdi', { class: 'name' }, text)

/** Where a file or directory, or a package, is told of: main.ts shows what the address names, and Back goes back. */
export const fileLink = (id: number, label: string): HTMLElement => el('a', { href: `#file-${id}` }, name(label))
export const packageLink = (id: number, label: string): HTMLElement => el('a', { href: `#package-${id}` }, name(label))

/** `12.3 MB`, in units of 10^6 bytes. */
export const bytesText = (bytes: number): string =>
  bytes < 1000 ? `${bytes} B` : bytes < 999_950 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`

export const counted = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`
