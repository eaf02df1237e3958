//! The server's secret key, which is kept outside the database: what is sealed with it cannot be
//! forged by whoever can write to the database.
//!
//! Each purpose has its own key, derived from the secret key with HMAC-SHA256 and a label, so that
//! a seal of one purpose is worthless for every other one. Several keys can be given at once: the
//! first one seals, and seals of the others are still accepted. That is how a key is replaced.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The environment variable that contains the key.
pub const VARIABLE: &str = "PARKBRAKE_SECRET_KEY";

/// The length of a key in bytes.
const LENGTH: usize = 32;
/// How many keys can be given at once: the current one and those that are being replaced.
const MOST: usize = 4;
/// What every derivation label begins with.
const LABEL: &[u8] = b"parkbrake key v1: ";

/// What a derived key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Finds a bearer token's row without storing the token.
    TokenHash,
    /// Ties a token's row to the name and the kind that it was made for.
    TokenSeal,
    /// Finds a session's row without storing the session's id.
    SessionHash,
    /// Ties a session's row to the person, to the proof of identity, and to its beginning.
    SessionSeal,
    /// Seals each event of a log.
    Event,
    /// Seals the row of a workflow: which event is its last.
    Head,
    /// Seals each standing grant.
    Grant,
    /// Finds the row of a sign-in link without storing the link's code.
    LinkHash,
    /// Ties that row to the person, to the proof of identity, and to its creation time.
    LinkSeal,
    /// Keeps secrets from being guessed from the fingerprints of evidence.
    Evidence,
}

impl Purpose {
    const ALL: [Self; 10] = [
        Self::TokenHash,
        Self::TokenSeal,
        Self::SessionHash,
        Self::SessionSeal,
        Self::Event,
        Self::Head,
        Self::Grant,
        Self::LinkHash,
        Self::LinkSeal,
        Self::Evidence,
    ];

    /// A label is part of every seal made with it, so it must never change.
    fn label(self) -> &'static [u8] {
        match self {
            Self::TokenHash => b"token hash",
            Self::TokenSeal => b"token seal",
            Self::SessionHash => b"session hash",
            Self::SessionSeal => b"session seal",
            Self::Event => b"event",
            Self::Head => b"head",
            Self::Grant => b"grant",
            Self::LinkHash => b"sign-in link hash",
            Self::LinkSeal => b"sign-in link seal",
            Self::Evidence => b"evidence",
        }
    }
}

/// A seal: HMAC-SHA256 under the key of one purpose.
pub type Seal = [u8; 32];

/// The keys of a server, ready to use. A copy is cheap.
#[derive(Clone)]
pub struct SecretKeys {
    /// The current key first. Each is the list of its purposes' keys, in the order of
    /// [`Purpose::ALL`].
    keys: Arc<[[Hmac<Sha256>; Purpose::ALL.len()]]>,
    /// The original keys: as written, and as bytes.
    written: Arc<[Vec<u8>]>,
}

impl std::fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secret keys (hidden)", self.keys.len())
    }
}

/// Why there is no usable key. No variant shows a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "there is no secret key, and without one whoever can write to the database could forge approvals: make one with \
         `parkbrake key generate > FILE`, keep it readable by the server alone, and name it with --secret-key-file FILE \
         (or put the key into {VARIABLE})"
    )]
    Missing,
    #[error("both {VARIABLE} and a secret key file are given: leave one of them out")]
    Twice,
    #[error("the secret key file {path} cannot be used: {cause}")]
    File { path: PathBuf, cause: io::Error },
    #[error("{0} contains no secret key: it has to be 64 hexadecimal digits, as `parkbrake key generate` prints them")]
    Malformed(String),
    #[error("{0} contains more than {MOST} keys: keep the current one and those that are being replaced")]
    TooMany(String),
    #[error("the system provides no random numbers: {0}")]
    Random(getrandom::Error),
}

