# shellcheck shell=bash
# A server for a script: `parkbrake dev` with a temporary home, which ends with the script. Source
# it after install.sh, and call build_program before start_server.

unset PARKBRAKE_TOKEN PARKBRAKE_AS PARKBRAKE_URL PARKBRAKE_CONFIG
home=$(mktemp -d)
# PostgreSQL runs as another account if the script runs as root.
chmod go+x "$home"
export PARKBRAKE_DEV_HOME=$home
server=

# start_server CONFIG: starts the server with that configuration, waits until it is ready, and sets
# PARKBRAKE_URL.
start_server() {
  local tries
  : >"$home/out" # what an earlier server said must not be taken for this one's
  "$program" dev --listen 127.0.0.1:0 --config "$1" >"$home/out" 2>"$home/log" &
  server=$!
  for ((tries = 0; tries < 600; tries++)); do
    PARKBRAKE_URL=$(sed -n 's|^parkbrake is ready at \(http://[^ ]*\).*|\1|p' "$home/out")
    if [[ -n $PARKBRAKE_URL ]]; then
      export PARKBRAKE_URL
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$home/log" >&2
  fail 'the server did not start; its log is above'
}

# Prints the end of the server's log if the script has failed.
show_log() {
  say 'the end of the server'\''s log:'
  tail -n 20 "$home/log" >&2
}

# Stops the server and removes its home. A script that has more to remove defines `tidy_up`.
finish() {
  if [[ -n $server ]]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$home"
  ! declare -F tidy_up >/dev/null || tidy_up
}
trap finish EXIT
trap 'exit 130' INT TERM
