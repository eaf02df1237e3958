#!/usr/bin/env bash
# Runs everything that a change has to pass: format, spelling, lints, and all tests, including those
# of the API against its document, of the Model Context Protocol, with the clients of agents, of the
# Python client, and in a browser. Installs what is missing, and says so before. Arguments are
# passed to `cargo test`, to run a part of the tests; everything else is then skipped.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
need_script_tools
need_go_task
cd "$root"
# Many tests wait: for a commit, a deadline, or a process that ends.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((3 * $(getconf _NPROCESSORS_ONLN)))}
if (($# > 0)); then
  exec cargo test --locked "$@"
fi

logs=$(mktemp -d)
others=
# The other suites are a process group of their own, with the servers that they start.
trap '[[ -z $others ]] || kill -- "-$others" 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# The suites of other languages. The first one installs what those need that run side by side,
# because two installations by apt-get cannot.
run_others() {
  local clients status=0
  support/scripts/mcp-test.sh || return
  { support/scripts/agents-test.sh && support/scripts/browser-test.sh; } >"$logs/clients" 2>&1 &
  clients=$!
  { support/scripts/schema-test.sh && support/scripts/python-test.sh; } || status=$?
  wait "$clients" || status=$?
  cat "$logs/clients"
  return "$status"
}

for component in rustfmt clippy; do
  cargo "${component/rust/}" --version >/dev/null 2>&1 || { say "$component is missing: installing it with rustup"; rustup component add "$component"; }
done
say 'checking the format'
cargo fmt --all --check
support/scripts/spelling-test.sh
say 'checking the lints'
cargo clippy --locked --all-targets -- -D warnings
say 'building'
cargo test --locked --no-run
# The program without the dependencies of its tests, for the other suites and for tests/shipped.rs.
build_program
built=$SECONDS
say 'running the tests; the other suites run beside them, and their output follows later'
set -m
run_others >"$logs/others" 2>&1 &
others=$!
set +m
cargo test --locked
say "cargo's tests have passed after $((SECONDS - built)) s; waiting for the other suites"
status=0
wait "$others" || status=$?
others=
cat "$logs/others"
((status == 0)) || fail 'a suite failed; its output is above'
say "all tests have passed, $((SECONDS - built)) s after the build"
