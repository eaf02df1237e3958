"""An agent of the OpenAI Agents SDK whose tool calls wait for people.

    python openai_agent.py THREAD

Its state is in `THREAD.json`: kill it while it waits, and start it again with the same thread. The
SDK cannot change the arguments of a call, so the tool looks up the approved ones, and uses these.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from agents import Agent, RunConfig, Runner, RunState, function_tool
from agents.tool_context import ToolContext
from parkbrake import Answer, AsyncParkbrake, AsyncToolGate, Facts, key_of
from scripted import agents_model

FACTS: Facts = {"operation": "deploy", "environment": "production", "resource_type": "service"}
approved: dict[str, Answer] = {}  # by call id


@function_tool(needs_approval=True)
async def deploy(context: ToolContext[None], service: str, version: str) -> str:
    """Deploys a version of a service to production."""
    what = "{service} {version}".format(**approved[context.tool_call_id].args)
    with open("deployed.log", "a", encoding="utf-8") as log:
        log.write(f"{what}\n")
    return f"{what} is deployed"


async def main(thread: str) -> None:
    file, config = Path(f"{thread}.json"), RunConfig(tracing_disabled=True)
    agent: Agent[None] = Agent(name="deploy-bot", model=agents_model(), tools=[deploy])
    async with AsyncParkbrake() as parkbrake:
        start = await RunState.from_json(agent, json.loads(file.read_text())) if file.exists() else "Deploy what is due."
        result = await Runner.run(agent, start, run_config=config)
        while items := result.interruptions:
            file.write_text(json.dumps((state := result.to_state()).to_json()))
            calls: list[Any] = [item.raw_item for item in items]
            asked = (AsyncToolGate(parkbrake).ask(c.name, json.loads(c.arguments), FACTS, key_of(thread, c.call_id)) for c in calls)
            answers = await asyncio.gather(*asked)
            for item, call, answer in zip(items, calls, answers):
                if answer.verdict == "reject":
                    state.reject(item, rejection_message=answer.message)
                else:
                    approved[call.call_id] = answer
                    state.approve(item)
            result = await Runner.run(agent, state, run_config=config)
            for answer in (answer for answer in answers if answer.verdict != "reject"):
                await parkbrake.report(answer.workflow_id, "succeeded")
        print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
