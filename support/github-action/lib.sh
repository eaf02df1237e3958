# shellcheck shell=bash
# What the steps of this action share: calls of parkbrake, and text for the log, the outputs and the
# summary of a job.
set -euo pipefail

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
folder=$home
status=000

# Makes untrusted text one line that the runner does not read as a command: commands begin with
# `::`, and `%` begins an escape in them.
plain() {
  jq -Rrs 'gsub("[[:cntrl:]]+"; " ") | gsub("^ +| +$"; "") | gsub("::"; ": :") | .[:1000]'
}

fail() {
  output message "$1"
  printf '::error title=Parkbrake::%s\n' "$(sed 's/%/%25/g' <<<"$1")"
  exit 1
}

# output NAME VALUE
output() {
  printf '%s=%s\n' "$1" "$(plain <<<"$2")" >>"$GITHUB_OUTPUT"
}

check() {
  local needed
  for needed in curl jq; do
    command -v "$needed" >/dev/null || { printf '::error::%s is missing on this runner: install it\n' "$needed"; exit 1; }
  done
  [[ -n ${PARKBRAKE_TOKEN:-} ]] || fail 'the input `token` is empty: check that this repository and environment have the secret'
  printf '::add-mask::%s\n' "$PARKBRAKE_TOKEN"
  [[ $PARKBRAKE_URL =~ ^https://[^/]|^http://(127\.[0-9.]+|localhost|\[::1\])(:|/|$) ]] ||
    fail 'the input `url` has to begin with https://, because a token is sent there'
  PARKBRAKE_URL=${PARKBRAKE_URL%/}
  # In a file, because everybody on the runner can read a command line.
  (umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$PARKBRAKE_TOKEN" >"$folder/curl")
}

# call METHOD PATH [BODY] [CURL-OPTIONS …]: sets `status` (000 without a response), and stores the
# response in $folder/answer. curl runs in the background, so that a signal is handled at once and
# not when curl ends.
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

# answer FILTER: a field of the response; empty if the response is not JSON.
answer() {
  jq -r "$1 // empty" "$folder/answer" 2>/dev/null || true
}

# call_again SECONDS METHOD PATH [BODY] …: the same, repeated while the server does not answer or is
# too busy. Every call here is safe to repeat.
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

# A refusal as text.
refusal() {
  local detail
  detail=$(answer '[.detail // .title, (.errors[]? | .pointer + " " + .detail)] | map(select(. != null)) | join("; ")' | plain)
  case $status in
    000) echo "parkbrake at $PARKBRAKE_URL does not answer; nothing was approved" ;;
    *) echo "parkbrake refuses (status $status): ${detail:-without an explanation}" ;;
  esac
}
