//! Plans, as they are read.

use super::*;
use serde_json::{Value, json};

fn plan(changes: Value) -> Value {
    json!({"format_version": "1.2", "terraform_version": "1.9.8", "planned_values": {}, "resource_changes": changes})
}

fn resource(address: &str, actions: &[&str], before: Value, after: Value) -> Value {
    let kind = address.split('.').next().unwrap();
    json!({"address": address, "mode": "managed", "type": kind, "name": "x", "provider_name": "p",
        "change": {"actions": actions, "before": before, "after": after, "after_unknown": {}, "before_sensitive": {}, "after_sensitive": {}}})
}

fn summary(value: &Value) -> Summary {
    let plan = read(value, None).unwrap();
    plan.summary.check().unwrap();
    plan.summary
}

/// Each attribute of a change as `path before after`.
fn attributes(change: &Change) -> Vec<String> {
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
    change.attributes.iter().map(|one| format!("{} {} {}", one.path, side(&one.before), side(&one.after))).collect()
}

#[test]
fn deletions_come_first_and_everything_is_counted() {
    let mut replaced = resource("aws_instance.api", &["create", "delete"], json!({"ami": "a"}), json!({"ami": "b"}));
    replaced["action_reason"] = json!("replace_because_cannot_update");
    replaced["change"]["replace_paths"] = json!([["ami"]]);
    let mut moved = resource("aws_vpc.new", &["no-op"], json!({"id": "v"}), json!({"id": "v"}));
    moved["previous_address"] = json!("aws_vpc.old");
    let mut deposed = resource("aws_instance.old", &["delete"], json!({"id": "i-2", "ami": "z"}), json!(null));
    deposed["deposed"] = json!("abcd1234");
    let value = plan(json!([
        resource("aws_iam_role.r", &["update"], json!({"tags": {"a b": "1"}, "n": [1, 2]}), json!({"tags": {"a b": "2"}, "n": [1]})),
        resource("aws_s3_bucket.b", &["create"], json!(null), json!({"bucket": "logs", "acl": null})),
        resource("data.aws_ami.u", &["read"], json!(null), json!({})),
        resource("aws_kms_key.k", &["forget"], json!({"id": "k-1"}), json!(null)),
        resource("aws_eip.same", &["no-op"], json!({"id": "e"}), json!({"id": "e"})),
        moved,
        replaced,
        deposed,
    ]));
    let summary = summary(&value);
    let acts: Vec<_> = summary.changes.iter().map(|change| format!("{} {}", change.act.as_str(), change.name())).collect();
    assert_eq!(
        acts,
        [
            "delete aws_instance.old (deposed object abcd1234)",
            "replace aws_instance.api",
            "forget aws_kms_key.k",
            "update aws_iam_role.r",
            "create aws_s3_bucket.b",
            "adopt aws_vpc.new",
            "read data.aws_ami.u",
        ]
    );
    assert_eq!(summary.counts.to_string(), "1 to delete, 1 to replace, 1 to forget, 1 to update, 1 to create, 1 to move, 1 to read");
    assert_eq!(summary.destroyed_types, ["aws_instance"]);
    assert_eq!(summary.types, ["aws_iam_role", "aws_instance", "aws_kms_key", "aws_s3_bucket", "aws_vpc", "data"]);
    assert_eq!(attributes(&summary.changes[0]), ["id \"i-2\" -"], "of what goes, what it is known by");
    assert_eq!(attributes(&summary.changes[1]), ["ami \"a\" \"b\""]);
    assert!(summary.changes[1].attributes[0].forces_replacement);
    assert_eq!(attributes(&summary.changes[3]), ["n[1] 2 -", "tags[\"a b\"] \"1\" \"2\""]);
    assert_eq!(attributes(&summary.changes[4]), ["bucket - \"logs\""]);
}

