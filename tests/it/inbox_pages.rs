//! What the pages of the inbox show, and that text from outside cannot become markup.

use crate::support::client::{critical, high, low, medium};
use crate::support::{Browser, Config, Ledger, TestApp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' {{ 7*7 }} \u{202e}drowssap\u{202c}\u{200b} <!--";

/// Checks that the text appears only as plain text.
#[track_caller]
fn assert_harmless(page: &crate::support::browser::Page) {
    page.lacks("<script>").lacks("<img").lacks("<!--").lacks("49 ").lacks("\u{202e}").lacks("\u{200b}");
}

#[tokio::test]
async fn hostile_words_stay_words_on_every_page() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    // A resource may contain only visible ASCII.
    let task = |resource: &str| {
        let resource: String = resource.chars().filter(|character| (' '..='~').contains(character)).collect();
        json!({"description": HOSTILE, "operation": "deploy", "environment": "production", "resource": resource, "resource_type": "code",
               "task_id": &HOSTILE[..60], "security_findings": [{"severity": "high", "id": HOSTILE, "title": HOSTILE}],
               "action": {"type": "external", "name": "n<b>", "args": {HOSTILE: HOSTILE}}, "metadata": {HOSTILE: {HOSTILE: [HOSTILE]}}})
    };
    let bot = app.client("deploy-bot");
    let before = bot.submit_id(task("other")).await;
    app.client("alice").post(&format!("/workflows/{before}/approve"), json!({"justification": HOSTILE})).await.expect(200);
    bot.post(&format!("/workflows/{before}/result"), json!({"outcome": "failed", "error": HOSTILE, "output": {HOSTILE: HOSTILE}}))
        .await
        .expect(200);
    let id = bot.submit_id(task(HOSTILE)).await;
    let rejected = bot.submit_id(task(HOSTILE)).await;
    app.client("alice").post(&format!("/workflows/{rejected}/reject"), json!({"reason": HOSTILE})).await.expect(200);

    let alice = Browser::of(app.addr, "alice").await;
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let paths = [
        "/".to_owned(),
        "/?of=all".to_owned(),
        "/?fragment=list".to_owned(),
        format!("/?text={encoded}&role={encoded}"),
        "/inbox/history".to_owned(),
        format!("/inbox/history?text={encoded}&requested_by={encoded}"),
        "/inbox/people/alice".to_owned(),
        format!("/inbox/workflows/{id}"),
        format!("/inbox/workflows/{before}"),
        format!("/inbox/workflows/{rejected}"),
    ];
    for path in &paths {
        assert_harmless(&alice.get(path).await.expect(200));
    }
    for path in [
        format!("/?level={encoded}"),
        format!("/?cursor={encoded}"),
        format!("/inbox/history?from={encoded}"),
        format!("/inbox/people/{encoded}"),
    ] {
        assert_harmless(&alice.get(&path).await.expect(422));
    }
    let page = alice.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;").has("&lt;U+202E&gt;drowssap").has("&lt;U+200B&gt;");
    // The only difference from the last approved one is the resource.
    page.has("<code>&#x2f;resource</code>").lacks("<code>&#x2f;description</code>").has(&before);
    let approve = format!("/inbox/workflows/{id}/approve");
    let token = page.hidden("/sign-out")[0].1.clone();
    assert_harmless(&alice.post(&approve, &[("form_token", &token), ("digest", HOSTILE), ("justification", HOSTILE)]).await.expect(412));
    assert_harmless(&alice.submit(&alice.get("/").await, "/inbox/reject", &[("id", &id), ("reason", HOSTILE)]).await.expect(200));
    assert_harmless(&Browser::new(app.addr).get(&format!("/sign-in?next={encoded}")).await.expect(200));
}

