#!/usr/bin/env bash
# Shows the target of a workflow, its decisions, its attempts, and its history.
usage='status.sh --workflow-id ID [--remote]'
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

workflow_id=${WORKFLOW_ID:-} remote=${REMOTE:-}
while (($#)); do
  case $1 in
    --workflow-id) value "$@" && workflow_id=$2 && shift 2 ;;
    --remote) remote=true && shift ;;
    *) misuse "there is no option $1" ;;
  esac
done
check_id "$workflow_id"
connect "$remote"

api GET "/workflows/$workflow_id/status"
show status
