#!/usr/bin/env bash
# Starts parkbrake on this machine, with a database of its own; installs what is missing for that, and says so before.
# Arguments are those of `parkbrake dev`.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
cd "$root"
[[ -x target/debug/parkbrake ]] || say "building; the first time this takes some minutes"
exec cargo run --quiet -- dev "$@"
