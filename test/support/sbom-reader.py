"""Reads a bill of materials beside the bundle that it is of, and shares no code with what wrote it.

sbom-reader.py DOCUMENT DIRECTORY: exits with 1 and says what is wrong, or prints what it counted.
"""

import base64
import hashlib
import json
import os
import re
import sys

document, directory = sys.argv[1:]
with open(document, encoding="utf-8") as file:
    text = file.read()
sbom = json.loads(text)
wrong = []


def walk(components, owner=None):
    for component in components:
        yield component, owner
        yield from walk(component.get("components", []), component)


every = list(walk(sbom["components"]))
refs = [sbom["metadata"]["component"]["bom-ref"]] + [c["bom-ref"] for c, _ in every]
for ref in {ref for ref in refs if refs.count(ref) > 1} if len(refs) < 20000 else ():
    wrong.append(f"two components are {ref}")
if len(set(refs)) != len(refs):
    wrong.append("bom-refs are not unique")
known = set(refs)
for row in sbom["dependencies"]:
    for ref in [row["ref"], *row.get("dependsOn", [])]:
        if ref not in known:
            wrong.append(f"{ref} leads nowhere")
for row in sbom["compositions"]:
    for ref in [*row.get("assemblies", []), *row.get("dependencies", [])]:
        if ref not in known:
            wrong.append(f"{ref} leads nowhere")


def place(ref):
    if ref.startswith("file:base64:"):
        return base64.b64decode(ref[len("file:base64:"):])
    return ref[len("file:"):].encode()


listed = {}
for component, owner in every:
    if component["type"] != "file":
        continue
    at = place(component["bom-ref"])
    if owner is None:
        wrong.append(f"{at} is of no package")
    if at in listed:
        wrong.append(f"{at} is in two components")
    listed[at] = {h["alg"]: h["content"] for h in component["hashes"]}

root = os.fsencode(directory)
found = set()
for parent, _, names in os.walk(root):
    for name in names:
        path = os.path.join(parent, name)
        if os.path.islink(path):
            continue
        at = os.path.relpath(path, root)
        found.add(at)
        with open(path, "rb") as file:
            contents = file.read()
        for algorithm, digest in (("SHA-256", hashlib.sha256), ("SHA-512", hashlib.sha512)):
            if listed.get(at, {}).get(algorithm) != digest(contents).hexdigest():
                wrong.append(f"{at} has another {algorithm}")
for at in listed.keys() - found:
    wrong.append(f"{at} is not in the bundle")

if "/nix/store" in text:
    wrong.append("a store path is in it")
for name in re.findall(r"(?<![0-9a-z])[0-9a-df-np-sv-z]{32}-[a-z]", text):
    wrong.append(f"a hash is in it: {name}")

for line in wrong[:20]:
    print(line)
if wrong:
    sys.exit(1)
nested = [c for c, owner in every if owner is not None and c["type"] != "file"]
print(json.dumps({
    "packages": len(sbom["components"]),
    "inside": len(nested),
    "files": len(listed),
    "cpe": sum("cpe" in c for c in sbom["components"]),
    "licences": sum("licenses" in c for c in sbom["components"]),
}))
