#!/usr/bin/env bash
# The whole life of a task on a fresh server, in under a minute: harmless work runs, risky work
# parks, the server is killed and started again, a human approves and the work runs, another request
# is rejected, and a third escalates because nobody answers. Every step is checked; the exit status
# is 0 only if all of them succeeded.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
need_script_tools
cd "$root"
build_program
parkbrake=$program

source support/scripts/lib/dev-server.sh
# The shipped configuration, but medium risk escalates after three seconds rather than two hours.
cp -r config "$home/config"
sed -i.bak 's/after: 2h/after: 3s/' "$home/config/hitl/approval-policies.yaml"

step() {
  printf '\n\033[1m%s\033[0m\n' "$1"
}

# status ID FIELD: prints a field of a workflow.
status() {
  "$parkbrake" status --json "$1" | jq -r ".workflow.$2"
}

# expect WHAT IS SHOULD-BE
expect() {
  if [[ $2 == "$3" ]]; then
    printf '  ✓ %s: %s\n' "$1" "$2"
  else
    printf '  ✗ %s: %s instead of %s\n' "$1" "$2" "$3"
    fail 'the demonstration has failed at this step'
  fi
}

# submit ARGUMENTS…: prints the id of the workflow.
submit() {
  "$parkbrake" submit --json "$@" | jq -r .workflow_id
}

step '1. An agent reads how full the disks are: low risk, it runs at once'
start_server "$home/config"
low=$(submit --operation read --environment production --resource-type infrastructure --description 'How full are the disks?' --runbook disk-usage)
"$parkbrake" watch "$low" >/dev/null
expect 'status' "$(status "$low" status)" completed
status "$low" 'execution.attempts[0].output.stdout' | sed -n '1,3s/^/    /p'

step '2. It wants to deploy to production: high risk, it parks'
high=$(submit --operation deploy --environment production --resource-type service --description 'Deploy api 1.4.2' \
  --runbook deploy-service --arg service=api --arg version=1.4.2)
"$parkbrake" pending
expect 'status' "$(status "$high" status)" pending_approval
digest=$(status "$high" digest)

step '3. The server is killed (kill -9) and started again: still parked'
kill -KILL "$server"
wait "$server" 2>/dev/null || true
start_server "$home/config"
expect 'status' "$(status "$high" status)" pending_approval
expect 'digest of what would run' "$(status "$high" digest)" "$digest"

step '4. The agent may not approve its own work, nor may tom, for whom it acts; alice may, and it runs'
"$parkbrake" approve --yes --as tom "$high" >/dev/null 2>"$home/refused" && fail 'tom could approve'
sed 's/^/    /' "$home/refused"
"$parkbrake" approve --yes --as alice --justification 'tests are green' "$high"
"$parkbrake" watch "$high" >/dev/null
expect 'status' "$(status "$high" status)" completed
expect 'attempts' "$(status "$high" 'execution.attempts | length')" 1
status "$high" 'execution.attempts[0].output.stdout' | sed 's/^/    /'

step '5. Another deployment is rejected: it never runs'
rejected=$(submit --operation deploy --environment production --resource-type service --description 'Deploy api 1.5.0' \
  --runbook deploy-service --arg service=api --arg version=1.5.0)
"$parkbrake" reject --as alice --reason 'not before the weekend' "$rejected" >/dev/null
expect 'status' "$(status "$rejected" status)" rejected
expect 'execution' "$(status "$rejected" execution)" null

step '6. A medium risk that nobody answers escalates'
medium=$(submit --operation build --environment development --resource-type code --cost 250 --description 'Build on large machines')
expect 'may decide' "$(status "$medium" 'approval.approvers | join(",")')" team_lead
for ((tries = 0; tries < 100; tries++)); do
  [[ $(status "$medium" approval.escalation_level) == 0 ]] || break
  sleep 0.1
done
expect 'may decide now' "$(status "$medium" 'approval.approvers | join(",")')" team_lead,tech_lead

step 'Seen: low ran, high parked through a kill -9, ran once approved, a rejection ended it, and silence escalated.'
