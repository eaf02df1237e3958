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
if (($# == 0)); then
  for component in rustfmt clippy; do
    cargo "${component/rust/}" --version >/dev/null 2>&1 || { say "$component is missing: installing it with rustup"; rustup component add "$component"; }
  done
  say 'checking the format'
  cargo fmt --all --check
  support/scripts/spelling-test.sh
  say 'checking the lints'
  cargo clippy --locked --all-targets -- -D warnings
fi
say 'running the tests'
# Many tests wait: for a commit, a deadline, or a process that ends.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}
cargo test --locked "$@"
if (($# == 0)); then
  support/scripts/mcp-test.sh
  # The clients of agents wait most of the time, so they run beside the next tests. What they need
  # is installed by now, except for the clients: two installations by apt-get cannot run side by
  # side.
  log=$(mktemp)
  agents=
  trap 'rm -f "$log"; [[ -z $agents ]] || kill "$agents" 2>/dev/null' EXIT
  say 'starting the tests with the clients of agents; their output follows later'
  support/scripts/agents-test.sh >"$log" 2>&1 &
  agents=$!
  support/scripts/schema-test.sh
  support/scripts/python-test.sh
  agents_failed=0
  wait "$agents" || agents_failed=$?
  agents=
  cat "$log"
  ((agents_failed == 0)) || fail 'the tests with the clients of agents failed'
  support/scripts/browser-test.sh
fi
