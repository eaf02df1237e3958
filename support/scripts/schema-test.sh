#!/usr/bin/env bash
# Tests a running server against the document that it serves: schemathesis makes some thousand valid
# and invalid requests from /openapi.json, as an agent and as a person, and checks every response;
# then it submits tasks and follows the links to the calls about their workflows. The seed is fixed,
# so that a finding can be reproduced. Needs Python (3.10 or newer) and PyPI. If either is missing,
# it says that this test was skipped; with PARKBRAKE_SCHEMA_TESTS=required that is a failure.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

version=4.32.5
seed=20261126

skip() {
  [[ ${PARKBRAKE_SCHEMA_TESTS:-} != required ]] || fail "the schema tests are required, and $1"
  say "THE SCHEMA TESTS WERE SKIPPED: $1"
  exit 0
}

# Debian packages virtual environments separately from Python.
has_venv() {
  python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

has_venv || { can_install && install 'Python with venv' python3-venv python3 python3 && has_venv; } || skip 'Python 3.10 with venv is missing'
need_cargo
need_compiler
need_postgres
cd "$root"
# Inside the build folder, so that `cargo clean` removes it; one for each version.
tool=$root/target/schemathesis-$version
if [[ ! -x $tool/bin/schemathesis ]]; then
  say "installing schemathesis $version with pip, into $tool"
  { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"; } ||
    { rm -rf "$tool"; skip 'pip could not install schemathesis'; }
fi
build_program

source support/scripts/lib/dev-server.sh
start_server config

# Hypothesis stores its findings below the working folder.
ask_as() {
  mkdir "$home/asked-as-$1"
  cd "$home/asked-as-$1"
  # In a file, because everybody can read a command line.
  PARKBRAKE_SCHEMA_TOKEN=$(awk -v name="$1" '$2 == name { print $3 }' "$home/tokens") \
    "$tool/bin/schemathesis" --config-file "$root/tests/schema/schemathesis.toml" run "$PARKBRAKE_URL/openapi.json" --seed "$seed"
}

# Both at once, because a run keeps only one core busy.
say "testing $PARKBRAKE_URL as deploy-bot and as cora"
ask_as cora >"$home/cora.out" 2>&1 &
cora=$!
status=0
(ask_as deploy-bot) || status=$?
wait "$cora" || status=$?
cat "$home/cora.out"
((status == 0)) || show_log
exit "$status"
