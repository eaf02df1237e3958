# shellcheck shell=bash
# What the workflow scripts share: the server's address, the caller, one API call, and showing a
# response.
#
# Text from a user or a requester is never part of a command: it is passed in variables, in the
# environment of jq and in the body of a call. curl gets the token through a pipe, so that no list
# of processes shows it.
set -euo pipefail
usage=${usage-} # each script sets it
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# fail WORDS [STATUS]: 1 refused or failed, 2 wrong usage, 3 rejected, 4 expired, 5 the server does
# not answer, 6 not permitted.
fail() {
  printf 'parkbrake: %s\n' "$1" >&2
  exit "${2:-1}"
}

# Wrong usage.
misuse() {
  printf 'parkbrake: %s\nusage: %s\n' "$1" "$usage" >&2
  exit 2
}

# An option that takes a value has one.
value() {
  (($# >= 2)) || misuse "$1 needs a value"
}

# A workflow's id, the only text from a user that becomes part of a path.
check_id() {
  [[ -n $1 ]] || misuse "say which workflow: --workflow-id ID or WORKFLOW_ID"
  [[ $1 =~ ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$ ]] || misuse "the workflow's id has to be one like 0198c0de-0000-7000-8000-000000000001"
}

# connect REMOTE: finds the programs, the server and the token.
connect() {
  local program
  for program in curl jq; do
    command -v "$program" >/dev/null || fail "$program is missing: install it with \`apt-get install $program\`, \`dnf install $program\` or \`brew install $program\`"
  done
  case $1 in
    true | 1 | yes)
      url=${PARKBRAKE_REMOTE_URL:-}
      [[ -n $url ]] || fail "there is no remote server to ask: set PARKBRAKE_REMOTE_URL to its address"
      ;;
    false | 0 | no | '') url=${PARKBRAKE_URL:-http://127.0.0.1:8001} ;;
    *) misuse "REMOTE has to be true or false" ;;
  esac
  [[ $url =~ ^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$ ]] ||
    fail "the server's address has to be something like http://127.0.0.1:8001: correct PARKBRAKE_URL or PARKBRAKE_REMOTE_URL"
  local host=${BASH_REMATCH[1]}
  url=${url%/}
  loopback=
  [[ $host =~ ^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$ ]] && loopback=true
  find_token
  colors=
  if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-} != dumb ]]; then colors=true; fi
}

# The folder of the development server; the same rule as in src/cli/dev_home.rs.
dev_home() {
  if [[ -n ${PARKBRAKE_DEV_HOME:-} ]]; then
    printf '%s' "$PARKBRAKE_DEV_HOME"
  elif ((EUID == 0)); then
    printf '/var/lib/parkbrake'
  elif [[ -n ${XDG_STATE_HOME:-} ]]; then
    printf '%s/parkbrake' "$XDG_STATE_HOME"
  elif [[ -n ${HOME:-} ]]; then
    printf '%s/.local/state/parkbrake' "$HOME"
  fi
}

# PARKBRAKE_TOKEN, else the development token of PARKBRAKE_AS, else that of the first person.
find_token() {
  token=${PARKBRAKE_TOKEN:-}
  if [[ -z $token ]]; then
    [[ -n $loopback ]] || fail "PARKBRAKE_TOKEN is not set, and development tokens go only to this machine, not to $url: set PARKBRAKE_TOKEN"
    local file kind name secret wanted=${PARKBRAKE_AS:-}
    file=$(dev_home)/tokens
    [[ -r $file ]] || fail "PARKBRAKE_TOKEN is not set, and there are no development tokens to read in $file: set PARKBRAKE_TOKEN, or start \`task dev\`"
    while read -r kind name secret; do
      if [[ -n $wanted && $name == "$wanted" || -z $wanted && $kind == person ]]; then
        token=$secret
        break
      fi
    done <"$file"
    [[ -n $token ]] || fail "$file has no token for ${wanted:-a person}: choose somebody in it with PARKBRAKE_AS"
  fi
  [[ $token =~ ^[A-Za-z0-9._~+/=-]+$ ]] || fail "PARKBRAKE_TOKEN contains an invalid character: copy it again"
}

# api METHOD PATH [BODY]: stores the body of the response in $answer; ends the script if it is an
# error.
api() {
  local reply status code=0 sent=()
  if (($# > 2)); then sent=(--header 'Content-Type: application/json' --data-binary @-); fi
  # Calls within one machine must not go through a proxy.
  if [[ -n $loopback ]]; then sent+=(--noproxy '*'); fi
  reply=$(curl --disable --config /dev/fd/3 --silent --show-error --globoff --proto '=http,https' --connect-timeout 5 --max-time 60 \
    --request "$1" --header 'Accept: application/json' --write-out '\n%{http_code}' ${sent[@]+"${sent[@]}"} "$url$2" \
    3< <(printf 'header = "Authorization: Bearer %s"\n' "$token") <<<"${3:-}") || code=$?
  case $code in
    0) ;;
    6 | 7) fail "no server answers at $url: start one with \`task dev\`, or say where it is with PARKBRAKE_URL" 5 ;;
    28) fail "the server at $url did not answer in time: whether it was processed is unknown; check with status.sh" 5 ;;
    *) fail "the call of $url failed (curl's exit status $code): whether it was processed is unknown; check with status.sh" 5 ;;
  esac
  status=${reply##*$'\n'}
  answer=${reply%$'\n'*}
  if [[ $status != 2?? ]]; then
    local problem exit_status=1
    problem=$(show problem 2>/dev/null) || problem=
    case $status in
      401 | 403) exit_status=6 ;;
      410) exit_status=4 ;;
      409) if [[ $(fact .decision.verdict 2>/dev/null) == rejected ]]; then exit_status=3; fi ;;
    esac
    fail "${problem:-the server at $url answered with status $status and no explanation; is it parkbrake?}" "$exit_status"
  fi
  jq --exit-status 'type == "object"' <<<"$answer" >/dev/null 2>&1 || fail "the response of $url does not come from parkbrake: check PARKBRAKE_URL"
}

# show WHAT: shows the response, with the function of that name in lib.jq.
show() {
  colors=$colors jq --raw-output -L "$here" "include \"lib\"; $1" <<<"$answer"
}

# fact WHERE: prints one value of the response unchanged, for the next call.
fact() {
  jq --raw-output "$1 // empty" <<<"$answer"
}
