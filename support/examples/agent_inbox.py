"""A LangGraph graph with the shapes of Agent Inbox, answered by parkbrake instead of Agent Inbox.

    python agent_inbox.py THREAD

It interrupts with a list of one HumanInterrupt. Kill it, and start it again with the same thread.
"""

from __future__ import annotations

import sys
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from parkbrake import Answer, Facts, Parkbrake, ToolGate, key_of

CONFIG = {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": False}
FACTS: Facts = {"operation": "deploy", "environment": "production", "resource_type": "service"}


class State(TypedDict, total=False):
    service: str
    version: str
    said: str


def deploy(state: State) -> State:
    request = {"action": "deploy", "args": dict(state)}
    [human] = interrupt([{"action_request": request, "config": CONFIG, "description": "A deployment to production"}])
    if human["type"] == "response":
        return {"said": f"not deployed: {human['args']}"}
    what = "{service} {version}".format(**human["args"]["args"])
    with open("deployed.log", "a", encoding="utf-8") as log:
        log.write(f"{what}\n")
    return {"said": f"{what} is deployed"}


def response(action: str, answer: Answer) -> dict[str, Any]:
    kind = {"approve": "accept", "edit": "edit", "reject": "response"}[answer.verdict]
    return {"type": kind, "args": answer.message if kind == "response" else {"action": action, "args": answer.args}}


def main(thread: str) -> None:
    with Parkbrake() as parkbrake, SqliteSaver.from_conn_string("inbox.db") as saver:
        builder: Any = StateGraph(State).add_node("deploy", deploy).add_edge(START, "deploy").add_edge("deploy", END)
        graph, config = builder.compile(checkpointer=saver), {"configurable": {"thread_id": thread}}
        graph.invoke(None if graph.get_state(config).values else {"service": "api", "version": "1.4.2"}, config)
        while waiting := graph.get_state(config).interrupts:
            request = waiting[0].value[0]["action_request"]
            answer = ToolGate(parkbrake).ask(request["action"], request["args"], FACTS, key_of(thread, waiting[0].id))
            graph.invoke(Command(resume=[response(request["action"], answer)]), config)
            if answer.verdict != "reject":
                parkbrake.report(answer.workflow_id, "succeeded")
        print(graph.get_state(config).values["said"])


if __name__ == "__main__":
    main(sys.argv[1])
