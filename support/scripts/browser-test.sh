#!/usr/bin/env bash
# Tests the inbox in a real browser: starts a server with a database of its own in a temporary folder, and Chromium, and ends both.
# Needs node (18.19 or newer), npm and Chromium, and installs what is missing where it can. Where it cannot, it says that these tests were left
# out; with PARKBRAKE_BROWSER_TESTS=required that is a failure.
# With --screenshots it makes the pictures of support/docs/images anew instead.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

left_out() {
  [[ ${PARKBRAKE_BROWSER_TESTS:-} != required ]] || fail "the browser tests are required, and $1"
  say "THE BROWSER TESTS WERE LEFT OUT: $1"
  exit 0
}

find_chromium() {
  local name
  for name in "${PARKBRAKE_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' /Applications/Chromium.app/Contents/MacOS/Chromium; do
    if [[ -n $name ]] && chromium=$(command -v "$name"); then return; fi
  done
  return 1
}

has node || { can_install && install node nodejs nodejs node; } || left_out 'node is missing'
has npm || { can_install && install npm npm nodejs-npm npm; } || left_out 'npm is missing'
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 18 || (major === 18 && minor >= 19) ? 0 : 1)' ||
  left_out "node is $(node --version), and 18.19 is the oldest that will do"
find_chromium || { can_install && install Chromium chromium chromium chromium && find_chromium; } || left_out 'Chromium is missing'
need_cargo
need_compiler
need_postgres
cd "$root"
say 'building'
cargo build --locked --quiet
(cd tests/browser && npm ci --silent --no-audit --no-fund) || left_out 'npm could not install what they use'

home=$(mktemp -d)
chmod go+x "$home"
server=

finish() {
  if [[ -n $server ]]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$home"
}
trap finish EXIT
trap 'exit 130' INT TERM

unset PARKBRAKE_TOKEN PARKBRAKE_AS PARKBRAKE_URL PARKBRAKE_CONFIG
export PARKBRAKE_DEV_HOME=$home
config=$home/config
cp -r config "$config"
if [[ ${1:-} == --screenshots ]]; then
  # Pictures show where a server usually is, and not where this one happens to be.
  sed -i.bak 's|working_dir: \.|working_dir: /opt/parkbrake|' "$config/runbooks.yaml"
else
  # Nobody waits a day for an outcome that nobody knows.
  awk '{ print } /^policies:/ { print "  medium: { report_within: 1s }" }' config/hitl/approval-policies.yaml >"$config/hitl/approval-policies.yaml"
fi
target/debug/parkbrake dev --listen 127.0.0.1:0 --config "$config" >"$home/out" 2>"$home/log" &
server=$!
for ((tries = 0; tries < 600; tries++)); do
  url=$(sed -n 's|^parkbrake is ready at \(http://[^ ]*\).*|\1|p' "$home/out")
  [[ -z $url ]] && kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
if [[ -z $url ]]; then
  cat "$home/log" >&2
  fail 'the server did not start; its log is above'
fi

export PARKBRAKE_URL=$url PARKBRAKE_TOKENS=$home/tokens PARKBRAKE_CHROMIUM=$chromium
if [[ ${1:-} == --screenshots ]]; then
  say 'making the pictures'
  tests=(tests/browser/screenshots.js)
else
  say "running the browser tests with $chromium"
  tests=(tests/browser/*.test.js)
fi
status=0
node --test --test-concurrency=1 "${tests[@]}" || status=$?
if ((status != 0)); then
  say 'the end of the server'\''s log:'
  tail -n 20 "$home/log" >&2
fi
exit "$status"
