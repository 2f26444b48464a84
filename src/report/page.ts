/**
 * The page of a bundle (`--html`): one file that needs neither a network nor a server. What is said of the bundle lies in
 * it as JSON and gets into the page as text only (page/); a policy keeps all else out.
 */
import { createHash } from 'node:crypto'
import { Chains } from '../explain/chains.ts'
import { cpeOf } from '../explain/sbom/cpe.ts'
import { machinePurl, nixPurl } from '../explain/sbom/purl.ts'
import { sizeOf } from '../explain/size.ts'
import { type Explained, FILE_ROLES, NEED_KINDS, type Need } from '../model/explained.ts'
import type { PageData, PageFile, PageNeed, PagePackage } from '../model/page.ts'
import { identityOf } from '../nix/store-path.ts'
import { oneLine, toText } from '../paths.ts'
import { bytesText } from './describe.ts'
import { Labels } from './labels.ts'
import { reason } from './size.ts'
import { ASKED } from './why.ts'

/** What is built of page/: a script and a style sheet. */
export interface PageTexts {
  readonly script: string
  readonly style: string
}

/** Needs that are told: a browser takes no more. What something comes by first is told always. */
const NEEDS_MAX = 200_000

/** @param shown ids of files or directories that the page shows first */
export function pageHtml(
  explained: Explained,
  shown: readonly number[],
  tool: string,
  { script, style }: PageTexts,
): string {
  const { name, version, system } = explained.subject
  const title = escaped(oneLine(version === null ? name : `${name} ${version}`))
  const data = pageData(explained, shown, tool)
  // Within a script element only `<` can end it, or begin a comment.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c')
  const nar = data.nar === null ? '' : ` of a Nix closure of ${bytesText(data.nar)}`
  const packages = data.packages.filter(({ files }) => files > 0).length
  const policy = `default-src 'none'; script-src '${hashOf(script)}'; style-src '${hashOf(style)}'; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}: what is in it, and why</title>
<style>${style}</style>
</head>
<body>
<header>
<h1><bdi>${title}</bdi></h1>
<p>${escaped(oneLine(system))}, ${data.kind === 'bundle' ? 'a bundle' : 'before bundling'}: ${bytesText(data.bytes)}${nar}, ${data.files.length} files and links, ${packages} packages</p>
</header>
<noscript><p>The page needs JavaScript; it asks nothing of any network.</p></noscript>
<main>
<section aria-label="Picture of the bytes">
<div id="bar">
<nav id="way" aria-label="Where the picture is"></nav>
<label>Colour <select id="colour"><option value="role">what it is</option><option value="cause">why it is there</option></select></label>
<label id="show-out-label"><input type="checkbox" id="show-out"> what stayed out</label>
</div>
<div id="map" role="listbox" tabindex="0" aria-label="Files by their bytes: arrow keys, Enter goes in, Escape goes out; the tables below have the same"></div>
<ul id="legend" aria-label="Colours"></ul>
</section>
<aside aria-label="Search, and what is chosen">
<input id="search" type="search" placeholder="Search files and packages ( / )" aria-label="Search files and packages" autocomplete="off" spellcheck="false">
<p id="found" role="status"></p>
<ul id="results" aria-label="Found"></ul>
<div id="details" role="region" aria-label="What is chosen" aria-live="polite" tabindex="0"><p>Choose a file in the picture, or search for one: here stands why it is in the bundle.</p></div>
</aside>
</main>
<section aria-label="Tables">
<div id="tabs" role="tablist" aria-label="Tables">
<button type="button" role="tab" id="tab-packages" aria-controls="packages">Packages</button>
<button type="button" role="tab" id="tab-libraries" aria-controls="libraries">Libraries</button>
<button type="button" role="tab" id="tab-references" aria-controls="references">References</button>
<button type="button" role="tab" id="tab-out" aria-controls="out">Stayed out</button>
</div>
<div class="sheet" role="tabpanel" id="packages" aria-labelledby="tab-packages"></div>
<div class="sheet" role="tabpanel" id="libraries" aria-labelledby="tab-libraries" hidden></div>
<div class="sheet" role="tabpanel" id="references" aria-labelledby="tab-references" hidden></div>
<div class="sheet" role="tabpanel" id="out" aria-labelledby="tab-out" hidden></div>
</section>
<footer>${escaped(data.tool)}${data.digest === null ? '' : `; sha256 of bundle.json ${data.digest}`}</footer>
<script type="application/json" id="data">${json}</script>
<script>${script}</script>
</body>
</html>
`
}

