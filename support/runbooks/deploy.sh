#!/usr/bin/env bash
# The runbook `deploy-service` of config/runbooks.yaml: prints what a deployment would do, and
# changes nothing.
# Usage: deploy.sh SERVICE VERSION
set -euo pipefail

if [ "$#" -ne 2 ]; then
  echo "usage: deploy.sh SERVICE VERSION" >&2
  exit 2
fi
service=$1
version=$2

# Parkbrake sets these variables; without them the script was started by hand.
workflow=${PARKBRAKE_WORKFLOW_ID:-none}
attempt=${PARKBRAKE_ATTEMPT:-1}
digest=${PARKBRAKE_DIGEST:-none}
# Pass this key to the program that deploys, so that it recognizes a second attempt.
key=${PARKBRAKE_IDEMPOTENCY_KEY:-none}

printf 'workflow %s, attempt %s, approved as %s\n' "$workflow" "$attempt" "$digest"
if [ -n "${DEPLOY_TOKEN:-}" ]; then
  echo "a deployment token is set"
else
  echo "no deployment token is set; a real deployment would stop here"
fi
printf 'would pull the image %s:%s\n' "$service" "$version"
printf 'would roll %s out to %s with the idempotency key %s\n' "$service" "$version" "$key"
printf 'would wait until %s is healthy\n' "$service"
echo "done; nothing was changed"
