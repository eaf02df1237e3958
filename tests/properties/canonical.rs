//! The canonical bytes equal those of another implementation of RFC 8785, and parsing them gives
//! the same document.

use parkbrake::domain::task::digest::canonical;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn document() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| json!(number)),
        (-(1_i64 << 53)..=1 << 53).prop_map(|number| json!(number)),
        (-1e6..1e6_f64).prop_map(|number| json!((number * 100.0).round() / 100.0)),
    ];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, any::<String>().prop_map(Value::String)];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let key = prop_oneof!["[a-z_]{0,6}", any::<String>()];
        let entries = prop::collection::vec((key, inner.clone()), 0..8).prop_map(|entries| entries.into_iter().collect::<Map<_, _>>());
        prop_oneof![prop::collection::vec(inner, 0..8).prop_map(Value::Array), entries.prop_map(Value::Object)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn canonical_bytes_are_those_of_another_implementation(value in document()) {
        let bytes = canonical(&value);
        let theirs = serde_json_canonicalizer::to_vec(&value).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&theirs));
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(canonical(&read), bytes);
    }
}
