#!/usr/bin/env bash
# The matrix of agent clients: runs the real Claude Code and Codex, each with its hook and with
# permissions that ask nobody, against a server that is healthy, down, slow, killed, or sends
# garbage; with a hook that is killed or too slow; and with calls that are parked, approved,
# rejected and expired. It checks whether the tool ran. It works offline, in a network namespace of
# its own, with a model on loopback that requests one call.
#
#   npm install --prefix FOLDER @anthropic-ai/claude-code@2.1.332 @openai/codex@0.171.0
#   sudo support/scripts/agent-matrix.sh FOLDER [--short]
#
# With --short it leaves out the slow cases: requests that expire, and slow servers and hooks.
#
# Prints a table in Markdown. The exit status is 1 if a row differs from what is expected; for some
# rows INTEGRATIONS.md says that no hook can stop the tool.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

modules=$(cd -- "${1:?name the folder where npm has installed the clients}" && pwd)/node_modules
claude=$(echo "$modules"/@anthropic-ai/claude-code-linux-*/claude)
codex=$(echo "$modules"/@openai/codex-linux-*/vendor/*/bin/codex)
[[ -x $claude && -x $codex ]] || fail "the programs of the clients are not in $modules"
short=${2:-}
[[ -z $short || $short == --short ]] || fail "$short is unknown: write --short, or nothing"
((EUID == 0)) || fail 'this needs root, for a network namespace and machine-wide settings'
if [[ -z ${AGENT_MATRIX_INSIDE:-} ]]; then
  need_program jq jq jq jq
  need_postgres
  build_program
  export program
  # A network without other programs, and machine-wide settings that belong to nobody else.
  AGENT_MATRIX_INSIDE=1 exec unshare --net --mount -- "${BASH_SOURCE[0]}" "$@"
fi
ip link set lo up
cd "$root"
source support/scripts/lib/dev-server.sh

work=$(mktemp -d)
model= bad=
tidy_up() {
  for process in $model $bad; do kill "$process" 2>/dev/null || true; done
  umount -l /etc 2>/dev/null || true
  rm -rf "$work"
}
mkdir -p "$work"/{etc,overlay,config,agent/.claude,agent/.codex}
# Codex trusts only the hooks of the machine; so both clients find theirs in machine-wide settings,
# which are mounted over this machine's own.
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/etc,workdir=$work/overlay" /etc

cp -r config/. "$work/config"
cat >"$work/config/hitl/approval-policies.yaml" <<'YAML'
people:
  alice: { roles: [team_lead, tech_lead] }
  cora: { roles: [cto, admin] }
agents:
  deploy-bot: { on_behalf_of: cora }
policies:
  medium: { expire_after: 25s, on_expiry: reject }
  high: { expire_after: 25s, on_expiry: reject }
  critical: { expire_after: 25s, on_expiry: reject }
escalation:
  medium: [ { after: 20s, to: [cto] } ]
  high: [ { after: 20s, to: [cto] } ]
  critical: [ { after: 20s, to: [admin] } ]
YAML
start_server "$work/config"
token() { awk -v name="$1" '$2 == name { print $3 }' "$home/tokens"; }
printf '%s\n' "$(token deploy-bot)" >"$work/token"
chmod 600 "$work/token"
echo id0 >"$work/id"; echo true >"$work/command"
python3 support/scripts/agent-matrix/model.py "$work" 8899 & model=$!
python3 support/scripts/agent-matrix/server.py & bad=$!
cat >"$work/agent/.codex/config.toml" <<'TOML'
model = "gpt-5.1-codex"
model_provider = "matrix"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.matrix]
name = "matrix"
base_url = "http://127.0.0.1:8899/v1"
wire_api = "responses"
TOML
sleep 1

calls=0
unallowed=0
wrong=0
person=$(token alice)

# install_hook CLIENT URL [--defer]: installs the hook as `parkbrake hook install` writes it.
install_hook() {
  "$program" hook install "$1" --managed --yes --url "$2" --token-file "$work/token" --deadline 5s "${@:3}" >/dev/null 2>&1
}

# broken_hook CLIENT COMMAND: installs the same settings with another command.
broken_hook() {
  local file=/etc/codex/hooks.json
  [[ $1 == codex ]] || file=/etc/claude-code/managed-settings.json
  install_hook "$1" "$PARKBRAKE_URL"
  jq --arg command "$2" '.hooks[][].hooks[] |= (.command = $command | .timeout = 2)' "$file" >"$work/settings" && cp "$work/settings" "$file"
}

# run CLIENT COMMAND: runs the client once; its model requests the command. The result is in
# $work/result. With a $session, Claude Code continues it, and its model requests nothing.
session=
run() {
  calls=$((calls + 1))
  printf 'call_%s_%s' "$$" "$calls" >"$work/id"
  printf '%s' "$2" >"$work/command"
  rm -f "$work/result"
  local environment=(PATH=/usr/bin:/bin HOME="$work/agent" ANTHROPIC_BASE_URL=http://127.0.0.1:8899 ANTHROPIC_API_KEY=none
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 IS_SANDBOX=1)
  local prompt=('do it')
  [[ -z $session ]] || prompt=(--resume "$session")
  (cd "$work/agent" && if [[ $1 == claude-code ]]; then
    env -i "${environment[@]}" timeout 90 "$claude" -p "${prompt[@]}" --model claude-sonnet-4-5 --permission-mode bypassPermissions --output-format json
  else
    env -i "${environment[@]}" timeout 90 "$codex" exec --skip-git-repo-check 'do it'
  fi) </dev/null >"$work/out" 2>&1 || true
}

# row CLIENT CASE EXPECTED COMMAND FILE: runs the client, and reports whether the tool ran,
# according to the file that it creates. EXPECTED is `ran`, `no`, or `either` if no hook can stop
# it.
row() {
  rm -f "$5"
  run "$1" "$4"
  local ran=no verdict='as it has to be'
  if [[ -e $5 ]]; then ran=ran; fi
  if [[ $3 == either ]]; then
    verdict='no hook can stop it'
  elif [[ $ran != "$3" ]]; then
    verdict='**not as expected**'
    wrong=$((wrong + 1))
    [[ $ran == no ]] || unallowed=$((unallowed + 1))
  fi
  printf '| %s | %s | %s | %s |\n' "$1" "$2" "$ran" "$verdict"
  # The result that the model got, for debugging.
  printf '%s, %s: %.300s\n' "$1" "$2" "$(tr '\n' ' ' <"$work/result" 2>/dev/null || echo 'no result')" >&2
}

# of_parked PATH BODY: alice's decision on the newest waiting request.
of_parked() {
  local id
  id=$(curl -s -H "Authorization: Bearer $person" "$PARKBRAKE_URL/workflows/pending?limit=1" | jq -r '.workflows[0].workflow_id')
  curl -s -o /dev/null -H "Authorization: Bearer $person" -H 'Content-Type: application/json' -d "$2" "$PARKBRAKE_URL/workflows/$id/$1"
}

printf 'Claude Code %s (`-p`, `bypassPermissions`), Codex %s (`exec`, `approval_policy = never`, `danger-full-access`), on %s.\n\n' \
  "$("$claude" --version | awk '{ print $1 }')" "$("$codex" --version | awk '{ print $2 }')" "$(date -u +%F)"
printf '| client | case | the tool | |\n|---|---|---|---|\n'
outside=$work/outside
mkdir "$outside"
for client in claude-code codex; do
  ran=$work/agent/ran-$client
  install_hook "$client" "$PARKBRAKE_URL"
  harmless="write $ran"
  # Codex has no separate tool for writing a file.
  [[ $client != codex ]] || harmless="echo ran > ran-$client"
  row "$client" 'a call that needs no approval' ran "$harmless" "$ran"
  asks="chmod -R 777 $outside; touch $outside/$client-ran"
  row "$client" 'a call that people have to approve' no "$asks" "$outside/$client-ran"
  of_parked approve '{}'
  row "$client" 'the same call, approved' ran "$asks" "$outside/$client-ran"
  row "$client" 'the same call once more' no "$asks" "$outside/$client-ran"
  of_parked reject '{"reason": "Once is enough"}'
  row "$client" 'the same call, rejected' no "$asks" "$outside/$client-ran"
  # Codex has no equivalent.
  if [[ $client == claude-code ]]; then
    later="chmod -R 775 $outside; touch $outside/$client-deferred"
    install_hook "$client" "$PARKBRAKE_URL" --defer
    row "$client" 'a call, deferred' no "$later" "$outside/$client-deferred"
    session=$(jq -r 'select(.stop_reason == "tool_deferred").session_id' "$work/out" || true)
    [[ -n $session ]] || { printf 'it was not deferred: %.300s\n' "$(cat "$work/out")" >&2; wrong=$((wrong + 1)); }
    row "$client" 'that call, resumed too early' no "$later" "$outside/$client-deferred"
    of_parked approve '{}'
    row "$client" 'that call, approved and resumed' ran "$later" "$outside/$client-deferred"
    session=
    install_hook "$client" "$PARKBRAKE_URL"
  fi
  if [[ -z $short ]]; then
    other="chmod -R 770 $outside; touch $outside/$client-late"
    row "$client" 'another call, parked' no "$other" "$outside/$client-late"
    sleep 27
    row "$client" 'that call, expired' no "$other" "$outside/$client-late"
  fi
  while read -r port what; do
    [[ -z $short || $what != 'does not answer' ]] || continue
    install_hook "$client" "http://127.0.0.1:$port"
    row "$client" "server $what" no "echo ran > ran-$client" "$ran"
  done <<'SERVERS'
8199 down
8101 does not answer
8102 killed in the middle of an answer
8103 answers no HTTP
8104 answers 500
8105 redirects
8106 answers nothing
8107 answers a page
8108 answers another type
SERVERS
  no_hook_can=no
  # Codex runs the tool if its hook fails.
  [[ $client != codex ]] || no_hook_can=either
  broken_hook "$client" "sh -c 'kill -9 \$\$'"
  row "$client" 'hook killed' "$no_hook_can" "echo ran > ran-$client" "$ran"
  [[ -z $short ]] || continue
  broken_hook "$client" 'sleep 30'
  row "$client" 'hook too slow for its client' "$no_hook_can" "echo ran > ran-$client" "$ran"
done
printf '\n%s tools ran without permission although a hook could have stopped them.\n' "$unallowed"
((wrong == 0))
