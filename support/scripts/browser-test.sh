#!/usr/bin/env bash
# Tests the inbox in a real browser: starts a server with its own database in a temporary folder,
# and Chromium, and stops both. Needs node (18.19 or newer), npm and Chromium, and installs what is
# missing if it can. If it cannot, it says that these tests were skipped; with
# PARKBRAKE_BROWSER_TESTS=required that is a failure. With --screenshots it renews the pictures in
# support/docs/images instead.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

skip() {
  [[ ${PARKBRAKE_BROWSER_TESTS:-} != required ]] || fail "the browser tests are required, and $1"
  say "THE BROWSER TESTS WERE SKIPPED: $1"
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

has node || { can_install && install node nodejs nodejs node; } || skip 'node is missing'
has npm || { can_install && install npm npm nodejs-npm npm; } || skip 'npm is missing'
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 18 || (major === 18 && minor >= 19) ? 0 : 1)' ||
  skip "node is $(node --version), but 18.19 or newer is needed"
find_chromium || { can_install && install Chromium chromium chromium chromium && find_chromium; } || skip 'Chromium is missing'
need_cargo
need_compiler
need_postgres
cd "$root"
build_program
(cd tests/browser && npm ci --silent --no-audit --no-fund) || skip 'npm could not install the packages of the tests'

source support/scripts/lib/dev-server.sh
config=$home/config
cp -r config "$config"
if [[ ${1:-} == --screenshots ]]; then
  # Pictures show the path of the runbooks' folder, which should not be that of this checkout.
  mkdir -m 755 /tmp/parkbrake || fail '/tmp/parkbrake already exists: remove it first'
  folder=/tmp/parkbrake
  tidy_up() { rm -rf "$folder"; }
  mkdir "$folder/support"
  cp -r support/runbooks "$folder/support/"
  sed -i.bak "s|working_dir: \\.|working_dir: $folder|" "$config/runbooks.yaml" && rm "$config/runbooks.yaml.bak"
else
  # The test cannot wait a day for an unknown outcome.
  awk '{ print } /^policies:/ { print "  medium: { report_within: 1s }" }' config/hitl/approval-policies.yaml >"$config/hitl/approval-policies.yaml"
  # Nothing is sent: no route leads to this channel.
  echo 'channels: { push: { type: web_push, private_key: { from_env: WEB_PUSH_KEY }, subject: "mailto:ops@example.com" } }' >"$config/notifications.yaml"
  WEB_PUSH_KEY=$(<tests/fixtures/web_push/vapid-key.pem)
  export WEB_PUSH_KEY
fi
start_server "$config"

export PARKBRAKE_TOKENS=$home/tokens PARKBRAKE_CHROMIUM=$chromium PARKBRAKE_PROGRAM=$program
if [[ ${1:-} == --screenshots ]]; then
  say 'taking the screenshots'
  tests=(tests/browser/screenshots.js)
else
  say "running the browser tests with $chromium"
  tests=(tests/browser/*.test.js)
fi
status=0
node --test --test-concurrency=1 "${tests[@]}" || status=$?
((status == 0)) || show_log
exit "$status"