#[tokio::test]
async fn the_list_has_what_waits_and_can_be_filtered_and_paged() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let mut expected = BTreeSet::new();
    for number in 0..30 {
        let mut task = if number % 10 == 0 { medium() } else { high() };
        task["resource"] = json!(format!("service-{number}"));
        expected.insert(bot.submit_id(task).await);
    }
    bot.submit_id(critical()).await;
    bot.submit_id(low()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let mut seen = Vec::new();
    let mut next = Some("/".to_owned());
    while let Some(path) = next {
        let page = alice.get(&path).await.expect(200);
        seen.extend(page.ids());
        next = page.next();
    }
    assert_eq!(seen.len(), 30);
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), expected);

    let count = async |path: &str| alice.get(path).await.expect(200).ids().len();
    assert_eq!(count("/?level=medium").await, 3);
    assert_eq!(count("/?text=SERVICE-17").await, 1);
    assert_eq!(count("/?text=nowhere").await, 0);
    assert_eq!(count("/?role=cto").await, 0);
    assert_eq!(count("/?of=all&role=cto&level=critical").await, 1);
    let page = alice.get("/?of=all&level=critical").await.expect(200);
    page.has("<span class=\"level level-critical\">critical</span>").has("delete in production").lacks("name=\"id\"");
    alice.get("/?text=service&level=high").await.expect(200).has("value=\"service\"").has("<option value=\"high\" selected>");
    alice.get("/?level=odd").await.expect(422).has("has to be one of low, medium, high, critical");

    // The fragment for the script is the same list, and nothing else.
    let fragment = alice.get("/?fragment=list").await.expect(200);
    fragment.lacks("<html").has("form_token");
    assert_eq!(fragment.ids(), alice.get("/").await.ids());
    assert!(Browser::new(app.addr).get("/?fragment=list").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn the_list_has_the_most_dangerous_first_and_of_one_level_what_falls_due_next() {
    let policies =
        "escalation: { high: [ { after: 30m, to: [cto] } ] }\npolicies: { medium: { expire_after: 5m }, critical: { expire_after: 3h } }\n";
    let app = TestApp::with(Config::new().with_policies(policies)).await;
    let bot = app.client("deploy-bot");
    let first_high = bot.submit_id(high()).await;
    let medium = bot.submit_id(medium()).await;
    let idle = bot.submit_id(critical()).await;
    let deep = bot.submit_id(critical()).await;
    let second_high = bot.submit_id(high()).await;
    // Nothing ever happens to this one on its own.
    let never = format!("update workflow set timeout_at = null, expires_at = null, timetable = '[]' where workflow_id = '{idle}'");
    app.database.execute(&never).await;
    let orders = [
        ("level", [&deep, &idle, &first_high, &second_high, &medium]),
        ("due", [&medium, &first_high, &second_high, &deep, &idle]),
        ("oldest", [&first_high, &medium, &idle, &deep, &second_high]),
        ("newest", [&second_high, &deep, &idle, &medium, &first_high]),
    ];
    let tess = Browser::of(app.addr, "tess").await;
    for (order, expected) in orders {
        let all = tess.get(&format!("/?of=all&sort={order}")).await.expect(200).ids();
        assert_eq!(all.iter().collect::<Vec<_>>(), expected, "{order}");
        let mine = tess.get(&format!("/?sort={order}")).await.expect(200).ids();
        assert_eq!(
            mine.iter().collect::<Vec<_>>(),
            expected.into_iter().filter(|id| **id != medium).collect::<Vec<_>>(),
            "mine by {order}"
        );
    }
    assert_eq!(
        tess.get("/?of=all").await.ids(),
        orders[0].1.map(String::clone),
        "the most dangerous first, unless something else is asked for"
    );
    let page = tess.get("/?sort=due").await.expect(200);
    page.has("aria-sort=\"ascending\"><a href=\"&#x2f;?sort=due\">Next</a>").has("no deadline").has("<option value=\"due\" selected>");
    tess.get("/?sort=odd").await.expect(422).has("has to be one of level, due, oldest, newest");
}

#[tokio::test]
async fn pages_in_every_order_lose_nothing_and_repeat_nothing_while_new_ones_arrive() {
    let app = TestApp::with(Config::new().with_policies("policies: { medium: { expire_after: 2h } }")).await;
    let bot = app.client("deploy-bot");
    let task = |number: usize| if number.is_multiple_of(3) { medium() } else { high() };
    let mut before = BTreeSet::new();
    for number in 0..60 {
        before.insert(bot.submit_id(task(number)).await);
    }
    let alice = Browser::of(app.addr, "alice").await;
    for sort in ["level", "due", "oldest", "newest"] {
        let (mut seen, mut next) = (Vec::new(), Some(format!("/?sort={sort}")));
        while let Some(path) = next {
            let page = alice.get(&path).await.expect(200);
            seen.extend(page.ids());
            next = page.next();
            bot.submit_id(task(seen.len())).await;
        }
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort}: none came twice");
        assert!(distinct.is_superset(&before), "{sort}: none was lost");
    }
    let cursor = alice.get("/?sort=due").await.expect(200).next().unwrap();
    alice.get(&cursor.replace("sort=due", "sort=newest")).await.expect(422).has("belongs to a list in another order");
}

