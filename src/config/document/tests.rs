use super::*;

const TEXT: &str = "# a comment\n\"quoted\": 1\nflow: { a: [x,\n  y], b: &anchor { c: d } }\nblock:\n  - first\n  -\n    deep: |\n      text\n      more\nalias: *anchor\n";

fn lines(node: &Node, found: &mut Vec<(String, usize)>) {
    match &node.value {
        Value::List(nodes) => nodes.iter().for_each(|node| lines(node, found)),
        Value::Mapping(entries) => {
            for entry in entries {
                found.push((entry.key.clone(), line_of(TEXT, entry.position).unwrap()));
                lines(&entry.node, found);
            }
        }
        Value::Text(text) => found.push((text.trim().to_owned(), line_of(TEXT, node.position).unwrap())),
        _ => {}
    }
}

#[test]
fn every_key_and_value_knows_its_line_in_block_and_flow_style() {
    let mut found = Vec::new();
    lines(&parse(TEXT).unwrap(), &mut found);
    let found: Vec<_> = found.iter().map(|(text, line)| (text.as_str(), *line)).collect();
    let expected = [
        ("quoted", 2),
        ("flow", 3),
        ("a", 3),
        ("x", 3),
        ("y", 4),
        ("b", 4),
        ("c", 4),
        ("d", 4),
        ("block", 5),
        ("first", 6),
        ("deep", 8),
        ("text\nmore", 8),
        ("alias", 11),
        ("c", 4),
        ("d", 4),
    ];
    assert_eq!(found, expected);
}

#[test]
fn words_that_were_booleans_once_are_text() {
    for word in ["yes", "no", "on", "off", "y", "NO"] {
        assert!(matches!(parse(word).unwrap().value, Value::Text(text) if text == word));
    }
}

#[test]
fn invalid_documents_are_refused_with_their_line() {
    for (text, line, words) in [
        ("a: 1\nb: [", 3, "not valid YAML"),
        ("a: 1\n\tb: 2", 2, "tab"),
        ("a: 1\n1: x", 2, "a key is text"),
        ("a: 1\n? [x]\n: y", 2, "a key is text"),
        ("a: *unknown", 1, "not valid YAML"),
        (&format!("a:\n  {}1", "[".repeat(40)), 2, "nested more than 32 deep"),
    ] {
        let fault = parse(text).unwrap_err();
        assert!(fault.detail.contains(words), "{text:?}: {fault:?}");
        if !fault.detail.contains("not valid YAML") {
            assert_eq!(fault.line, Some(line), "{text:?}: {fault:?}");
        }
    }
    assert!(parse("a: 1\n---\nb: 2").unwrap_err().detail.contains("more than one document"));
    assert!(matches!(parse("!secret x").unwrap().value, Value::Tagged(tag) if tag == "secret"));
}

#[test]
fn a_bomb_is_refused_at_once() {
    let laughs: String = (1..20).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))).collect();
    let laughs = format!("a0: &a0 [lol, lol]\n{laughs}");
    let wide = format!("a: &a [{}]\nb: [{}]", "x, ".repeat(9_000), "*a, ".repeat(9_000));
    let brackets = "[".repeat(MOST_BYTES);
    let dashes = "- ".repeat(MOST_BYTES / 2);
    let keys = "? ".repeat(MOST_BYTES / 2);
    let itself = "a: &a [*a]".to_owned();
    let flat = "x: 1\n".repeat(MOST_BYTES / 5);
    let long = "x".repeat(MOST_BYTES + 1);
    for bomb in [laughs, wide, brackets, dashes, keys, itself, flat, long] {
        // Expanded, the worst of them would exceed any patience and memory.
        let started = std::time::Instant::now();
        let fault = parse(&bomb).unwrap_err();
        assert!(started.elapsed().as_secs() < 60, "{fault:?} took {:?}", started.elapsed());
    }
}