impl SecretKeys {
    /// The keys from the environment or from a file, separated by white space, the current one
    /// first.
    ///
    /// # Errors
    /// There is no key, or there is one in both places; the file cannot be read; or the text is not
    /// a key.
    pub fn load(read: impl Fn(&str) -> Option<String>, file: Option<&Path>) -> Result<Self, Error> {
        match (read(VARIABLE).filter(|text| !text.trim().is_empty()), file) {
            (Some(_), Some(_)) => Err(Error::Twice),
            (Some(text), None) => Self::parse(&text, VARIABLE),
            (None, Some(path)) => Self::read(path),
            (None, None) => Err(Error::Missing),
        }
    }

    /// The key in a file; if the file does not exist, it is created with a new key, readable by its
    /// owner alone.
    ///
    /// # Errors
    /// The file can be neither read nor written.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            let failed = |cause| Error::File { path: path.to_owned(), cause };
            let unfinished = path.with_extension(format!("{}.new", std::process::id()));
            write_private(&unfinished, format!("{}\n", generate()?).as_bytes()).map_err(failed)?;
            // The link fails if another process was faster, and then its key counts.
            let linked = std::fs::hard_link(&unfinished, path);
            let _ = std::fs::remove_file(&unfinished);
            linked.or_else(|cause| if cause.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(failed(cause)) })?;
        }
        Self::read(path)
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|cause| Error::File { path: path.to_owned(), cause })?;
        if is_read_by_others(path) {
            tracing::warn!(file = %path.display(), "every user of this machine can read the secret key: `chmod 600` it");
        }
        Self::parse(&text, &path.display().to_string())
    }

    /// Keys from text; `origin` says where it was found.
    ///
    /// # Errors
    /// The text is not a key.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let keys: Option<Vec<_>> = text.split_ascii_whitespace().map(unhex).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| Error::Malformed(origin.to_owned()))?;
        if keys.len() > MOST {
            return Err(Error::TooMany(origin.to_owned()));
        }
        let words = text.split_ascii_whitespace().map(|word| word.as_bytes().to_vec());
        Ok(Self {
            keys: keys.iter().map(|key| Purpose::ALL.map(|purpose| derive(key, purpose))).collect(),
            written: words.chain(keys.iter().map(|key| key.to_vec())).collect(),
        })
    }

    /// The keys themselves, only for the code that masks them in output.
    pub fn expose(&self) -> impl Iterator<Item = &[u8]> {
        self.written.iter().map(Vec::as_slice)
    }

    /// Seals parts with the current key. The boundaries between the parts are sealed, too.
    pub fn seal(&self, purpose: Purpose, parts: &[&[u8]]) -> Seal {
        mac(&self.keys[0], purpose, parts).finalize().into_bytes().into()
    }

    /// The seals of all keys, the current one's first, to find a row that was written with an
    /// earlier key.
    pub fn seals(&self, purpose: Purpose, parts: &[&[u8]]) -> Vec<Seal> {
        self.keys.iter().map(|key| mac(key, purpose, parts).finalize().into_bytes().into()).collect()
    }

    /// Whether one of the keys made this seal. Compared in constant time.
    pub fn verifies(&self, purpose: Purpose, parts: &[&[u8]], seal: &[u8]) -> bool {
        self.keys.iter().any(|key| mac(key, purpose, parts).verify_slice(seal).is_ok())
    }

    /// Whether the current key made this seal; a seal of an earlier key should be replaced.
    pub fn is_current(&self, purpose: Purpose, parts: &[&[u8]], seal: &[u8]) -> bool {
        mac(&self.keys[0], purpose, parts).verify_slice(seal).is_ok()
    }
}

