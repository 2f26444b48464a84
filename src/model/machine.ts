/** What a machine's package manager says of a file, types only. Texts as its database has them. */

/** By the types of package URLs. */
export const MANAGERS = ['deb', 'apk', 'rpm'] as const

export interface MachinePackage {
  readonly manager: (typeof MANAGERS)[number]
  readonly name: string
  /** With epoch and revision: `1:9.18-2`. */
  readonly version: string
  readonly arch: string | null
  /** The source that it is built of, where that is called otherwise. */
  readonly source: string | null
  /** `debian-12`, by /etc/os-release. */
  readonly distro: string | null
}
