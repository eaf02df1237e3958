use super::*;
use crate::domain::policy::PrincipalKind;
use crate::domain::request::Actions;
use crate::domain::task::digest::canonical;
use axum::http::header;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::fmt;

/// JSON in one of its spellings.
#[derive(Debug, Clone)]
enum Spelled {
    /// A word, spelled literally.
    Word(String),
    List(Vec<Self>),
    /// Each key with its quotes.
    Object(Vec<(String, Self)>),
}

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(" ,"))
            }
            Self::Object(members) => {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}:\t{value}")).collect();
                write!(f, "{{ {}}}", members.join(",\n"))
            }
        }
    }
}

/// Text, spelled literally with the escapes that it needs, or entirely in escapes.
fn text() -> impl Strategy<Value = String> {
    let escaped = |text: &str| format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>());
    (prop_oneof!["[a-z_]{0,4}", "\\PC{0,6}", any::<String>()], any::<bool>())
        .prop_map(move |(text, is_escaped)| if is_escaped { escaped(&text) } else { serde_json::to_string(&text).unwrap() })
}

fn number() -> impl Strategy<Value = String> {
    const ODD: [&str; 19] = [
        "0",
        "-0",
        "1.0",
        "2e0",
        "0.1",
        "1e-7",
        "-2.5e3",
        "5e-324",
        "9007199254740991",
        "-9007199254740991",
        "9007199254740991.5",
        "9007199254740992",
        "-9007199254740992",
        "9007199254740993",
        "18446744073709551617",
        "1e15",
        "1e16",
        "1e400",
        "250.50",
    ];
    prop_oneof![
        select(&ODD[..]).prop_map(str::to_owned),
        any::<i32>().prop_map(|number| number.to_string()),
        (0.0..2e12).prop_map(|n: f64| n.to_string())
    ]
}

fn spelled() -> impl Strategy<Value = Spelled> {
    let word = prop_oneof![1 => select(&["null", "true", "false"][..]).prop_map(str::to_owned), 2 => number(), 3 => text()];
    word.prop_map(Spelled::Word).prop_recursive(4, 24, 5, |inner| {
        let members = prop::collection::vec((text(), inner.clone()), 0..5);
        prop_oneof![prop::collection::vec(inner, 0..5).prop_map(Spelled::List), members.prop_map(Spelled::Object)]
    })
}

/// An object with some of these members.
fn members(fields: Vec<(&'static str, BoxedStrategy<Spelled>)>) -> BoxedStrategy<Spelled> {
    let member = |(key, value): (&str, BoxedStrategy<Spelled>)| prop::option::weighted(0.7, (Just(format!("\"{key}\"")), value));
    let some: Vec<_> = fields.into_iter().map(member).collect();
    some.prop_map(|members| members.into_iter().flatten().collect()).prop_shuffle().prop_map(Spelled::Object).boxed()
}

/// Usually a fitting word, sometimes any text.
fn fitting(fits: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Spelled> {
    prop_oneof![30 => fits.prop_map(Spelled::Word), 1 => spelled()].boxed()
}

fn word(of: &'static [&'static str]) -> BoxedStrategy<Spelled> {
    fitting(prop_oneof![4 => select(of).prop_map(|word| format!("\"{word}\"")), 1 => text()])
}

fn body() -> impl Strategy<Value = String> {
    let some = |words| word(words);
    let finding =
        || members(vec![("severity", some(&["high", "low", ""])), ("id", some(&["CVE-1"])), ("title", some(&["Path traversal"]))]);
    let action = members(vec![
        ("type", some(&["external", "runbook", "webhook", "other"])),
        ("name", some(&["disk-usage", "x"])),
        ("args", prop_oneof![3 => Just(Spelled::Object(Vec::new())), 1 => spelled()].boxed()),
    ]);
    let findings = prop_oneof![30 => prop::collection::vec(finding(), 0..3).prop_map(Spelled::List), 1 => spelled()].boxed();
    let metadata = prop_oneof![9 => prop::collection::vec((text(), spelled()), 0..6).prop_map(Spelled::Object), 1 => spelled()].boxed();
    let required = || (word(&["deploy", "Roll out", "dele\u{f6}"]), word(&["Deploy api 1.4.2", "gr\u{fc}\u{df}e \u{1f600}"]));
    let optional = members(vec![
        ("task_id", some(&["TASK-42"])),
        ("environment", some(&["production", "dev"])),
        ("resource", some(&["db-prod-1"])),
        ("resource_type", some(&["code"])),
        ("estimated_cost", fitting(number())),
        ("security_findings", findings),
        ("action", action),
        ("metadata", metadata),
    ]);
    let odd = prop::option::weighted(
        0.1,
        (prop_oneof![select(&["\"task_id\"", "\"metadata\"", "\"nothing\""][..]).prop_map(str::to_owned), text()], spelled()),
    );
    (required(), optional, odd, any::<prop::sample::Index>()).prop_map(|((operation, description), optional, odd, index)| {
        let Spelled::Object(mut all) = optional else { unreachable!("members are an object") };
        for (key, value) in [("\"operation\"".to_owned(), operation), ("\"description\"".to_owned(), description)].into_iter().chain(odd) {
            all.insert(index.index(all.len() + 1), (key, value));
        }
        Spelled::Object(all).to_string()
    })
}

/// The value with each number converted to a double.
fn as_doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(as_doubles).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), as_doubles(value))).collect(),
        other => other.clone(),
    }
}

