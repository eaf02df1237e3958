//! What a request is about: the runbook before the registry, the registry before the claim.

use super::*;
use crate::domain::risk::target::{Differs, Source};

fn differs(field: &str, claimed: Option<&str>, known: &str, from: Source) -> Differs {
    Differs { field: field.to_owned(), claimed: claimed.map(str::to_owned), known: known.to_owned(), from }
}

#[test]
fn the_runbook_names_the_target_and_differing_claims_are_listed() {
    let facts = Facts { resource: Some("db-prod-ledger".to_owned()), ..facts("modify") };
    let target = rules().target(&on("ledger", task("deploy", "staging", "code")), Some(&facts));
    assert_eq!(target.whole(), "modify db-prod-ledger in production");
    assert_eq!(target.resource_type.as_deref(), Some("database"));
    assert_eq!(target.confirmation(), "db-prod-ledger");
    assert_eq!(
        target.differs,
        [
            differs("operation", Some("deploy"), "modify", Source::Runbook),
            differs("environment", Some("staging"), "production", Source::Registry),
            differs("resource", Some("ledger"), "db-prod-ledger", Source::Runbook),
            differs("resource_type", Some("code"), "database", Source::Registry),
        ]
    );
    assert_eq!(target.headline(), "modify db-prod-ledger in production [DIFFERS]");
    let called = target.called().unwrap();
    assert!(
        called.starts_with("The requester called this: operation \"deploy\" (it is \"modify\" by the runbook), environment"),
        "{called}"
    );
}

#[test]
fn another_spelling_of_the_same_is_no_difference() {
    let facts = Facts { environment: Some("prod".to_owned()), resource: Some("API".to_owned()), ..facts("release") };
    let target = rules().target(&on(" api ", task("deploy", "production", "code")), Some(&facts));
    assert_eq!((target.whole().as_str(), target.differs.as_slice()), ("deploy API in production", [].as_slice()));
    assert_eq!((target.headline(), target.called()), (target.whole(), None));
}

#[test]
fn an_omitted_claim_is_no_difference() {
    let target = rules().target(&on("db-prod-1", task("read", "-", "-")), None);
    assert_eq!((target.whole().as_str(), target.resource_type.as_deref()), ("read db-prod-1 in production", Some("database")));
    assert_eq!(target.differs, []);
}

#[test]
fn a_runbook_that_contradicts_the_registry_is_listed_too() {
    let facts = Facts { environment: Some("staging".to_owned()), resource: Some("db-prod-1".to_owned()), ..facts("modify") };
    let target = rules().target(&task("modify", "-", "database"), Some(&facts));
    assert_eq!(target.differs, [differs("environment", None, "production", Source::Registry)]);
    assert_eq!(target.called().unwrap(), "The requester called this: environment (it is \"production\" by the registry)");
}
