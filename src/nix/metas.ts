/**
 * What the expressions of a target's dependencies say of them, by one evaluation. It walks from the target into those
 * derivations only of which an output is in the bundle's closure, by the attributes that they were made with, and asks the
 * set of packages for those that stand in a text alone.
 */
import { BundleError } from '../errors.ts'
import { runTool } from '../io/tool.ts'
import { FLAKES, isAttribute, isFlake, type NixOptions, outputsOf } from './build.ts'
import { type Meta, metaOf, readMeta } from './meta.ts'
import { identityOf, STORE_DIR } from './store-path.ts'

/** The environment and one argument hold so much on Linux (MAX_ARG_STRLEN, 128 KiB), less the expression itself. */
const ARGUMENT_MAX = 120_000

/**
 * By the store paths of what is wanted.
 * @param word as it was typed; of what is no attribute and no flake nothing is evaluated
 * @param roots store paths
 */
export async function metasOf(
  word: string,
  roots: readonly string[],
  options: NixOptions,
): Promise<ReadonlyMap<string, Meta>> {
  const flake = isFlake(word)
  if (!flake && (word.includes('/') || !isAttribute(word))) return new Map()
  const { what } = outputsOf(word)
  const expression = walk(what, roots, flake ? null : (options.file ?? '<nixpkgs>'), options.cwd)
  const settings = [...(options.system === null ? [] : ['--system', options.system]), ...options.args]
  // Nix calls a function only where it was given something for it.
  const hasArguments = options.args.some(arg => arg === '--arg' || arg === '--argstr')
  const reference = what.includes('#') ? what : `${what}#default`
  const args = flake
    ? ['eval', '--json', ...FLAKES, ...settings, reference, '--apply', expression]
    : ['--eval', '--strict', '--json', '-E', hasArguments ? expression : `(${expression}) { }`, ...settings]
  const told =
    expression.length > ARGUMENT_MAX ? null : await evaluated(flake ? 'nix' : 'nix-instantiate', args, options)
  if (told !== null) return told
  // What throws where no field can be asked alone says nothing of the others: then the target is asked by itself.
  const own = await metaOf(word, options)
  return own === null ? new Map() : new Map(own.outputs.map(root => [root, own]))
}

async function evaluated(
  tool: string,
  args: readonly string[],
  { cwd }: NixOptions,
): Promise<ReadonlyMap<string, Meta> | null> {
  try {
    const { code, stdout } = await runTool(tool, args, { cwd })
    if (code !== 0) return null
    const rows: unknown = JSON.parse(stdout)
    if (!Array.isArray(rows)) return null
    const metas = rows.flatMap(row => readMeta(row) ?? [])
    return new Map(metas.flatMap(meta => meta.outputs.map(root => [root, meta] as const)))
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof BundleError && error.code === 'tool-missing')) return null
    throw error
  }
}

/** A text of Nix's language. */
const quoted = (text: string): string => `"${text.replace(/["\\$]/g, '\\$&')}"`

/** @param file null: a function of the target, for a flake */
function walk(what: string, roots: readonly string[], file: string | null, cwd: string): string {
  const hashes = roots.map(root => root.slice(STORE_DIR.length + 1, STORE_DIR.length + 33))
  const names = [...new Set(roots.map(root => identityOf(root.slice(STORE_DIR.length + 34)).pname))]
  const list = (texts: readonly string[]): string => `[ ${texts.map(quoted).join(' ')} ]`
  const set = file?.startsWith('<') ? file : `(/. + ${quoted(file?.startsWith('/') ? file : `${cwd}/${file}`)})`
  const path = what.split('.').map(quoted).join(' ')
  return `
${file === null ? 'target: let set = { };' : `args@{ ... }: let set = call (import ${set}); target = builtins.foldl' (at: name: call at.\${name}) set [ ${path} ];`}
  call = f: if builtins.isFunction f then f (builtins.intersectAttrs (builtins.functionArgs f) ${file === null ? '{ }' : 'args'}) else f;
  plain = builtins.unsafeDiscardStringContext;
  attempt = v: let r = builtins.tryEval v; in if r.success then r.value else null;
  deep = v: attempt (builtins.deepSeq v v);
  wanted = builtins.listToAttrs (map (name: { inherit name; value = true; }) ${list(hashes)});
  isWanted = path: wanted ? \${builtins.substring ${STORE_DIR.length + 1} 32 path};
  isDrv = v: attempt (builtins.isAttrs v && (v.type or null) == "derivation" && v ? drvPath) == true;
  outputsOf = d: builtins.filter (p: p != null) (map (o: deep (plain d.\${o}.outPath)) (d.outputs or [ "out" ]));
  parts = v: let at = attempt v; in if isDrv at then [ at ] else if builtins.isList at then builtins.concatMap parts at else [ ];
  madeWith = d: builtins.concatMap parts ((builtins.attrValues (d.drvAttrs or { })) ++ [ (d.stdenv.cc.cc or null) (d.stdenv.cc.libc or null) ]);
  node = d: { key = deep (plain d.drvPath); drv = d; };
  isIn = d: isDrv d && deep (plain d.drvPath) != null && builtins.any isWanted (outputsOf d);
  named = builtins.concatMap (n: if set ? \${n} then parts set.\${n} else [ ]) ${list(names)};
  all = builtins.genericClosure {
    startSet = map node (builtins.filter isIn ([ target ] ++ named));
    operator = { drv, ... }: map node (builtins.filter isIn (madeWith drv));
  };
  text = v: if builtins.isString v then v else null;
  licence = v: if builtins.isString v then v else if builtins.isAttrs v then { spdxId = text (v.spdxId or null); fullName = text (v.fullName or null); shortName = text (v.shortName or null); } else null;
  licences = v: if builtins.isList v then map licence v else licence v;
  first = v: if builtins.isList v && v != [ ] then builtins.head v else v;
in map ({ key, drv }: {
  derivation = key;
  outputs = outputsOf drv;
  license = deep (licences (drv.meta.license or null));
  homepage = deep (text (first (drv.meta.homepage or null)));
  description = deep (text (drv.meta.description or null));
  cpe = deep (text (drv.meta.identifiers.cpe or null));
}) all`
}
