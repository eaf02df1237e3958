"""Tests a server with real clients: Claude Code, Codex, and the command line of the inspector.

Each lists the tools, submits a task that parks, waits, and gets the decision that a person makes
meanwhile. The model of Claude Code and Codex is a stand-in on this machine that requests these
calls.
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "support/scripts/agent-matrix"))
import model  # noqa: E402

TOOLS = {"submit_task", "get_workflow", "wait_for_decision", "cancel_workflow", "explain_risk", "list_my_workflows"}
TASK = {"description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production", "resource_type": "code"}
URL, PROGRAM, WORK = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
CLAUDE, CODEX, NODE, INSPECTOR = sys.argv[4:]
TOKEN = os.environ["PARKBRAKE_TOKEN"]
# How long a client may take, and how long its wait has to last before somebody decides.
PATIENCE, PAUSE = 90, 0.5


def answer_in(text):
    """The JSON object in the result of a tool; clients put their own text before it."""
    return json.JSONDecoder().raw_decode(text, text.index("{"))[0]


def approve(workflow_id):
    """A person approves, outside of the protocol."""
    environment = {name: value for name, value in os.environ.items() if name != "PARKBRAKE_TOKEN"}
    command = [PROGRAM, "approve", workflow_id, "--yes", "--url", URL, "--as", "alice"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def check(parked, decided):
    assert parked["status"] == "pending_approval", parked
    assert decided["workflow_id"] == parked["workflow_id"], decided
    assert decided["status"] == "executing" and decided["decisions"][0]["verdict"] == "approved", decided


class Conversation:
    """The calls of an agent's model: it submits a task, and then waits for the decision."""

    def __init__(self):
        self.tools, self.given, self.wrong = [], [], None
        self.lock = threading.Lock()

    def decide(self, asked):
        with self.lock:
            try:
                return self.next(asked)
            except Exception as error:  # The client would only see a lost connection.
                self.wrong = f"{error!r} after {asked.results[-1:]}"
                return None

    def next(self, asked):
        self.tools = [tool.removeprefix("parkbrake.") for tool in asked.tools if tool.startswith("parkbrake.")]
        self.given = [answer_in(result) for result in asked.results]
        if not self.given:
            return model.Call("call_submit", server="parkbrake", tool="submit_task", arguments=TASK)
        if len(self.given) == 1:
            workflow_id = self.given[0]["workflow_id"]
            threading.Timer(PAUSE, approve, [workflow_id]).start()
            return model.Call("call_wait", server="parkbrake", tool="wait_for_decision", arguments={"workflow_id": workflow_id})
        return None


def agent(name, command, environment):
    """Runs the client of an agent with this model."""
    conversation = Conversation()
    server = model.server(0, conversation.decide)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = WORK / name
    (home / "project").mkdir(parents=True)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    arguments = command(home, base)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home), **environment(base)}
    ran = subprocess.run(arguments, env=variables, cwd=home / "project", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    server.shutdown()
    said = f"{name} ended with {ran.returncode}: {ran.stdout[-800:]} {ran.stderr[-800:]}"
    assert conversation.wrong is None, f"{conversation.wrong}; {said}"
    assert set(conversation.tools) == TOOLS, f"the model was offered {conversation.tools}; {said}"
    assert len(conversation.given) == 2, f"{len(conversation.given)} calls had results; {said}"
    check(*conversation.given)


def claude_code():
    def command(home, _):
        (home / "mcp.json").write_text(json.dumps({"mcpServers": {"parkbrake": {
            "type": "http", "url": f"{URL}/mcp", "headers": {"Authorization": "Bearer ${PARKBRAKE_TOKEN}"}}}}))
        return [CLAUDE, "-p", "do it", "--model", "claude-sonnet-4-5", "--permission-mode", "bypassPermissions", "--strict-mcp-config",
                "--mcp-config", str(home / "mcp.json")]

    # The client offers the tools themselves, not a search for them.
    agent("claude-code", command, lambda base: {
        "ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": "none", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1", "ENABLE_TOOL_SEARCH": "false", "PARKBRAKE_TOKEN": TOKEN})


def codex():
    def command(home, base):
        (home / ".codex").mkdir()
        (home / ".codex/config.toml").write_text(f"""
model = "gpt-5.1-codex"
model_provider = "stand-in"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.stand-in]
name = "stand-in"
base_url = "{base}/v1"
wire_api = "responses"
[mcp_servers.parkbrake]
command = "{PROGRAM}"
args = ["mcp", "--url", "{URL}"]
env_vars = ["PARKBRAKE_TOKEN"]
""")
        return [CODEX, "exec", "--skip-git-repo-check", "do it"]

    agent("codex", command, lambda _: {"PARKBRAKE_TOKEN": TOKEN})


def inspector(name, target):
    home = WORK / name
    home.mkdir()
    # In a file, because everybody can read a command line.
    (home / "mcp.json").write_text(json.dumps({"mcpServers": {"parkbrake": target}}))
    variables = {"PATH": f"{pathlib.Path(NODE).parent}:/usr/bin:/bin", "HOME": str(home)}

    def start(*method):
        command = [NODE, INSPECTOR, "--cli", "--config", str(home / "mcp.json"), "--server", "parkbrake", "--method", *method]
        return subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(process):
        out, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, f"{name} ended with {process.returncode}: {out[-800:]} {error[-800:]}"
        return json.loads(out)

    def call(tool, arguments):
        pairs = [f"{key}={value}" for key, value in arguments.items()]
        return start("tools/call", "--tool-name", tool, "--tool-arg", *pairs)

    assert {tool["name"] for tool in result(start("tools/list"))["tools"]} == TOOLS
    parked = result(call("submit_task", TASK))["structuredContent"]
    waiting = call("wait_for_decision", {"workflow_id": parked["workflow_id"]})
    time.sleep(3 * PAUSE)
    assert waiting.poll() is None, "nobody has decided"
    approve(parked["workflow_id"])
    check(parked, result(waiting)["structuredContent"])


for name, test in {
    "Claude Code, over HTTP": claude_code,
    "Codex, over standard input and output": codex,
    "the inspector, over HTTP": lambda: inspector(
        "inspector-http", {"type": "streamable-http", "url": f"{URL}/mcp", "headers": {"Authorization": f"Bearer {TOKEN}"}}),
    "the inspector, over standard input and output": lambda: inspector(
        "inspector-stdio", {"command": PROGRAM, "args": ["mcp", "--url", URL], "env": {"PARKBRAKE_TOKEN": TOKEN}}),
}.items():
    test()
    print(f"{name}: listed the tools, submitted, parked, waited, and got the approval", flush=True)