/// A new key as text: 256 random bits in 64 hexadecimal digits.
///
/// # Errors
/// The system provides no random numbers.
pub fn generate() -> Result<String, Error> {
    let mut bytes = [0_u8; LENGTH];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn derive(key: &[u8; LENGTH], purpose: Purpose) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(LABEL);
    mac.update(purpose.label());
    keyed(&mac.finalize().into_bytes())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn mac(key: &[Hmac<Sha256>; Purpose::ALL.len()], purpose: Purpose, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = key[purpose as usize].clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// Parses a key. One repeated byte is a placeholder that somebody forgot to replace.
fn unhex(text: &str) -> Option<[u8; LENGTH]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs: Option<Vec<u8>> = text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    let key: [u8; LENGTH] = pairs?.try_into().ok()?;
    key.iter().any(|byte| *byte != key[0]).then_some(key)
}

/// Writes a new file that only its owner can read, from the beginning.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn is_read_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_read_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const TWO: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

    fn keys(text: &str) -> SecretKeys {
        SecretKeys::parse(text, "a test").unwrap()
    }

    #[test]
    fn a_seal_holds_for_its_key_its_purpose_and_its_parts_alone() {
        let seal = keys(ONE).seal(Purpose::Head, &[b"a", b"bc"]);
        assert!(keys(ONE).verifies(Purpose::Head, &[b"a", b"bc"], &seal));
        assert!(!keys(TWO).verifies(Purpose::Head, &[b"a", b"bc"], &seal));
        for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Head) {
            assert!(!keys(ONE).verifies(purpose, &[b"a", b"bc"], &seal), "{purpose:?}");
        }
        for parts in [&[&b"ab"[..], b"c"][..], &[b"abc"], &[b"a", b"bc", b""], &[b"a", b"bd"], &[]] {
            assert!(!keys(ONE).verifies(Purpose::Head, parts, &seal), "{parts:?}");
        }
        assert!(!keys(ONE).verifies(Purpose::Head, &[b"a", b"bc"], &seal[..31]));
    }

    /// A change of this value would invalidate every existing seal.
    #[test]
    fn a_seal_never_changes() {
        let seal = keys(ONE).seal(Purpose::TokenHash, &[b"pbk_x"]);
        assert_eq!(
            seal.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "3b17fcb600bf6cc7bd6f7638faa1aeeeec2b6a709c0778e875042e675218156b"
        );
    }

    #[test]
    fn an_earlier_key_is_still_accepted_and_no_longer_seals() {
        let old = keys(ONE).seal(Purpose::TokenSeal, &[b"x"]);
        let both = keys(&format!("{TWO}\n{ONE}\n"));
        assert!(both.verifies(Purpose::TokenSeal, &[b"x"], &old) && !both.is_current(Purpose::TokenSeal, &[b"x"], &old));
        let new = both.seal(Purpose::TokenSeal, &[b"x"]);
        assert_eq!(new, keys(TWO).seal(Purpose::TokenSeal, &[b"x"]));
        assert_eq!(both.seals(Purpose::TokenSeal, &[b"x"]), [new, old]);
    }

    #[test]
    fn an_invalid_key_is_refused_and_never_shown() {
        let short = &ONE[1..];
        let (gap, zeros) = (ONE.replacen('0', "g", 1), "0".repeat(64));
        let five = [ONE; 5].join(" ");
        for text in ["", "  ", short, &gap, &zeros, &five, "ключ", &format!("{ONE} x")] {
            let error = SecretKeys::parse(text, "the file").unwrap_err().to_string();
            assert!(error.starts_with("the file contains ") && !error.contains("112233"), "{error}");
        }
        assert!(!format!("{:?}", keys(ONE)).contains("112233"));
    }

    #[test]
    fn exactly_one_source_gives_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{ONE}\n")).unwrap();
        let read = |text: &'static str| move |name: &str| (name == VARIABLE && !text.is_empty()).then(|| text.to_owned());
        assert!(SecretKeys::load(read(ONE), None).is_ok() && SecretKeys::load(read(""), Some(&path)).is_ok());
        assert!(matches!(SecretKeys::load(read(ONE), Some(&path)), Err(Error::Twice)));
        assert!(matches!(SecretKeys::load(read(""), None), Err(Error::Missing)));
        assert!(matches!(SecretKeys::load(read(" "), None), Err(Error::Missing)));
        assert!(matches!(SecretKeys::load(read(""), Some(&folder.path().join("none"))), Err(Error::File { .. })));
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/secret-key");
        let made = SecretKeys::load_or_create(&path).unwrap().seal(Purpose::Head, &[]);
        assert_eq!(SecretKeys::load_or_create(&path).unwrap().seal(Purpose::Head, &[]), made);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing unfinished is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_ne!(generate().unwrap(), generate().unwrap());
    }
}
