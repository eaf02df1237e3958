//! The table "When today's rules are stricter".

use crate::*;
use parkbrake::domain::policy::{Agent, ApprovalTerms, LevelPolicy, Person, Policy};
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::workflow::today::Today;
use parkbrake::domain::workflow::transition::Answer;
use parkbrake::domain::workflow::{Command, Refusal, Workflow};
use std::collections::BTreeSet;
use std::time::Duration;

/// The current configuration and suspensions, unless a test says otherwise.
#[derive(Clone)]
struct Now {
    people: Vec<(&'static str, &'static str)>,
    agents: Vec<(&'static str, &'static str)>,
    suspended: Vec<&'static str>,
    auto_approve: bool,
    terms: ApprovalTerms,
}

impl Now {
    fn decide(&self, workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
        let level = LevelPolicy {
            auto_approve: self.auto_approve,
            notify: true,
            terms: self.terms.clone().into(),
            break_glass: Vec::new(),
            remind_every: FIRST,
            report_within: REPORT,
            rejected_memory: Duration::ZERO,
            recent_sign_in: None,
            goal: None,
            warn_before: None,
        };
        let person =
            |(name, role): &(&str, &str)| ((*name).to_owned(), Person { roles: BTreeSet::from([(*role).to_owned()]), ..Person::default() });
        let agent = |(name, owner): &(&str, &str)| ((*name).to_owned(), Agent { on_behalf_of: Some((*owner).to_owned()) });
        let levels = [level.clone(), level.clone(), level.clone(), level];
        let policy = Policy::new(levels, self.people.iter().map(person).collect(), self.agents.iter().map(agent).collect());
        Today { policy: &policy, suspended: &self.suspended.iter().collect(), now: chrono::DateTime::UNIX_EPOCH }.decide(workflow, command)
    }
}

#[test]
fn stricter_rules_of_today_match_the_table() {
    let then = Now {
        people: vec![("alice", "team_lead"), ("tess", "tech_lead"), ("tom", "cto")],
        agents: vec![("deploy-bot", "tom")],
        suspended: Vec::new(),
        auto_approve: false,
        terms: terms(),
    };
    let changed = |change: &dyn Fn(&mut Now)| {
        let mut now = then.clone();
        change(&mut now);
        now
    };
    let one = parked_of(ActionKind::Runbook, &terms());
    let pair = ApprovalTerms { required: 2, ..terms() };
    let apart = ApprovalTerms { distinct_roles: true, ..pair.clone() };
    let of_two = |terms: &ApprovalTerms, by: Command| answered(&parked_of(ActionKind::Runbook, terms), &by);
    let two = of_two(&pair, approve_as("tess", &["tech_lead"]));
    let both = |change: &dyn Fn(&mut Now)| {
        changed(&|now| {
            now.terms.required = 2;
            change(now);
        })
    };
    let saying = |justification: Option<&str>, digest: Option<&Digest>| Command::Approve {
        by: person("alice", &["team_lead"]),
        justification: justification.map(str::to_owned),
        digest: digest.map(ToString::to_string),
        owner: HERE,
    };
    let demanding = changed(&|now| now.terms.require_justification = true);
    let cases = [
        ("nothing has changed", then.clone(), one.clone(), approve("alice")),
        ("the level needs two approvals", both(&|_| ()), one.clone(), approve("alice")),
        ("the level needs a justification, and the approval has one", demanding.clone(), one.clone(), saying(Some("I looked"), None)),
        ("the level needs a justification, and the approval has none", demanding, one.clone(), saying(None, None)),
        (
            "the level needs the digest, and the approval names it",
            changed(&|now| now.terms.require_digest = true),
            one.clone(),
            saying(None, Some(&one.submission.digest)),
        ),
        (
            "the caller's role is no longer asked",
            changed(&|now| now.terms.approvers = vec!["tech_lead".to_owned()]),
            one.clone(),
            approve("alice"),
        ),
        ("the caller is suspended", changed(&|now| now.suspended.push("alice")), one.clone(), approve("alice")),
        ("the requester acts for the caller", changed(&|now| now.agents = vec![("deploy-bot", "alice")]), one.clone(), approve("alice")),
        ("the requester is no longer listed", changed(&|now| now.agents.clear()), one.clone(), approve("alice")),
        ("the level no longer needs approval", changed(&|now| now.auto_approve = true), one, approve("alice")),
        ("two are needed, and tess has approved", both(&|_| ()), two.clone(), approve("alice")),
        (
            "two are needed, and tess, who has approved, is suspended",
            both(&|now| now.suspended.push("tess")),
            two.clone(),
            approve("alice"),
        ),
        ("two are needed, and tess, who has approved, has lost the role", both(&|now| now.people[1].1 = "cto"), two, approve("alice")),
        (
            "two of different roles are needed, and the role of tess is no longer asked",
            both(&|now| {
                now.terms.approvers = vec!["team_lead".to_owned()];
                now.terms.distinct_roles = true;
                now.people[1] = ("tess", "team_lead");
            }),
            // She has given both of her roles, of which one is left, and alice has no other.
            of_two(&apart, approve_as("tess", &["tech_lead", "team_lead"])),
            approve("alice"),
        ),
        ("two are needed, and alice has approved before", both(&|_| ()), of_two(&pair, approve("alice")), approve("alice")),
    ];
    let page = table("When today's rules are stricter");
    assert_eq!(page.rows.len(), cases.len(), "each row is a case");
    for (row, (when, now, workflow, command)) in page.rows.iter().zip(cases) {
        assert_eq!(row[0], when);
        let answer = now.decide(&workflow, &command);
        let after = match &answer {
            Ok(Answer::Commit { events, guard }) => {
                assert_eq!(guard.not_after, Some(at(EXPIRY)), "no round is longer than the one before it: {when}");
                follow(&workflow, events.clone(), "alice")
            }
            _ => workflow.clone(),
        };
        assert_eq!(cell(&workflow, answer, "alice"), row[1], "{when}");
        assert_eq!(after.round().map(|round| round.number.to_string()).as_ref(), Some(&row[2]), "{when}");
    }
}
