//! The commands of README.md, QUICK_START.md and API.md, run in their order on a server.

use crate::{Block, blocks, read, root};
use parkbrake::postgres::{Cluster, Options, Programs};
use regex::Regex;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_parkbrake");
/// The address of the server in the documents.
const ADDRESS: &str = "http://127.0.0.1:8001";
/// The address of the database in the documents.
const DATABASE: &str = "postgres://USER:PASSWORD@HOST/DATABASE";
const SERVE: &str = "parkbrake serve --config config\n";
/// Scripts that keep running, or that run these tests. This test starts the first itself; other
/// tests run both scripts.
const SCRIPTS: [&str; 2] = ["support/scripts/dev.sh", "support/scripts/test.sh"];

/// A folder that others may enter, because PostgreSQL may have to run as another user.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    folder
}

/// `parkbrake dev` with its own home; Ctrl-C stops it.
struct Dev {
    child: Child,
    home: TempDir,
    url: String,
}

impl Dev {
    fn start() -> Self {
        let home = folder();
        let mut command = Command::new(PROGRAM);
        command.args(["dev", "--listen", "127.0.0.1:0"]).current_dir(home.path()).env("PARKBRAKE_DEV_HOME", home.path());
        let mut child = command.env_remove("PARKBRAKE_CONFIG").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a server");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = lines.find_map(|line| line.ok()?.strip_prefix("parkbrake is ready at ").map(str::to_owned)).expect("it starts");
        // The rest of its output is read, so that it never blocks on writing.
        std::thread::spawn(move || lines.count());
        let url = ready.split_whitespace().next().expect("an address").to_owned();
        Self { child, home, url }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a number")).expect("a process");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.child.wait();
    }
}

/// A checkout to work in, so that the commands leave no files in the real one.
fn checkout() -> TempDir {
    let folder = folder();
    for name in ["config", "support", "Taskfile.yml"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).expect("a link");
    }
    folder
}

