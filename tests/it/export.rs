//! Exports: everything of a period, for people, either complete or visibly incomplete.

use crate::support::called;
use crate::support::client::{critical, high, low, token};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Answer, Client, Config, Database, TestApp, contract, eventually};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::process::Command;

/// The statement that reads a page.
const PAGE: &str = "where workflow_id > $1 and workflow_id < $2 order by workflow_id limit";

/// A runbook with a specific exit status.
const RUNBOOKS: &str = "runbooks:
  deploy-api:
    operation: deploy
    environment: production
    resource: '{{ service }}'
    resource_type: code
    command: [/bin/sh, -c, 'echo ran; exit 3', '{{ service }}']
    args: { service: { pattern: '[a-z@=+-]{1,20}', dash: true } }
";

/// The lines of an export, checked against their schema.
#[track_caller]
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/jsonl");
    let schema = json!({"$ref": "#/components/schemas/ExportedWorkflow"});
    let line = |text: &str| {
        let line: Value = serde_json::from_str(text).expect("a document");
        assert_eq!(contract::misfits("a line of an export", &schema, &line), Vec::<String>::new());
        line
    };
    answer.text.lines().map(line).collect()
}

async fn exported(client: &Client, query: &str) -> Vec<Value> {
    lines(&client.get(&format!("/workflows/export{query}")).await)
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["workflow_id"].as_str().expect("an id")).collect()
}

/// The rows of a table, by the names of its columns.
#[track_caller]
fn table(text: &str) -> Vec<HashMap<String, String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {
                characters.next();
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "a table ends with a whole row");
    let head: Vec<String> = rows.remove(0);
    assert!(rows.iter().all(|row| row.len() == head.len()), "every row has every column");
    rows.into_iter().map(|row| head.iter().cloned().zip(row).collect()).collect()
}

