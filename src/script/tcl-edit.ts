/**
 * Store paths in the text of a Tcl script.
 *
 * In Tcl a text in braces is code or data as whoever is given it sees fit, so nothing can be put in for a single path. As
 * a Perl text (perl-edit.ts), the file has placeholders of equal length, which name nothing. Its first command reads the
 * file, puts the bundle's root in, evaluates that in the same place and returns: `source` reads no further. `[info script]`
 * is what it was, and so are lines, but for a message's "body line".
 *
 * Refused are texts with more than ASCII, whose encoding `source` may have been told, and texts with a Control-Z, which
 * ends them. A root with characters that mean something to Tcl cannot be put in, but another way to it that the text was
 * called by (entry/alias.h); where there is none, an error says so.
 */
import { HASH_LENGTH, STORE_PREFIX_LENGTH } from '../nix/store-path.ts'
import type { BundlePath } from '../paths.ts'
import { blankedSite, joined, refuseAll, type Site, type TextEdit, textEdit, withInserted } from './edit.ts'

/** @param place where the text will lie */
export function editTcl(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  if (/[^\x01-\x19\x1b-\x7e]/.test(text) || !/^[\w/.+=@~-]*$/.test(place)) return refuseAll(text, sites, 'unparsable')
  const start = text.startsWith('#!') ? text.indexOf('\n') + 1 : 0
  // Numbers tell packages apart whose names begin alike.
  const places = new Map([...new Set(sites.flatMap(({ to }) => to ?? []))].map((to, number) => [to, number]))
  const named = new Map<string, string>()
  const edit = textEdit(text, sites, site => {
    if (site.to === null || site.offset < start) return blankedSite(text, site)
    const name = text.slice(site.offset + STORE_PREFIX_LENGTH, site.offset + site.length)
    const put = `/var/empty/${`${places.get(site.to)}`.padStart(HASH_LENGTH, 'o')}-${name}`
    named.set(put, site.to)
    return { splice: { offset: site.offset, length: site.length, text: put }, outcome: 'templated' }
  })
  if (named.size === 0) return edit
  return withInserted(edit, start, `${loader(place, named)} `)
}

const MARK = `/var/empty/${'o'.repeat(HASH_LENGTH)}-`

/** What fills the text in: where the mark in it has been filled in itself, it does nothing. */
function loader(place: BundlePath, named: ReadonlyMap<string, string>): string {
  const longestFirst = [...named].sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1))
  const pairs = longestFirst.map(([put, to]) => `${put} $r/${to}`).join(' ')
  return joined(`
    if {[string match /var/empty/o* ${MARK}]} {return [eval [apply {{} {
    set s [info script];
    set f $s;
    while {![catch {file readlink $f} l]} {set f [file join [file dirname $f] $l]};
    set r [file normalize $f];
    if {![string match */${place} $r]} {error "$s: cannot find its bundle"};
    set r [string range $r 0 end-${place.length + 1}];
    if {![regexp {^[\\w/.=+@-]*$} $r] && [string match /* $s]} {
    set w $s;
    file stat $r a;
    while {$w ne "/"} {
    set w [file dirname $w];
    file stat $w b;
    if {$a(dev) == $b(dev) && $a(ino) == $b(ino)} {set r $w; break}
    }
    };
    if {![regexp {^[\\w/.,:=+@%^-]*$} $r]} {error "$s: its bundle lies in a directory whose name it cannot hold: $r"};
    set c [open $s];
    fconfigure $c -eofchar \\x1a;
    set t [read $c];
    close $c;
    string map "${MARK} - ${pairs}" $t
    }}]]};
  `)
}
