//! The hooks of coding agents, with the real binary: whatever the server does, and whatever
//! standard input contains, no tool runs that was not allowed.

#[path = "hook/setup.rs"]
mod setup;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CLIENTS: [&str; 2] = ["claude-code", "codex"];
const WORKFLOW: &str = "01a219ab-c616-7118-93f0-ddb20c283aee";

/// What a server does with a call.
#[derive(Clone)]
enum Does {
    /// Answers this, byte for byte.
    Says(String),
    /// Accepts the call, and is silent for as long as the client waits.
    Waits,
    /// Closes the connection in the middle of its answer.
    BreaksOff,
    /// Sends a byte now and then.
    Trickles,
}

/// A server that does one thing, and records what it receives.
struct Server {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn that(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (does, log) = (does.clone(), Arc::clone(&log));
                std::thread::spawn(move || serve(stream.unwrap(), &does, &log));
            }
        });
        Self { url, heard }
    }

    /// One that answers every call with this status, media type and body.
    fn answers(status: &str, media_type: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        Self::that(Does::Says(format!("{head}\r\n{body}")))
    }

    fn decides(body: &Value) -> Self {
        Self::answers("200 OK", "application/json", &body.to_string())
    }

    fn allows() -> Self {
        Self::decides(&json!({"decision": "allow", "workflow_id": WORKFLOW, "reason": "low: needs no approval"}))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, does: &Does, log: &Mutex<Vec<String>>) {
    log.lock().unwrap().push(request(&mut stream));
    match does {
        Does::Says(answer) => stream.write_all(answer.as_bytes()).unwrap_or_default(),
        Does::Waits => std::thread::sleep(Duration::from_secs(60)),
        Does::BreaksOff => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"decision\": \"allow\",");
        }
        Does::Trickles => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The head and the body of a request.
fn request(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 65_536]);
    loop {
        let read = stream.read(&mut buffer).unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if read == 0 || whole {
            return text;
        }
    }
}

fn event(name: &str) -> Value {
    json!({
        "session_id": "session", "transcript_path": "/t.jsonl", "cwd": "/srv/api", "permission_mode": "bypassPermissions", "hook_event_name": name,
        "tool_name": "Bash", "tool_input": {"command": "touch ran", "description": "test"}, "tool_use_id": "toolu_1",
        "tool_response": {"stdout": "s3cr3t output", "stderr": "", "interrupted": false}
    })
}

