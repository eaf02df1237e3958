#!/usr/bin/env bash
# Starts parkbrake on this machine, with its own database; installs what is missing, and says so
# before. Arguments are those of `parkbrake dev`.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
cd "$root"
[[ -x target/debug/parkbrake ]] || say "building; the first time this takes some minutes"
exec cargo run --quiet -- dev "$@"
