/**
 * The command line: argv -> options -> one call -> report -> exit code. Standard output is the result, standard error
 * is progress and messages.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { Audited, AuditOptions } from './audit.ts'
import { DATA_KINDS, type DataKind } from './data-kinds.ts'
import { EXIT } from './exit.ts'
import type { Progress } from './io/progress.ts'
import type { Finding } from './model.ts'
import type { BundleOptions } from './options.ts'
import { FORMATS } from './pack/format.ts'
import type * as Pipeline from './pipeline.ts'
import type { TryOptions } from './try.ts'
import { VERSION } from './version.ts'

/** The built pipeline.ts, beside this file. Named by a variable, so that it is not built into it. */
const PIPELINE: string = './pipeline.cjs'
/** Set when there was work to do: --version and --help need none of it. */
let loaded: typeof Pipeline | undefined

async function load(): Promise<typeof Pipeline> {
  loaded ??= (await import(PIPELINE)) as typeof Pipeline
  return loaded
}

interface OutputOptions {
  json?: boolean
  quiet?: boolean
  verbose?: boolean
}

type MakeOptions = Omit<BundleOptions, 'trace'> & OutputOptions & { trace?: boolean }

const program = new Command('bundle')
  .description('Turn a program built with Nix into a bundle that runs where there is no Nix.')
  .version(VERSION)
  .exitOverride()
  .usage('<target...> [options]\n       bundle verify <path...>\n       bundle try <bundle> [-- command...]')
  .showHelpAfterError('(bundle --help for the options)')