#[tokio::test]
async fn heading_tabs_and_title_count_waiting_requests() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    bot.submit_id(high()).await;
    bot.submit_id(high()).await;
    let medium = bot.submit_id(medium()).await;
    bot.submit_id(critical()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let said = |page: &crate::support::browser::Page, selected: &str, mine: &str, all: &str| {
        page.has(&format!("<title>({selected}) ")).has(&format!("data-count=\"selected\">{selected}<"));
        page.has(&format!("data-count=\"mine\">{mine}<")).has(&format!("data-count=\"all\">{all}<"));
    };
    said(&alice.get("/").await.expect(200), "3", "3", "4");
    said(&alice.get("/?of=all").await.expect(200), "4", "3", "4");
    said(&alice.get("/?level=medium").await.expect(200), "1", "3", "4");
    said(&alice.get("/?of=all&role=cto").await.expect(200), "1", "3", "4");
    alice.get("/?text=deploy").await.expect(200).has("<title>Waiting for you").lacks("data-count=\"selected\"");
    app.client("alice").approve(&medium).await.expect(200);
    said(&alice.get("/").await.expect(200), "2", "2", "3");
    alice.get("/").await.expect(200).has("data-critical=\"false\"");
    Browser::of(app.addr, "cora").await.get("/").await.expect(200).has("data-critical=\"true\"");
    Browser::of(app.addr, "nora").await.get("/").await.expect(200).has("All clear. 3 requests wait for others.");
}

