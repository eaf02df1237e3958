//! Claims can only raise the risk, leaving something out never helps, and no rule lowers another.

#[path = "assessment/worlds.rs"]
mod worlds;

use parkbrake::domain::risk::Rules;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::triggers::{BuiltIn, Condition, Trigger};
use parkbrake::domain::task::Task;
use parkbrake::domain::task::vocabulary::Vocabulary;
use proptest::prelude::*;
use worlds::{
    CLAIMS, ENVIRONMENTS, assess, claiming, evidence, facts, honest, is_known, level, lies, one_of, registered, rules, rules_of, task,
    trigger, unknown, variant,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn leaving_out_environment_or_type_never_lowers(rules in rules(), task in task()) {
        let before = assess(&rules, &task, None).level;
        for (environment, resource_type) in [(true, false), (false, true), (true, true)] {
            let mut less = task.clone();
            less.environment = less.environment.filter(|_| !environment);
            less.resource_type = less.resource_type.filter(|_| !resource_type);
            let after = assess(&rules, &less, None);
            prop_assert!(after.level >= before, "{before} fell: {after:?}");
        }
    }

    /// The registry's facts about a resource count; an honest requester gains nothing by leaving
    /// something out.
    #[test]
    fn an_honest_requester_gains_nothing_by_omissions(rules in rules(), task in task(), out in any::<[bool; 3]>()) {
        // Naming an unregistered resource needs an approval, which leaving it out avoids, just like
        // not naming it.
        let rules = Rules { unregistered: None, ..rules };
        let honest = honest(&task);
        let before = assess(&rules, &honest, None).level;
        let mut less = honest;
        less.environment = less.environment.filter(|_| !out[0]);
        less.resource_type = less.resource_type.filter(|_| !out[1]);
        less.resource = less.resource.filter(|_| !out[2]);
        let after = assess(&rules, &less, None);
        prop_assert!(after.level >= before, "{before} fell: {after:?}");
    }

    #[test]
    fn leaving_out_environment_type_and_resource_together_never_lowers(rules in rules(), task in task()) {
        let rules = Rules { unregistered: None, ..rules };
        let before = assess(&rules, &task, None).level;
        let nothing = Task { environment: None, resource_type: None, resource: None, ..task };
        prop_assert!(assess(&rules, &nothing, None).level >= before);
    }

    #[test]
    fn a_false_claim_about_a_registered_resource_never_lowers_the_level(
        rules in rules(), task in task(), environment in any::<String>(), known in one_of(&ENVIRONMENTS), kind in any::<String>(),
    ) {
        let truth = honest(&task);
        let before = assess(&rules, &truth, None).level;
        let (registered_environment, registered_type) = registered(&task);
        for lie in [environment, known] {
            let environment = if registered_environment.is_some() { Some(lie) } else { truth.environment.clone() };
            let resource_type = if registered_type.is_some() { Some(kind.clone()) } else { truth.resource_type.clone() };
            let after = assess(&rules, &Task { environment, resource_type, ..truth.clone() }, None);
            prop_assert!(after.level >= before, "{before} fell: {after:?}");
        }
    }

    #[test]
    fn a_terraform_plan_never_lowers(rules in rules(), task in task(), evidence in evidence(), facts in prop::option::of(facts())) {
        let before = assess(&rules, &task, facts.as_ref()).level;
        let after = assess(&rules, &Task { evidence: Some(evidence), ..task }, facts.as_ref());
        prop_assert!(after.level >= before, "{before} fell: {after:?}");
    }

    #[test]
    fn another_trigger_never_lowers(rules in rules(), added in trigger(), task in task(), facts in prop::option::of(facts())) {
        let before = assess(&rules, &task, facts.as_ref());
        let mut more = rules.clone();
        more.triggers.push(added);
        let after = assess(&more, &task, facts.as_ref());
        prop_assert!(after.level >= before.level);
        prop_assert!(before.reasons.iter().all(|reason| after.reasons.contains(reason)), "no reason is lost");
    }

    #[test]
    fn no_runbook_lowers_the_level_that_built_in_triggers_give_a_claim(levels in prop::collection::vec(level(), 15), task in lies(), facts in facts()) {
        let triggers = BuiltIn::ALL.into_iter().zip(levels);
        let trigger = |(known, level): (BuiltIn, Level)| Trigger { name: known.name().to_owned(), level, condition: Condition::BuiltIn(known) };
        let rules = rules_of(triggers.map(trigger).collect(), Level::Low);
        prop_assert!(assess(&rules, &task, Some(&facts)).level >= assess(&rules, &task, None).level);
    }

    #[test]
    fn case_and_white_space_change_nothing(
        rules in rules(),
        (task, variant) in task().prop_flat_map(|task| {
            let optional = |word: &Option<String>| word.as_deref().map(variant).map_or_else(|| Just(None).boxed(), |it| it.prop_map(Some).boxed());
            let spelled = (variant(&task.operation), optional(&task.environment), optional(&task.resource_type));
            let resource = task.resource.clone().map(|name| format!(" {}\t", name.to_uppercase()));
            spelled.prop_map(move |(operation, environment, resource_type)| {
                (task.clone(), Task { operation, environment, resource_type, resource: resource.clone(), ..task.clone() })
            })
        }),
        facts in prop::option::of(facts()),
    ) {
        prop_assert_eq!(assess(&rules, &variant, facts.as_ref()), assess(&rules, &task, facts.as_ref()));
    }

    #[test]
    fn a_spelling_that_nobody_knows_is_never_lower(
        rules in rules(),
        (task, misspelled) in task().prop_flat_map(|task| {
            let environment = unknown(task.environment.as_deref().unwrap_or("production"));
            let spelled = (unknown(&task.operation), environment, unknown(task.resource_type.as_deref().unwrap_or("code")), any::<[bool; 3]>());
            spelled.prop_map(move |(operation, environment, resource_type, which)| {
                let mut misspelled = task.clone();
                if which[0] { misspelled.operation = operation; }
                if which[1] { misspelled.environment = Some(environment); }
                if which[2] { misspelled.resource_type = Some(resource_type); }
                (task.clone(), misspelled)
            })
        }),
        facts in prop::option::of(facts()),
    ) {
        // Another known word is another claim, not another spelling.
        prop_assume!(misspelled.operation == task.operation || !is_known(&rules.operations, &misspelled.operation));
        let other = |now: &Option<String>, then: &Option<String>, known: &Vocabulary| now != then && now.as_deref().is_some_and(|word| is_known(known, word));
        prop_assume!(!other(&misspelled.environment, &task.environment, &rules.environments));
        prop_assume!(!other(&misspelled.resource_type, &task.resource_type, &rules.resource_types));
        let (before, after) = (assess(&rules, &task, facts.as_ref()), assess(&rules, &misspelled, facts.as_ref()));
        prop_assert!(after.level >= before.level, "{before:?} fell: {after:?}");
        if misspelled != task {
            prop_assert!(after.level >= rules.unrecognized);
        }
    }

    #[test]
    fn every_level_has_a_reason_of_that_level(rules in rules(), task in task(), facts in prop::option::of(facts())) {
        let assessment = assess(&rules, &task, facts.as_ref());
        prop_assert!(assessment.level == Level::Low || assessment.reasons[0].level == assessment.level, "{:?}", assessment);
        prop_assert!(assessment.reasons.is_sorted_by_key(|reason| std::cmp::Reverse(reason.level)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    /// What parkbrake runs is assessed by what parkbrake knows, and every additional claim can only
    /// raise the risk: whatever is claimed instead of the truth, and for whichever fields.
    fn no_claim_lowers_the_level_of_what_parkbrake_runs(rules in rules(), facts in facts(), claims in lies(), more in lies()) {
        let claims = Task { operation: facts.operation.clone().unwrap_or_else(|| "read".to_owned()), ..claims };
        let levels: Vec<Level> = (0..CLAIMS).map(|subset| assess(&rules, &claiming(subset, &claims), Some(&facts)).level).collect();
        // Any additional claim, whatever was claimed before.
        for (subset, level) in (0..CLAIMS).zip(&levels) {
            for added in (0..CLAIMS).filter(|added| added & subset == subset) {
                prop_assert!(levels[added as usize] >= *level, "{level} fell by {:?}", claiming(added, &claims));
            }
        }
        // Instead of the truth, also about the operation.
        let lied = assess(&rules, &more, Some(&facts));
        prop_assert!(lied.level >= levels[0], "{} fell by {more:?}: {lied:?}", levels[0]);
        let honest = Task { environment: facts.environment.clone(), resource_type: facts.resource_type.clone(), resource: facts.resource.clone(), ..claiming(0, &claims) };
        prop_assert!(lied.level >= assess(&rules, &honest, Some(&facts)).level);
    }
}
