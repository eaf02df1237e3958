#!/usr/bin/env bash
# Says how it went, again and again until parkbrake has taken it.
# shellcheck source=../lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
check

[[ $ASK_WORKFLOW_ID =~ ^[0-9a-f-]{36}$ ]] || fail 'the input `workflow-id` has to be the output of the step that asked'
if [[ $ASK_OUTCOME == success ]]; then
  body='{"outcome": "succeeded"}'
else
  body=$(jq -n --arg outcome "$ASK_OUTCOME" --arg run "${GITHUB_SERVER_URL:-}/${GITHUB_REPOSITORY:-}/actions/runs/${GITHUB_RUN_ID:-}" \
    '{outcome: "failed", error: "the job ended with \($outcome): \($run)"}')
fi
call_again "$ASK_PATIENCE_SECONDS" POST "/workflows/$ASK_WORKFLOW_ID/result" "$body"
[[ $status == 200 ]] || fail "$(refusal)"
printf 'Parkbrake knows it as %s\n' "$(answer .status | plain)"
