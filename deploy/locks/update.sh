#!/usr/bin/env bash
# Writes the lock files of the image anew: the newest releases that pyproject.toml admits, with the hashes of all their files.
#   make lock
# What an existing lock file names is kept as long as it is admitted; LOCK_OPTIONS=--upgrade takes newer ones.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv=${UV:-.venv/bin/uv}

lock() { # INPUT OUTPUT OPTION...
  input=$1 output=$2
  shift 2
  # Universal: one file for every platform and every Python from 3.11, with markers.
  "$uv" --no-config --quiet pip compile "$input" --output-file "$output" --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" ${LOCK_OPTIONS:-} "$@"
}

lock pyproject.toml deploy/locks/cpu.txt --extra cpu
lock pyproject.toml deploy/locks/gpu.txt --extra gpu

requirements=$(mktemp)
trap 'rm -f "$requirements"' EXIT
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' >"$requirements"
lock "$requirements" deploy/locks/build.txt --no-annotate
