"""A plain agent: it asks before it acts, waits as long as people need, and reports the result.

    python plain_agent.py JOB SERVICE VERSION

Kill it at any time, and start it again with the same job: it finds its request, and does the work
once, because it marks finished work with the workflow's id. It needs PARKBRAKE_URL and
PARKBRAKE_TOKEN.
"""

from __future__ import annotations

import sys
from pathlib import Path

from parkbrake import Facts, Parkbrake, ToolGate, key_of

FACTS: Facts = {"operation": "deploy", "environment": "production", "resource_type": "service"}


def deploy(workflow_id: str, service: str, version: str) -> str:
    """Stands for the real work, and does it only once for each workflow."""
    done = Path(f"done-{workflow_id}")
    if not done.exists():
        with open("deployed.log", "a", encoding="utf-8") as log:
            log.write(f"{service} {version}\n")
        done.touch()
    return f"{service} {version} is deployed"


def main(job: str, service: str, version: str) -> int:
    with Parkbrake() as parkbrake:
        gate = ToolGate(parkbrake)
        args = {"service": service, "version": version}
        answer = gate.ask("deploy", args, FACTS, key_of("plain", job))
        if answer.verdict == "reject":
            print(f"deploy {service} {version}: {answer.message}")
            return 1
        try:
            said = deploy(answer.workflow_id, **answer.args)
        except OSError as error:
            parkbrake.report(answer.workflow_id, "failed", error=str(error))
            raise
        parkbrake.report(answer.workflow_id, "succeeded", output={"said": said})
        print(said)
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
