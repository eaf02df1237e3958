#!/usr/bin/env bash
# Checks every query against a database of this version, and stores the results in .sqlx, so that a
# build needs no database. Run it after changing a query or a migration. The database is created for
# this and removed afterwards. With --check it changes nothing, and fails if .sqlx is out of date.
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
cd "$root"
folder=$(mktemp -d)

# PostgreSQL refuses to run as root.
postgres() {
  if ((EUID == 0)); then su postgres -s /bin/sh -c '"$0" "$@"' -- "$(command -v "$1")" "${@:2}"; else "$@"; fi
}

finish() {
  postgres pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap finish EXIT

if ((EUID == 0)); then chown postgres "$folder"; fi
postgres initdb -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
postgres pg_ctl -D "$folder/data" -o "-c listen_addresses= -c unix_socket_directories=$folder" -l "$folder/log" -w start >/dev/null
chmod o+x "$folder"
for migration in migrations/*.sql; do
  psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -h "$folder" -U postgres -f "$migration"
done
target=$root/.sqlx
if [[ ${1:-} == --check ]]; then
  target=$folder/sqlx
else
  rm -f .sqlx/query-*.json
fi
mkdir -p "$target"
touch src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$target DATABASE_URL="postgres://postgres@localhost/postgres?host=$folder" cargo check --quiet
if [[ ${1:-} == --check ]]; then
  diff --recursive --brief .sqlx "$target" >&2 || fail 'the queries in .sqlx differ from the source: run support/scripts/prepare-queries.sh, and commit .sqlx'
  say '.sqlx is up to date'
else
  say "$(find .sqlx -name 'query-*.json' | wc -l) queries are stored in .sqlx; commit them"
fi
