# shellcheck shell=bash disable=SC2154,SC2016 # $bash is the build's; "$0" is meant
# Wrappers as nixpkgs' makeWrapper and makeBinaryWrapper leave them in the
# store: the text (spacing included) is what a bundler has to read.

# make_wrapper PROGRAM WRAPPER [--argv0 NAME | --inherit-argv0]
#   [--set VAR VAL] [--set-default VAR VAL] [--unset VAR]
#   [--prefix VAR SEP VAL] [--suffix VAR SEP VAL] [--run COMMAND]
#   [--chdir DIR] [--add-flags FLAGS] [--append-flags FLAGS]
make_wrapper() {
  local program=$1 wrapper=$2 argv0='"$0"' before='' after=''
  local var sep values value mode i
  shift 2
  mkdir -p "$(dirname "$wrapper")"
  {
    echo "#! $bash/bin/bash -e"
    while (($#)); do
      case $1 in
      --set) echo "export $2=${3@Q}"; shift 3 ;;
      --set-default) echo "export $2=\${$2-${3@Q}}"; shift 3 ;;
      --unset) echo "unset $2"; shift 2 ;;
      --run) echo "$2"; shift 2 ;;
      --chdir) echo "cd ${2@Q}"; shift 2 ;;
      --add-flags) before="$before $2"; shift 2 ;;
      --append-flags) after="$after $2"; shift 2 ;;
      --argv0) argv0=${2@Q}; shift 2 ;;
      --inherit-argv0) argv0='"$0"'; shift ;;
      --prefix | --suffix)
        mode=$1 var=$2 sep=${3@Q}
        IFS=$3 read -ra values <<< "$4"
        shift 4
        # The first of several prefixes comes first in the result, so they
        # are put in front last to first.
        for ((i = 0; i < ${#values[@]}; i++)); do
          if [ "$mode" = --prefix ]; then
            value=${values[${#values[@]} - 1 - i]@Q}
          else
            value=${values[i]@Q}
          fi
          echo "$var=\${$var:+$sep\$$var$sep}"
          if [ "$mode" = --prefix ]; then
            echo "$var=\${$var/$sep$value$sep/$sep}"
            echo "$var=$value\$$var"
          else
            echo "if [[ \$$var != *$sep$value$sep* ]]; then"
            echo "    $var=\$$var$value"
            echo "fi"
          fi
          echo "$var=\${$var#$sep}"
          echo "$var=\${$var%$sep}"
          echo "export $var"
        done
        ;;
      *) echo "make_wrapper: $1?" >&2; return 1 ;;
      esac
    done
    echo "exec -a $argv0 \"$program\" $before \"\$@\" $after"
  } > "$wrapper"
  chmod +x "$wrapper"
}

# make_binary_wrapper PROGRAM WRAPPER OPTIONS...: the same options (without
# --run), compiled. STYLE=old leaves the program unquoted in the text the
# wrapper carries, as nixpkgs did at first.
make_binary_wrapper() {
  local wrapper=$2
  local -a args=("$1" "${@:3}")
  mkdir -p "$(dirname "$wrapper")"
  wrapper_source "${args[@]}" > wrapper.c
  cc -Wall -Wpedantic -Wno-overlength-strings -Os -o "$wrapper" wrapper.c
}

c_string() {
  local s=${1//\\/\\\\}
  s=${s//\"/\\\"}
  printf '"%s"' "${s//$'\n'/\\n}"
}

wrapper_source() {
  local program=$1 text argv0='' inherit='' body='' n=0 flags='' word
  local -a words
  shift
  if [ "${STYLE-}" = old ]; then text=$program; else text=${program@Q}; fi
  text="makeCWrapper $text"
  while (($#)); do
    case $1 in
    --inherit-argv0)
      inherit=1
      text+=$' \\\n    '$1
      shift
      continue
      ;;
    --argv0) argv0=$(c_string "$2"); n=1 ;;
    --set) body+="    putenv($(c_string "$2=$3"));"$'\n'; n=2 ;;
    --set-default)
      body+="    assert_success(setenv($(c_string "$2"), $(c_string "$3"), 0));"$'\n'
      n=2
      ;;
    --unset) body+="    assert_success(unsetenv($(c_string "$2")));"$'\n'; n=1 ;;
    --chdir) body+="    assert_success(chdir($(c_string "$2")));"$'\n'; n=1 ;;
    --prefix | --suffix)
      body+="    set_env_${1#--}($(c_string "$2"), $(c_string "$3"), $(c_string "$4"));"$'\n'
      n=3
      ;;
    --add-flags) flags+=" $2"; n=1 ;;
    *) echo "make_binary_wrapper: $1?" >&2; return 1 ;;
    esac
    text+=$' \\\n    '$1
    shift
    for (( ; n > 0; n--)); do
      text+=" ${1@Q}"
      shift
    done
  done

  cat <<'C'
#define _GNU_SOURCE         /* See feature_test_macros(7) */
#include <unistd.h>
#include <stdlib.h>
#include <assert.h>
#include <stdio.h>

#define assert_success(e) do { if ((e) < 0) { perror(#e); abort(); } } while (0)

void set_env_prefix(char *env, char *sep, char *prefix) {
    char *existing = getenv(env), *val;
    if (!existing) { assert_success(setenv(env, prefix, 1)); return; }
    assert_success(asprintf(&val, "%s%s%s", prefix, sep, existing));
    assert_success(setenv(env, val, 1));
    free(val);
}

void set_env_suffix(char *env, char *sep, char *suffix) {
    char *existing = getenv(env), *val;
    if (!existing) { assert_success(setenv(env, suffix, 1)); return; }
    assert_success(asprintf(&val, "%s%s%s", existing, sep, suffix));
    assert_success(setenv(env, val, 1));
    free(val);
}

C
  echo "int main(int argc, char **argv) {"
  printf '%s' "$body"
  read -ra words <<< "$flags"
  if ((${#words[@]})); then
    echo "    char **argv_tmp = calloc(${#words[@]} + argc + 1, sizeof(*argv_tmp));"
    echo "    assert(argv_tmp != NULL);"
    echo "    argv_tmp[0] = argv[0];"
    for word in "${!words[@]}"; do
      echo "    argv_tmp[$((word + 1))] = $(c_string "${words[word]}");"
    done
    echo "    for (int i = 1; i < argc; ++i) argv_tmp[${#words[@]} + i] = argv[i];"
    echo "    argv_tmp[${#words[@]} + argc] = NULL;"
    echo "    argv = argv_tmp;"
  fi
  [ -n "$inherit" ] || echo "    argv[0] = ${argv0:-$(c_string "$program")};"
  echo "    return execv($(c_string "$program"), argv);"
  echo "}"
  printf 'const char * DOCSTRING = %s;\n' "$(c_string "


# ------------------------------------------------------------------------------------
# The C-code for this binary wrapper has been generated using the following command:


$text


# (Use \`nix-shell -p makeBinaryWrapper\` to get access to makeCWrapper in your shell)
# ------------------------------------------------------------------------------------


")"
}
