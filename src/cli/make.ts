/** `bundle TARGET...`: makes a bundle. It is what `bundle` does when no command is named. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { EXIT } from '../exit.ts'
import { DATA_KINDS, type DataKind } from '../model/graph.ts'
import type { BundleOptions } from '../options.ts'
import { FORMATS } from '../pack/format.ts'
import type { ImageOptions } from '../pack/image.ts'
import { orMistyped, refuseMistyped } from './mistyped.ts'
import {
  collect,
  load,
  type OutputOptions,
  print,
  printFindings,
  progressFor,
  wholeNumber,
  withOutput,
} from './output.ts'

type MakeOptions = Omit<BundleOptions, 'trace' | 'image' | 'policy'> &
  ImageOptions &
  OutputOptions & { trace?: boolean; policy?: string | false }

/**
 * Adds the command.
 * @param traced the command to trace, which stands behind `--`
 */
export function addMake(program: Command, traced: readonly string[]): void {
  const make = withOutput(program.command('make', { isDefault: true }))
    .description('make a bundle of a program')
    .argument(
      '<target...>',
      'a path with a slash in it (./result, /nix/store/...), a flake reference (nixpkgs#nginx), a Nix attribute (nginx, nginx^bin); where there is no Nix, a program on PATH',
    )
    .option('-o, --output <path>', 'where the bundle goes (default: ./<name>-<version>-<system>.tar.gz)')
    .addOption(new Option('-f, --format <format>', 'what it is (default: what --output ends in)').choices(FORMATS))
    .option('--prefix <directory>', 'make it for one fixed absolute place instead of any')
    .addOption(
      new Option('--launcher <kind>', 'how programs find their loader')
        .choices(['auto', 'stub', 'shell'])
        .default('auto'),
    )
    .addOption(
      new Option('--patcher <tool>', 'who edits ELF and Mach-O files')
        .choices(['auto', 'patchelf', 'install_name_tool'])
        .default('auto'),
    )
    .addOption(
      new Option('--signer <kind>', 'who signs Mach-O files: codesign on macOS, or the built-in signer')
        .choices(['auto', 'builtin'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--data <which>',
        'files besides programs and libraries: what is referenced, nothing, the whole closure',
      )
        .choices(['auto', 'none', 'all'])
        .default('auto'),
    )
    .option('--closure <file>', 'store paths of the closure, one a line or as JSON of Nix, where Nix cannot be asked')
    .option('--include <glob>', 'bring these too: a path such as glibc-2.36/lib/gconv/* (repeatable)', collect)
    .option('--exclude <glob>', 'leave these out (repeatable)', collect)
    .option('--trace', 'run the command behind -- and bring what it opens: --trace -- nginx -t')
    .option('--disallow <name>', 'fail if this package or library would be in the bundle (repeatable)', collect)
    .option('--policy <file>', 'what it may and must hold (default: storefree.json beside the flake, or here)')
    .option('--no-policy', 'whatever storefree.json says')
    .addOption(
      new Option(
        '--with <kinds>',
        'data to bring, from the store or else from this machine: ca-certificates,locales,tzdata',
      ).argParser(parseKinds),
    )
    .option('--licenses', 'gather licence texts in share/licenses/')
    .option('--sbom', 'put a bill of materials into the bundle: share/sbom/<name>-<version>.cdx.json (CycloneDX)')
    .option('--strip', 'leave out symbols and debug information')
    .option('--report <file>', 'write a full account of every store reference')
    .option('--program <name>', 'only this program of the targets (repeatable)', collect)
    .option('--file <file>', 'take attributes from this Nix file instead of nixpkgs')
    .option('--system <system>', 'have Nix build for this system, such as aarch64-linux')
    .option('--nix-arg <argument>', 'hand this on to Nix (repeatable)', collect)
    .option('--name <name>', "the bundle's name (default: the targets' names)", parseName)
    .option('--dry-run', 'write nothing: say what would be written and found, with --verbose each file')
    .option('--jobs <n>', 'files written at a time (default: one for each CPU)', wholeNumber(1, 1024))
    .option('--force', 'replace what is at the destination')
    .option('--link', 'links to the programs in /usr/bin (-f deb)')
    .optionsGroup('Images (-f oci):')
    .option('--ref <name>', 'NAME[:TAG] (default: the name and version)')
    .option('--entrypoint <program>', 'what it starts (default: the only program, or the one named as the bundle)')
    .option('--cmd <argument>', 'an argument for it (repeatable)', collect)
    .option('--env <pair>', 'NAME=VALUE (repeatable)', collect)
    .option('--expose <port>', '8080, 53/udp (repeatable)', collect)
    .option('--workdir <directory>', 'where it starts')
    .option('--label <pair>', 'NAME=VALUE (repeatable)', collect)
    .option('--stop-signal <signal>', 'what ends it, such as SIGQUIT')
    .option('--user <ids>', 'UID[:GID] in numbers')
    .option('--writable <directory>', 'made for whoever runs with group 0 (repeatable)', collect)
    .option('--add <pair>', 'SOURCE:DESTINATION, own files (repeatable)', collect)
    .option('--layers <n>', 'at most so many layers (default: 12)', wholeNumber(1, 1024))
    .addOption(new Option('--compression <kind>', 'of layers (default: gzip)').choices(['gzip', 'zstd', 'none']))
    .option('--push <ref>', 'REGISTRY/NAME[:TAG]: where it is pushed to, once it is verified')
    .option('--mount-from <name>', 'another repository there, whose layers are not sent again (repeatable)', collect)
    .option('--created <time>', 'RFC 3339 (default: SOURCE_DATE_EPOCH, else 1970)')
    .action(async (targets: [string, ...string[]], typed: MakeOptions) => {
      const pipeline = load()
      refuseMistyped(program, targets)
      const { trace: isTraced, policy: named, ...rest } = typed
      const [image, options] = splitImage(rest)
      const { bundle, bundleSummary, jsonFinding, plannedLines, toJson } = pipeline
      const progress = progressFor(options, pipeline)
      const policy = named === false ? null : (named ?? pipeline.findPolicy(targets, process.cwd()))
      const report = await bundle(targets, {
        ...options,
        image,
        ...(policy !== null && { policy }),
        ...(isTraced && { trace: traced }),
        progress,
        showNix: !options.quiet && !options.json && process.stderr.isTTY,
      }).catch(error => {
        throw orMistyped(error, program, targets)
      })
      progress.done()
      printFindings(report.findings, options, pipeline)
      if (options.json) print(toJson({ ...report, findings: report.findings.map(jsonFinding) }))
      else if (report.planned !== null) {
        if (options.verbose) print(plannedLines(report))
        if (!options.quiet) print(bundleSummary(report))
      } else if (report.output === null) process.stderr.write('nothing was written: there are errors\n')
      else if (!options.quiet) print(bundleSummary(report))
      process.exitCode = report.output === null && report.planned === null ? EXIT.findings : EXIT.ok
    })

  // Most people want the one command that has no name: its options belong on the first page.
  program.addHelpText(
    'after',
    () => `\n${make.helpInformation().replace(/^.*?(?=Arguments:)/s, 'bundle <target...>: make a bundle\n\n')}`,
  )
  make.usage('<target...> [options]')
}

export function parseKinds(text: string, before: readonly DataKind[] = []): DataKind[] {
  const kinds = text.split(',').map(word => {
    const kind = DATA_KINDS.find(k => k === word)
    if (kind === undefined) throw new InvalidArgumentError(`one or more of ${DATA_KINDS.join(', ')} is wanted`)
    return kind
  })
  return [...new Set([...before, ...kinds])]
}
parseKinds.words = DATA_KINDS

function parseName(text: string): string {
  if (!/^[^/\x00-\x1f]+$/.test(text) || text.startsWith('.') || text.startsWith('-'))
    throw new InvalidArgumentError('a plain file name is wanted')
  return text
}

/** The options of images, and all others. */
function splitImage<T extends ImageOptions>(typed: T): [ImageOptions, Omit<T, keyof ImageOptions>] {
  const isImage = ([name]: [string, unknown]): boolean => (IMAGE_OPTIONS as readonly string[]).includes(name)
  const all = Object.entries(typed)
  return [
    Object.fromEntries(all.filter(isImage)),
    Object.fromEntries(all.filter(pair => !isImage(pair))) as Omit<T, keyof ImageOptions>,
  ]
}
const IMAGE_OPTIONS = [
  ...['ref', 'entrypoint', 'cmd', 'env', 'expose', 'workdir', 'label', 'stopSignal', 'user', 'writable', 'add'],
  ...['layers', 'compression', 'created', 'push', 'mountFrom'],
] as const
