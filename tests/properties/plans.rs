//! Plans of several steps, over every order of turns, ends, crashes, reports and people: one step
//! at a time, in order, each once.

#[path = "plans/run.rs"]
mod run;

use parkbrake::domain::workflow::transition;
use parkbrake::domain::workflow::{Ended, Event, Recorded, Resolution, Status};
use proptest::prelude::*;
use run::{ID, Move, OWNERS, Run, gates, moves, steps, undoable};
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_steps_of_a_plan_are_done_in_order_one_at_a_time_each_once(
        steps in steps(), gate in gates(), needs_approval in any::<bool>(), moves in prop::collection::vec(moves(), 0..60)
    ) {
        let mut run = Run::open(steps, gate, needs_approval);
        run.is_one_that_may_be()?;
        for asked in moves {
            run.take(asked)?;
            run.is_one_that_may_be()?;
        }
        run.begins_once()?;
        run.asks_about_each_step()?;
    }

    /// Nothing is undone before a step has failed; only succeeded steps are undone, each once and
    /// the last one first; and once that has begun nothing else begins.
    #[test]
    fn succeeded_steps_are_undone_in_reverse_once_a_later_step_has_failed(
        steps in undoable(), gate in gates(), moves in prop::collection::vec(moves(), 0..80)
    ) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
            let left = transition::obligations(&run.state, OWNERS[run.owner]);
            let rests = run.state.status().is_final() || run.state.status() == Status::OutcomeUnknown;
            prop_assert_eq!(left.len(), usize::from(!rests), "{:?} of {:?}", left, run.state);
            let replayed = transition::replay(ID, &run.log);
            prop_assert_eq!(replayed.as_ref(), Ok(&Some(run.state.clone())));
        }
        run.begins_once()?;
        run.asks_about_each_step()?;
        let (mut succeeded, mut failed, mut undone) = (BTreeSet::new(), false, Vec::new());
        let undoes = |step: u32| run.state.submission.planned(step).unwrap().compensates;
        for Recorded { event, .. } in &run.log {
            match event {
                Event::ExecutionStarted { step, .. } => match undoes(*step) {
                    None => prop_assert!(!failed, "step {} began after another had failed", step),
                    Some(of) => {
                        prop_assert!(failed && succeeded.contains(&of), "step {} was undone, which had not succeeded", of);
                        if undone.last() != Some(&of) {
                            undone.push(of);
                        }
                    }
                },
                Event::ExecutionSucceeded { step, .. } | Event::Resolved { step, outcome: Resolution::Succeeded, .. } => {
                    succeeded.insert(*step);
                }
                Event::ExecutionFailed { step, .. }
                | Event::StartRefused { step, .. }
                | Event::Resolved { step, outcome: Resolution::Failed, .. } => failed |= undoes(*step).is_none(),
                _ => {}
            }
        }
        prop_assert!(undone.windows(2).all(|pair| pair[0] > pair[1]), "{:?}", undone);
        // A plan that has finally failed has undone all that it could, unless undoing failed as
        // well.
        let undoing_failed = run.state.numbered_steps().any(|(step, _, state)| undoes(step).is_some() && state.ended() == Some(Ended::Failed));
        // Cancelling a plan undoes nothing.
        let was_cancelled = run.state.steps.iter().any(|state| state.cancel_requested().is_some());
        if run.state.status() == Status::Failed && !undoing_failed && !was_cancelled {
            let expected = run.state.numbered_steps().filter_map(|(step, ..)| undoes(step)).filter(|of| succeeded.contains(of)).count();
            prop_assert_eq!(undone.len(), expected);
        }
    }

    /// Whatever has happened, a plan whose steps all succeed from here on is completed.
    #[test]
    fn a_plan_always_makes_progress(steps in steps(), gate in gates(), moves in prop::collection::vec(moves(), 0..30)) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
        }
        for _ in 0..30 {
            let step = run.state.numbered_steps().find(|(_, _, state)| state.ended() != Some(Ended::Succeeded)).map_or(1, |(step, _, _)| step);
            for asked in [Move::Approves, Move::Turn, Move::Reports { step, succeeded: true }, Move::Ends(true), Move::Resolves(Resolution::Succeeded)] {
                run.take(asked)?;
            }
        }
        prop_assert!(run.state.status().is_final(), "{:?}", run.state);
    }

    /// A log of a plan with a missing, repeated or moved event is invalid.
    #[test]
    fn a_log_of_a_plan_that_somebody_changed_is_refused(
        steps in steps(), gate in gates(), moves in prop::collection::vec(moves(), 0..60), at in any::<prop::sample::Index>(), how in 0..3_u8
    ) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
        }
        let mut log = run.log;
        let index = at.index(log.len());
        let renumber = |log: &mut Vec<Recorded>| log.iter_mut().zip(1..).for_each(|(recorded, version)| recorded.version = version);
        match how {
            // The success of a step that others follow cannot be left out, even if the numbers are
            // adjusted.
            0 => {
                let of_later = |step: u32, log: &[Recorded]| log.iter().any(|one| one.event.attempt().is_some_and(|attempt| attempt.step > step));
                let Event::ExecutionSucceeded { step, .. } = log[index].event else { return Ok(()) };
                if !of_later(step, &log) {
                    return Ok(());
                }
                log.remove(index);
                renumber(&mut log);
            }
            1 => log.insert(index, log[index].clone()),
            _ if index + 1 < log.len() => log.swap(index, index + 1),
            _ => return Ok(()),
        }
        prop_assert!(transition::replay(ID, &log).is_err(), "{log:#?}");
    }
}
