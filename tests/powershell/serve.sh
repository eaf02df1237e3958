#!/usr/bin/env bash
# Runs `parkbrake serve` for story.ps1, in the foreground: serve.sh PROGRAM FOLDER. The
# participants' tokens go to FOLDER, as with `parkbrake dev`. The database is that of DATABASE_URL;
# if it is not set, the PostgreSQL of this machine is started (Debian, as root).
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
program=$1 folder=$2
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd)

if [[ -z ${DATABASE_URL:-} ]]; then
  service postgresql start
  su postgres -c "psql --quiet -c \"alter role postgres password 'parkbrake'\""
  export DATABASE_URL=postgres://postgres:parkbrake@127.0.0.1/postgres
fi

# A folder of Linux: Windows folders are world-writable, so their runbooks are refused.
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
chmod 755 "$home"
mkdir "$home/support"
cp -r "$here/config" "$home/config"
cp -r "$here/support/runbooks" "$home/support/runbooks"
chmod -R go-w "$home"
install -m 755 "$program" "$home/parkbrake"
cd "$home"

(umask 077 && ./parkbrake key generate >secret-key)
export PARKBRAKE_SECRET_KEY_FILE=$home/secret-key
./parkbrake migrate
token() { printf '%s %s %s\n' "$1" "$2" "$(./parkbrake token create "$2")"; }
{ token person alice && token agent deploy-bot; } >"$folder/tokens"
./parkbrake serve --config config
