"""A model for the tests of agent clients: it requests the tool calls that a function returns.

It implements the parts of Claude's Messages API and of OpenAI's Responses API that Claude Code and
Codex need. Run as a program, it requests one call: the file `command` of its folder has a shell
command, or `write FILE` for the client's own tool that writes a file; `id` has the id of the call.
The result that the client returns is written to `result`.
"""

import http.server
import json
import os
import sys
from typing import NamedTuple, Optional


class Call(NamedTuple):
    """A call of the client's shell (`command`), its file tool (`path`), or an MCP server's tool."""

    id: str
    command: Optional[str] = None
    path: Optional[str] = None
    server: Optional[str] = None
    tool: Optional[str] = None
    arguments: Optional[dict] = None


class Asked(NamedTuple):
    """A request to the model: its tools (of MCP servers: `server.tool`), and the results so far."""

    tools: list
    results: list


def plain(given):
    """The result of a call, as text."""
    if isinstance(given, list):
        return "\n".join(part.get("text", "") for part in given if isinstance(part, dict))
    return given if isinstance(given, str) else json.dumps(given)


def stream(events):
    return "text/event-stream", "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def message(body, decide):
    """Claude's Messages API."""
    names = [tool.get("name", "") for tool in body.get("tools", [])]
    blocks = [block for one in body.get("messages", []) if isinstance(one["content"], list) for block in one["content"]]
    results = [plain(block.get("content")) for block in blocks if block.get("type") == "tool_result"]
    # The client also makes other requests, for example for a title, and these offer no tools.
    tools = [name.removeprefix("mcp__").replace("__", ".", 1) if name.startswith("mcp__") else name for name in names]
    call = decide(Asked(tools, results)) if "Bash" in names else None
    block, delta, stop = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Done."}, "end_turn"
    if call:
        if call.tool:
            name, wanted = f"mcp__{call.server}__{call.tool}", call.arguments
        elif call.path:
            name, wanted = "Write", {"file_path": call.path, "content": "ran"}
        else:
            name, wanted = "Bash", {"command": call.command, "description": f"As call {call.id} has it"}
        block = {"type": "tool_use", "id": call.id, "name": name, "input": {}}
        delta, stop = {"type": "input_json_delta", "partial_json": json.dumps(wanted)}, "tool_use"
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model"), "content": [], "stop_reason": None,
             "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    if not body.get("stream"):
        return "application/json", json.dumps({**whole, "content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"})
    return stream([
        {"type": "message_start", "message": whole},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ])


def response(body, decide):
    """OpenAI's Responses API as Codex uses it, with a namespace for each MCP server's tools."""
    outputs = [item for item in body.get("input", []) if item.get("type") in ("function_call_output", "custom_tool_call_output")]
    names = [tool.get("name") or tool.get("type") for tool in body.get("tools", []) if tool.get("type") != "namespace"]
    spaces = [tool for tool in body.get("tools", []) if tool.get("type") == "namespace"]
    tools = names + [f"{space['name'].removeprefix('mcp__')}.{tool['name']}" for space in spaces for tool in space["tools"]]
    call = decide(Asked(tools, [plain(item.get("output")) for item in outputs]))
    if not call:
        item = {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]}
    elif call.path:
        patch = f"*** Begin Patch\n*** Add File: {call.path}\n+ran\n*** End Patch\n"
        item = {"type": "custom_tool_call", "id": "ct_1", "call_id": call.id, "name": "apply_patch", "input": patch}
    else:
        item = {"type": "function_call", "id": "fc_1", "call_id": call.id}
        if call.tool:
            name, arguments = call.tool, call.arguments
            item["namespace"] = f"mcp__{call.server}"
        else:
            shells = (("exec_command", {"cmd": call.command}), ("shell_command", {"command": call.command}))
            last = ("shell", {"command": ["bash", "-lc", call.command]})
            name, arguments = next(((name, made) for name, made in shells if name in names), last)
        item.update(name=name, arguments=json.dumps(arguments))
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": None, "output_tokens_details": None}
    return stream([
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
    ])


def server(port, decide):
    """A server of both APIs. `decide` gets a request, and returns the next call or None."""

    class Model(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, media_type, text, with_body=True):
            bytes_ = text.encode()
            self.send_response(200)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(bytes_)))
            self.end_headers()
            if with_body:
                self.wfile.write(bytes_)

        def do_HEAD(self):
            self.reply("application/json", "{}", with_body=False)

        def do_GET(self):
            self.reply("application/json", '{"object": "list", "data": [], "models": []}')

        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            body = json.loads(raw) if raw else {}
            if "count_tokens" in self.path:
                self.reply("application/json", '{"input_tokens": 1}')
            elif "/messages" in self.path:
                self.reply(*message(body, decide))
            else:
                self.reply(*response(body, decide))

    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Model)


def of_folder(folder):
    """Requests the one call that the files of a folder describe."""

    def read(name):
        with open(os.path.join(folder, name)) as file:
            return file.read().strip()

    def decide(asked):
        if asked.results:
            with open(os.path.join(folder, "result"), "w") as file:
                file.write(asked.results[-1])
            return None
        command = read("command")
        if command.startswith("write "):
            return Call(read("id"), path=command.removeprefix("write "))
        return Call(read("id"), command=command)

    return decide


if __name__ == "__main__":
    server(int(sys.argv[2]), of_folder(sys.argv[1])).serve_forever()