#[tokio::test]
async fn the_list_counts_down_to_the_next_step() {
    // Half a minute more than whole minutes and hours, for a test on a busy machine.
    let policies = "escalation: { high: [ { after: 1830s, to: [cto] } ] }\npolicies: { medium: { expire_after: 7230s } }\n";
    let app = TestApp::with(Config::new().with_policies(policies)).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.client("deploy-bot").submit_id(medium()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/").await.expect(200);
    page.has("escalates <time").has("data-relative>in 30 minutes</time>").has("expires <time").has("data-relative>in 2 hours</time>");
    alice.get(&format!("/inbox/workflows/{id}")).await.expect(200).has("escalates to cto");
}

#[tokio::test]
async fn history_is_searched() {
    let app = TestApp::start().await;
    let (bot, lone) = (app.client("deploy-bot"), app.client("lone-bot"));
    let mut task = high();
    task["task_id"] = json!("TASK-4711");
    task["resource"] = json!("Api-Gateway");
    let found = bot.submit_id(task).await;
    app.client("alice").reject(&found).await.expect(200);
    let mut all = vec![found.clone()];
    for _ in 0..26 {
        all.insert(0, lone.submit_id(low()).await);
    }
    let alice = Browser::of(app.addr, "alice").await;
    let ids = async |query: &str| alice.get(&format!("/inbox/history{query}")).await.expect(200).ids();
    for query in [
        "?text=task-4711",
        "?text=api-gateway",
        "?text=deploy%20API",
        "?status=rejected",
        "?level=high",
        "?requested_by=deploy-bot",
        "?requested_by=deploy-bot&status=rejected&level=high&from=2020-01-01&until=2100-01-01&text=api",
    ] {
        assert_eq!(ids(query).await, std::slice::from_ref(&found), "{query}");
    }
    for query in ["?text=nothing", "?until=2020-01-01", "?from=2100-01-01", "?status=expired"] {
        assert_eq!(ids(query).await.len(), 0, "{query}");
    }
    let first = alice.get("/inbox/history").await.expect(200);
    let second = alice.get(&first.next().expect("a second page")).await.expect(200);
    assert_eq!([first.ids(), second.ids()].concat(), all);
    assert_eq!(second.next(), None);
}

#[tokio::test]
async fn a_search_for_words_goes_on_where_its_window_ended() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.database
        .execute(
            "with many as (select ('ffffffff' || substr(gen_random_uuid()::text, 9))::uuid as id, clock_timestamp() as at
                           from generate_series(1, 2100)),
                  first as (insert into workflow (workflow_id, version, status, risk_level, action, running, requested_by, digest, created_at, updated_at)
                            select id, 1, 'completed', 'low', 'external', false, 'x', 'y', at, at from many),
                  log as (insert into workflow_event (workflow_id, version, kind, actor, at, data)
                          select id, 1, 'submitted', 'x', at, '{}' from many)
             insert into document (workflow_id, round, content) select id, 1, convert_to('{\"description\": \"filler\"}', 'UTF8') from many",
        )
        .await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/inbox/history?text=deploy").await.expect(200);
    page.has("The newest 2000 workflows").has("Search older requests").has("0 among the first 2000");
    assert_eq!(page.ids().len(), 0);
    let page = alice.get(&page.next().expect("further back")).await.expect(200);
    assert_eq!((page.ids(), page.next()), (vec![id], None));
}

#[tokio::test]
async fn one_persons_decisions_are_listed() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let mut decided = Vec::new();
    for number in 0..27 {
        let id = bot.submit_id(high()).await;
        if number % 2 == 0 {
            app.client("alice").approve(&id).await.expect(200);
        } else {
            app.client("alice").reject(&id).await.expect(200);
        }
        decided.insert(0, id);
    }
    let tess = Browser::of(app.addr, "tess").await;
    let page = tess.get("/inbox/people/alice").await.expect(200);
    page.has("Decisions of alice").has("team_lead").has("looked at it").has("not today").has("<strong>rejected</strong>");
    let rest = tess.get(&page.next().expect("more")).await.expect(200);
    assert_eq!([page.ids(), rest.ids()].concat(), decided);
    tess.get("/inbox/people/tess").await.expect(200).has("My decisions").has("There are no decisions");
    tess.get("/inbox/people/somebody").await.expect(200).has("is not one of the people");

    let plan = "explain select 1 from workflow_event e where e.kind in ('approved', 'rejected', 'withdrawn', 'glass_broken') and e.actor = 'x' order by e.at desc, e.workflow_id desc limit 9";
    let mut db = app.database.connect().await;
    sqlx::raw_sql("set enable_seqscan = off").execute(&mut db).await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar(plan).fetch_all(&mut db).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("workflow_event_decision")), "{plan:#?}");
}

#[tokio::test]
async fn the_target_is_shown_as_it_is_claimed_and_as_it_is_known() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let task = json!({"description": "only reads", "operation": "read", "environment": "development", "resource_type": "code",
                      "resource": "db-prod-orders", "action": {"type": "runbook", "name": "once"}});
    let id = app.client("deploy-bot").submit_id(task).await;
    let page = Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    let row = |name: &str| {
        let (_, row) = page.html.split_once(&format!("<tr><th scope=\"row\">{name}</th>")).unwrap();
        row.split_once("</tr>").unwrap().0.to_owned()
    };
    let operation = row("operation");
    assert!(
        operation.contains("<bdi>read</bdi>") && operation.contains("<bdi>deploy</bdi>") && operation.contains("differs"),
        "{operation}"
    );
    let environment = row("environment");
    assert!(environment.contains("production"), "the registry knows the resource that is claimed: {environment}");
    assert!(page.html.contains("operation_disagreement"));
}

