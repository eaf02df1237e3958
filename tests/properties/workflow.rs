//! Every sequence of commands leads to a valid log, which can be replayed and forgets nothing that
//! is due.

#[path = "workflow/run.rs"]
mod run;

use crate::oracle;
use parkbrake::actors::parked_state::{Kinds, ParkedState};
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::workflow::Submission;
use parkbrake::domain::workflow::transition;
use proptest::prelude::*;
use proptest::sample::select;
use run::{AGENTS, Asked, Case, ID, PEOPLE, Run, What, case, digest, directory, terms};
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_command_leaves_a_valid_log(case in case()) {
        let mut run = Run::open(&case)?;
        for asked in &case.asked {
            run.ask(asked, &case.directory)?;
            run.obligation_fits()?;
        }
        if let Err(why) = oracle::verdict(&run.log, &case.directory) {
            prop_assert!(false, "{why}\n{:#?}", run.log);
        }
        let kinds = Kinds::default();
        for (length, state) in (1..).zip(&run.states) {
            let replayed = transition::replay(ID, &run.log[..length]);
            prop_assert_eq!(replayed.as_ref(), Ok(&Some(state.clone())), "replaying {} events", length);
            let kept = ParkedState::of(Arc::new(state.clone()), &kinds);
            prop_assert_eq!(kept.version(), state.version);
            let restored = kept.restore(ID);
            prop_assert_eq!(restored.as_ref(), state, "kept after {} events", length);
        }
        prop_assert_eq!(transition::replay(ID, []), Ok(None));
    }

    /// A log with a missing, repeated or moved event is invalid.
    #[test]
    fn a_log_that_somebody_else_changed_is_refused(case in case(), at in any::<prop::sample::Index>(), how in 0..3_u8) {
        let mut run = Run::open(&case)?;
        for asked in &case.asked {
            run.ask(asked, &case.directory)?;
        }
        let (mut log, index) = (run.log, at.index(run.states.len()));
        match how {
            0 if index + 1 < log.len() => drop(log.remove(index)),
            1 => log.insert(index, log[index].clone()),
            _ if index + 1 < log.len() => log.swap(index, index + 1),
            _ => return Ok(()),
        }
        prop_assert!(transition::replay(ID, &log).is_err(), "{:#?}", log);
    }

    /// The cases are not vacuous: without this test, the properties above could be true of nothing.
    #[test]
    fn enough_willing_people_start_the_action(directory in directory(), terms in terms(), requested_by in select(&AGENTS[..])) {
        let submission = Submission {
            task_id: None,
            requested_by: requested_by.to_owned(),
            on_behalf_of: directory[requested_by].on_behalf_of.clone(),
            digest: digest(),
            assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
            action: ActionKind::Runbook,
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
        let terms = ApprovalTerms { expire_after: None, ..terms };
        let required = terms.required as usize;
        let case = Case { directory, submission, terms: Some(terms), asked: Vec::new() };
        let mut run = Run::open(&case)?;
        run.ask(&Asked { seconds: 1_000, by: requested_by, what: What::Tick }, &case.directory)?;
        for by in PEOPLE {
            let what = What::Approve { justification: Some("yes".to_owned()), digest: Some(digest().to_string()) };
            run.ask(&Asked { seconds: 1, by, what }, &case.directory)?;
        }
        let started = run.state().queued().is_some();
        let could = oracle::could_start(&run.log, &case.directory);
        prop_assert_eq!(started, could, "required {}: {:#?}", required, run.log);
    }
}
