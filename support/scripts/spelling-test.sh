#!/usr/bin/env bash
# Checks the spelling of everything that people write here, with the settings in .typos.toml. Needs
# Python with venv, and PyPI, which has the program `typos`. If either is missing, it says that this
# check was skipped; with PARKBRAKE_SPELLING=required that is a failure.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

version=1.52.0

skip() {
  [[ ${PARKBRAKE_SPELLING:-} != required ]] || fail "the spelling check is required, and $1"
  say "THE SPELLING CHECK WAS SKIPPED: $1"
  exit 0
}

has_venv() {
  python3 -c 'import venv, ensurepip' 2>/dev/null
}

cd "$root"
# Inside the build folder, so that `cargo clean` removes it; one for each version.
tool=$root/target/typos-$version
if [[ ! -x $tool/bin/typos ]]; then
  has_venv || { can_install && install 'Python with venv' python3-venv python3 python3 && has_venv; } || skip 'Python with venv is missing'
  say "installing typos $version with pip, into $tool"
  { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet --disable-pip-version-check "typos==$version"; } ||
    { rm -rf "$tool"; skip 'pip could not install typos'; }
fi
say 'checking the spelling'
exec "$tool/bin/typos" --format brief
