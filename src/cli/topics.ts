/** What `bundle help TOPIC` tells beside the commands: what goes for several of them. A test asks whether each option is there. */
import type { Command } from 'commander'

export interface Topic {
  readonly name: string
  readonly about: string
  readonly text: string
}

export const TOPICS: readonly Topic[] = [
  {
    name: 'targets',
    about: 'what can be bundled, and in which order it is looked for',
    text: `A word with a slash is a path: a program, or a directory with bin/, sbin/ or libexec/ (./result, /nix/store/...).
A word with # or a scheme is a flake reference (.#app, nixpkgs#nginx, github:owner/repo#app).
Any other word is an attribute that Nix builds, from <nixpkgs>, the registry's nixpkgs, or --file. When Nix fails, its
error is the answer. Only where there is no Nix it is a program on PATH.

  nginx^bin       one output of an attribute or a flake; ^* takes all
  --program NAME  only this program of the targets
  git less        several targets make one bundle`,
  },
  {
    name: 'formats',
    about: 'the shapes that a bundle comes in',
    text: `-f, or the ending of --output, picks one:

  dir             a directory
  tar             and tar.gz (the default), tar.zst
  oci             an image for docker, podman, Kubernetes (.oci.tar); see: bundle help images
  deb             a package for dpkg that depends on nothing, in /opt/NAME; --link adds /usr/bin/PROGRAM
  exe             one file that unpacks itself into the user's cache at its first start

All of them have bundle.json, and verify, why, size and tree read all of them.`,
  },
  {
    name: 'places',
    about: 'relocatable, or for one place',
    text: `Without --prefix a bundle is relocatable: it runs wherever it is unpacked, and may be moved. Programs find their loader
by a stub inside them (--launcher stub), or by a /bin/sh launcher beside them on other CPUs (--launcher shell).

With --prefix DIRECTORY all paths are those of one place. Needed for set-uid programs; images (/app) and packages
(/opt/NAME) are made so.

Data files of a relocatable bundle that can only name a fixed place are told it by its ./relocate.`,
  },
  {
    name: 'data',
    about: 'which files come along, and how to have more or fewer of them',
    text: `Programs, what their loaders need, and what any file of the bundle names by store path.

  --include GLOB  also these, --exclude GLOB not these: paths without store directory and hash, such as 'perl-5.36/lib/*'
  --data none     programs and libraries only; --data all the whole closure
  --trace -- COMMAND
                  also what a run of it opens
  --with          ca-certificates, locales, tzdata: what no package holds
  --disallow NAME fail if that would be in it
  --dry-run -v    file by file what would be in it, and why not what is not

Why something is in it: bundle why TARGET NAME. What it costs: bundle size TARGET.`,
  },
  {
    name: 'images',
    about: 'what an image is, and where it goes',
    text: `  --entrypoint PROGRAM --cmd ARGUMENT --env NAME=VALUE --workdir DIRECTORY --expose PORT --label NAME=VALUE
                  what it starts, and how
  --user UID[:GID]
                  in numbers, as Kubernetes' runAsNonRoot wants them
  --writable DIRECTORY
                  made for whoever runs with group 0, such as OpenShift's random users
  --add SOURCE:DESTINATION
                  own files
  --layers N --compression gzip|zstd|none --created TIME --ref NAME:TAG
  --push REF      to a registry, once it is verified, with the passwords of docker login; --mount-from REPOSITORY
                  takes over layers that another repository there has

docker load, podman load, skopeo and buildah take the file, and find the same image id.`,
  },
  {
    name: 'verdicts',
    about: 'exit codes, and what is an error',
    text: `  0    published, or clean
  1    findings: something is wrong with the program or the bundle, a line each; nothing is published
  2    it could not be done at all
  130  interrupted

Errors keep a bundle from being published, warnings are of what a program may miss, notes (-v) of what no run would
notice. --json has all of them, mistakes on the command line too. A storefree.json (--policy FILE) makes more an error.`,
  },
  {
    name: 'environment',
    about: 'variables that are looked at',
    text: `  NIX_PATH           where <nixpkgs> is; all others of Nix are Nix's
  SOURCE_DATE_EPOCH  the time in an image and in a bill of materials (else the epoch's first second)
  DOCKER_CONFIG      where the passwords of docker login are (else ~/.docker)
  CI, TERM=dumb      no progress is shown; it never is where standard error is no terminal
  TMPDIR             where bundles are tried, and images taken apart
  XDG_CACHE_HOME     where compiled code of this command is kept, in storefree/code (else ~/.cache)
  STOREFREE_NO_CODE_CACHE=1
                     it is not kept, nor read

Nothing is coloured, so NO_COLOR and CLICOLOR_FORCE change nothing. A file of -f exe looks at XDG_CACHE_HOME and HOME for
where to unpack, and at STOREFREE_EXTRACT for where to unpack and end.`,
  },
]

/** What can be asked for. */
export const helpNames = (program: Command): string[] => [
  ...program.commands.map(command => command.name()),
  ...TOPICS.map(topic => topic.name),
]
