/** What a bundle can be written as. */
export const FORMATS = ['dir', 'tar', 'tar.gz', 'tar.zst', 'oci', 'deb', 'exe'] as const
export type Format = (typeof FORMATS)[number]

/** What the names of files of a format end in, the first by default; a longer ending is asked first. */
export const ENDINGS: Readonly<Record<Exclude<Format, 'dir'>, readonly string[]>> = {
  oci: ['.oci.tar', '.oci'],
  deb: ['.deb'],
  // It is called as the program is.
  exe: [],
  'tar.gz': ['.tar.gz', '.tgz'],
  'tar.zst': ['.tar.zst'],
  tar: ['.tar'],
}