/// The output of a shell that runs this text to its end.
#[track_caller]
fn said(dev: &Dev, options: &str, text: &str) -> String {
    let checkout = checkout();
    let script = checkout.path().join("script");
    std::fs::write(&script, text.replace(ADDRESS, &dev.url)).expect("a script");
    let path = std::env::join_paths(
        std::iter::once(Path::new(PROGRAM).parent().expect("a folder").to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut shell = Command::new("bash");
    shell.args([options, "-o", "pipefail"]).arg(&script).current_dir(checkout.path()).env("PATH", path.expect("a path"));
    shell.env("PARKBRAKE_DEV_HOME", dev.home.path()).env("PARKBRAKE_URL", &dev.url).stdin(Stdio::null());
    for name in ["PARKBRAKE_TOKEN", "PARKBRAKE_AS", "PARKBRAKE_CONFIG", "DATABASE_URL", "PARKBRAKE_SECRET_KEY"] {
        shell.env_remove(name);
    }
    let output = shell.output().expect("bash");
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the commands ended with {}:\n{text}\nthey said:\n{words}", output.status);
    words
}

/// The commands of a page. Scripts that keep running or run these tests are only checked for
/// existence.
fn commands(page: &str) -> String {
    let all: String = blocks(page).into_iter().filter(|block| block.language == "sh").map(|block| block.text + "\n").collect();
    let kept = all.lines().filter(|line| {
        let script = SCRIPTS.iter().find(|script| line.starts_with(**script));
        assert!(script.is_none_or(|script| root().join(script).exists()), "{line}");
        script.is_none()
    });
    // The program built for this test, wherever cargo has put it.
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    kept.replace("$PWD/target/debug:", "")
}

#[test]
fn the_first_approval_of_the_readme_works_as_written() {
    let said = said(&Dev::start(), "-eu", &commands(&read("README.md")));
    assert!(said.contains("deploy.sh api 1.4.2") && said.contains("approved by alice") && said.contains("completed"), "{said}");
}

#[test]
fn the_quick_start_works_as_written() {
    let text = commands(&read("support/docs/QUICK_START.md"));
    assert!(text.contains(SERVE) && text.contains(DATABASE), "it goes on to a server: {text}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let data = folder();
    let programs = Programs::find().expect("PostgreSQL");
    let cluster = runtime.block_on(Cluster::start(&programs, data.path(), Options::default())).expect("a database");
    runtime.block_on(cluster.create_database("own")).expect("a database");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let serve = format!(
        "parkbrake serve --config config --listen 127.0.0.1:{port} >served 2>&1 & server=$!\n\
         trap 'kill -INT $server; wait $server; cat served >&2' EXIT\n\
         for ((tries = 0; tries < 1200; tries++)); do ! curl --silent --fail --output /dev/null http://127.0.0.1:{port}/readyz || break; \
         kill -0 $server; sleep 0.1; done\n"
    );
    let text = text.replace(SERVE, &serve).replace(DATABASE, &format!("'{}'", cluster.url("own")));
    let said = said(&Dev::start(), "-eu", &text);
    for words in
        ["1 request waits", "refused", "approved by alice", "completed", "\"status\":\"approved\"", "config is valid", "parkbrake is ready"]
    {
        assert!(said.contains(words), "{words} is not in: {said}");
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("pbk_")).count(), 1, "one token is printed: {said}");
    runtime.block_on(cluster.stop()).expect("it stops");
}

/// What each example in the API guide prints, by words in its block.
const ANSWERS: &[(&str, &str)] = &[
    ("ALICE=$(awk", ""),
    ("\"$URL/orchestrate\"", "\"status\":\"pending_approval\""),
    ("/wait?since=2", "{\"version\":2,\"status\":\"pending_approval\"}"),
    ("/events\"", "event: submitted"),
    ("\\\"digest\\\": \\\"$DIGEST\\\"", "\"status\":\"approved\""),
    ("/result\"", "\"status\":\"completed\""),
    // It has completed by then, so there is nothing to resolve.
    ("parkbrake resolve", "only an unknown outcome can be resolved"),
    ("$URL/grants\"", "\"success\":true"),
    ("/agents/tool-calls\"", "\"decision\":\"allow\""),
    ("hashlib.sha256", "True sha256:"),
    ("Bearer $CORA\" -X POST", "not-an-approver"),
    ("$URL/nothing\"", "nothing is served at this path"),
];

#[test]
fn the_api_examples_answer_as_documented() {
    let page = blocks(&read("support/docs/API.md"));
    let examples: Vec<&Block> = page.iter().filter(|block| block.language == "bash").collect();
    let answer = |block: &Block| {
        let fitting: Vec<_> = ANSWERS.iter().filter(|(words, _)| block.text.contains(words)).collect();
        let [(_, answer)] = fitting[..] else {
            panic!("API.md, line {} ({}): say in ANSWERS of this test what the example answers", block.line, block.heading)
        };
        *answer
    };
    let submit = examples.iter().find(|block| block.text.contains("\"$URL/orchestrate\"")).expect("an example that submits");
    let script: String = examples
        .iter()
        .enumerate()
        .map(|(at, block)| {
            // A waiting request shows that somebody else may not decide it.
            let before = if block.text.contains("$CORA\" -X POST") { submit.text.as_str() } else { "" };
            // A stream that is read for two seconds may still be empty on a busy machine.
            let text = block.text.replace("--max-time 2 ", "--max-time 15 ");
            format!("{before}\nprintf '\\n@@{at}\\n'\n{text}\n")
        })
        .collect();
    let said = said(&Dev::start(), "-u", &format!("exec 2>&1\n{script}\nexit 0"));
    let answers: Vec<&str> = said.split("\n@@").skip(1).collect();
    assert_eq!(answers.len(), examples.len(), "{said}");
    for (block, said) in examples.iter().zip(answers) {
        assert!(said.contains(answer(block)), "API.md, line {}: {}\nanswered: {said}", block.line, block.text);
        // The page shows some answers as they are, but for ids, digests and times.
        let shown = page.iter().skip_while(|other| other.line != block.line).nth(1).filter(|next| next.language == "text");
        let said = masked(said);
        for line in shown.map(|shown| masked(&shown.text)).iter().flat_map(|shown| shown.lines()) {
            assert!(said.contains(line), "API.md shows below line {}: {line}\nanswered: {said}", block.line);
        }
    }
}

/// A text without what differs each time: ids, digests and times.
fn masked(text: &str) -> String {
    let differs = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|\d{4}-\d\d-\d\dT[\d:.]+Z";
    Regex::new(differs).expect("a pattern").replace_all(text, "…").into_owned()
}

/// Terraform stands for itself here: a function of the shell prints a plan and notes what it
/// applies.
#[test]
fn the_terraform_pipeline_works_as_written() {
    let page = blocks(&read("support/docs/INTEGRATIONS.md"));
    let steps: Vec<&Block> = page.iter().filter(|block| block.language == "bash" && block.heading == "Terraform and OpenTofu").collect();
    let [submit, apply] = steps[..] else { panic!("the page submits a plan, and applies it") };
    let plan = root().join("tests/fixtures/terraform/opentofu-no-changes.json");
    let terraform = format!("terraform() {{ case $1 in show) cat '{}' ;; apply) echo \"applied $2\" ;; esac; }}", plan.display());
    let approve = "parkbrake approve --yes --as alice --justification 'read it' \"$ID\"";
    let said = said(&Dev::start(), "-eu", &format!("{terraform}\n{}\n{approve}\n{}", submit.text, apply.text));
    assert!(said.contains("applied plan.bin"), "{said}");
}

/// These commands call no server, so none is started.
#[test]
fn the_commands_of_agent_tools_explain() {
    let mut seen = 0;
    for block in blocks(&read("support/docs/AGENT_TOOLS.md")).iter().filter(|block| block.language == "sh") {
        for line in block.text.lines() {
            let mut shell = Command::new("bash");
            let path =
                format!("{}:{}", Path::new(PROGRAM).parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
            let output =
                shell.args(["-euc", line]).current_dir(root()).env("PATH", path).env_remove("PARKBRAKE_CONFIG").output().expect("bash");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("high"), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}
