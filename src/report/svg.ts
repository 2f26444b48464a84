/** DOT as SVG, by Graphviz compiled to WebAssembly, which is installed where somebody wants it: it has 2 MB. */
import { BundleError } from '../errors.ts'

/** By a variable, so that it is not built in. */
const GRAPHVIZ: string = '@hpcc-js/wasm-graphviz'

interface GraphvizModule {
  readonly Graphviz: { load(): Promise<{ dot(source: string): string }> }
}

/** @throws BundleError('tool-missing') where it is not installed */
export async function svgOf(dot: string): Promise<string> {
  let module: GraphvizModule
  try {
    module = (await import(GRAPHVIZ)) as GraphvizModule
  } catch (error) {
    throw new BundleError('tool-missing', `${GRAPHVIZ} is not installed beside storefree`, {
      hint: `npm install ${GRAPHVIZ}, or: bundle graph TARGET --format dot | dot -Tsvg`,
      cause: error,
    })
  }
  return (await module.Graphviz.load()).dot(dot)
}
