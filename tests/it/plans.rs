//! Reading at scale: with 300,000 workflows every query reads about as many rows as it returns,
//! whenever it was planned.
//!
//! The queries are those of the program, from `.sqlx`. Each is planned twice: once, and kept, while
//! the tables are empty and have no statistics; and once for its arguments, after everything has
//! been analyzed. The test counts the rows that PostgreSQL then reads; it measures no time.

use crate::support::Database;
use crate::support::called;
use parkbrake::storage::Storage;
use serde_json::Value;
use sqlx::PgConnection;
use std::path::Path;

/// Rows in each large table.
const ROWS: i64 = 300_000;

/// One query with arguments.
struct Case {
    /// A part of its text that is unique.
    needle: &'static str,
    /// A label for these arguments.
    what: &'static str,
    arguments: &'static str,
    /// The most rows that it may read.
    bound: f64,
}

const fn case(needle: &'static str, what: &'static str, arguments: &'static str, bound: f64) -> Case {
    Case { needle, what, arguments, bound }
}

const MAX: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";
const NIL: &str = "'00000000-0000-0000-0000-000000000000'";
const SOME: &str = "(select array_agg(workflow_id) from (select workflow_id from workflow order by workflow_id desc limit 2000) picked)";
const CHOOSE: &str = "and ($1::text is null or p.status = $1)";
const NEWEST: &str = "order by r.workflow_id desc\n         limit $6";
const OLDEST: &str = "order by r.workflow_id\n         limit $6";
const BY_DUE: &str = "order by p.rank desc, r.due, r.workflow_id";
const COUNTS: &str = "group by p.risk_level";
const LIST_OLDEST: &str = "where workflow_id >= $1 and workflow_id < $2 order by workflow_id limit";
const FOUND: &str = "as task offset 0";
const COUNTED: &str = "and d.round = 1 and ($7::text is not null";
const OF_AGENT: &str = "(w.approved_by @> array[$6]) is not true";
const NOTICES: &str = "select notice_id as \"notice_id!\" from candidate";
const FEED: &str = "with page as materialized";

