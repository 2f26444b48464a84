/**
 * A Java program in the forms in which nixpkgs has them: behind a wrapper, behind a compiled one, with a runtime of its own
 * by jlink, by a class path, and started by a script that looks for JAVA_HOME; on Debian's OpenJDK in a store path, beside
 * the original. Needs Debian's openjdk-17-jdk-headless. (nixpkgs#11939: a VM that came without what lies beside it.)
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal, type Jobs } from '../support/beside-original.ts'
import { fixture, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'
import { filesBelow, wrap } from '../support/store-shape.ts'

const MACHINE = '/usr/lib/jvm/java-17-openjdk-amd64'

const MAIN = `
package app;
import java.io.*;
import java.net.*;
import java.nio.charset.Charset;
import java.nio.file.*;
import java.time.*;
import java.util.*;
public class Main {
  public static void main(String[] args) throws Exception {
    System.out.println("arguments " + Arrays.toString(args) + " mode " + System.getenv("MODE") + " property " + System.getProperty("app"));
    switch (args.length == 0 ? "" : args[0]) {
      case "home" -> {
        System.out.println(System.getProperty("java.home"));
        System.out.println(ProcessHandle.current().info().command().get());
        System.out.println(Path.of(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI()));
      }
      case "resource" -> {
        System.out.print(new String(Main.class.getResourceAsStream("/text.txt").readAllBytes()));
        System.out.print(Files.readString(Path.of(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI()).resolveSibling("../app/data.txt")));
        System.out.println(dep.Dep.text());
      }
      case "runtime" -> {
        System.out.println(ZonedDateTime.of(2020, 7, 1, 0, 0, 0, 0, ZoneId.of("Europe/Berlin")).getOffset());
        System.out.println(Charset.forName("windows-1252").encode("\\u20ac").get(0) + " " + Locale.getDefault());
        System.out.println(java.security.MessageDigest.getInstance("SHA-256").getProvider());
        System.out.println(javax.net.ssl.SSLContext.getDefault().getProtocol());
        System.out.println(System.mapLibraryName("net") + " " + String.format("%,d", 1234567));
      }
      case "net" -> {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
          Thread t = new Thread(() -> { try (Socket s = server.accept()) { s.getOutputStream().write("served\\n".getBytes()); } catch (IOException e) { e.printStackTrace(); } });
          t.start();
          try (Socket s = new Socket(server.getInetAddress(), server.getLocalPort())) { System.out.print(new String(s.getInputStream().readAllBytes())); }
          t.join();
        }
      }
      case "process" -> {
        Process p = new ProcessBuilder(ProcessHandle.current().info().command().get(), "-version").redirectErrorStream(true).start();
        System.out.print(new String(p.getInputStream().readAllBytes()));
        System.out.println(p.waitFor());
      }
      case "throw" -> throw new IllegalStateException("thrown");
      case "exit" -> System.exit(7);
      default -> { }
    }
  }
}`
const DEP = `package dep; public class Dep { public static String text() { return "from another jar"; } }`

const JOBS: Jobs = Object.fromEntries(
  ['', 'home a "b c"', 'resource', 'runtime', 'net', 'process', 'throw', 'exit', '--version'].map(args => [
    `app ${args}`.trim(),
    `$T/bin/app ${args}`,
  ]),
)

const run = (file: string, args: readonly string[], cwd?: string): string =>
  execFileSync(file, args, { encoding: 'utf8', ...(cwd !== undefined && { cwd }) })

/** Has the objects of a Java VM find the store's libraries, as nixpkgs' are built. */
function bound(home: string): void {
  const glibc = fixture('glibc')
  const libraries = [glibc, fixture('zlib'), fixture('libstdcxx')].map(path => `${path}/lib`).join(':')
  for (const file of filesBelow(home)) {
    if (!readFileSync(file).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) continue
    run('patchelf', ['--set-rpath', `$ORIGIN:$ORIGIN/..:$ORIGIN/../lib:${libraries}`, file])
    if (basename(dirname(file)) === 'bin' || /jspawnhelper|jexec/.test(file))
      run('patchelf', ['--set-interpreter', `${glibc}/lib/ld-linux-x86-64.so.2`, file])
  }
}

