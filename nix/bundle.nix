# A bundle as a derivation: target -> derivation. A target is a derivation, an app ({ type = "app"; program = ...; }), a path
# or a string that holds a store path.
{ lib, stdenvNoCC, storefree, format ? "dir", options ? [ ] }:
target:
let
  isApp = builtins.isAttrs target && (target.type or "") == "app";
  wanted = if isApp then target.program else if lib.isDerivation target then lib.getBin target else target;
  text = "${wanted}";
  # Nix takes no path below a store path for a graph (NixOS/nix#6820). Cut off with substring, for match drops the context.
  found = builtins.match "(${builtins.storeDir}/[^/]+).*" (builtins.unsafeDiscardStringContext text);
  root = assert lib.assertMsg (found != null) "storefree: no store path: ${text}";
    builtins.substring 0 (builtins.stringLength (builtins.head found)) text;
  # The file is called as the package is. A directory has a short name, for its place is part of what programs are told.
  package = if format == "dir" then "bundle" else builtins.substring 33 (-1) (baseNameOf (builtins.unsafeDiscardStringContext root));
  endings = { dir = ""; tar = ".tar"; "tar.gz" = ".tar.gz"; "tar.zst" = ".tar.zst"; oci = ".oci.tar"; deb = ".deb"; exe = ""; };
  isPlain = format == "dir" || format == "tar";
in
stdenvNoCC.mkDerivation {
  name = "${package}${endings.${format}}";
  nativeBuildInputs = [ storefree ];
  __structuredAttrs = true;
  exportReferencesGraph.closure = [ root ];
  # Nix itself proves that nothing is left. Of what is compressed it sees nothing, and proves nothing: that is verify's.
  outputChecks.out = if isPlain then { allowedReferences = [ ]; } else { };
  # Stripping and patching would undo what was done.
  dontUnpack = true;
  dontFixup = true;
  # Nix 2.8 names a place in NIX_ATTRS_JSON_FILE that its sandbox has not.
  buildCommand = ''
    attrs=$NIX_BUILD_TOP/.attrs.json
    [ -e "$attrs" ] || attrs=$NIX_ATTRS_JSON_FILE
    bundle ${lib.escapeShellArgs ([ text "-f" format ] ++ options)} \
      --closure "$attrs" -o "$out"
  '';
}
