"""Tests a server with the protocol's official client: over HTTP, and through `parkbrake mcp`."""

import asyncio
import os
import subprocess
import sys

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

TOOLS = ["submit_task", "get_workflow", "wait_for_decision", "cancel_workflow", "explain_risk", "list_my_workflows"]
TASK = {"description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production", "resource_type": "code"}


async def converse(way, transport, approve):
    async with Client(transport) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        assert listed == TOOLS, listed
        parked = (await client.call_tool("submit_task", TASK)).structured_content
        assert parked["status"] == "pending_approval", parked
        waiting = asyncio.create_task(client.call_tool("wait_for_decision", {"workflow_id": parked["workflow_id"]}))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "nobody has decided"
        approve(parked["workflow_id"])
        decided = (await waiting).structured_content
        assert decided["status"] == "executing" and decided["decisions"][0]["verdict"] == "approved", decided
        refused = await client.call_tool("submit_task", {"description": "d", "operation": 7})
        assert refused.is_error and refused.structured_content["code"] == "invalid-task", refused
        print(f"{way}: submitted, parked, waited, approved, and refused")


async def main():
    url, program = sys.argv[1:]
    token = os.environ["PARKBRAKE_TOKEN"]

    def approve(workflow_id):
        environment = {name: value for name, value in os.environ.items() if name != "PARKBRAKE_TOKEN"}
        command = [program, "approve", workflow_id, "--yes", "--url", url, "--as", "alice"]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    await converse("over HTTP", streamable_http_client(f"{url}/mcp", http_client=http), approve)
    bridge = StdioServerParameters(command=program, args=["mcp", "--url", url], env={"PARKBRAKE_TOKEN": token})
    await converse("over standard input and output", stdio_client(bridge), approve)


asyncio.run(main())
