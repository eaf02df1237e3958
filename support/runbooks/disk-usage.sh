#!/usr/bin/env bash
# The runbook `disk-usage` of config/runbooks.yaml: prints how full the disks are. It only reads, so
# it may run again.
# Usage: disk-usage.sh
set -euo pipefail

printf 'workflow %s, attempt %s\n' "${PARKBRAKE_WORKFLOW_ID:-none}" "${PARKBRAKE_ATTEMPT:-1}"
df -P -k
