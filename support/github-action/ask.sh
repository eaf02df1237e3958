#!/usr/bin/env bash
# Submits what the job is about to do, and waits until people have decided. Succeeds only if the job
# may proceed, or if the runbook has succeeded. It fails in any doubt.
# shellcheck source=lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
check

[[ $ASK_TIMEOUT_MINUTES =~ ^[0-9]{1,6}$ && $ASK_PATIENCE_SECONDS =~ ^[0-9]{1,6}$ ]] ||
  fail 'the inputs `timeout-minutes` and `patience-seconds` have to be whole numbers'
for input in metadata args; do
  given=ASK_${input^^}
  jq -e 'type == "object"' >/dev/null 2>&1 <<<"${!given}" || fail "the input \`$input\` has to be a JSON object"
done
task=$(jq -n --arg run "${GITHUB_SERVER_URL:-}/${GITHUB_REPOSITORY:-}/actions/runs/${GITHUB_RUN_ID:-}" '
  def given($name; $value): if $value == "" then {} else {($name): $value} end;
  {description: env.ASK_DESCRIPTION, operation: env.ASK_OPERATION}
  + given("environment"; env.ASK_ENVIRONMENT) + given("resource"; env.ASK_RESOURCE) + given("resource_type"; env.ASK_RESOURCE_TYPE)
  + {metadata: ((env.ASK_METADATA | fromjson) + {github: {
      repository: env.GITHUB_REPOSITORY, ref: env.GITHUB_REF, sha: env.GITHUB_SHA, actor: env.GITHUB_ACTOR, workflow: env.GITHUB_WORKFLOW, run: $run}})}
  + if env.ASK_RUNBOOK == "" then {} else {action: {type: "runbook", name: env.ASK_RUNBOOK, args: (env.ASK_ARGS | fromjson)}} end
')

# The same step of the same attempt finds its request again; a new run submits a new request.
key=$(printf '%s\n' "${GITHUB_REPOSITORY:-}" "${GITHUB_RUN_ID:-}" "${GITHUB_RUN_ATTEMPT:-}" "${GITHUB_JOB:-}" "${GITHUB_ACTION:-}" | sha256sum | cut -d ' ' -f 1)

cancel_request() {
  call POST "/workflows/$id/cancel" '{"reason": "the job was cancelled, or stopped waiting"}' --max-time 3
}

ask() {
  local id deadline since=0 state= left hold decisions message
  call_again "$ASK_PATIENCE_SECONDS" POST /orchestrate "$task" --header "Idempotency-Key: $key"
  [[ $status == 202 ]] || fail "$(refusal)"
  id=$(answer .workflow_id)
  [[ $id =~ ^[0-9a-f-]{36}$ ]] || fail 'the response has no workflow, so nothing may be done'
  printf '%s' "$id" >"$folder/id"
  output workflow-id "$id"
  printf 'Submitted as %s, %s risk: %s/workflows/%s\n' "$id" "$(answer .risk_level | plain)" "$PARKBRAKE_URL" "$id"

  deadline=$((SECONDS + ASK_TIMEOUT_MINUTES * 60))
  while true; do
    left=$((deadline - SECONDS))
    hold=$((left < 0 ? 0 : left < 50 ? left : 50))
    call_again "$((left > ASK_PATIENCE_SECONDS ? left : ASK_PATIENCE_SECONDS))" GET "/workflows/$id/wait?since=$since&timeout=${hold}s"
    [[ $status == 200 ]] || { output status "$state"; fail "$(refusal)"; }
    state=$(answer .workflow.status) since=$(answer .workflow.version)
    case $state in
      pending_approval | queued) ;;
      executing) [[ -n $ASK_RUNBOOK ]] || break ;;
      *) break ;;
    esac
    if ((SECONDS >= deadline)); then
      cancel_request
      output status "$state"
      fail "nobody decided within $ASK_TIMEOUT_MINUTES minutes; the request was cancelled"
    fi
  done

  # The text of people is only ever shown as text.
  decisions=$(answer '.workflow | [.decisions[] | "\(.verdict) by \(.approver)" + (if .justification then ": \(.justification)" else "" end)] | join("; ")' | plain)
  case $state in
    expired) message="expired: nobody decided in time; run the job again to ask again" ;;
    rejected) message=${decisions:-rejected} ;;
    failed | outcome_unknown) message="$state: $(answer '.workflow.execution.attempts[-1].error' | plain)" ;;
    *) message="$state${decisions:+: $decisions}" ;;
  esac
  output status "$state"
  output message "$message"
  jq -r --arg message "$message" --arg url "$PARKBRAKE_URL" '
    def cell: tostring | gsub("[[:cntrl:]]+"; " ") | @html | gsub("\\|"; "&#124;") | gsub("(?<c>[\\\\`*_\\[\\]])"; "&#\(.c | explode[0]);");
    .workflow | "### Parkbrake: \(.status)\n\n| | |\n|---|---|\n"
    + ([["Asked", .description], ["Risk", .risk_level], ["Environment", .target.environment], ["Resource", .target.resource],
        ["Outcome", $message]] | map(select(.[1] != null) | "| \(.[0]) | \(.[1] | cell) |") | join("\n"))
    + "\n| Workflow | <a href=\"\($url | @html)/workflows/\(.workflow_id)\">\(.workflow_id)</a> |\n"
  ' "$folder/answer" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"

  case $state in
    executing | completed) printf 'Parkbrake: %s\n' "$message" ;;
    *) fail "$message" ;;
  esac
}

# GitHub sends SIGINT to a step that is cancelled, and kills it some seconds later.
cancelled() {
  trap '' INT TERM
  kill "$asking" 2>/dev/null || true
  local id
  id=$(cat "$folder/id" 2>/dev/null || true)
  # curl in the process that asks may still write its response.
  mkdir "$folder/cancelled"
  cp "$folder/curl" "$folder/cancelled/"
  folder=$folder/cancelled
  if [[ -z $id ]]; then
    # The response with the id may still be on its way: the same key finds the request.
    call POST /orchestrate "$task" --header "Idempotency-Key: $key" --max-time 3
    id=$(answer .workflow_id)
  fi
  [[ -z $id ]] || cancel_request
  output message 'the job was cancelled'
  exit 130
}

# Bash may run a trap in the middle of a command substitution; it then parses the trap as a part of
# it, and fails. So a child process asks; this one has the trap, and only waits.
asking=
trap cancelled INT TERM
ask &
asking=$!
wait "$asking"