/// Rare rows are the oldest, so that reading a list from its new end finds them last.
const CASES: &[Case] = &[
    case(CHOOSE, "all", "null, null, null, null, null, MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "a rare status", "'failed', null, null, null, null, MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "no status", "'expired', null, null, null, null, MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "a common status, far back", "'completed', null, null, null, null, MIDDLE, NIL, 51, null", 300.0),
    case(CHOOSE, "a rare level", "null, 'critical', null, null, null, MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "a rare requester", "null, null, 'rare-bot', null, null, MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "an agent without any", "null, null, null, 'new-bot', 'nobody', MAX, NIL, 51, null", 300.0),
    case(CHOOSE, "an agent of a busy person", "null, null, null, 'rare-bot', 'person-1', MAX, NIL, 51, null", 500.0),
    case(CHOOSE, "a requester's of a status", "'failed', null, 'bot-1', null, null, MAX, NIL, 2000, null", 9_000.0),
    case(CHOOSE, "what a busy person decided", "null, null, null, null, null, MAX, NIL, 51, 'alice'", 300.0),
    case(CHOOSE, "what nobody decided", "null, null, null, null, null, MAX, NIL, 51, 'nobody'", 300.0),
    case(CHOOSE, "a requester's that a person decided", "null, null, 'rare-bot', null, null, MAX, NIL, 2000, 'alice'", 9_000.0),
    case(LIST_OLDEST, "all", "NIL, MAX, 51", 60.0),
    case(LIST_OLDEST, "from the middle on", "MIDDLE, MAX, 2000", 2_100.0),
    case(FOUND, "a page", "SOME, null, null, null, null, null, null, null, null, null, null, 51", 800.0),
    case(FOUND, "none of a status", "SOME, 'failed', null, null, null, null, null, null, null, null, null, 51", 9_000.0),
    case(FOUND, "words that nobody said", "SOME, null, null, null, null, null, 'xyzzy', null, null, null, null, 51", 9_000.0),
    case(FOUND, "a runbook that nothing ran", "SOME, null, null, null, null, null, null, null, 'xyzzy', null, null, 51", 9_000.0),
    case(FOUND, "what nobody decided", "SOME, null, null, null, null, null, null, 'nobody', null, null, null, 51", 20_000.0),
    case(COUNTED, "all", "SOME, null, null, null, null, null, null, null, null, null, null", 9_000.0),
    case(COUNTED, "words that nobody said", "SOME, null, null, null, null, null, 'xyzzy', null, null, null, null", 9_000.0),
    case("where workflow_id > $1 and workflow_id < $2 order by workflow_id limit", "a page of an export", "MIDDLE, MAX, 20", 30.0),
    case("select d.workflow_id, d.round, d.content", "its documents", "SOME", 4_100.0),
    case(NEWEST, "everybody's", "null, null, null, null, MAX, 51", 1_500.0),
    case(NEWEST, "mine", "null, null, 'tess', array['team_lead'], MAX, 51", 1_500.0),
    case(NEWEST, "a role's", "null, 'team_lead', null, null, MAX, 51", 1_500.0),
    case(OLDEST, "everybody's", "null, null, null, null, NIL, 51", 1_500.0),
    case(OLDEST, "mine, far on", "null, null, 'tess', array['team_lead'], MIDDLE, 51", 1_500.0),
    case(BY_DUE, "everybody's, by level", "null, null, null, null, NIL, 51, 5, '1970-01-01'", 1_500.0),
    case(BY_DUE, "mine, within a level", "null, null, 'tess', array['team_lead'], NIL, 51, 3, now()", 1_500.0),
    case(BY_DUE, "mine, whatever the level", "null, null, 'tess', array['team_lead'], NIL, 51, null, '1970-01-01'", 1_500.0),
    case(BY_DUE, "what never falls due", "null, null, null, null, NIL, 51, null, null", 1_500.0),
    case(COUNTS, "everybody's", "null, null, null, null, 1000", 4_500.0),
    case(COUNTS, "mine", "null, null, 'tess', array['team_lead'], 1000", 4_500.0),
    case(OF_AGENT, "an agent without any", "'new-bot', 'nobody', MAX, null, null, null, null, 51", 500.0),
    case(OF_AGENT, "a busy agent", "'bot-1', 'person-1', MAX, null, null, null, null, 51", 800.0),
    case("w.requested_by = $1 and (w.status = 'pending_approval') is true", "a quota", "'bot-1', 1000", 300.0),
    case("and place_of(w.status, w.risk_level, w.approvers) >= p.place\n                 order by", "a restart", "1000", 3_000.0),
    case("where r.approval_status = 'pending'", "a page", "SOME", 9_000.0),
    case("coalesce(w.timeout_at, 'infinity') <= $1", "due", "now(), 512", 2_500.0),
    case("select min(r.timeout_at) as next", "next", "now()", 100.0),
    case("w.report_due_at <= $1", "reports that are due", "now(), 512", 1_500.0),
    case("report_due_at > $1 order by report_due_at", "the next report", "now()", 10.0),
    case("where p.status = 'outcome_unknown'", "unresolved", "now() - interval '30 days'", 1_000.0),
    case("$1 > lost_after", "a lost position", "1", 0.0),
    case("where w.running and", "running", "null, 512", 1_100.0),
    case("where w.queued and", "queued", "null, 512, false", 4_000.0),
    case("where w.queued and", "queued, while something is held", "null, 512, true", 4_000.0),
    case("e.kind as verdict", "a person's", "'alice', 'infinity', MAX, 51", 500.0),
    case("e.kind as verdict", "a stranger's", "'nobody', 'infinity', MAX, 51", 10.0),
    case(NOTICES, "all", "null, null, null, MAX, 51", 300.0),
    case(NOTICES, "dead", "null, 'dead', null, MAX, 51", 300.0),
    case(NOTICES, "waiting", "null, 'pending', null, MAX, 51", 300.0),
    case(NOTICES, "of a rare channel", "null, null, 'rare', MAX, 51", 300.0),
    case(NOTICES, "of a workflow", "(select workflow_id from notice limit 1), null, null, MAX, 51", 900.0),
    case(NOTICES, "cancelled", "null, 'cancelled', null, MAX, 2000", 9_000.0),
    case("n.first_due_at <= statement_timestamp()\n", "due", "'mail', false, 1000", 60_000.0),
    case("n.first_due_at <= statement_timestamp()\n", "none due", "'quiet', false, 1000", 10.0),
    case("count from (", "waiting notices", "10000", 40_000.0),
    case("where newest.requested_at >= $1", "what is open", "now() - interval '1 day', now(), NIL, 50000", 60_000.0),
    case("with request as materialized", "what is settled", "now() - interval '1 day', now(), 50000", 210_000.0),
    case("with recent as materialized", "a precedent", "MAX, 2000, 'bot-1', 'external', 'deploy', null, null", 6_100.0),
    case("select distinct principal from push_subscription", "some people", "array['person-1', 'nobody']", 40.0),
    case("select subscription_id as id, endpoint", "a person's", "'person-1'", 20.0),
    case("select subscription_id, endpoint, browser", "a person's", "'person-1'", 20.0),
    case("insert into push_subscription", "one more", "NIL, 'person-1', 'https://new.example', '', '', 'x', 100", 40.0),
    case("delete from push_subscription where principal", "another's", "'person-1', MAX", 20.0),
    case("delete from push_subscription where subscription_id", "none", "MAX", 5.0),
    case(FEED, "a page", "150000, 9000000000, NIL, 0, 1000", 5_000.0),
    case(FEED, "nothing new", "9000000000, 9223372036854775807, NIL, 0, 1000", 10.0),
    case("select at < clock_timestamp() - make_interval", "age", "150000, NIL, 0, 86400", 50.0),
    case("from workflow_event where workflow_id = $1 order by version", "a log", "(select workflow_id from workflow limit 1)", 20.0),
];

fn arguments(case: &Case) -> String {
    let middle = "(select workflow_id from workflow order by workflow_id offset 100000 limit 1)";
    case.arguments.replace("MAX", MAX).replace("NIL", NIL).replace("MIDDLE", middle).replace("SOME", SOME)
}

/// The program's one query that contains this.
#[track_caller]
fn text(needle: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let queries = std::fs::read_dir(folder).unwrap().map(|entry| {
        let written: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        written["query"].as_str().unwrap().to_owned()
    });
    let mut found: Vec<String> = queries.filter(|query| query.contains(needle)).collect();
    assert_eq!(found.len(), 1, "{needle:?} is in {} queries: {found:#?}", found.len());
    found.remove(0)
}

#[track_caller]
fn run(db: &mut PgConnection, statement: String) -> impl Future<Output = ()> {
    called(async move {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(db).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
    })
}

/// The rows that a plan's nodes read from the large tables and their indexes, in all loops.
fn looked_at(node: &Value, seen: &mut f64) {
    let relation = node["Relation Name"].as_str().unwrap_or_default();
    let number = |field: &str| node[field].as_f64().unwrap_or_default();
    if ["workflow", "workflow_event", "document", "notice", "push_subscription"].contains(&relation) {
        if node["Node Type"] == "Seq Scan" {
            // An unknown number.
            *seen = f64::INFINITY;
        }
        let rows = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
        *seen += rows * number("Actual Loops");
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        looked_at(child, seen);
    }
}

/// Executes a prepared query, and returns how many rows it read and its plan.
async fn explain(db: &mut PgConnection, name: &str, arguments: &str) -> (f64, String) {
    // `execute` accepts no subqueries as arguments.
    let statement = format!(
        "do $do$ declare v json; begin
             execute format('explain (analyze, costs off, timing off, summary off, format json) execute {name}(%s)', {list}) into v;
             perform set_config('test.plan', v::text, false); end $do$",
        list = "pg_temp.arguments()"
    );
    run(
        db,
        format!(
            "create or replace function pg_temp.arguments() returns text language sql as $f$ select concat_ws(', ', {}) $f$",
            literals(arguments)
        ),
    )
    .await;
    run(db, statement).await;
    let plan: String = sqlx::query_scalar("select current_setting('test.plan')").fetch_one(db).await.unwrap();
    let parsed: Value = serde_json::from_str(&plan).unwrap();
    let mut seen = 0.0;
    looked_at(&parsed[0]["Plan"], &mut seen);
    (seen, plan)
}

/// Each argument as a literal, computed now.
fn literals(arguments: &str) -> String {
    let (mut parts, mut depth, mut quoted, mut from) = (Vec::new(), 0, false, 0);
    for (at, letter) in arguments.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&arguments[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[from..]);
    parts.iter().map(|part| format!("coalesce(quote_literal({}), 'null')", quoted_or_cast(part.trim()))).collect::<Vec<_>>().join(", ")
}

/// A bare `null` has no type.
fn quoted_or_cast(argument: &str) -> String {
    if argument == "null" { "null::text".to_owned() } else { format!("({argument})::text") }
}

/// As many rows as after a busy year: most have ended, the newest wait, and rare ones are the
/// oldest.
const FILL: &str = "
    insert into workflow (workflow_id, version, status, risk_level, action, running, queued, task_id, requested_by, on_behalf_of, digest, created_at,
                          updated_at, approval_status, requested_at, approvers, open_roles, separation_of_duties, required, approvals, approved_by,
                          escalation_level, timetable, timeout_at, expires_at, resolved_by, resolved_at, report_due_at)
    select (lpad(to_hex(1760000000000 + n), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, 5,
           case when n <= 5 then 'failed' when n % 1000 = 7 and n < 250000 then 'outcome_unknown' when n <= 250000 then 'completed' when n <= 255000 then 'executing' else 'pending_approval' end,
           case when n <= 5 then 'critical' when n % 10 = 0 then 'medium' else 'high' end, 'external', n between 254000 and 255000,
           n between 253000 and 253500, 'T-' || n,
           case when n <= 5 then 'rare-bot' else 'bot-' || n % 200 end, 'person-' || n % 50, repeat('d', 71), t, t,
           case when n <= 255000 then 'approved' else 'pending' end, t, array['team_lead', 'tech_lead'], array['team_lead', 'tech_lead'], true, 1,
           0, '{}', 0, '[]', case when n > 255000 then now() + make_interval(secs => n - 270000) end, null,
           case when n <= 255000 then 'alice' end, case when n <= 255000 then t end,
           case when n between 250001 and 254000 then now() + make_interval(secs => n - 252500) end
    from (select n, now() - make_interval(secs => 300000 - n) * 0.2 - case when n <= 100000 then interval '40 days' else interval '0' end as t from generate_series(1, 300000) n) s;
    insert into document (workflow_id, round, content)
    select workflow_id, 1, convert_to('{\"description\":\"deploy\",\"operation\":\"build\",\"action\":{\"type\":\"external\"}}', 'UTF8') from workflow;
    insert into workflow_event (workflow_id, version, kind, actor, at, data, feed_order)
    select workflow_id, 1, 'submitted', requested_by, created_at, '{}',
           row_number() over (order by workflow_id) from workflow;
    insert into workflow_event (workflow_id, version, kind, actor, at, data, feed_order)
    select workflow_id, 3, 'approved', resolved_by, resolved_at, '{\"roles\":[\"team_lead\"]}', row_number() over (order by workflow_id)
    from workflow where resolved_at is not null;
    insert into notice (notice_id, workflow_id, version, kind, risk_level, channel, recipient, status, created_at, first_due_at, due_at, delivered_at)
    select (lpad(to_hex(1760000000000 + n), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
           (lpad(to_hex(1760000000000 + n / 60), 12, '0') || '7000' || '8000' || lpad(to_hex(n / 60), 12, '0'))::uuid, 2,
           case when n % 2 = 0 then 'approval.requested' else 'approval.reminded' end, 'high',
           case when n <= 5 then 'rare' when n % 3 = 0 then 'hook' else 'mail' end, 'person-' || (n % 60) / 2,
           case when n <= 5 then 'cancelled' when n <= 10 then 'dead' when n <= 240000 then 'delivered' else 'pending' end, now(),
           case when n % 2 = 0 then now() - interval '1 minute' else now() + interval '1 hour' end,
           case when n % 2 = 0 then now() - interval '1 minute' else now() + interval '1 hour' end, now()
    from generate_series(1, 300000) n;
    insert into push_subscription (subscription_id, principal, endpoint, p256dh, auth, browser)
    select gen_random_uuid(), 'person-' || n / 10, 'https://push.example/' || n, '', '', 'Firefox' from generate_series(1, 300000) n;
";

#[tokio::test]
async fn at_300_000_rows_every_query_looks_at_about_as_many_as_it_gives() {
    let database = Database::migrated().await;
    let mut db = database.connect().await;
    for table in ["workflow", "workflow_event", "document", "notice", "push_subscription"] {
        run(&mut db, format!("alter table {table} set (autovacuum_enabled = false)")).await;
    }
    run(&mut db, "set enable_seqscan = off; set enable_sort = off; set jit = off; set plan_cache_mode = force_generic_plan".to_owned())
        .await;
    let mut names: Vec<&str> = CASES.iter().map(|case| case.needle).collect();
    names.dedup();
    for (number, needle) in names.iter().enumerate() {
        run(&mut db, format!("prepare q{number} as {}", text(needle))).await;
    }
    let name = |case: &Case| format!("q{}", names.iter().position(|needle| *needle == case.needle).unwrap());
    let mut missed = Vec::new();
    for turn in ["planned while empty", "while empty", "analyzed"] {
        if turn == "while empty" {
            run(&mut db, FILL.to_owned()).await;
            assert_eq!(database.count("select count(*) from workflow").await, ROWS);
        }
        if turn == "analyzed" {
            run(&mut db, "analyze; set plan_cache_mode = auto".to_owned()).await;
            for (number, needle) in names.iter().enumerate() {
                run(&mut db, format!("deallocate q{number}; prepare q{number} as {}", text(needle))).await;
            }
        }
        if turn != "planned while empty" {
            missed.extend(too_long_steps_of_prune(&mut db, turn).await);
        }
        for case in CASES {
            let (seen, plan) = explain(&mut db, &name(case), &arguments(case)).await;
            if seen > case.bound {
                missed.push(format!("{turn}: {} ({}) looked at {seen} rows, which may be {}:\n{plan}", case.needle, case.what, case.bound));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// The rows and index entries that a statement reads from the large tables, including those in
/// functions and triggers; it is rolled back.
#[track_caller]
fn taken(db: &mut PgConnection, statement: &str) -> impl Future<Output = i64> {
    called(async move {
        let count = "select sum(pg_stat_get_xact_tuples_returned(c.oid))::bigint
                 from pg_class c left join pg_index i on i.indexrelid = c.oid
                 where coalesce(i.indrelid, c.oid)
                       in ('workflow'::regclass, 'workflow_event'::regclass, 'notice'::regclass, 'idempotency_key'::regclass)";
        run(db, "begin".to_owned()).await;
        // Earlier transactions may still be counted.
        let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *db).await.unwrap();
        run(db, statement.to_owned()).await;
        let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *db).await.unwrap();
        run(db, "rollback".to_owned()).await;
        after - before
    })
}

/// Each step of `prune`, with its window anywhere in the table.
async fn too_long_steps_of_prune(db: &mut PgConnection, turn: &str) -> Vec<String> {
    // A hundred workflows of two events each; at the beginning each has 60 notices.
    let at = |n: u32| format!("(select workflow_id from workflow order by workflow_id offset {n} limit 1)");
    let mut missed = Vec::new();
    for (after, what, bound) in
        [(at(20_000), "where nobody was told", 4_000), (at(100), "with 60 notices each", 30_000), (at(99_990), "at the cut-off", 4_000)]
    {
        let after: String = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select {after}::text"))).fetch_one(&mut *db).await.unwrap();
        for step in ["prune_step", "prune_preview"] {
            let call = format!("select * from {step}(now() - interval '30 days', '{after}', 100)");
            let seen = taken(db, &call).await;
            if seen > bound {
                missed.push(format!("{turn}: {step} ({what}) took {seen} rows and entries, which may be {bound}"));
            }
        }
    }
    missed
}

#[tokio::test]
async fn a_storm_of_notices_in_a_fresh_database_is_found_within_the_time_that_a_query_has() {
    let database = Database::migrated().await;
    run(&mut database.connect().await, "alter table notice set (autovacuum_enabled = false)".to_owned()).await;
    let storage = Storage::connect(&database.url, 3).unwrap();
    // So often that PostgreSQL keeps a plan that was made for an empty table.
    for _ in 0..8 {
        assert!(storage.due_notices("mail", false, 1_000).await.unwrap().is_empty());
    }
    // 60 people are asked about 400 requests, and reminded later.
    database
        .execute(
            "insert into notice (notice_id, workflow_id, version, kind, number, risk_level, channel, recipient, created_at, first_due_at, due_at)
             select gen_random_uuid(), md5(request::text)::uuid, 2, case when due then 'approval.requested' else 'approval.reminded' end, 0, 'high',
                    'mail', 'person-' || person, now(), now() + case when due then interval '0' else interval '1 hour' end,
                    now() + case when due then interval '0' else interval '1 hour' end
             from generate_series(1, 400) request, generate_series(1, 60) person, unnest(array[true, false]) due",
        )
        .await;
    assert_eq!(storage.due_notices("mail", false, 1_000).await.unwrap().len(), 1_000);
    assert_eq!(storage.waiting_notices().await.unwrap(), [("mail".to_owned(), 10_000)], "the count ends there");
    storage.close().await;
}
