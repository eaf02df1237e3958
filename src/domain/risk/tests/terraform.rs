//! A Terraform plan beside the claim.

use super::*;
use crate::domain::task::evidence::{Evidence, Fingerprint, TerraformPlan};
use crate::domain::task::terraform::{Counts, Summary};

fn showing(task: Task, summary: Summary) -> Task {
    let evidence = Evidence::TerraformPlan(TerraformPlan { fingerprint: Fingerprint::Sealed(String::new()), summary });
    Task { evidence: Some(Box::new(evidence)), ..task }
}

fn counting(counts: Counts) -> Summary {
    Summary { counts, ..Summary::default() }
}

#[test]
fn a_terraform_plan_is_assessed_with_the_claim() {
    let claim = || task("read", "staging", "code");
    assert_eq!(level(&claim()), Level::Low);
    assert_eq!(level(&showing(claim(), counting(Counts { drifted: 3, reads: 2, ..Counts::default() }))), Level::Low, "nothing changes");
    assert_eq!(level(&showing(claim(), counting(Counts { creates: 1, ..Counts::default() }))), Level::High, "infrastructure is modified");
    let deletes = showing(task("read", "production", "code"), counting(Counts { deletes: 1, ..Counts::default() }));
    let assessment = assess(&rules(), &deletes, None);
    assert_eq!(assessment.level, Level::Critical, "it deletes in production");
    assert!(detail(&assessment, "operation_disagreement").starts_with("the Terraform plan says that the operation is `delete`"));
    assert!(
        detail(&assessment, "resource_type_disagreement").starts_with("the Terraform plan says that the resource_type is `infrastructure`")
    );
}

#[test]
fn a_workspace_maps_to_its_configured_environment_or_to_the_one_of_its_name() {
    let planned = |workspace: &str| {
        let summary = Summary { workspace: Some(workspace.to_owned()), ..counting(Counts { replaces: 1, ..Counts::default() }) };
        assess(&rules(), &showing(task("modify", "staging", "infrastructure"), summary), None)
    };
    for production in ["live-eu", "production", "PRD"] {
        assert_eq!(planned(production).level, Level::Critical, "{production}");
        assert!(detail(&planned(production), "environment_disagreement").contains("workspace"), "{production}");
    }
    for other in ["staging", "somewhere"] {
        assert_eq!(planned(other).level, Level::High, "{other}");
    }
}

#[test]
fn the_triggers_name_what_is_taken_away() {
    let plan: serde_json::Value = serde_json::from_str(include_str!("../../../../tests/fixtures/terraform/replace-database.json")).unwrap();
    let summary = crate::domain::task::terraform::read(&plan, None).unwrap().summary;
    let trigger =
        |built_in: BuiltIn| Trigger { name: built_in.name().to_owned(), level: Level::Medium, condition: Condition::BuiltIn(built_in) };
    let rules = Rules { triggers: [BuiltIn::TerraformDelete, BuiltIn::TerraformReplace].map(trigger).to_vec(), ..rules() };
    let assessment = assess(&rules, &showing(task("read", "staging", "code"), summary), None);
    assert_eq!(detail(&assessment, "terraform_delete"), "the Terraform plan deletes 1 resource: aws_s3_bucket.backups");
    assert_eq!(detail(&assessment, "terraform_replace"), "the Terraform plan replaces 1 resource: aws_db_instance.main");
    assert_eq!(assess(&rules, &task("read", "staging", "code"), None).reasons, []);
}