const withOutput = (command: Command): Command =>
  command
    .option('--json', 'print one JSON document on standard output')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-v, --verbose', 'print notes too')

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
    new Option('--data <which>', 'files besides programs and libraries: what is referenced, nothing, the whole closure')
      .choices(['auto', 'none', 'all'])
      .default('auto'),
  )
  .option('--include <glob>', 'bring these too: a path such as glibc-2.36/lib/gconv/* (repeatable)', collect)
  .option('--exclude <glob>', 'leave these out (repeatable)', collect)
  .option('--trace', 'run the command behind -- and bring what it opens: --trace -- nginx -t')
  .option('--disallow <name>', 'fail if this package or library would be in the bundle (repeatable)', collect)
  .addOption(
    new Option(
      '--with <kinds>',
      'data to bring, from the store or else from this machine: ca-certificates,locales,tzdata',
    ).argParser(parseKinds),
  )
  .option('--licenses', 'gather licence texts in share/licenses/')
  .option('--strip', 'leave out symbols and debug information')
  .option('--report <file>', 'write a full account of every store reference')
  .option('--program <name>', 'only this program of the targets (repeatable)', collect)
  .option('--file <file>', 'take attributes from this Nix file instead of nixpkgs')
  .option('--system <system>', 'have Nix build for this system, such as aarch64-linux')
  .option('--nix-arg <argument>', 'hand this on to Nix (repeatable)', collect)
  .option('--name <name>', "the bundle's name (default: the targets' names)", parseName)
  .option('--dry-run', 'plan only: say what would be written, with --verbose each file')
  .option('--jobs <n>', 'files written at a time (default: one for each CPU)', parseCount)
  .option('--force', 'replace what is at the destination')
  .action(async (targets: [string, ...string[]], typed: MakeOptions) => {
    const pipeline = await load()
    const { trace: isTraced, ...options } = typed
    const { bundle, bundleSummary, jsonFinding, plannedLines, toJson } = pipeline
    const progress = progressFor(options, pipeline)
    const report = await bundle(targets, {
      ...options,
      ...(isTraced && { trace: traced }),
      progress,
      showNix: !options.quiet && !options.json && process.stderr.isTTY,
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

withOutput(program.command('verify'))
  .description('prove that a tree, archive, image or file holds no store reference')
  .argument('<path...>', 'directories, tar archives (gzip, zstd, xz, bzip2), zips, OCI and docker images, any file')
  .option('--allow <glob>', 'references are allowed in these paths of the tree (repeatable)', collect)
  .option('--store-dir <directory>', 'another store directory besides /nix/store (repeatable)', collect)
  .option('--hashes <file>', 'store paths, one a line: their hashes must not appear either')
  .option('--closed', 'everything must resolve inside (a bundle must anyway)')
  .option('--strict', 'what cannot be looked into is an error')
  .option('--baseline <file>', 'findings that are known: fail on new ones only')
  .option('--write-baseline <file>', 'accept what is found now')
  .option('--sarif <file>', 'write SARIF 2.1.0')
  .option('--github', 'annotations for GitHub Actions')
  .action(async (paths: string[], options: AuditOptions & OutputOptions & { github?: boolean }) => {
    const pipeline = await load()
    const progress = progressFor(options, pipeline)
    const result = await pipeline.audit(paths, options, progress)
    progress.done()
    for (const audited of result.audited) printAudited(audited, options, pipeline)
    if (options.json) print(pipeline.verifyJson(result))
    else if (result.stale > 0 && !options.quiet)
      process.stderr.write(`note: found no longer, of the baseline: ${result.stale}\n`)
    process.exitCode = result.clean ? EXIT.ok : EXIT.findings
  })

program
  .command('try')
  .description('run a program of a bundle in an empty root: no /nix, no libraries, no shell of this machine')
  .argument('<bundle>', 'a directory or an archive that bundle made')
  .argument('[command...]', 'a program of it with arguments, behind -- (default: its only program)')
  .option('--trace', 'say which paths outside the bundle were opened (strace)')
  .option('--shell <file>', 'a static shell for /bin/sh, such as /bin/busybox')
  .action(async (path: string, command: string[], options: TryOptions) => {
    const pipeline = await load()
    const { code, method, outside } = await pipeline.tryBundle(
      path,
      [...command, ...traced],
      options,
      progressFor({}, pipeline),
    )
    if (outside !== null) process.stderr.write(`${pipeline.traceText(method, outside)}\n`)
    process.exitCode = code
  })

function printAudited(
  audited: Audited,
  options: OutputOptions & { github?: boolean },
  pipeline: typeof Pipeline,
): void {
  if (options.github) for (const command of pipeline.annotations(audited)) print(command)
  if (options.json) return
  const { findings } = audited
  const table = options.quiet ? '' : pipeline.referenceTable(findings)
  if (table !== '') print(table)
  printFindings(table === '' ? findings : findings.filter(f => !pipeline.isReference(f)), options, pipeline)
  if (!options.quiet) print(pipeline.verifySummary(audited))
}

function collect(glob: string, before: readonly string[] = []): string[] {
  return [...before, glob]
}

function parseCount(text: string): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1 || n > 1024)
    throw new InvalidArgumentError('a whole number from 1 to 1024 is wanted')
  return n
}

function parseKinds(text: string, before: readonly DataKind[] = []): DataKind[] {
  const kinds = text.split(',').map(word => {
    const kind = DATA_KINDS.find(k => k === word)
    if (kind === undefined) throw new InvalidArgumentError(`one or more of ${DATA_KINDS.join(', ')} is wanted`)
    return kind
  })
  return [...new Set([...before, ...kinds])]
}

function parseName(text: string): string {
  if (!/^[^/\x00-\x1f]+$/.test(text) || text.startsWith('.') || text.startsWith('-'))
    throw new InvalidArgumentError('a plain file name is wanted')
  return text
}

const progressFor = ({ json, quiet }: OutputOptions, { silent, terminalProgress }: typeof Pipeline): Progress =>
  process.stderr.isTTY && !json && !quiet && !process.env.CI ? terminalProgress(process.stderr) : silent

function printFindings(
  findings: readonly Finding[],
  { json, quiet, verbose }: OutputOptions,
  { line }: typeof Pipeline,
): void {
  if (json) return
  for (const finding of findings)
    if (finding.severity === 'error' || (!quiet && (finding.severity === 'warning' || verbose)))
      process.stderr.write(`${line(finding)}\n`)
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** The command line as Node has it, and the command to trace that stands behind `--` with `--trace`. */
const [words, traced] = splitTraced(process.argv)

function splitTraced(argv: readonly string[]): [string[], string[]] {
  const dashes = argv.indexOf('--')
  const isTraced = dashes >= 0 && argv.slice(0, dashes).includes('--trace')
  return isTraced ? [argv.slice(0, dashes), argv.slice(dashes + 1)] : [[...argv], []]
}

/** Whether all work is done, and its exit code set. */
let finished = false

/** The last act on a signal: nothing half-made is left, no tool runs on. */
function onSignal(signal: NodeJS.Signals, code: number): void {
  process.once(signal, () => {
    // What is published stays, whatever comes between that and our end.
    if (finished) process.exit()
    loaded?.cleanUp()
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
    process.stderr.write('interrupted: nothing was written\n')
    process.exit(code)
  })
}

async function main(): Promise<void> {
  onSignal('SIGINT', EXIT.interrupted)
  onSignal('SIGTERM', 143)
  onSignal('SIGHUP', 129)
  // Whoever reads our output may have enough of it (`| head`).
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit()
    throw error
  })
  try {
    await program.parseAsync(words)
    finished = true
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.failed
      // What was said of it stands on standard error.
      const message = error.message.replace(/^error: /, '')
      if (error.exitCode !== 0 && words.includes('--json'))
        print((await load()).jsonError({ code: 'usage', message, hint: 'bundle --help for the options' }))
    } else if (loaded !== undefined && error instanceof loaded.BundleError) {
      const { errorText, jsonError } = loaded
      if (words.includes('--json')) print(jsonError(error))
      process.stderr.write(`${errorText(error)}\n`)
      process.exitCode = error.code === 'interrupted' ? EXIT.interrupted : EXIT.failed
    } else throw error
  }
}

void main()
