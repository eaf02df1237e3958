"""A model for the matrix of agent clients: it asks for one call, once, and keeps what the client tells of it.

It speaks as much of Claude's Messages API and of OpenAI's Responses API as Claude Code and Codex need. The file `command` holds a shell
command, or `write FILE` for the client's own tool that writes a file; `id` holds the id of the call. What came of it goes into `told`.
"""

import http.server
import json
import os
import sys

FOLDER, PORT = sys.argv[1], int(sys.argv[2])


def read(name):
    with open(os.path.join(FOLDER, name)) as file:
        return file.read().strip()


def keep(told):
    with open(os.path.join(FOLDER, "told"), "w") as file:
        file.write(told if isinstance(told, str) else json.dumps(told))


def written():
    """The file that is to be written, if no command is to be run."""
    command = read("command")
    return command.removeprefix("write ") if command.startswith("write ") else None


def stream(events):
    return "text/event-stream", "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def message(body):
    """Claude's Messages API."""
    blocks = [block for one in body.get("messages", []) if isinstance(one["content"], list) for block in one["content"]]
    results = [block for block in blocks if block.get("type") == "tool_result"]
    block, delta, stop = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Done."}, "end_turn"
    if results:
        keep(results[-1].get("content"))
    elif any(tool.get("name") == "Bash" for tool in body.get("tools", [])):
        name, wanted = "Bash", {"command": read("command"), "description": "As call " + read("id") + " has it"}
        if written():
            name, wanted = "Write", {"file_path": written(), "content": "ran"}
        block = {"type": "tool_use", "id": read("id"), "name": name, "input": {}}
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


def response(body):
    """OpenAI's Responses API, as Codex uses it."""
    results = [item for item in body.get("input", []) if item.get("type") in ("function_call_output", "custom_tool_call_output")]
    if results:
        keep(results[-1].get("output"))
        item = {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]}
    elif written():
        patch = f"*** Begin Patch\n*** Add File: {written()}\n+ran\n*** End Patch\n"
        item = {"type": "custom_tool_call", "id": "ct_1", "call_id": read("id"), "name": "apply_patch", "input": patch}
    else:
        names = [tool.get("name") for tool in body.get("tools", [])]
        command = read("command")
        name, arguments = next(
            ((name, made) for name, made in (("exec_command", {"cmd": command}), ("shell_command", {"command": command})) if name in names),
            ("shell", {"command": ["bash", "-lc", command]}))
        item = {"type": "function_call", "id": "fc_1", "call_id": read("id"), "name": name, "arguments": json.dumps(arguments)}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": None, "output_tokens_details": None}
    return stream([
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}},
    ])


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
            self.reply(*message(body))
        else:
            self.reply(*response(body))


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Model).serve_forever()
