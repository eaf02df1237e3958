#!/usr/bin/env bash
# Shows what a request would run, asks, and approves exactly that: it sends the digest of what was
# shown. Without a terminal, --yes confirms, and for a critical request --confirm names its target,
# or --digest the document that was read elsewhere.
usage='approve.sh --workflow-id ID [--justification TEXT] [--yes] [--confirm TARGET] [--digest sha256:…] [--remote]'
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

workflow_id=${WORKFLOW_ID:-} justification=${JUSTIFICATION:-} yes= confirm=${CONFIRM:-} digest=${DIGEST:-} remote=${REMOTE:-}
while (($#)); do
  case $1 in
    --workflow-id) value "$@" && workflow_id=$2 && shift 2 ;;
    --justification) value "$@" && justification=$2 && shift 2 ;;
    --yes) yes=true && shift ;;
    --confirm) value "$@" && confirm=$2 && shift 2 ;;
    --digest) value "$@" && digest=$2 && shift 2 ;;
    --remote) remote=true && shift ;;
    *) misuse "there is no option $1" ;;
  esac
done
check_id "$workflow_id"
connect "$remote"

api GET "/workflows/$workflow_id/status"
show request || fail "nothing was approved, because it could not be shown"
read_digest=$(fact .workflow.digest)
[[ -n $read_digest ]] || fail "the server names no digest, so nothing was approved"
if [[ -n $digest && $digest != "$read_digest" ]]; then
  fail "the digest of this request is $read_digest, not the given one: nothing was approved"
fi

somebody=
if [[ -t 0 && -t 1 ]]; then somebody=true; fi
# ask QUESTION: stores the answer in $typed.
ask() {
  printf '%s ' "$1" >&2
  IFS= read -r typed || [[ -n $typed ]] || typed=
}

case $(fact .workflow.risk_level) in
  low | medium | high) critical= ;;
  *) critical=true ;;
esac
target=$(show confirmation)
if [[ -n $confirm && -n $critical && $confirm != "$target" ]]; then
  fail "the target of this critical request is $target, not the given one: nothing was approved"
fi
if [[ -n $critical && -z $confirm && ! (-n $yes && -n $digest) ]]; then
  [[ -n $somebody ]] || misuse "this request is critical and nobody can be asked here, so nothing was approved: add --yes with --confirm (its target is $target) or --digest"
  ask "This is critical. Type its target to approve exactly this: $target"$'\n'">"
  [[ $typed == "$target" ]] || fail "nothing was approved"
elif [[ -z $yes ]]; then
  [[ -n $somebody ]] || misuse "nobody can be asked here, so nothing was approved: add --yes to approve what is shown"
  ask "Approve exactly this? [y/N]"
  [[ $typed =~ ^([yY]|[yY][eE][sS])$ ]] || fail "nothing was approved"
fi

body=$(digest=$read_digest justification=$justification jq --null-input --compact-output '
  {digest: env.digest} + if env.justification != "" then {justification: env.justification} else {} end')
api POST "/workflows/$workflow_id/approve" "$body"
show approved
