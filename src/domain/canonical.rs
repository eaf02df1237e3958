//! The JSON Canonicalization Scheme (RFC 8785): one spelling of each document, so that its digest means something.
//!
//! Written here, because every submit passes through it and it is short. The tests hold it to another implementation.

use serde_json::{Map, Number, Value};
use std::cmp::Ordering;

/// The largest whole number up to which a double counts, 2^53; JSON in canonical form knows only doubles.
const LAST_EXACT: u64 = 1 << 53;

/// The canonical bytes of a value.
pub fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2048);
    write_value(value, &mut bytes);
    bytes
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Object(entries) => write_object(entries, out),
    }
}

fn write_object(entries: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut sorted: Vec<(&String, &Value)> = entries.iter().collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| order(one, other));
    out.push(b'{');
    for (place, (key, value)) in sorted.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

/// Keys are in the order of their UTF-16 code units (section 3.2.3), which for ASCII is that of their bytes.
fn order(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() { one.cmp(other) } else { one.encode_utf16().cmp(other.encode_utf16()) }
}

/// Numbers are written as ECMAScript writes a double (section 3.2.2.3). There is no JSON value with one that is not finite.
fn write_number(number: &Number, out: &mut Vec<u8>) {
    let whole = number.as_i64().filter(|whole| whole.unsigned_abs() <= LAST_EXACT);
    match (whole, number.as_f64()) {
        (Some(whole), _) => out.extend_from_slice(whole.to_string().as_bytes()),
        (None, Some(double)) => out.extend_from_slice(ryu_js::Buffer::new().format_finite(double).as_bytes()),
        (None, None) => {}
    }
}

/// Strings are written with the fewest escapes (section 3.2.2.2), which is what `serde_json` does.
fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing text to memory");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each against the example of the RFC, or what another implementation makes of it.
    #[test]
    fn numbers_keys_and_escapes_are_those_of_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0.0, 9007199254740991, 5e-324, 1e21],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u007f\u2028", "literals": [null, true, false]}"#,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(write(&value)).unwrap(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,9007199254740991,5e-324,1e+21],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\u{2028}\"}"
        );
        let keys = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "\r": 4, "1": 5, "\u{80}": 6, "\u{f6}": 7, "": 8});
        assert_eq!(write(&keys), serde_json_canonicalizer::to_vec(&keys).unwrap());
    }
}
