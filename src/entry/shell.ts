/**
 * The shell launcher: a `/bin/sh` script in a program's place that runs the program with the bundle's own loader. It
 * serves any CPU.
 *
 * It finds the bundle's root by walking up from where it was started until the program it stands for is below. So links
 * inside the bundle cost no tool, and only a link from outside needs `readlink`. argv[0] becomes what the shell sees as
 * $0: the path that was run, with the name of the link it was run by, so programs that look at their name still see it.
 * Nothing but what POSIX has: busybox' shell knows no `-ef`.
 *
 * What a shell launcher cannot do: `/proc/self/exe` and the process name are the loader's.
 */
import type { BundlePath } from '../model.ts'

export interface Launch {
  /** null for a program that needs none, or has a launcher of its own. */
  readonly loader: BundlePath | null
  /** What the loader runs: an ELF program. */
  readonly program: BundlePath
  /** A script that the program interprets, with the name and the argument that its `#!` line gives it. */
  readonly script: {
    readonly at: BundlePath
    readonly interpreter: BundlePath
    readonly argument: string | null
  } | null
  /** Whether the loader knows `--argv0`. */
  readonly argv0: boolean
}

/** The launcher's text. */
export function shellLauncher({ loader, program, script, argv0 }: Launch): Buffer {
  const inRoot = (path: string): string => `"$_storefree_root"${quote(`/${path}`)}`
  const arguments_ = [
    ...(loader === null ? [] : [inRoot(loader)]),
    // A script's interpreter is told its own path, as the kernel does for a #! line: bash is another as `sh`.
    ...(argv0 ? ['--argv0', script ? inRoot(script.interpreter) : '"$0"'] : []),
    inRoot(program),
    ...(script?.argument ? [quote(script.argument)] : []),
    ...(script ? [inRoot(script.at)] : []),
    '"$@"',
  ]
  return Buffer.from(
    TEMPLATE.replaceAll('@PROGRAM@', () => quote(`/${script?.at ?? program}`)).replace('@EXEC@', () =>
      arguments_.join(' '),
    ),
    'latin1',
  )
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

// $(...) drops newlines at the end of a directory's name, so an x is put behind it and taken off again.
const TEMPLATE = `#!/bin/sh
# Runs a program of this bundle with the bundle's own loader and libraries, wherever the bundle lies.
_storefree_self=$0
case $_storefree_self in */*) ;; *) _storefree_self=./$_storefree_self ;; esac
while :; do
  _storefree_root=$(CDPATH= cd -P -- "\${_storefree_self%/*}/" && pwd -P && echo x) || exit 127
  _storefree_root=\${_storefree_root%??}
  while ! [ -f "$_storefree_root"@PROGRAM@ ] && [ -n "$_storefree_root" ]; do
    _storefree_root=\${_storefree_root%/*}
  done
  [ -f "$_storefree_root"@PROGRAM@ ] && break
  if ! [ -h "$_storefree_self" ] || ! command -v readlink >/dev/null; then
    echo "$0: cannot find its bundle: run it from inside the unpacked bundle, or by a link to it (needs readlink)" >&2
    exit 127
  fi
  _storefree_link=$(readlink -- "$_storefree_self" && echo x) || exit 127
  _storefree_link=\${_storefree_link%??}
  case $_storefree_link in
    /*) _storefree_self=$_storefree_link ;;
    *) _storefree_self=\${_storefree_self%/*}/$_storefree_link ;;
  esac
done
exec @EXEC@
`
