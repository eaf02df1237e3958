//! A strict parser of mail (RFC 5322, 2045, 2047): lines, headers, and the two parts of
//! `multipart/alternative`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Names and values.
type Headers = Vec<(String, String)>;

/// An accepted mail.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    headers: Headers,
    pub text: String,
    pub html: String,
}

impl Mail {
    /// A header, decoded; it has to appear exactly once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no single {name} in {:#?}", self.headers))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        single(&self.headers, name)
    }
}

fn single<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let first = found.next()?;
    found.next().is_none().then_some(first.1.as_str())
}

/// Parses a mail as it was transmitted.
pub fn read(from: String, to: Vec<String>, raw: &[u8]) -> Result<Mail, String> {
    let raw = std::str::from_utf8(raw).map_err(|error| error.to_string())?;
    if !raw.is_ascii() {
        return Err("a mail with bytes beyond ASCII".to_owned());
    }
    for line in raw.split("\r\n") {
        if line.len() > 998 || line.contains(['\r', '\n', '\0']) {
            return Err(format!("a line that no mail may have: {line:?}"));
        }
    }
    let (headers, body) = part(raw)?;
    for name in ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"] {
        single(&headers, name).ok_or_else(|| format!("not exactly one {name} in {headers:?}"))?;
    }
    chrono::DateTime::parse_from_rfc2822(single(&headers, "Date").unwrap_or_default()).map_err(|error| format!("Date: {error}"))?;
    let id = regex::Regex::new(r"^<[!-;=?-~]+@[A-Za-z0-9.-]+>$").expect("a pattern");
    for name in ["Message-ID", "In-Reply-To", "References"] {
        if single(&headers, name).is_some_and(|value| !id.is_match(value)) {
            return Err(format!("{name} is not an id: {headers:?}"));
        }
    }
    let kind = single(&headers, "Content-Type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/alternative;").ok_or_else(|| format!("Content-Type is {kind}"))?;
    let boundary = boundary.trim().strip_prefix("boundary=").ok_or("no boundary")?.trim_matches('"');
    let body = format!("\r\n{body}");
    let pieces: Vec<&str> = body.split(&format!("\r\n--{boundary}")).collect();
    let [_, text, html, end] = pieces[..] else { return Err(format!("{} pieces", pieces.len())) };
    if !end.starts_with("--") {
        return Err("no end of the parts".to_owned());
    }
    let content = |piece: &str, kind: &str| {
        let (headers, body) = part(piece.strip_prefix("\r\n").ok_or("no line after a boundary")?)?;
        let written = single(&headers, "Content-Type").unwrap_or_default().to_ascii_lowercase();
        if written != format!("{kind}; charset=utf-8") {
            return Err(format!("a part of type {written}, not {kind}"));
        }
        decode(body, single(&headers, "Content-Transfer-Encoding").unwrap_or("7bit"))
    };
    let (text, html) = (content(text, "text/plain")?, content(html, "text/html")?);
    Ok(Mail { from, to, text, html, headers })
}

/// Headers and body of a mail or one of its parts.
fn part(text: &str) -> Result<(Headers, &str), String> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    let mut headers = Headers::new();
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or("a header that begins with its second line")?;
            value.push_str(line);
        } else {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is no header"))?;
            let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !valid {
                return Err(format!("`{name}` is not a name of a header"));
            }
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    for (_, value) in &mut headers {
        *value = words(value)?;
    }
    Ok((headers, body))
}

/// A header's value with its encoded words decoded (RFC 2047); white space between two of them is
/// removed.
fn words(value: &str) -> Result<String, String> {
    let word = regex::Regex::new(r"=\?([^?]*)\?([bBqQ])\?([^?]*)\?=(\s+(=\?))?").expect("a pattern");
    let mut decoded = Vec::new();
    let mut at = 0;
    while let Some(found) = word.captures_at(value, at) {
        let whole = found.get(0).expect("a match");
        decoded.extend_from_slice(&value.as_bytes()[at..whole.start()]);
        if !found[1].eq_ignore_ascii_case("utf-8") {
            return Err(format!("a word in {}", &found[1]));
        }
        let text = &found[3];
        let bytes = if found[2].eq_ignore_ascii_case("b") {
            STANDARD.decode(text).map_err(|error| error.to_string())?
        } else {
            quoted_printable(&text.replace('_', " "))?
        };
        // A word may not be split within a character.
        String::from_utf8(bytes.clone()).map_err(|_| format!("a word that is cut within a character: {text}"))?;
        decoded.extend(bytes);
        at = found.get(5).map_or(whole.end(), |next| next.start());
    }
    decoded.extend_from_slice(&value.as_bytes()[at..]);
    String::from_utf8(decoded).map_err(|error| error.to_string())
}

fn decode(body: &str, encoding: &str) -> Result<String, String> {
    let bytes = match encoding {
        "7bit" => body.as_bytes().to_vec(),
        "base64" => STANDARD.decode(body.replace("\r\n", "")).map_err(|error| error.to_string())?,
        "quoted-printable" => {
            if body.split("\r\n").any(|line| line.len() > 76) {
                return Err("a line of quoted-printable that is longer than 76".to_owned());
            }
            quoted_printable(&body.replace("=\r\n", ""))?
        }
        other => return Err(format!("a part encoded as {other}")),
    };
    Ok(String::from_utf8(bytes).map_err(|error| error.to_string())?.replace("\r\n", "\n"))
}

fn quoted_printable(text: &str) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        decoded.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).ok_or("an escape that broke off")?;
        decoded.push(u8::from_str_radix(digits, 16).map_err(|_| format!("`={digits}` is no escape"))?);
        rest = &after[2..];
    }
    decoded.extend_from_slice(rest.as_bytes());
    Ok(decoded)
}
