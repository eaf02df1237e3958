"""A LangChain agent whose tool calls wait for people, with LangChain's own middleware.

    python langchain_agent.py THREAD batched|per_call

Batched: one interrupt for all calls of a turn. Per call: one for each. Kill it at any time, and
start it again with the same thread: LangGraph has its state in `langchain.db`.
"""

from __future__ import annotations

import sys
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, InterruptOnConfig
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from parkbrake import Answer, Facts, Parkbrake, ToolGate, key_of
from scripted import chat_model

FACTS: dict[str, Facts] = {"deploy": {"operation": "deploy", "environment": "production", "resource_type": "service"}}
DECISIONS: InterruptOnConfig = {"allowed_decisions": ["approve", "edit", "reject"]}


@tool
def deploy(service: str, version: str) -> str:
    """Deploys a version of a service to production."""
    with open("deployed.log", "a", encoding="utf-8") as log:
        log.write(f"{service} {version}\n")
    return f"{service} {version} is deployed"


def decision(name: str, answer: Answer) -> dict[str, Any]:
    if answer.verdict == "edit":
        return {"type": "edit", "edited_action": {"name": name, "args": answer.args}}
    return {"type": "approve"} if answer.verdict == "approve" else {"type": "reject", "message": answer.message}


def main(thread: str, mode: Any) -> None:
    with Parkbrake() as parkbrake, SqliteSaver.from_conn_string("langchain.db") as saver:
        gate, config = ToolGate(parkbrake), {"configurable": {"thread_id": thread}}
        middleware = HumanInTheLoopMiddleware(interrupt_on={name: DECISIONS for name in FACTS}, interrupt_mode=mode)
        agent: Any = create_agent(chat_model(), [deploy], middleware=[middleware], checkpointer=saver)
        agent.invoke(None if agent.get_state(config).values else {"messages": [("user", "Deploy what is due.")]}, config)
        while interrupts := agent.get_state(config).interrupts:
            # Submits all calls before it waits for any.
            calls = [(i.id, n, call) for i in interrupts for n, call in enumerate(i.value.get("action_requests", [i.value]))]
            asked = [gate.submit(c["name"], c["args"], FACTS[c["name"]], key_of(thread, i, n)) for i, n, c in calls]
            answers = [gate.answer(a, c["args"]) for a, (_, _, c) in zip(asked, calls)]
            said = [(i, decision(c["name"], answer)) for answer, (i, _, c) in zip(answers, calls)]
            agent.invoke(Command(resume={"decisions": [d for _, d in said]} if mode == "batched" else dict(said)), config)
            for answer in (answer for answer in answers if answer.verdict != "reject"):
                parkbrake.report(answer.workflow_id, "succeeded")
        print(agent.get_state(config).values["messages"][-1].content)


if __name__ == "__main__":
    main(*sys.argv[1:3])
