# shellcheck shell=bash
# What the development scripts need on a machine, and how they install it: with apt-get, dnf or
# brew.
#
# Each `need_…` is quick and silent if nothing is missing. Otherwise it says what it is about to
# install, installs it, and ends the script if that fails or if nothing on this machine can install
# it.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
# What pip installs stays inside the repository's build folder.
tools=$root/target/tools
PATH=$PATH:$tools/bin

say() {
  printf 'parkbrake: %s\n' "$1" >&2
}

fail() {
  say "$1"
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    fail "root has to run this, because sudo is missing: $*"
  fi
}

# install WHAT FOR-APT FOR-DNF FOR-BREW: installs with the package manager of this machine.
install() {
  if has apt-get; then
    say "$1 is missing: installing it with apt-get ($2)"
    [[ -n ${apt_is_fresh:-} ]] || as_root apt-get update --quiet >&2
    apt_is_fresh=true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$2" >&2
  elif has dnf; then
    say "$1 is missing: installing it with dnf ($3)"
    as_root dnf install --assumeyes "$3" >&2
  elif has brew; then
    say "$1 is missing: installing it with brew ($4)"
    brew install "$4" >&2
  else
    fail "$1 is missing, and apt-get, dnf and brew are missing as well: install it with your system's package manager, and start again"
  fi
}

# Whether packages can be installed here without a password prompt.
can_install() {
  { has apt-get || has dnf; } && { ((EUID == 0)) || { has sudo && sudo -n true 2>/dev/null; }; }
}

# need_program NAME FOR-APT FOR-DNF FOR-BREW
need_program() {
  has "$1" || install "$@"
  has "$1" || fail "$1 was installed, but is not on PATH: see the output above"
}

# Rust is not installed automatically: how to install it is for the owner of the machine to decide.
need_cargo() {
  has cargo || [[ ! -x ${HOME:-}/.cargo/bin/cargo ]] || PATH=$PATH:$HOME/.cargo/bin
  has cargo || fail "cargo is missing: install Rust as https://rustup.rs describes, and start again"
}

# Builds the program as it is shipped, without the dependencies of its tests, and sets `program` to
# its path. It has a folder of its own, so that it does not replace the program that `cargo test`
# uses meanwhile; what cargo builds on the way is in the folder of all builds.
build_program() {
  say 'building'
  CARGO_BUILD_BUILD_DIR=$root/target cargo build --locked --quiet --bin parkbrake --target-dir "$root/target/shipped" \
    --manifest-path "$root/Cargo.toml"
  program=$root/target/shipped/debug/parkbrake
}

# rustc needs a linker, and some dependencies are written in C.
need_compiler() {
  need_program cc build-essential gcc gcc
}

# Debian and Homebrew keep the server's programs off PATH, in one folder for each version.
find_postgres() {
  has initdb && return
  local folder newest=
  for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
    if [[ -x $folder/initdb ]]; then newest=$folder; fi
  done
  [[ -n $newest ]] && PATH=$PATH:$newest
}

# Only the programs: parkbrake starts its own database. A server that the package itself starts is
# left alone.
need_postgres() {
  find_postgres || install PostgreSQL postgresql postgresql-server postgresql@17
  find_postgres || fail "PostgreSQL was installed, but its initdb was not found: put the folder with initdb on PATH"
}

# Most packages of the server include it; Fedora has a separate one.
need_pgbench() {
  need_program pgbench postgresql postgresql-contrib postgresql@17
}

# What the workflow scripts need.
need_script_tools() {
  need_program curl curl curl curl
  need_program jq jq jq jq
}

# The Taskfile's runner. Debian has no package for it, so without dnf and brew it comes from PyPI.
need_go_task() {
  has task && return
  if ! has apt-get && { has dnf || has brew; }; then
    install task go-task go-task go-task
    # Fedora's program has the name of its package.
    has task || ! has go-task || { mkdir -p "$tools/bin" && ln -sf "$(command -v go-task)" "$tools/bin/task"; }
  else
    need_program python3 python3 python3 python3
    python3 -m pip --version >/dev/null 2>&1 || install pip python3-pip python3-pip python3
    say "task is missing: installing go-task-bin with pip, into $tools"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$tools" --upgrade go-task-bin >&2
  fi
  has task || fail "task was installed, but was not found: install it as https://taskfile.dev describes"
}
