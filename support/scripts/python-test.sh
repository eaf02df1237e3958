#!/usr/bin/env bash
# Tests the Python client, the examples and the GitHub action against a real server: types, the
# OpenAPI document, restarts and lost responses, each example with the real framework and a scripted
# model, and the action's steps as GitHub's runner runs them. The package is first built, checked as
# PyPI would, and installed. Needs Python (3.10 or newer) and PyPI. If either is missing, it says
# that this test was skipped; with PARKBRAKE_PYTHON_TESTS=required that is a failure.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

packages=(httpx==0.28.1 langchain==1.5.2 langgraph==1.2.24 langgraph-checkpoint-sqlite==3.1.2 openai-agents==0.24.0
  pytest==9.2.0 mypy==2.4.1 hatchling==1.33.0 build==1.6.1 twine==7.0.0)

skip() {
  [[ ${PARKBRAKE_PYTHON_TESTS:-} != required ]] || fail "the tests of the Python client are required, and $1"
  say "THE TESTS OF THE PYTHON CLIENT WERE SKIPPED: $1"
  exit 0
}

has_venv() {
  python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

has_venv || { can_install && install 'Python with venv' python3-venv python3 python3 && has_venv; } || skip 'Python 3.10 with venv is missing'
need_cargo
need_compiler
need_postgres
need_script_tools
cd "$root"
client=$root/support/clients/python
# Inside the build folder, so that `cargo clean` removes it; one for each list of packages.
tool=$root/target/python-$(cksum <<<"${packages[*]}" | cut -d ' ' -f 1)
if [[ ! -f $tool/complete ]]; then
  say "installing the frameworks with pip, into $tool"
  { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" && touch "$tool/complete"; } || { rm -rf "$tool"; skip 'pip could not install the packages of the tests'; }
fi
build_program

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
# PostgreSQL runs as another account if the script runs as root.
chmod go+x "$home"
unset PARKBRAKE_TOKEN PARKBRAKE_URL PARKBRAKE_CONFIG PARKBRAKE_DEV_HOME
export PARKBRAKE_BIN=$program PYTHONDONTWRITEBYTECODE=1
cd "$client"
say 'building the package'
"$tool/bin/python" -m build --no-isolation --outdir "$home/dist" . >"$home/built" 2>&1 || { cat "$home/built" >&2; fail 'the package could not be built'; }
"$tool/bin/twine" check --strict "$home"/dist/*
# The tests use what would be published.
"$tool/bin/pip" install --quiet --disable-pip-version-check --no-index --no-deps --force-reinstall "$home"/dist/*.whl
say 'checking the types'
"$tool/bin/mypy" --cache-dir "$home/mypy"
say 'testing the client, the examples and the GitHub action'
"$tool/bin/python" -m pytest -p no:cacheprovider --basetemp "$home/tests"
