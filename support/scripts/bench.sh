#!/usr/bin/env bash
# Measures parkbrake, built as for a release, and for comparison pgbench and a plain group commit on
# the same PostgreSQL. Installs what is missing, and says so before. Arguments are those of the
# benchmark: --help lists them, support/bench/README.md explains them. Nothing else should be
# running on the machine.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
need_pgbench
cd "$root"
say 'building for release; the first time this takes some minutes'
exec cargo bench --quiet --locked --bench workload -- "$@"