#[test]
fn a_value_marked_sensitive_on_one_side_is_hidden_everywhere() {
    let mut change = resource(
        "aws_db_instance.main",
        &["update"],
        json!({"name": "db", "auth": {"user": "root", "pass": "correct horse"}, "list": ["a", "b"], "note": "x", "url": "pg://root:correct horse@h"}),
        json!({"name": "db", "auth": {"user": "admin", "pass": "battery staple"}, "list": ["c"], "note": "y", "url": "pg://root:battery staple@h"}),
    );
    change["change"]["before_sensitive"] = json!({"auth": {"pass": true}, "note": "what is this?"});
    change["change"]["after_sensitive"] = json!({"list": [false, true]});
    change["change"]["after_unknown"] = json!({"arn": true, "auth": {"pass": true}});
    let summary = summary(&plan(json!([change])));
    assert_eq!(
        attributes(&summary.changes[0]),
        [
            "arn - (known after apply)",
            "auth.pass (sensitive) (sensitive)",
            "auth.user \"root\" \"admin\"",
            // The mark has another shape than this value, so nothing of it is shown.
            "list - (sensitive)",
            "list[0] \"a\" -",
            "list[1] (sensitive) -",
            "note (sensitive) (sensitive)",
            "url (sensitive) (sensitive)",
        ]
    );
    assert!(!format!("{summary:?}").contains("horse"));
}

#[test]
fn attributes_named_like_secrets_are_hidden_even_if_unmarked() {
    let value = json!({"db_password": "s1", "master-password": "s2", "token": "s3", "token_ttl": "60", "secret": [{"name": "n"}], "keys": {"private_key": "s4"}});
    let summary = summary(&plan(json!([resource("x.y", &["create"], json!(null), value)])));
    let shown = attributes(&summary.changes[0]).join("\n");
    for secret in ["s1", "s2", "s3", "s4"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("token_ttl - \"60\"") && shown.contains("secret[0].name - \"n\""), "{shown}");
}

#[test]
fn the_digest_covers_what_is_not_shown_and_nothing_that_changes_by_itself() {
    let of = |value: &Value| read(value, None).unwrap().contents;
    let secret = |text: &str| {
        let mut change = resource("a.b", &["update"], json!({"p": "x"}), json!({"p": text}));
        change["change"]["after_sensitive"] = json!({"p": true});
        plan(json!([change, resource("a.c", &["create"], json!(null), json!({"n": 9_007_199_254_740_993_u64}))]))
    };
    let one = of(&secret("one"));
    assert_eq!(read(&secret("one"), None).unwrap().summary, read(&secret("two"), None).unwrap().summary);
    assert_ne!(one, of(&secret("two")), "a secret changes it");
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = secret("one");
        change(&mut value);
        of(&value)
    };
    assert_eq!(one, changed(&|value| value["timestamp"] = json!("2026-01-01T00:00:00Z")));
    assert_eq!(one, changed(&|value| value["resource_changes"].as_array_mut().unwrap().reverse()));
    assert_eq!(
        one,
        changed(&|value| value["resource_changes"].as_array_mut().unwrap().push(resource("a.d", &["no-op"], json!({}), json!({}))))
    );
    for (what, other) in [
        ("number", changed(&|value| value["resource_changes"][1]["change"]["after"]["n"] = json!(9_007_199_254_740_992_u64))),
        ("address", changed(&|value| value["resource_changes"][0]["address"] = json!("a.z"))),
        ("output", changed(&|value| value["output_changes"] = json!({"o": {"actions": ["create"], "before": null, "after": 1}}))),
        ("serial", changed(&|value| value["prior_state"] = json!({"serial": 7}))),
        ("version", changed(&|value| value["terraform_version"] = json!("1.9.9"))),
        ("deferred", changed(&|value| value["deferred_changes"] = json!([{"reason": "x"}]))),
    ] {
        assert_ne!(one, other, "{what}");
    }
}

#[test]
fn files_that_are_no_plan_are_refused_with_a_reason() {
    let refused = |value: Value| read(&value, None).unwrap_err().to_string();
    for (value, said) in [
        (json!([]), "has to be an object"),
        (json!({}), "/format_version is missing"),
        (json!({"@level": "info", "@message": "m"}), "is the log of a command"),
        (json!({"format_version": "1.0", "values": {}}), "is a state, not a plan"),
        (json!({"format_version": "0.2", "resource_changes": []}), "make the plan with Terraform 1.1 or newer"),
        (json!({"format_version": "2.0", "resource_changes": []}), "parkbrake reads plans of the formats 1.x"),
        (json!({"format_version": "1.2"}), "says nothing of what it changes"),
        (json!({"format_version": "1.2", "resource_changes": [], "errored": true}), "plan again"),
        (plan(json!({})), "/resource_changes has to be a list"),
        (plan(json!([7])), "/resource_changes/0 has to be an object"),
        (plan(json!([{"address": "a", "type": "t"}])), "/resource_changes/0/change has to be an object"),
        (plan(json!([resource("a.b", &["explode"], json!(null), json!(null))])), "holds `explode`, which parkbrake does not know"),
        (plan(json!([{"address": 1, "type": "t", "change": {"actions": ["create"]}}])), "/resource_changes/0/address has to be a text"),
    ] {
        assert!(refused(value.clone()).contains(said), "{value}: {}", refused(value.clone()));
    }
}

