#!/usr/bin/env bash
# Rejects a request; it will not run.
usage='reject.sh --workflow-id ID --reason TEXT [--remote]'
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

workflow_id=${WORKFLOW_ID:-} reason=${REASON:-} remote=${REMOTE:-}
while (($#)); do
  case $1 in
    --workflow-id) value "$@" && workflow_id=$2 && shift 2 ;;
    --reason) value "$@" && reason=$2 && shift 2 ;;
    --remote) remote=true && shift ;;
    *) misuse "there is no option $1" ;;
  esac
done
check_id "$workflow_id"
[[ -n $reason ]] || misuse "give a reason: --reason TEXT or REASON; the requester reads it"
connect "$remote"

body=$(reason=$reason jq --null-input --compact-output '{reason: env.reason}')
api POST "/workflows/$workflow_id/reject" "$body"
show rejected
