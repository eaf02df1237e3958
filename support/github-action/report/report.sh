#!/usr/bin/env bash
# Reports the result, and retries until parkbrake accepts it.
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
printf 'Reported; the workflow is %s\n' "$(answer .status | plain)"
