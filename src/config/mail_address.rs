//! Mail addresses in the form that every mail server accepts.

use lettre::Address;

/// A bare address. A domain with other characters than ASCII is written in Punycode, as in DNS.
///
/// # Errors
/// The text is not an address, or its part before the `@` is not ASCII: only servers with SMTPUTF8
/// accept that, and most lack it.
pub fn parse(text: &str) -> Result<String, String> {
    const HOW: &str = "is not an address: write it bare, such as ops@example.com";
    let (local, domain) = text.rsplit_once('@').ok_or(HOW)?;
    if !local.is_ascii() {
        return Err("has letters beyond ASCII before the `@`, which most mail servers refuse; give an address without them".to_owned());
    }
    let domain = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_ascii_strict(domain).map_err(|_| format!("{HOW}; its domain is not one that DNS could hold"))?
    };
    let address = format!("{local}@{domain}");
    let plain = !address.chars().any(|character| character.is_control() || character.is_whitespace() || "<>,;\"".contains(character));
    if plain && address.parse::<Address>().is_ok() { Ok(address) } else { Err(HOW.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_are_ascii_on_the_wire_or_refused() {
        for (written, sent) in [
            ("tom.o'neil+ops@example.com", "tom.o'neil+ops@example.com"),
            ("ops@bücher.example", "ops@xn--bcher-kva.example"),
            ("ops@BÜCHER.example", "ops@xn--bcher-kva.example"),
            ("ops@例え.テスト", "ops@xn--r8jz45g.xn--zckzah"),
        ] {
            assert_eq!(parse(written).as_deref(), Ok(sent));
        }
        for refused in [
            "jörg@example.com",
            "a b@example.com",
            "ops",
            "@example.com",
            "ops@",
            "a@b@c",
            "<a@b.example>",
            "ops@exa mple.com",
            "ops@\u{200b}",
        ] {
            parse(refused).unwrap_err();
        }
        assert!(parse("jörg@example.com").unwrap_err().contains("beyond ASCII"));
    }
}
