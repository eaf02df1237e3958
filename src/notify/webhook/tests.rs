use super::*;
use crate::actors::ports::Contact;
use crate::domain::notice::Kind;
use crate::domain::policy::ApprovalTerms;
use crate::domain::risk::level::Level;
use crate::domain::risk::{Assessment, Reason};
use crate::domain::task::digest::Digest;
use crate::domain::task::{Action, Task};
use crate::domain::via::Via;
use crate::domain::workflow::{Event, Recorded, Submission};
use uuid::Uuid;

const SECRET_TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn name() -> SecretName {
    SecretName("HOOK_SECRET".to_owned())
}

#[tokio::test]
async fn a_private_address_needs_allow_private() {
    let new = |url: &str, allow_private| {
        let settings = Settings { url: url.to_owned(), timeout: Duration::from_secs(20), allow_private };
        Webhook::new(&settings, &name(), &Secret::new(SECRET_TEXT), Arc::new(Clock::new(DateTime::UNIX_EPOCH))).map(drop)
    };
    assert!(new("http://127.0.0.1:9/", false).unwrap_err().contains("allow_private: true"));
    assert!(new("http://[::ffff:10.0.0.1]/", false).is_err());
    assert_eq!(new("http://127.0.0.1:9/", true), Ok(()));
    assert_eq!(new("https://example.com/hook", false), Ok(()));
}

/// A notice in which every text is as long and as hostile as a task permits.
fn hostile(filler: &str) -> Notice {
    let long = |length: usize| filler.repeat(length);
    let digest = Digest::of(b"");
    let reason = || Reason { trigger: long(64), level: Level::High, detail: long(4_000) };
    let submission = Submission {
        task_id: Some(long(128)),
        requested_by: "a".repeat(64),
        on_behalf_of: Some("b".repeat(64)),
        digest: digest.clone(),
        assessment: Assessment { level: Level::High, reasons: (0..50).map(|_| reason()).collect(), policy_version: digest },
        action: crate::domain::task::ActionKind::External,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    let terms = ApprovalTerms {
        approvers: (0..100).map(|n| format!("{}{n}", "r".repeat(60))).collect(),
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: false,
        escalation: Vec::new(),
        expire_after: Some(Duration::from_secs(60)),
    };
    let rejected =
        Event::Rejected { round: 1, digest: Digest::of(b""), roles: vec!["r".to_owned()], reason: long(4_096), cover: Vec::new() };
    let events = [
        Event::Submitted(submission.into()),
        Event::ApprovalRequested { round: 1, terms: terms.into(), reason: None, step: None },
        rejected,
    ];
    let recorded = |(version, event)| Recorded { version, at: DateTime::UNIX_EPOCH, actor: "c".repeat(64), via: Via::Rest, event };
    let log: Vec<_> = (1..).zip(events).map(recorded).collect();
    let person = |n: usize| Contact { name: format!("{}{n}", "p".repeat(60)), email: None, slack: None, linear: None };
    Notice {
        id: Uuid::from_u128(7),
        kind: Kind::Decided,
        at: DateTime::from_timestamp(1_700_000_000, 5_000).unwrap(),
        number: 0,
        actor: "c".repeat(64),
        workflow: transition::replay(Uuid::nil(), &log).unwrap().unwrap(),
        comment: Some(long(4_096)),
        differences: Vec::new(),
        document: Task {
            task_id: Some(long(128)),
            description: long(4_096),
            operation: long(128),
            environment: Some(long(128)),
            resource: Some(long(1_024)),
            resource_type: Some(long(128)),
            security_findings: Vec::new(),
            estimated_cost: None,
            evidence: None,
            action: Action { name: Some(long(128)), ..Action::external() },
            metadata: crate::domain::task::metadata::Metadata::default(),
        }
        .into(),
        recipient: None,
        asked: (0..200).map(person).collect(),
        link: Some(format!("https://{}.example.com/inbox/workflows/x", "h".repeat(200))),
    }
}

#[test]
fn a_body_is_small_for_every_task() {
    for filler in ["x", "\u{1}", "\"", "🚀", "\u{202e}"] {
        let body = body(&hostile(filler));
        assert!(body.len() < LARGEST, "{filler:?}: {}", body.len());
        let read: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read["type"], "approval.decided");
        assert_eq!(read["timestamp"], "2023-11-14T22:13:20.000005Z");
        let data = &read["data"];
        assert_eq!(
            (&data["risk_level"], &data["status"], &data["approval_status"]),
            (&json!("high"), &json!("rejected"), &json!("rejected"))
        );
        assert_eq!(data["workflow_id"], Uuid::nil().to_string());
        assert_eq!(data["decision"]["verdict"], "rejected");
        assert!(data["description"].as_str().unwrap().starts_with(filler));
    }
}

#[test]
fn the_documented_body_has_the_fields_of_a_real_one() {
    let page = include_str!("../../../support/docs/NOTIFICATIONS.md");
    let (_, rest) = page.split_once("```json\n").expect("an example");
    let documented: Value = serde_json::from_str(rest.split_once("```").expect("its end").0).expect("JSON");
    let actual: Value = serde_json::from_str(&body(&hostile("x"))).expect("JSON");
    let keys = |value: &Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    for part in ["", "/data", "/data/approval", "/data/reasons/0", "/data/action"] {
        let (documented, actual) = (documented.pointer(part).expect("documented"), actual.pointer(part).expect("a part"));
        let (mut documented, mut actual) = (keys(documented), keys(actual));
        documented.sort();
        actual.sort();
        assert_eq!(documented, actual, "`{part}`");
    }
}