/// The result of the slower path.
fn careful(body: &str) -> Result<TaskBody, Problem> {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
    Ok(TaskBody::careful(json::read(&headers, body.as_bytes())?, Some("key".to_owned())))
}

/// Checks that the fast path and the slower path agree; returns whether the fast path was taken.
fn is_read_as_carefully(body: &str) -> bool {
    let Some(usual) = UsualTask::read(body.as_bytes()) else { return false };
    let careful = careful(body).unwrap_or_else(|problem| panic!("{problem:?} of {body}"));
    assert_eq!(usual.fingerprint(), careful.key.unwrap().fingerprint, "{body}");
    let careful = careful.request.unwrap_or_else(|error| panic!("{error:?} of {body}"));
    let (runbooks, webhooks) = (BTreeMap::new(), BTreeMap::new());
    let playbooks = BTreeMap::new();
    let actions = Actions { runbooks: &runbooks, webhooks: &webhooks, playbooks: &playbooks };
    let Request::Task(careful) = careful else { panic!("a plan: {body}") };
    let admitted = [usual.into_request(), *careful].map(|request| request.admit(actions, PrincipalKind::Agent));
    let [one, other] = &admitted;
    assert_eq!(one, other, "{body}");
    if let [Ok((one, _)), Ok((other, _))] = &admitted {
        assert_eq!(one.canonical(), other.canonical(), "{body}");
        assert_eq!(one.canonical(), canonical(one), "{body}");
        let [one, other] = [one, other].map(|task| as_doubles(&Value::Object((*task.metadata).clone())));
        assert_eq!(one, other, "{body}");
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_parser_agrees_with_the_strict_parser(body in body()) {
        is_read_as_carefully(&body);
    }
}

#[test]
fn usual_tasks_take_the_fast_path() {
    let usual = [
        r#"{"description": "d", "operation": "read"}"#,
        r#" {"operation": "read", "description": "gr\u00fc\u00dfe \ud83d\ude00", "metadata": {}, "security_findings": []} "#,
        r#"{"metadata": {"z": [1, 2.50, -0.0, 1e3, true, null, {"b": "\"", "a": "\\"}], "é": "x", "\ud83d\ude00": 1, "\ufb33": {}},
            "task_id": "T", "description": "d", "operation": "deploy", "environment": "dev", "resource": "r", "resource_type": "code",
            "estimated_cost": 250, "action": {"type": "external", "name": "n"},
            "security_findings": [{"severity": "high"}, {"title": "t", "severity": "low", "id": "i"}]}"#,
        r#"{"description": "d", "operation": "read", "action": {"name": "disk-usage", "type": "runbook"}, "estimated_cost": 0.5}"#,
        r#"{"description": "d", "operation": "read", "action": {}}"#,
    ];
    for body in usual {
        assert!(is_read_as_carefully(body), "{body}");
    }
}

#[test]
fn unusual_tasks_take_the_strict_path() {
    let around = |member: &str| format!(r#"{{"description": "d", "operation": "read", {member}}}"#);
    for member in [
        r#""nothing": 1"#,
        r#""description": "e""#,
        r#""task_id": null"#,
        r#""metadata": null"#,
        r#""metadata": []"#,
        r#""metadata": {}, "metadata": {}"#,
        r#""metadata": {"a": 1, "b": 2, "\u0061": 3}"#,
        r#""metadata": {"a": "\u0000"}"#,
        r#""metadata": {"a": 9007199254740992}"#,
        r#""metadata": {"a": -9007199254740992}"#,
        r#""metadata": {"a": 1e16}"#,
        r#""estimated_cost": "1""#,
        r#""estimated_cost": 1e16"#,
        r#""security_findings": [{"severity": "high", "id": null}]"#,
        r#""security_findings": [["high"]]"#,
        r#""action": {"type": {"external": null}}"#,
        r#""action": {"type": "other"}"#,
        r#""action": {"args": {}}"#,
        r#""action": ["external"]"#,
    ] {
        let body = around(member);
        assert!(UsualTask::read(body.as_bytes()).is_none(), "{body}");
    }
    for body in ["", "{}", "[]", "1", r#"{"description": "d"}"#, r#"{"description": "d", "operation": "read"} x"#] {
        assert!(UsualTask::read(body.as_bytes()).is_none(), "{body}");
    }
}

#[test]
fn both_ways_count_levels_alike() {
    // The body and its metadata are two levels.
    for (lists, is_read) in [(29, true), (30, true), (31, false)] {
        let body =
            format!(r#"{{"description": "d", "operation": "read", "metadata": {{"a": {}{}}}}}"#, "[".repeat(lists), "]".repeat(lists));
        assert_eq!((UsualTask::read(body.as_bytes()).is_some(), careful(&body).is_ok()), (is_read, is_read), "{lists}");
    }
}