/// The hook of a client, with a server and a token.
fn hook(client: &str, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(["hook", client, "--url", url, "--deadline", "1s"]);
    command.env_clear().env("PARKBRAKE_TOKEN", "pbk_test").env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    // A client that cannot write all of it would consider the hook broken.
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn asked(client: &str, url: &str) -> Output {
    told(&mut hook(client, url), event("PreToolUse").to_string().as_bytes())
}

/// Checks that neither client runs the tool after this, and returns the reason.
#[track_caller]
fn is_no(client: &str, output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{client}: {output:?}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{client}: {error}: {text}"));
    let reason = answer["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.len() > "parkbrake: ".len(), "{client}: {answer}");
    // Exactly these fields: Codex runs the tool if there is any other one.
    let expected =
        json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": reason}});
    assert_eq!(answer, expected, "{client}");
    assert!(!reason.contains("pbk_test") && !String::from_utf8_lossy(&output.stderr).contains("pbk_test"), "{reason}");
    reason
}

#[test]
fn only_calls_that_the_server_allows_run() {
    let server = Server::allows();
    let claude = asked("claude-code", &server.url);
    let reason = "parkbrake: low: needs no approval";
    let yes =
        json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow", "permissionDecisionReason": reason}});
    assert_eq!(serde_json::from_slice::<Value>(&claude.stdout).unwrap(), yes);
    // Codex knows no approval, only the absence of an objection.
    let codex = asked("codex", &server.url);
    assert_eq!((String::from_utf8(codex.stdout).unwrap().trim(), codex.status.code()), ("{}", Some(0)));

    let heard = server.heard();
    assert!(heard[0].starts_with("POST /agents/tool-calls HTTP/1.1\r\n"), "{heard:?}");
    assert!(heard[0].to_ascii_lowercase().contains("\r\nauthorization: bearer pbk_test\r\n"), "{heard:?}");
    let body: Value = serde_json::from_str(heard[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    let expected = json!({
        "client": "claude_code", "session_id": "session", "tool_use_id": "toolu_1", "tool_name": "Bash", "cwd": "/srv/api",
        "tool_input": {"command": "touch ran", "description": "test"}, "permission_mode": "bypassPermissions"
    });
    assert_eq!(body, expected);

    for (decision, words) in [("deny", "rejected by alice"), ("parked", "parked as 0198")] {
        let server = Server::decides(&json!({"decision": decision, "reason": words, "workflow_id": WORKFLOW, "retry_after_s": 30}));
        for client in CLIENTS {
            assert_eq!(is_no(client, &asked(client, &server.url)), format!("parkbrake: {words}"));
        }
    }
}

#[test]
fn no_other_server_behavior_lets_a_call_run() {
    let allow = json!({"decision": "allow", "workflow_id": WORKFLOW, "reason": "x"}).to_string();
    let says = |status: &str, media_type: &str, body: &str| Server::answers(status, media_type, body);
    let problem = json!({"type": "/problems/rate-limited", "detail": "deploy-bot may submit 5", "status": 429}).to_string();
    let refused = "127.0.0.1:1";
    let servers = [
        ("is down", Server { url: format!("http://{refused}"), heard: Arc::default() }, "no answer"),
        ("has no address", Server { url: "http://".to_owned(), heard: Arc::default() }, "URL"),
        ("is silent", Server::that(Does::Waits), "no answer"),
        ("breaks off", Server::that(Does::BreaksOff), ""),
        ("trickles", Server::that(Does::Trickles), ""),
        ("talks rubbish", Server::that(Does::Says("{\"decision\": \"allow\"}\r\n\r\n".to_owned())), ""),
        ("fails", says("500 Internal Server Error", "application/json", &allow), "500"),
        (
            "redirects",
            Server::that(Does::Says(format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/agents/tool-calls\r\ncontent-length: 0\r\n\r\n",
                Server::allows().url
            ))),
            "307",
        ),
        ("has accepted", says("202 Accepted", "application/json", &allow), "202"),
        ("is empty", says("200 OK", "application/json", ""), "is not a decision"),
        ("sends a page", says("200 OK", "text/html", &allow), "is not JSON"),
        ("sends no object", says("200 OK", "application/json", "[\"allow\"]"), "is not a decision"),
        ("knows another word", Server::decides(&json!({"decision": "ALLOW", "workflow_id": WORKFLOW, "reason": "x"})), "is not a decision"),
        ("says it as a boolean", Server::decides(&json!({"decision": true, "workflow_id": WORKFLOW, "reason": "x"})), "is not a decision"),
        ("gives no reason", Server::decides(&json!({"decision": "allow", "workflow_id": WORKFLOW})), "is not a decision"),
        ("names no workflow", Server::decides(&json!({"decision": "allow", "reason": "x"})), "names no workflow"),
        ("sends too much", says("200 OK", "application/json", &format!("{allow}{}", " ".repeat(70_000))), "longer than"),
        ("sends two answers in one", says("200 OK", "application/json", &format!("{allow}{allow}")), "is not a decision"),
        ("has a problem", says("429 Too Many Requests", "application/problem+json", &problem), "deploy-bot may submit 5"),
    ];
    for (what, server, words) in servers {
        for client in CLIENTS {
            let reason = is_no(client, &asked(client, &server.url));
            assert!(reason.contains(words), "a server that {what}: {reason}");
        }
    }
}

#[test]
fn no_invalid_input_lets_a_call_run() {
    let server = Server::allows();
    let with = |name: &str, value: Value| {
        let mut event = event("PreToolUse");
        event[name] = value;
        event.to_string().into_bytes()
    };
    let inputs = [
        Vec::new(),
        b"{nope".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"null".to_vec(),
        with("hook_event_name", json!("PermissionRequest")),
        with("hook_event_name", json!("BeforeTool")),
        with("tool_use_id", json!("")),
        with("tool_input", json!("touch ran")),
        with("cwd", Value::Null),
        with("tool_input", json!({"command": "x".repeat(10 << 20)})),
    ];
    for input in inputs {
        for client in CLIENTS {
            is_no(client, &told(&mut hook(client, &server.url), &input));
        }
    }
    // An unreadable event is never sent to the server.
    assert_eq!(server.heard(), Vec::<String>::new());
}

#[test]
fn an_input_that_does_not_end_lets_nothing_run() {
    let server = Server::allows();
    for client in CLIENTS {
        let mut child: Child = hook(client, &server.url).spawn().unwrap();
        let mut open = child.stdin.take().unwrap();
        open.write_all(b"{\"session_id\": ").unwrap();
        let reason = is_no(client, &child.wait_with_output().unwrap());
        assert!(reason.contains("no answer within 1000 ms"), "{reason}");
        drop(open);
    }
}

/// If the answer cannot be written, the exit status and standard error deny the call, even an
/// allowed one.
#[test]
fn the_hook_denies_if_it_cannot_write_its_answer() {
    let server = Server::allows();
    for client in CLIENTS {
        for out in [">&-", ">/dev/full", ">/dev/null"] {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("exec \"$0\" hook {client} --url {} {out}", server.url), env!("CARGO_BIN_EXE_parkbrake")]);
            shell.env_clear().env("PARKBRAKE_TOKEN", "pbk_test").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = told(&mut shell, event("PreToolUse").to_string().as_bytes());
            assert_eq!(output.status.code(), Some(2), "{client} {out}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("not allowed"), "{client} {out}: {output:?}");
        }
    }
}

#[test]
fn wrong_usage_lets_nothing_run() {
    for client in CLIENTS {
        for args in [&["--deadline", "1h"][..], &["--nonsense"]] {
            let output = told(
                Command::new(env!("CARGO_BIN_EXE_parkbrake"))
                    .args(["hook", client])
                    .args(args)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped()),
                b"",
            );
            assert_eq!(output.status.code(), Some(2), "{client}: {output:?}");
            assert!(!output.stderr.is_empty(), "{client}: Codex runs the tool on a silent 2");
        }
    }
}

#[test]
fn a_token_goes_to_this_machine_or_by_https_and_comes_from_a_closed_file() {
    let server = Server::allows();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "pbk_file\n").unwrap();
    let with_file =
        |path: &PathBuf| told(hook("claude-code", &server.url).arg("--token-file").arg(path), event("PreToolUse").to_string().as_bytes());
    let permit = |mode| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    permit(0o640);
    assert!(is_no("claude-code", &with_file(&file)).contains("chmod 600"));
    permit(0o600);
    with_file(&file);
    assert!(server.heard()[0].contains("pbk_file"), "a file that is named goes before the environment: {:?}", server.heard());
    assert!(is_no("claude-code", &with_file(&folder.path().join("none"))).contains("cannot open"));
    for url in ["http://192.0.2.1:8001", "http://example.com", "ftp://127.0.0.1", "http://user:pass@127.0.0.1"] {
        is_no("claude-code", &asked("claude-code", url));
    }
    let bare = told(
        hook("codex", &server.url).env_remove("PARKBRAKE_TOKEN").env("PARKBRAKE_DEV_HOME", folder.path().join("none")),
        event("PreToolUse").to_string().as_bytes(),
    );
    assert!(is_no("codex", &bare).contains("--token-file"));
    let sealed = told(hook("codex", &server.url).env("PARKBRAKE_TOKEN", "pbk_\u{e4}"), event("PreToolUse").to_string().as_bytes());
    is_no("codex", &sealed);
}

#[test]
fn after_a_tool_call_its_outcome_is_reported_without_an_answer() {
    let server = Server::answers("200 OK", "application/json", &json!({"workflow_id": WORKFLOW, "status": "completed"}).to_string());
    for (client, name, outcome) in [
        ("claude-code", "PostToolUse", "succeeded"),
        ("claude-code", "PostToolUseFailure", "failed"),
        ("codex", "PostToolUse", "succeeded"),
    ] {
        let output = told(&mut hook(client, &server.url), event(name).to_string().as_bytes());
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{output:?}");
        let heard = server.heard().pop().unwrap();
        assert!(heard.starts_with("POST /agents/tool-results "), "{heard}");
        let body: Value = serde_json::from_str(heard.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["outcome"], &body["tool_use_id"]), (&json!(outcome), &json!("toolu_1")));
        assert!(!heard.contains("s3cr3t"), "{heard}");
    }
    // A result that the server refuses changes nothing any more; the error is reported.
    let output = told(&mut hook("claude-code", "http://127.0.0.1:1"), event("PostToolUse").to_string().as_bytes());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no answer"), "{output:?}");
}
