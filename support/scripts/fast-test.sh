#!/usr/bin/env bash
# Runs the fast tests: the core (some of its tests start a PostgreSQL), the properties, the
# architecture rules, the stored events, and the clients against a stand-in. Use it while you work;
# support/scripts/test.sh runs everything.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
cd "$root"
exec cargo test --locked --lib --test architecture --test golden --test state_machine --test properties --test cli "$@"
