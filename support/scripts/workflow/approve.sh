#!/usr/bin/env bash
# Shows what a request would run, and approves exactly that: the digest that is sent is the one that was shown.
usage='approve.sh --workflow-id ID [--justification TEXT] [--remote]'
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

workflow_id=${WORKFLOW_ID:-} justification=${JUSTIFICATION:-} remote=${REMOTE:-}
while (($#)); do
  case $1 in
    --workflow-id) value "$@" && workflow_id=$2 && shift 2 ;;
    --justification) value "$@" && justification=$2 && shift 2 ;;
    --remote) remote=true && shift ;;
    *) misuse "there is no option $1" ;;
  esac
done
check_id "$workflow_id"
connect "$remote"

api GET "/workflows/$workflow_id/status"
show request || fail "nothing was approved, because it could not be shown"
digest=$(fact .workflow.digest)
[[ -n $digest ]] || fail "the server names no digest, so nothing was approved"

body=$(digest=$digest justification=$justification jq --null-input --compact-output '
  {digest: env.digest} + if env.justification != "" then {justification: env.justification} else {} end')
api POST "/workflows/$workflow_id/approve" "$body"
show approved
