# Scripts and wrappers.
{ make, base, upstream, programs }:
let
  inherit (base) glibc;
  inherit (upstream) bash;
  inherit (programs) probe multicall;
  package = args: make.package ({ inherit glibc bash; version = "1.0"; } // args);
  wrappers = make.file ../build/wrappers.sh;
in
{
  scripts = package {
    pname = "scripts";
    mainProgram = "hello-sh";
    inherit probe;
    texts = make.file ../src/scripts;
    # nixpkgs would patch these two as well; programs that write scripts at run
    # time, and packages built elsewhere, have such first lines.
    keepShebangs = [ "env-sh" "plain-sh" ];
    script = ''
      mkdir -p $out/bin $out/lib/scripts $out/libexec/scripts $out/share/scripts
      echo "one line of data" > $out/share/scripts/data.txt
      echo "1.0" > $out/share/scripts/version.txt
      for file in $texts/*; do
        case $file in
        */common.sh) target=$out/lib/scripts/common.sh ;;
        */helper) target=$out/libexec/scripts/helper ;;
        *) target=$out/bin/''${file##*/} ;;
        esac
        sed "s|@out@|$out|g; s|@bash@|$bash|g; s|@probe@|$probe|g" "$file" > "$target"
      done
      chmod +x $out/bin/* $out/libexec/scripts/helper
    '';
  };

  wrapped = package {
    pname = "wrapped";
    mainProgram = "wrapped";
    inherit probe multicall wrappers;
    script = ''
      . $wrappers
      mkdir -p $out/bin $out/share/wrapped
      echo "data of wrapped" > $out/share/wrapped/data.txt
      cp $probe/bin/probe $out/bin/.wrapped-wrapped
      make_wrapper $out/bin/.wrapped-wrapped $out/bin/wrapped \
        --set FX_SET "two words, a ' and a \"" \
        --set FX_DATA $out/share/wrapped/data.txt \
        --set-default FX_DEFAULT 'the default' \
        --unset FX_UNSET \
        --prefix PATH : $probe/bin:$multicall/bin \
        --prefix FX_PREFIX ';' first \
        --suffix FX_SUFFIX : $multicall/bin:/plain/directory \
        --add-flags "--fx-flag --fx-data=$out/share/wrapped/data.txt"

      # Flags after the arguments, a name of its own for the program, and no
      # variable at all.
      make_wrapper $out/bin/.wrapped-wrapped $out/bin/wrapped-name \
        --argv0 another-name --append-flags --fx-last

      # A command: more than environment and flags.
      make_wrapper $out/bin/.wrapped-wrapped $out/bin/wrapped-run \
        --run 'FX_RUN=$(( 6 * 7 )); export FX_RUN'
    '';
  };

  binwrapped = package {
    pname = "binwrapped";
    mainProgram = "binwrapped";
    inherit probe multicall wrappers;
    script = ''
      . $wrappers
      mkdir -p $out/bin $out/share/binwrapped
      echo "data of binwrapped" > $out/share/binwrapped/data.txt
      cp $probe/bin/probe $out/bin/.binwrapped-wrapped
      make_binary_wrapper $out/bin/.binwrapped-wrapped $out/bin/binwrapped \
        --inherit-argv0 \
        --set FX_SET "two words, a ' and a \"" \
        --set FX_DATA $out/share/binwrapped/data.txt \
        --set-default FX_DEFAULT 'the default' \
        --unset FX_UNSET \
        --prefix PATH : $probe/bin:$multicall/bin \
        --prefix FX_PREFIX ';' first \
        --suffix FX_SUFFIX : $multicall/bin:/plain/directory \
        --add-flags "--fx-flag --fx-data=$out/share/binwrapped/data.txt"

      # As the first binary wrappers wrote it: the program's path unquoted.
      STYLE=old make_binary_wrapper $out/bin/.binwrapped-wrapped $out/bin/binwrapped-old \
        --argv0 another-name --set FX_OLD yes --chdir $out/share/binwrapped
    '';
  };
}