/** Debian's, as nixpkgs has it: home is lib/openjdk, and bin leads there. */
function openjdk(): string {
  const root = storePath('openjdk-headless-17')
  const home = join(root, 'lib/openjdk')
  for (const part of ['bin', 'lib', 'conf', 'release'])
    cpSync(join(MACHINE, part), join(home, part), {
      recursive: true,
      dereference: true,
      // The sources are another package of Debian's, and what libraries of a screen's need is not there either.
      filter: path =>
        !/\/(?:src\.zip|lib(?:splashscreen|jawt|awt_xawt|fontmanager|j2pcsc|javajpeg|jsound|lcms|atk-wrapper)\.so)$/.test(
          path,
        ),
    })
  bound(home)
  symlinkSync('lib/openjdk/bin', join(root, 'bin'))
  return root
}

/** As nixpkgs' jre_minimal: home is the package. */
function jlinked(): string {
  const root = storePath('jre-minimal-17')
  const image = join(temporary(), 'image')
  run(`${MACHINE}/bin/jlink`, ['--add-modules', 'java.base,java.naming', '--output', image])
  cpSync(image, root, { recursive: true, dereference: true })
  bound(root)
  return root
}

let jars: string
let jdk: string
beforeAll(() => {
  jdk = openjdk()
  jars = temporary()
  mkdirSync(join(jars, 'classes'))
  writeFileSync(join(jars, 'Main.java'), MAIN)
  writeFileSync(join(jars, 'Dep.java'), DEP)
  writeFileSync(join(jars, 'classes/text.txt'), 'a resource\n')
  writeFileSync(join(jars, 'manifest'), 'Main-Class: app.Main\nClass-Path: dep.jar\n')
  run('javac', ['-d', 'classes', 'Main.java', 'Dep.java'], jars)
  run('jar', ['-cf', 'dep.jar', '-C', 'classes', 'dep'], jars)
  run('jar', ['-cfm', 'app.jar', 'manifest', '-C', 'classes', 'app', '-C', 'classes', 'text.txt'], jars)
})

/** The program in bin/, on a Java VM. */
const FORMS: Readonly<Record<string, (app: string, vm: string, program: string) => void>> = {
  'a wrapper': (app, vm, program) =>
    wrap('make_wrapper', [{ program: `${vm}/bin/java`, wrapper: program, options: options(app, vm) }]),
  'a binary wrapper': (app, vm, program) =>
    wrap('make_binary_wrapper', [{ program: `${vm}/bin/java`, wrapper: program, options: options(app, vm) }]),
  "jlink'ed": (app, vm, program) =>
    wrap('make_wrapper', [
      {
        program: `${vm}/bin/java`,
        wrapper: program,
        options: ['--set', 'MODE', 'linked', '--add-flags', `-Dapp=1 -jar ${app}/share/java/app.jar`],
      },
    ]),
  'a class path': (app, vm, program) =>
    wrap('make_wrapper', [
      {
        program: `${vm}/bin/java`,
        wrapper: program,
        options: ['--add-flags', `-Dapp=cp -cp "${app}/share/java/app.jar:${app}/share/java/dep.jar" app.Main`],
      },
    ]),
  'a script with CLASSPATH': (app, vm, program) =>
    writeFileSync(
      program,
      `#!${fixture('bash')}/bin/bash\n: "\${JAVA_HOME:=${vm}/lib/openjdk}"\nexport MODE=script CLASSPATH="${app}/share/java/*\${CLASSPATH:+:$CLASSPATH}"\nexec "$JAVA_HOME/bin/java" -Dapp=script app.Main "$@"\n`,
      { mode: 0o755 },
    ),
}
const options = (app: string, vm: string): string[] => [
  ...['--set', 'JAVA_HOME', `${vm}/lib/openjdk`, '--set', 'MODE', 'wrapped'],
  ...['--add-flags', `-Dapp=1 -jar ${app}/share/java/app.jar`],
]

describe.each(Object.keys(FORMS))('%s', form => {
  let beside: Beside
  beforeAll(() => {
    const app = storePath('app-1.0', { 'share/app/data.txt': 'data beside the jar\n' })
    mkdirSync(join(app, 'bin'))
    mkdirSync(join(app, 'share/java'))
    for (const jar of ['app.jar', 'dep.jar']) cpSync(join(jars, jar), join(app, 'share/java', jar))
    FORMS[form]!(app, form === "jlink'ed" ? jlinked() : jdk, join(app, 'bin/app'))
    beside = besideOriginal(app, JOBS)
  }, 1_200_000)

  test.each(Object.keys(JOBS))('%s', job => {
    expect(beside.original['app resource']).toContain('from another jar\nexit 0')
    expect.soft(beside.relocatable[job]).toBe(beside.original[job])
    expect.soft(beside.prefix[job]).toBe(beside.original[job])
  })

  test('nothing is said', () => {
    expect(beside.said).toEqual({ relocatable: '', prefix: '' })
  })
})
