//! The output of a runbook, for people who watch it.

use crate::cli::Error;
use crate::cli::client::Client;
use crate::cli::facts::text;
use crate::cli::terminal::Page;
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::Value;
use std::mem::take;
use uuid::Uuid;

/// A longer line is printed before it has ended.
const LONGEST_LINE: usize = 4_096;

/// How far a runbook's output has been printed.
#[derive(Default)]
pub struct Live {
    after: Option<String>,
    /// The lines of both streams that have not ended.
    begun: [String; 2],
}

impl Live {
    /// Prints the new output, in whole lines. If the server does not answer, it is asked again
    /// later.
    ///
    /// # Errors
    /// It cannot be printed.
    pub async fn print_news(&mut self, client: &Client, id: Uuid) -> Result<(), Error> {
        let after = self.after.as_ref().map(|after| format!("?after={after}")).unwrap_or_default();
        let Ok(answer) = client.send(client.call(Method::GET, &format!("/workflows/{id}/output{after}"))).await else { return Ok(()) };
        self.print(&answer.value)
    }

    /// Prints what is left of the last lines.
    ///
    /// # Errors
    /// It cannot be printed.
    pub fn finish(&mut self) -> Result<(), Error> {
        let mut page = Page::stdout();
        for (name, begun) in ["stdout", "stderr"].into_iter().zip(&mut self.begun) {
            if !begun.is_empty() {
                page.line(line(name, &take(begun)));
            }
        }
        page.print()
    }

    fn print(&mut self, answer: &Value) -> Result<(), Error> {
        let Some(after) = text(answer, "/output/after") else { return Ok(()) };
        let attempt = |after: &str| after.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
        if self.after.as_deref().is_some_and(|before| attempt(before) != attempt(after)) {
            self.finish()?;
        }
        self.after = Some(after.to_owned());
        let mut page = Page::stdout();
        for (name, begun) in ["stdout", "stderr"].into_iter().zip(&mut self.begun) {
            if answer.pointer(&format!("/output/{name}_truncated")) == Some(&Value::Bool(true)) {
                page.line(line(name, "[…]"));
            }
            begun.push_str(text(answer, &format!("/output/{name}")).unwrap_or_default());
            let whole = begun.rfind('\n').map_or(0, |end| end + 1);
            let rest = begun.split_off(whole);
            take(begun).lines().for_each(|text| page.line(line(name, text)));
            *begun = rest;
            if begun.len() > LONGEST_LINE {
                page.line(line(name, &take(begun)));
            }
        }
        page.print()
    }
}

fn line(stream: &str, text: &str) -> String {
    format!("     {stream} | {}", escaped(text))
}