#[test]
fn a_summary_of_a_huge_plan_is_small_and_counts_what_it_omits() {
    let long = "x".repeat(5_000);
    let many = (0..3_000).map(|n| {
        let actions = if n % 10 == 0 { "delete" } else { "create" };
        resource(&format!("aws_instance.i[{n}]"), &[actions], json!({"id": n}), json!({"a": long, "b": long, "tags": {"n": n}}))
    });
    let summary = summary(&plan(many.collect()));
    assert_eq!((summary.counts.deletes, summary.counts.creates), (300, 2_700));
    assert!(summary.changes.iter().all(|change| change.act == Act::Delete), "deletions come first");
    assert_eq!(summary.unlisted, 2_800);
    assert!(serde_json::to_string(&summary).unwrap().len() < 100_000);
}

#[test]
fn a_long_value_is_cut_around_what_is_different() {
    let text = |end: &str| format!("{}{end}{}", "a".repeat(1_000), "b".repeat(1_000));
    let summary = summary(&plan(json!([resource("x.y", &["update"], json!({"t": text("OLD")}), json!({"t": text("NEW")}))])));
    let shown = &summary.changes[0].attributes[0];
    assert!(shown.before.as_ref().unwrap().contains("OLD") && shown.after.as_ref().unwrap().contains("NEW"), "{shown:?}");
    assert!(shown.before.as_ref().unwrap().ends_with("(2005 characters)"));
}

#[test]
fn a_summary_that_contradicts_itself_is_refused() {
    let valid = summary(&plan(json!([
        resource("a.b", &["delete"], json!({"id": 1}), json!(null)),
        resource("a.c", &["create"], json!(null), json!({}))
    ])));
    let wrong = |change: &dyn Fn(&mut Summary)| {
        let mut summary = valid.clone();
        change(&mut summary);
        summary.check().unwrap_err().0
    };
    assert_eq!(wrong(&|summary| summary.counts.deletes = 0), "/counts");
    assert_eq!(wrong(&|summary| summary.counts.creates = 9), "/counts");
    assert_eq!(wrong(&|summary| summary.changes.clear()), "/counts");
    assert_eq!(wrong(&|summary| summary.types.clear()), "/changes/0/type");
    assert_eq!(wrong(&|summary| summary.destroyed_types.clear()), "/changes/0/type");
    assert_eq!(wrong(&|summary| summary.counts.outputs = 1), "/counts/outputs");
    assert_eq!(wrong(&|summary| summary.changes = vec![summary.changes[0].clone(); 201]), "/changes");
    assert_eq!(wrong(&|summary| summary.changes[0].address = "x".repeat(600)), "");
}

#[test]
fn verification_names_the_differences_from_the_approved_plan() {
    let base = |changes: Value| summary(&plan(changes));
    let approved =
        base(json!([resource("a.b", &["update"], json!({"n": 1}), json!({"n": 2})), resource("a.c", &["create"], json!(null), json!({}))]));
    let now =
        base(json!([resource("a.b", &["delete"], json!({"n": 1}), json!(null)), resource("a.d", &["create"], json!(null), json!({}))]));
    assert_eq!(compare::differences(&approved, &approved), [""; 0]);
    let said = compare::differences(&approved, &now).join("\n");
    for part in [
        "a.b: approved was to update it, this plan is to delete it",
        "a.c: approved was to create it, this plan leaves it as it is",
        "a.d: this plan is to create it, which nobody approved",
        "the counts",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let other =
        base(json!([resource("a.b", &["update"], json!({"n": 1}), json!({"n": 3})), resource("a.c", &["create"], json!(null), json!({}))]));
    assert_eq!(compare::differences(&approved, &other), ["a.b: n: approved was 1 -> 2, this is 1 -> 3"]);
}
