//! A one-line summary of a Kubernetes manifest, and the differences between two texts of manifests.

use crate::domain::task::difference::{self, Difference};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most images that a summary names.
const MOST_IMAGES: usize = 3;
/// The most manifests of a text that are named.
const MOST_TITLES: usize = 5;

/// Parses the manifests in a YAML text; `None` if it contains anything else.
pub type Manifests<'a> = &'a dyn Fn(&str) -> Option<Vec<Map<String, Value>>>;

/// Summaries of these manifests.
pub fn titles(manifests: &[Map<String, Value>]) -> String {
    let named = manifests.iter().take(MOST_TITLES).filter_map(title).collect::<Vec<_>>().join("; ");
    match manifests.len().saturating_sub(MOST_TITLES) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

/// The same differences; before each difference between two texts of manifests come the differences
/// between their fields. Texts may differ although no field does, so the difference itself stays.
pub fn explained(differences: Vec<Difference>, manifests: Manifests<'_>) -> Vec<Difference> {
    let read = |json: &Option<String>| manifests(&serde_json::from_str::<String>(json.as_deref()?).ok()?);
    let explain = |whole: Difference| {
        let fields = match (read(&whole.before), read(&whole.after)) {
            (Some(before), Some(after)) => between(&before, &after),
            _ => Vec::new(),
        };
        let nested = fields.into_iter().map(|one| Difference { pointer: format!("{}: {}", whole.pointer, one.pointer), ..one });
        nested.collect::<Vec<_>>().into_iter().chain([whole])
    };
    differences.into_iter().flat_map(explain).collect()
}

/// The differences between manifests. They are compared by kind and name if these are unique, and
/// otherwise by position.
fn between(before: &[Map<String, Value>], after: &[Map<String, Value>]) -> Vec<Difference> {
    let is_told_apart = |all: &[Map<String, Value>]| all.iter().map(name).collect::<BTreeSet<_>>().len() == all.len();
    let by_name = is_told_apart(before) && is_told_apart(after);
    let tree = |all: &[Map<String, Value>]| {
        let named =
            all.iter().enumerate().map(|(index, one)| (if by_name { name(one) } else { index.to_string() }, Value::Object(one.clone())));
        Value::Object(named.collect())
    };
    difference::between(&tree(before), &tree(after))
}

/// Kind, namespace and name.
fn name(fields: &Map<String, Value>) -> String {
    let text = |path: &str| at(fields, path).and_then(Value::as_str);
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    [Some(kind), text("metadata/namespace"), text("metadata/name")].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A summary of a Kubernetes manifest: kind, namespace, name, replicas and images.
pub fn title(fields: &Map<String, Value>) -> Option<String> {
    fields.get("apiVersion")?.as_str()?;
    let kind = fields.get("kind")?.as_str()?;
    let text = |pointer: &str| at(fields, pointer).and_then(Value::as_str);
    let name = [text("metadata/namespace"), text("metadata/name")].into_iter().flatten().collect::<Vec<_>>().join("/");
    let replicas = at(fields, "spec/replicas").and_then(Value::as_u64).map(counted_replicas);
    let mut images = Vec::new();
    fields.values().for_each(|field| gather_images(field, &mut images));
    let more = images.len().saturating_sub(MOST_IMAGES);
    images.truncate(MOST_IMAGES);
    let images = (!images.is_empty())
        .then(|| format!("{}{}", images.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() }));
    let said = [Some(name).filter(|name| !name.is_empty()), replicas, images].into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(format!("Kubernetes {kind} {said}").trim_end().to_owned())
}

fn counted_replicas(count: u64) -> String {
    format!("{count} replica{}", if count == 1 { "" } else { "s" })
}

fn at<'v>(fields: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let (first, rest) = path.split_once('/')?;
    fields.get(first)?.get(rest)
}

/// Every image of a container, once each.
fn gather_images(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(image) if name == "image" => {
                        if !found.contains(image) {
                            found.push(image.clone());
                        }
                    }
                    _ => gather_images(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather_images(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(manifest: Value) -> String {
        title(manifest.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_kubernetes_manifest_is_titled_by_its_content() {
        let container = |image: &str| json!({"name": "c", "image": image});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [container("api:1.4.2"), container("proxy:2")], "initContainers": [container("api:1.4.2")]}}}});
        assert_eq!(said(deployment), "Kubernetes Deployment shop/api, 3 replicas, api:1.4.2, proxy:2");
        let plain = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}});
        assert_eq!(said(plain), "Kubernetes Namespace shop");
        assert_eq!(title(json!({"kind": "Deployment"}).as_object().unwrap()), None);
    }

    #[test]
    fn a_difference_between_texts_is_explained_and_stays() {
        let read = |text: &str| serde_json::from_str::<Vec<Map<String, Value>>>(text.trim_start_matches('#')).ok();
        let one = |name: &str, replicas: u64| json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas}});
        let text = |all: Value| Some(Value::from(all.to_string()).to_string());
        let whole = |before: Value, after: Value| Difference { pointer: "/args/yaml".into(), before: text(before), after: text(after) };
        let said = |differences: Vec<Difference>| explained(differences, &read).into_iter().map(|one| one.pointer).collect::<Vec<_>>();
        // They are compared by name, so that inserting one before the others does not affect those.
        let differences = vec![whole(json!([one("a", 1)]), json!([one("new", 1), one("a", 2)]))];
        assert_eq!(
            said(differences),
            [
                "/args/yaml: /Deployment a/spec/replicas",
                "/args/yaml: /Deployment new/kind",
                "/args/yaml: /Deployment new/metadata/name",
                "/args/yaml: /Deployment new/spec/replicas",
                "/args/yaml"
            ]
        );
        let twice = vec![whole(json!([one("a", 1), one("a", 2)]), json!([one("a", 1), one("a", 3)]))];
        assert_eq!(said(twice), ["/args/yaml: /1/spec/replicas", "/args/yaml"]);
        let remark = Difference { pointer: "/x".into(), before: text(json!([one("a", 1)])), after: Some("\"#[]\"".into()) };
        assert_eq!(said(vec![remark]).last().map(String::as_str), Some("/x"), "the text itself");
    }
}