#[tokio::test]
async fn an_export_records_who_decided_and_what_ran() {
    let config = Config::new().with_runbooks(RUNBOOKS).with_policies("policies: { high: { required: 2 } }");
    let app = TestApp::with(config).await;
    let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let mut task = high();
    task["task_id"] = json!("OPS-7");
    task["action"] = json!({"type": "runbook", "name": "deploy-api", "args": {"service": "api"}});
    let ran = bot.submit(task).await;
    let id = ran["workflow_id"].as_str().unwrap();
    alice.approve(id).await.expect(200);
    tess.approve(id).await.expect(200);
    let failed = alice.wait_for(id, "failed").await;
    let rejected = bot.submit_id(critical()).await;
    tess.reject(&rejected).await.expect(200);

    for auditor in ["nora", "alice"] {
        let lines = exported(&app.client(auditor), "").await;
        assert_eq!(ids(&lines), [id, &rejected], "the oldest first");
        let line = &lines[0];
        for (field, expected) in [("task_id", json!("OPS-7")), ("status", json!("failed")), ("requested_by", json!("deploy-bot"))] {
            assert_eq!(line[field], expected, "{field}");
        }
        for field in ["digest", "decisions", "on_behalf_of", "target", "approval_status", "risk_level"] {
            assert_eq!(line[field], failed[field], "as everywhere: {field}");
        }
        assert_eq!(line["policy_version"], failed["assessment"]["policy_version"]);
        assert_eq!(line["actions"][0]["argv"], json!(["/bin/sh", "-c", "echo ran; exit 3", "api"]));
        let attempt = &line["attempts"][0];
        assert_eq!((&attempt["exit_status"], &attempt["outcome"]), (&json!(3), &json!("failed")), "{attempt}");
        let said: Vec<_> = line["decisions"].as_array().unwrap().iter().map(|one| (one["approver"].clone(), one["role"].clone())).collect();
        assert_eq!(said, [(json!("alice"), json!("team_lead")), (json!("tess"), json!("tech_lead"))]);
        assert_eq!(line["decisions"][0]["justification"], "looked at it");
        assert_eq!((&lines[1]["decisions"][0]["verdict"], &lines[1]["attempts"]), (&json!("rejected"), &json!([])));
        assert!(line["decisions"][0]["via"] == "rest" && line["problem"].is_null());
        assert!(!line.to_string().contains("stdout"), "outputs are not in it");
    }
    let answer = alice.get("/workflows/export?format=csv").await;
    assert!(answer.headers["content-disposition"].to_str().unwrap().contains("parkbrake-export.csv"));
    let rows = table(&answer.text);
    assert_eq!(rows.len(), 2);
    let row = &rows[0];
    for (column, expected) in
        [("workflow_id", id), ("operation", "deploy"), ("resource", "api"), ("exit_status", "3"), ("action", "runbook deploy-api")]
    {
        assert_eq!(row[column], expected, "{column}");
    }
    assert_eq!(row["argv"], r#"["/bin/sh","-c","echo ran; exit 3","api"]"#);
    assert_eq!(serde_json::from_str::<Value>(&row["decisions"]).unwrap(), failed["decisions"]);
    app.client("deploy-bot").get("/workflows/export").await.problem(403, "not-permitted");
}

#[tokio::test]
async fn an_export_neutralizes_formulas() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for formula in ["=HYPERLINK(\"https://evil.example\",\"ok\")", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", "two, \"three\"\nlines"] {
        let mut task = low();
        task["description"] = json!(formula);
        task["task_id"] = json!(formula.trim().replace(['\n', '\t'], " "));
        bot.submit(task).await;
    }
    let answer = app.client("nora").get("/workflows/export?format=csv").await;
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let rows = table(&answer.text);
    assert_eq!(rows.len(), 7);
    for (name, cell) in rows.iter().flatten() {
        let first = cell.trim_start_matches([' ', '\u{feff}']).chars().next();
        assert!(!first.is_some_and(|first| "=+-@\t\r\n＝＋－＠".contains(first)), "{name}: {cell:?}");
    }
    assert_eq!(rows[0]["description"], "'=HYPERLINK(\"https://evil.example\",\"ok\")");
    assert_eq!(rows[6]["description"], "two, \"three\"\nlines");
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_and_end_where_the_export_began() {
    let app = TestApp::start().await;
    let (bot, nora) = (app.client("deploy-bot"), app.client("nora"));
    assert!(exported(&nora, "").await.is_empty());
    assert_eq!(table(&nora.get("/workflows/export?format=csv").await.text).len(), 0, "a table has its head even if nothing is in it");
    let mut all = join_all((0..45).map(|_| bot.submit_id(high()))).await;
    all.sort();
    assert_eq!(ids(&exported(&nora, "").await), all);
    // Two pages exactly, and days before and after.
    app.database
        .execute("update workflow set created_at = created_at - interval '40 days' where workflow_id in (select workflow_id from workflow order by 1 limit 5)")
        .await;
    let today = chrono::Utc::now().date_naive();
    let yesterday = today - chrono::Days::new(1);
    assert_eq!(exported(&nora, &format!("?from={yesterday}&until={today}")).await.len(), 40);
    assert_eq!(exported(&nora, &format!("?from={today}T00:00:00Z&until={}", today + chrono::Days::new(9))).await.len(), 40);
    assert!(exported(&nora, &format!("?from={}", today + chrono::Days::new(2))).await.is_empty());
    assert!(exported(&nora, "?until=2026-01-01").await.is_empty());
    for wrong in
        ["from=tomorrow", "from=2026-10-02&until=2026-10-01", "format=xml", "documents=maybe", "limit=1", "from=2026-10-01T00:00:00"]
    {
        let problem = nora.get(&format!("/workflows/export?{wrong}")).await.problem(422, "invalid-task");
        assert!(problem["detail"].as_str().unwrap().contains(wrong.split('=').next().unwrap()) || wrong.contains("until"), "{problem}");
    }
}

#[tokio::test]
async fn an_export_has_the_documents_where_they_are_asked_for() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let nora = app.client("nora");
    let line = exported(&nora, "?documents=true").await.remove(0);
    assert_eq!(line["document"], nora.workflow(&id).await["task"]);
    assert_eq!(exported(&nora, "?documents=false").await[0].get("document"), None);
    assert_eq!(exported(&nora, "").await[0].get("document"), None);
    let problem = nora.get("/workflows/export?format=csv&documents=true").await.problem(422, "invalid-task");
    assert!(problem["detail"].as_str().unwrap().contains("a table has no column for documents"), "{problem}");
}

#[tokio::test]
async fn an_export_marks_workflows_that_do_not_verify() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (valid, touched) = (bot.submit_id(high()).await, bot.submit_id(high()).await);
    app.database.execute("alter table workflow_event disable trigger all").await;
    app.database.execute(&format!("update workflow_event set actor = 'nobody' where workflow_id = '{touched}' and version = 1")).await;
    let changed = bot.submit_id(high()).await;
    app.database.execute("alter table document disable trigger all").await;
    app.database.execute(&format!("update document set content = '{{}}' where workflow_id = '{changed}'")).await;
    let lines = exported(&app.client("nora"), "").await;
    assert_eq!(ids(&lines), [&valid, &touched, &changed]);
    assert!(lines[2]["problem"].as_str().unwrap().contains("the digests differ"), "{}", lines[2]);
    assert_eq!((&lines[0]["problem"], &lines[1]["actions"]), (&json!(null), &json!([])));
    assert!(lines[1]["problem"].as_str().unwrap().contains("not written by this server"), "{}", lines[1]);
}

