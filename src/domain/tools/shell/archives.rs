//! The flags of `tar`, which may come first and without a dash: `tar czf a.tgz src` means
//! `tar -c -z -f a.tgz src`.

use crate::domain::tools::word::Word;

/// The flags with a value, which is a later word.
const WITH_VALUE: [char; 3] = ['f', 'C', 'X'];

/// The arguments of a command, with the leading flags of `tar` spelled out.
pub fn spelled_out(name: &str, arguments: &[Word]) -> Vec<Word> {
    let letters = match (name, arguments.first().and_then(Word::as_literal)) {
        ("tar" | "gtar" | "bsdtar", Some(first)) if !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_alphabetic()) => first,
        _ => return arguments.to_vec(),
    };
    let mut rest = arguments[1..].iter();
    let mut words = Vec::new();
    for letter in letters.chars() {
        words.push(Word::literal(format!("-{letter}")));
        if WITH_VALUE.contains(&letter) {
            words.extend(rest.next().cloned());
        }
    }
    words.extend(rest.cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_without_a_dash_are_flags() {
        let words = |text: &str| text.split(' ').map(Word::literal).collect::<Vec<_>>();
        for (written, meant) in [
            ("czf a.tgz src", "-c -z -f a.tgz src"),
            ("xfC a.tar /srv x", "-x -f a.tar -C /srv x"),
            ("-czf a.tgz src", "-czf a.tgz src"),
            ("--list", "--list"),
        ] {
            assert_eq!(spelled_out("tar", &words(written)), words(meant), "{written}");
        }
        assert_eq!(spelled_out("cat", &words("xf a")), words("xf a"));
    }
}
