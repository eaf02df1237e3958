#!/usr/bin/env bash
# Renews the recording in README.md: runs the program against its own server, captures what it
# prints on a terminal, and writes support/docs/images/recording.svg, an animation without a script.
# Needs node and `script` (util-linux).
source "$(dirname -- "${BASH_SOURCE[0]}")/lib/install.sh"

need_cargo
need_compiler
need_postgres
need_script_tools
has node || fail 'node is missing: install it, and run this again'
has script || fail 'script is missing: install util-linux, and run this again'
cd "$root"
say 'building'
build_program
parkbrake=$program

source support/scripts/lib/dev-server.sh
# The recording shows the folder of the runbooks, which should not be that of this checkout.
mkdir -m 755 /tmp/parkbrake || fail '/tmp/parkbrake already exists: remove it first'
folder=/tmp/parkbrake
tidy_up() { rm -rf "$folder"; }
mkdir "$folder/support"
cp -r support/runbooks "$folder/support/"
cp -r config "$home/config"
sed -i.bak "s|working_dir: \\.|working_dir: $folder|" "$home/config/runbooks.yaml" && rm "$home/config/runbooks.yaml.bak"
start_server "$home/config"

# record COMMAND: runs it on a terminal of 100 columns, and stores it with its output.
record() {
  local printed
  printed=$(script -qec "stty cols 100 rows 50; ${1//parkbrake /$parkbrake }" /dev/null </dev/null)
  jq -n --arg command "$1" --arg printed "$printed" '{command: $command, printed: $printed}' >>"$home/screens"
}

say 'recording'
record "parkbrake submit --operation deploy --environment production --resource-type service \\
    --description 'Deploy api 1.4.2' --runbook deploy-service --arg service=api --arg version=1.4.2"
id=$("$parkbrake" pending --json | jq -r '.workflows[0].workflow_id[-6:]')
record 'parkbrake pending'
record "parkbrake approve $id --as alice --yes --justification 'Tests are green'"
record "parkbrake watch $id"
jq -s . "$home/screens" | node support/scripts/lib/terminal-svg.js >support/docs/images/recording.svg
say "support/docs/images/recording.svg is written ($(wc -c <support/docs/images/recording.svg) bytes)"