/// A server behind a proxy, with this many workflows.
async fn behind_proxy(count: usize) -> (Proxy, TestApp) {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let config = Config::new();
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let bot = app.client("deploy-bot");
    join_all((0..count).map(|_| bot.submit_id(low()))).await;
    (proxy, app)
}

/// Lets this many pages pass, and holds the next one.
fn hold_page_after(proxy: &Proxy, pages: usize) {
    if pages > 0 {
        proxy.next(PAGE, Fault::None, pages);
    }
    proxy.next(PAGE, Fault::HoldRequest, 1);
}

#[tokio::test]
async fn disconnecting_ends_an_export_and_frees_its_slot() {
    let (proxy, app) = behind_proxy(60).await;
    let nora = app.client("nora");
    let export = async || nora.request(Method::GET, "/workflows/export").send().await.expect("an answer");
    hold_page_after(&proxy, 1);
    let first = export().await;
    eventually("the second page", || async { (proxy.applied() == 2).then_some(()) }).await;
    hold_page_after(&proxy, 1);
    let second = export().await;
    eventually("the second page of the other", || async { (proxy.applied() == 4).then_some(()) }).await;
    let problem = nora.get("/workflows/export").await.problem(429, "rate-limited");
    assert!(problem["detail"].as_str().unwrap().contains("two exports of yours"), "{problem}");
    drop((first, second));
    proxy.thaw();
    eventually("a slot", || async { (nora.get("/workflows/export").await.status == 200).then_some(()) }).await;
    // The pages for disconnected clients were finished, and nothing more was read for them.
    let pages = proxy.applied();
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn an_export_that_cannot_be_written_to_its_end_breaks_off_and_one_that_is_disturbed_goes_on() {
    let (proxy, mut app) = behind_proxy(60).await;
    let nora = app.client("nora");
    proxy.next(PAGE, Fault::None, 1);
    proxy.next(PAGE, Fault::CutBefore, 1);
    assert_eq!(exported(&nora, "").await.len(), 60, "a page whose connection broke is asked for again");

    hold_page_after(&proxy, 1);
    let answer = nora.request(Method::GET, "/workflows/export").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    eventually("the second page", || async { (proxy.applied() == 4).then_some(()) }).await;
    let (text, ()) = tokio::join!(answer.text(), app.stop());
    text.expect_err("it is not taken for a whole one");
}

#[track_caller]
fn parkbrake(addr: SocketAddr, folder: &Path, arguments: &[&str]) -> impl Future<Output = (Option<i32>, String, String)> {
    called(async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.env_remove("PARKBRAKE_AS").env("PARKBRAKE_URL", format!("http://{addr}")).env("PARKBRAKE_TOKEN", token("nora"));
        let output = command.arg("export").args(arguments).current_dir(folder).output().await.expect("the program");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    })
}

#[tokio::test]
async fn the_command_writes_a_file_only_if_it_is_whole() {
    let (proxy, mut app) = behind_proxy(45).await;
    let folder = TempDir::new().unwrap();
    let (code, said, complained) = parkbrake(app.addr, folder.path(), &["--format", "csv"]).await;
    assert_eq!((code, table(&said).len(), complained.as_str()), (Some(0), 45, ""));
    let (code, _, complained) = parkbrake(app.addr, folder.path(), &["--output", "all.jsonl"]).await;
    assert_eq!((code, complained.trim_end()), (Some(0), "parkbrake: all.jsonl is written"));
    assert_eq!(std::fs::read_to_string(folder.path().join("all.jsonl")).unwrap().lines().count(), 45);
    let (code, _, complained) = parkbrake(app.addr, folder.path(), &["--from", "soon"]).await;
    assert!(code == Some(1) && complained.contains("2026-10-31T14:00:00Z"), "{code:?} {complained}");

    hold_page_after(&proxy, 1);
    let running = parkbrake(app.addr, folder.path(), &["--output", "half.jsonl"]);
    let stopped = async {
        eventually("the second page", || async { (proxy.applied() == 2).then_some(()) }).await;
        app.stop().await;
    };
    let ((code, _, complained), ()) = tokio::join!(running, stopped);
    assert!(code == Some(1) && complained.contains("is incomplete"), "{code:?} {complained}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["all.jsonl"]);
}
