#!/usr/bin/env bash
# Lists the requests that wait for a human, the newest first.
usage='list-pending.sh [--mine] [--risk-level LEVEL] [--role ROLE] [--remote]'
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

mine=false risk_level='' role='' remote=${REMOTE:-}
while (($#)); do
  case $1 in
    --mine) mine=true && shift ;;
    --risk-level) value "$@" && risk_level=$2 && shift 2 ;;
    --role) value "$@" && role=$2 && shift 2 ;;
    --remote) remote=true && shift ;;
    *) misuse "there is no option $1" ;;
  esac
done
connect "$remote"

query=$(mine=$mine risk_level=$risk_level role=$role jq --null-input --raw-output '
  {limit: "500"}
  + if env.mine == "true" then {mine: "true"} else {} end
  + if env.risk_level != "" then {risk_level: env.risk_level} else {} end
  + if env.role != "" then {role: env.role} else {} end
  | to_entries | map("\(.key)=\(.value | @uri)") | join("&")')
cursor='' shown=0
while :; do
  api GET "/workflows/pending?$query${cursor:+&cursor=$cursor}"
  show pending
  shown=$((shown + $(jq '.workflows | length' <<<"$answer")))
  next=$(fact '.next_cursor | values | @uri')
  [[ -n $next ]] || break
  [[ $next != "$cursor" ]] || fail "the server returns the same page again and again"
  cursor=$next
done
case $shown in
  0) echo 'nothing waits for a human' ;;
  *) echo "waiting: $shown; task workflow:approve WORKFLOW_ID=… shows what one would run, and approves that" ;;
esac
