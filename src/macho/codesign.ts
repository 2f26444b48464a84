/**
 * Apple's codesign, where there is one: its signatures are what macOS itself makes. Called by its full path, for Nix
 * packages another program of that name (sigtool). The file is ours already, in staging, and its inode is new: the kernel
 * keeps what it knows of an inode's signature, and kills a program whose file was signed again in place.
 */
import { BundleError } from '../errors.ts'
import { runTool } from '../io/tool.ts'

const CODESIGN = '/usr/bin/codesign'

/**
 * Signs a file ad hoc; what the old signature says of entitlements, requirements and the hardened runtime stays.
 * @param tool the program to run
 * @throws BundleError('tool-missing' | 'tool-failed')
 */
export async function codesign(file: string, tool = CODESIGN): Promise<void> {
  const keep = '--preserve-metadata=identifier,entitlements,requirements,flags,runtime'
  const result = await runTool(tool, ['--force', '--sign', '-', keep, file])
  if (result.code !== 0)
    throw new BundleError('tool-failed', `codesign failed: ${result.stderr.trim()}`, {
      path: file,
      hint: 'use --signer builtin',
    })
}
