//! What parkbrake runs is assessed by what parkbrake knows, and claims never lower the level.

use super::*;

#[test]
fn a_runbooks_facts_are_assessed_with_the_claim() {
    let reading = task("read", "production", "code");
    let assessment = assess(&rules(), &reading, Some(&facts("Deploy ")));
    assert_eq!(assessment.level, Level::High);
    let disagreement = "runbook `go` says that the operation is `deploy`, the request says `read`; the more dangerous one holds";
    assert_eq!(detail(&assessment, "operation_disagreement"), disagreement);
    assert_eq!(
        assess(&rules(), &task("deploy", "production", "code"), Some(&facts("read"))).level,
        Level::High,
        "nor does it calm a claim"
    );

    let fixed = |facts: Facts| assess(&rules(), &task("delete", "staging", "code"), Some(&facts));
    let production = fixed(Facts { environment: Some("prod".to_owned()), ..facts("delete") });
    assert_eq!((production.level, detail(&production, "delete_production").as_str()), (Level::Critical, "delete in production"));
    let resource = fixed(Facts { resource: Some("db-prod-1".to_owned()), ..facts("delete") });
    assert_eq!(resource.level, Level::Critical, "the registry is asked about what the runbook acts on");
    let infrastructure = Facts { resource_type: Some("infra".to_owned()), ..facts("modify") };
    assert_eq!(assess(&rules(), &task("modify", "staging", "code"), Some(&infrastructure)).level, Level::High);
}

#[test]
fn a_fact_that_nobody_understands_hides_no_claim() {
    let rules = Rules { unrecognized: Level::Medium, ..rules() };
    let unclear = Facts { environment: Some("qa".to_owned()), ..facts("delete") };
    assert_eq!(assess(&rules, &task("delete", "production", "code"), Some(&unclear)).level, Level::Critical);
    assert_eq!(assess(&rules, &task("delete", "staging", "code"), Some(&unclear)).level, Level::Critical, "it could be production");
    assert_eq!(assess(&rules, &task("delete", "-", "code"), Some(&unclear)).level, Level::Critical);
    let unclear = Facts { resource_type: Some("cloud".to_owned()), ..facts("modify") };
    assert_eq!(assess(&rules, &task("modify", "staging", "code"), Some(&unclear)).level, Level::High);
    assert_eq!(assess(&rules, &task("read", "production", "code"), Some(&facts("wipe"))).level, Level::Critical);
}

/// A runbook that deploys without stating its environment.
#[test]
fn a_claim_does_not_replace_an_omitted_fact_of_the_runbook() {
    let silent = facts("deploy");
    for claimed in ["-", "production", "staging", "dev", "development", " Stage ", "qa"] {
        for resource_type in ["-", "code", "db"] {
            for resource in ["api-gateway-production", "my-sandbox", "db-prod-1"] {
                let task = on(resource, task("read", claimed, resource_type));
                let assessment = assess(&rules(), &task, Some(&silent));
                assert!(assessment.level >= Level::High, "{claimed} {resource_type} {resource}: {assessment:?}");
                assert!(detail(&assessment, "deploy_production").starts_with("deploy to production"), "{assessment:?}");
            }
        }
    }
    let assessment = assess(&rules(), &task("deploy", "staging", "code"), Some(&silent));
    let unsaid =
        "runbook `go` does not state its environment, so the task is assessed for each that it could be: production, staging, development";
    assert_eq!(detail(&assessment, "unsaid_environment"), unsaid);
    let infrastructure = assess(&rules(), &task("modify", "staging", "code"), Some(&facts("modify")));
    assert_eq!(
        detail(&infrastructure, "modify_infrastructure"),
        "modification of infrastructure, assuming resource_type infrastructure",
        "the same of its type"
    );
}

#[test]
fn the_requester_need_not_repeat_facts_of_the_runbook() {
    let stated = Facts { environment: Some("staging".to_owned()), resource_type: Some("code".to_owned()), ..facts("deploy") };
    let assessment = assess(&rules(), &task("deploy", "-", "-"), Some(&stated));
    assert_eq!((assessment.level, assessment.reasons), (Level::Low, Vec::new()), "it is known, so nothing is assumed");
    let assessment = assess(&rules(), &task("deploy", "production", "-"), Some(&stated));
    assert_eq!(assessment.level, Level::High, "a claim still raises");
}

#[test]
fn a_claimed_resource_never_lowers_a_runbooks_level() {
    let condition = Condition::Expression(Expression::compile(r#"environment == "staging""#).unwrap());
    let rules = Rules { triggers: vec![Trigger { name: "own".to_owned(), level: Level::High, condition }], ..rules() };
    let silent = facts("read");
    assert_eq!(assess(&rules, &task("read", "-", "code"), Some(&silent)).level, Level::High);
    assert_eq!(assess(&rules, &on("db-prod-1", task("read", "production", "database")), Some(&silent)).level, Level::High);
}

#[test]
fn a_resource_that_the_runbook_does_not_state_could_be_any() {
    let with = |condition: &str| {
        let condition = Condition::Expression(Expression::compile(condition).unwrap());
        Rules { triggers: vec![Trigger { name: "own".to_owned(), level: Level::High, condition }], ..rules() }
    };
    let payments = with(r#"resource.startsWith("payment-")"#);
    let claimed = on("web", task("read", "staging", "code"));
    let assessment = assess(&payments, &claimed, Some(&facts("read")));
    assert_eq!(assessment.level, Level::High, "a claim does not say what the runbook acts on: {assessment:?}");
    assert!(detail(&assessment, "own").contains("assuming any resource"), "{assessment:?}");
    let named = Facts { resource: Some("web".to_owned()), ..facts("read") };
    assert_eq!(assess(&payments, &claimed, Some(&named)).level, Level::Low);
    // Where the answer does not depend on it, it is not in the way.
    let deployed = with(r#"resource.startsWith("payment-") && operation == "deploy""#);
    assert_eq!(assess(&deployed, &claimed, Some(&facts("read"))).level, Level::Low);
    assert_eq!(assess(&payments, &claimed, None).level, Level::Low, "of what the requester does itself it is believed");
}
