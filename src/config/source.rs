//! One file as it was read: its values, and the problems in them.
//!
//! Problems are gathered here instead of being returned one by one, so that an operator sees all of
//! them at once.

use crate::config::document::{self, Fault, MOST_BYTES, Node, Position, Value};
use crate::config::problem::Problem;
use crate::config::value::At;
use crate::domain::text::shown;
use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The most problems reported for one file; each line number takes another pass over the text.
const MOST_PROBLEMS: usize = 50;

/// The prefix of the names of compiled-in files.
pub const SHIPPED: &str = "(shipped) ";

/// A file, its values and its problems.
#[derive(Debug)]
pub struct Source {
    file: PathBuf,
    text: String,
    root: Node,
    found: RefCell<Vec<Found>>,
}

/// A problem whose line has not been looked up.
#[derive(Debug)]
struct Found {
    position: Position,
    key: String,
    detail: String,
}

impl Source {
    /// Reads a file; `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or it is not valid YAML.
    pub fn read(file: &Path) -> Result<Option<Self>, Problem> {
        let problem = |line, detail| Problem { file: file.to_owned(), line, key: String::new(), detail };
        match std::fs::metadata(file) {
            // Reading a pipe, for example, would never end.
            Ok(found) if !found.is_file() => return Err(problem(None, "is not a regular file".to_owned())),
            _ => {}
        }
        let mut bytes = Vec::new();
        // One byte more than allowed, so that an endless file is refused instead of read.
        let read = std::fs::File::open(file).and_then(|open| open.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(problem(None, format!("cannot be read: {error}"))),
            Ok(_) => {}
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            problem(Some(line), "is not UTF-8 text; save it in that encoding".to_owned())
        })?;
        Self::of(file, text).map(Some).map_err(|fault| problem(fault.line, fault.detail))
    }

    /// Parses this text as a file.
    ///
    /// # Errors
    /// The text is not valid YAML, or it is empty.
    pub fn of(file: &Path, text: String) -> Result<Self, Fault> {
        let root = document::parse(&text)?;
        if matches!(root.value, Value::Nothing) {
            let detail = "is empty, as after an interrupted write; remove the file to have its defaults, or write {}";
            return Err(Fault { line: None, detail: detail.to_owned() });
        }
        let source = Self { file: file.to_owned(), text, root, found: RefCell::default() };
        source.root().refuse_duplicate_keys();
        Ok(source)
    }

    /// The value of the whole file.
    pub fn root(&self) -> At<'_> {
        At::new(self, String::new(), self.root.position, &self.root)
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Whether it is compiled in.
    pub fn is_shipped(&self) -> bool {
        self.file.to_str().is_some_and(|name| name.starts_with(SHIPPED))
    }

    /// The line of a position.
    pub fn line(&self, position: Position) -> Option<usize> {
        document::line_of(&self.text, position)
    }

    /// Notes a problem.
    pub fn note(&self, position: Position, key: &str, detail: String) {
        self.found.borrow_mut().push(Found { position, key: key.to_owned(), detail });
    }

    /// The problems, in the order of the lines.
    pub fn into_problems(self) -> Vec<Problem> {
        let found = self.found.take();
        let (count, mut problems) = (found.len(), Vec::new());
        for Found { position, key, detail } in found.into_iter().take(MOST_PROBLEMS) {
            problems.push(Problem { file: self.file.clone(), line: document::line_of(&self.text, position), key: shown(&key), detail });
        }
        problems.sort_by_key(|problem| problem.line);
        if count > MOST_PROBLEMS {
            let detail = format!("has {} more problems, which are reported once these are fixed", count - MOST_PROBLEMS);
            problems.push(Problem { file: self.file, line: None, key: String::new(), detail });
        }
        problems
    }
}
