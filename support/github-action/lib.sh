# shellcheck shell=bash
# What the steps of this action share: calls of parkbrake, and words for the log, the outputs and the summary of a job.
set -euo pipefail

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
folder=$home
status=000

# What somebody wrote becomes one line that is no command of the runner: those begin with `::`, and `%` begins an escape in them.
plain() {
  jq -Rrs 'gsub("[[:cntrl:]]+"; " ") | gsub("^ +| +$"; "") | gsub("::"; ": :") | .[:1000]'
}

fail() {
  local said=$1
  output message "$said"
  printf '::error title=Parkbrake::%s\n' "$(sed 's/%/%25/g' <<<"$said")"
  exit 1
}

# output NAME VALUE
output() {
  printf '%s=%s\n' "$1" "$(plain <<<"$2")" >>"$GITHUB_OUTPUT"
}

check() {
  local needed
  for needed in curl jq; do
    command -v "$needed" >/dev/null || { printf '::error::%s is missing on this runner, and parkbrake is called with it\n' "$needed"; exit 1; }
  done
  [[ -n ${PARKBRAKE_TOKEN:-} ]] || fail 'the input `token` is empty: is the secret known to this repository and environment?'
  printf '::add-mask::%s\n' "$PARKBRAKE_TOKEN"
  [[ $PARKBRAKE_URL =~ ^https://[^/]|^http://(127\.[0-9.]+|localhost|\[::1\])(:|/|$) ]] ||
    fail 'the input `url` has to begin with https://, because a token is sent there'
  PARKBRAKE_URL=${PARKBRAKE_URL%/}
  # Through a file, because everybody on the runner can read a command line.
  (umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$PARKBRAKE_TOKEN" >"$folder/curl")
}

# call METHOD PATH [BODY] [CURL-OPTIONS …]: sets `status` (000 where there was no answer) and leaves the answer in $folder/answer.
# curl runs in the background, so that a signal is heard at once and not when curl ends.
call() {
  local method=$1 path=$2 body=${3:-}
  shift; shift; shift || true
  local options=(--config "$folder/curl" --silent --output "$folder/answer" --write-out '%{http_code}' --max-time 75 --request "$method")
  if [[ -n $body ]]; then
    printf '%s' "$body" >"$folder/body"
    options+=(--header 'Content-Type: application/json' --data-binary "@$folder/body")
  fi
  : >"$folder/answer"
  curl "${options[@]}" "$@" "$PARKBRAKE_URL$path" >"$folder/status" 2>/dev/null &
  wait $! || true
  status=$(cat "$folder/status")
}

# answer FILTER: a field of the answer; nothing where the answer is no JSON.
answer() {
  jq -r "$1 // empty" "$folder/answer" 2>/dev/null || true
}

# call_again SECONDS METHOD PATH [BODY] …: the same, again and again while the server does not answer or is too busy. Every call that is made
# here may be sent twice.
call_again() {
  local until=$((SECONDS + $1)) pause=1
  shift
  while true; do
    call "$@"
    case $status in
      000 | 429 | 502 | 503 | 504) ;;
      *) return ;;
    esac
    ((SECONDS + pause <= until)) || return 0
    sleep "$pause" &
    wait $!
    pause=$((pause < 10 ? pause * 2 : 10))
  done
}

# What a refusal says, in words.
refusal() {
  local said
  said=$(answer '[.detail // .title, (.errors[]? | .pointer + " " + .detail)] | map(select(. != null)) | join("; ")' | plain)
  case $status in
    000) echo "parkbrake at $PARKBRAKE_URL does not answer; nothing was approved" ;;
    *) echo "parkbrake refuses (status $status): ${said:-without words}" ;;
  esac
}
