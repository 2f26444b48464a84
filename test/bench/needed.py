#!/usr/bin/env python3
"""The libraries that an ELF file names, in the first directory of its RPATH that has each: two processes a file, as
nix-bundle-exe asks for them."""
import os
import subprocess
import sys


def ask(what):
    return subprocess.run(["patchelf", what, sys.argv[1]], capture_output=True, text=True, check=True).stdout


directories = [d for d in ask("--print-rpath").strip().split(":") if d]
for name in ask("--print-needed").split():
    paths = (os.path.join(d.replace("$ORIGIN", os.path.dirname(sys.argv[1])), name) for d in directories)
    found = next(filter(os.path.exists, paths), None)
    if found:
        print(found)
