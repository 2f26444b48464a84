/** `bundle verify PATH...`: proves that trees, archives, images and files hold no store reference. */
import type { Command } from 'commander'
import { EXIT } from '../exit.ts'
import type { Audited, AuditOptions } from '../verify/audit.ts'
import {
  collect,
  load,
  type OutputOptions,
  type Pipeline,
  print,
  printFindings,
  progressFor,
  wholeNumber,
  withOutput,
} from './output.ts'

type VerifyOptions = Omit<AuditOptions, 'judge'> & OutputOptions & { github?: boolean; sarif?: string; policy?: string }

export function addVerify(program: Command): void {
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
    .option(
      '--jobs <n>',
      'threads that look into files of a directory (default: one for each CPU)',
      wholeNumber(1, 1024),
    )
    .option('--policy <file>', 'what it may and must hold (docs/policy.md)')
    .option('--sarif <file>', 'write SARIF 2.1.0')
    .option('--github', 'annotations for GitHub Actions')
    .action(async (paths: string[], options: VerifyOptions) => {
      const pipeline = load()
      const progress = progressFor(options, pipeline)
      const policy = options.policy === undefined ? null : pipeline.readPolicy(options.policy, process.cwd())
      const judge = policy && { judge: pipeline.judgeBy(policy) }
      const result = await pipeline.audit(paths, { ...options, ...judge }, progress)
      progress.done()
      if (options.sarif !== undefined) pipeline.writeSarif(options.sarif, result.audited)
      for (const audited of result.audited) printAudited(audited, options, pipeline)
      if (options.json) print(pipeline.verifyJson(result))
      else if (result.stale > 0 && !options.quiet)
        process.stderr.write(`note: found no longer, of the baseline: ${result.stale}\n`)
      process.exitCode = result.clean ? EXIT.ok : EXIT.findings
    })
}

function printAudited(audited: Audited, options: VerifyOptions, pipeline: typeof Pipeline): void {
  if (options.github) for (const command of pipeline.annotations(audited)) print(command)
  if (options.json) return
  const { findings } = audited
  const table = options.quiet ? '' : pipeline.referenceTable(findings)
  if (table !== '') print(table)
  printFindings(table === '' ? findings : findings.filter(f => !pipeline.isReference(f)), options, pipeline)
  if (!options.quiet) print(pipeline.verifySummary(audited))
}