const hashOf = (text: string): string => `sha256-${createHash('sha256').update(text, 'utf8').digest('base64')}`

const escaped = (text: string): string => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)

function pageData(explained: Explained, shown: readonly number[], tool: string): PageData {
  const { subject, files, directories, asked } = explained
  const labels = new Labels(explained)
  const chains = new Chains(explained)
  const size = sizeOf(explained)
  const told = toldNeeds(explained, chains)
  const places = new Map(told.map((index, place) => [index, place]))
  const came = (id: number): number | null => {
    const how = chains.cameBy(id)
    return how === null || how < 0 ? how : places.get(how)!
  }
  const firstFree = (id: number): boolean => id < files.length + directories.length
  return {
    name: oneLine(subject.name),
    version: subject.version === null ? null : oneLine(subject.version),
    system: oneLine(subject.system),
    kind: subject.kind,
    tool,
    digest: subject.digest,
    bytes: size.bytes,
    nar: size.nar,
    packages: packagesOf(explained, labels, size),
    roles: FILE_ROLES,
    kinds: NEED_KINDS,
    files: files.map(({ at, part, package: owner, size: bytes, role, type }, id): PageFile => {
      const [place, own] = [toText(at), toText(part)]
      const isUsual = owner === null ? own === '' : place === `pkg/${labels.package(owner)}/${own}`
      return [place, isUsual ? null : own, owner, bytes, FILE_ROLES.indexOf(role), type === 'link' ? 1 : 0, came(id)]
    }),
    directories: directories.map(({ package: owner, part }, i) => [owner, toText(part), came(files.length + i)]),
    needs: told.map(index => needRow(labels, explained.needs[index]!)),
    left: explained.needs.length - told.length,
    asked: asked.map(({ kind, name, to }) => [kind, ASKED[kind](toText(name)), to]),
    shown: shown.filter(firstFree),
  }
}

/** Indices of the needs that are told: what something comes by, and as many others as there is room for. */
function toldNeeds({ needs, files, directories }: Explained, chains: Chains): number[] {
  if (needs.length <= NEEDS_MAX) return needs.map((_, index) => index)
  const first = new Set<number>()
  for (let id = 0; id < files.length + directories.length; id++) first.add(chains.cameBy(id) ?? -1)
  let room = NEEDS_MAX - first.size
  return needs.flatMap((_, index) => (first.has(index) || room-- > 0 ? [index] : []))
}

function needRow(labels: Labels, need: Need): PageNeed {
  const kind = NEED_KINDS.indexOf(need.kind)
  // The page says this by itself.
  if (need.kind === 'member' && need.at.length === 0) return [need.from, need.to, kind]
  return [need.from, need.to, kind, labels.verb(need), labels.evidence(need)]
}

function packagesOf(explained: Explained, labels: Labels, size: ReturnType<typeof sizeOf>): PagePackage[] {
  const rows = new Map(size.packages.map(row => [row.package, row]))
  return explained.packages.map(({ name, digest, machine, nar, kept, keptCount }, id) => {
    const row = rows.get(id)
    const { pname, version, output } = identityOf(toText(name))
    const purl = digest === null ? null : nixPurl(pname, version, output, explained.subject.system)
    return {
      label: labels.package(id),
      version: machine?.version ?? version,
      purl: machine === null ? purl : machinePurl(machine),
      cpe: machine === null ? cpeOf(pname, version) : null,
      by: machine === null ? 'the name of its store path' : 'the package manager',
      files: row?.files ?? 0,
      bytes: row?.bytes ?? 0,
      alone: row?.alone ?? null,
      nar,
      why: row === undefined ? '' : reason(labels, row),
      kept: kept.map(({ from, place, via }) => [
        from,
        `${via === null ? '' : `${via}, `}${labels.places([place], 1)}${via === null ? '' : ': finds nothing there'}`,
      ]),
      keptCount,
    }
  })
}