#[tokio::test]
async fn the_page_starts_with_what_a_decision_needs() {
    let app = TestApp::start().await;
    let mut task = high();
    task["action"] = json!({"type": "external", "name": "purge", "args": {"table": "sessions"}});
    (task["task_id"], task["metadata"]) = (json!("OPS-7"), json!({"sql": "delete\nfrom session"}));
    let id = app.client("deploy-bot").submit_id(task).await;
    let alice = Browser::of(app.addr, "alice").await;
    let path = format!("/inbox/workflows/{id}");
    let page = alice.get(&path).await.expect(200);
    let parts = [
        "What the requester would do",
        "sessions",
        "The requester says",
        "from session",
        "OPS-7",
        "Why it is high",
        "As parkbrake knows",
        "Digest <code>",
        ">Decide</h2>",
    ];
    let found: Vec<usize> = parts.iter().map(|part| page.html.find(part).unwrap_or_else(|| panic!("{part} is missing"))).collect();
    assert!(found.is_sorted(), "{parts:?} are at {found:?}");
    // What stays in view leads to the forms, and decides nothing.
    page.has("href=\"#approve\">Approve</a>").has("href=\"#reject\">Reject</a>").has("id=\"approve\"").has("id=\"reject\"");
    page.has("<a href=\"&#x2f;\" aria-current=\"page\">Waiting</a>");

    // Once it is settled, its outcome comes first, and it is not among the waiting requests.
    app.client("alice").approve(&id).await.expect(200);
    let result = json!({"outcome": "succeeded", "output": {"rows": 7}});
    app.client("deploy-bot").post(&format!("{path}/result").replace("/inbox", ""), result).await.expect(200);
    let page = alice.get(&path).await.expect(200);
    assert!(page.html.find("Outcome</h2>").unwrap() < page.html.find("What was approved").unwrap());
    page.lacks("aria-current").lacks("class=\"bar\"").has("<a href=\"&#x2f;inbox&#x2f;history\">History</a>");
}

#[tokio::test]
async fn errors_are_pages() {
    let app = TestApp::start().await;
    let alice = Browser::of(app.addr, "alice").await;
    for path in ["/inbox/workflows/0198f0a0-0000-7000-8000-000000000000", "/inbox/workflows/x"] {
        alice.get(path).await.expect(404).has("There is no such workflow").has("<h1>").has("Go to the waiting requests");
    }
    alice.get("/inbox/assets/inbox.css").await.expect(404);
    // A database that does not answer in time.
    let held = app.database.hold("lock table session in access exclusive mode").await;
    let page = alice.get("/").await.expect(503);
    page.has("Not available at the moment").has("try again in a moment");
    assert_eq!(page.headers["retry-after"], "1");
    held.release().await;
    alice.get("/").await.expect(200);
}

#[tokio::test]
async fn assets_are_kept_by_browsers_and_named_by_their_contents() {
    let app = TestApp::start().await;
    let nobody = Browser::new(app.addr);
    let page = nobody.get("/sign-in").await.expect(200);
    let mut kinds = BTreeSet::new();
    for found in regex::Regex::new(r#"(?:href|src)="(&#x2f;inbox&#x2f;assets&#x2f;[^"]+)""#).unwrap().captures_iter(&page.html) {
        let asset = nobody.get(&found[1].replace("&#x2f;", "/")).await;
        assert_eq!(asset.status, 200);
        assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(asset.headers["x-content-type-options"], "nosniff");
        kinds.insert(asset.headers["content-type"].to_str().unwrap().to_owned());
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["application/manifest+json", "image/svg+xml", "text/css; charset=utf-8", "text/javascript; charset=utf-8"]
    );
    let reads: Value = serde_json::from_str(&nobody.get("/readyz").await.html).unwrap();
    assert_eq!(reads["status"], "ok");
}
