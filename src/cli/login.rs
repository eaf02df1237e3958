//! `parkbrake login`: uses the token of the command line to open the inbox in a browser.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::terminal::{Page, complain, print_json};
use reqwest::{Method, Url};
use serde_json::json;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Print a link that signs you in to the inbox: open it in a browser within 10 minutes, and press
/// its button; with `--open` the browser opens at once.
///
/// It works once, and until then it is as sensitive as a password: send it to nobody. The session
/// ends when the token ends.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Open the link in your browser; if there is none, open the printed link by hand.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why there is no link.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::POST, "/sign-in/links").json(&json!({}))).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let strange = || Error::Strange { url: client.base().to_owned(), detail: "it contains no link".to_owned() };
    let link = match text(&answer.value, "/url") {
        Some(url) => url.to_owned(),
        None => below(client.base(), text(&answer.value, "/path").ok_or_else(strange)?),
    };
    // Text from a server is shown only if it is a link.
    let link = Url::parse(&link).map_err(|_| strange())?;
    let mut page = Page::stdout();
    page.line(&link);
    page.print()?;
    if args.open && !has_opened(&link).await {
        complain("No browser could be opened: open the link by hand.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs that open a link in a browser, with the arguments that come before it.
const OPENERS: &[(&str, &[&str])] = if cfg!(target_os = "macos") {
    &[("open", &[])]
} else if cfg!(windows) {
    &[("rundll32", &["url.dll,FileProtocolHandler"])]
} else {
    &[("xdg-open", &[]), ("wslview", &[])]
};

/// How long such a program may take to fail. One that still runs is the browser.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a link in a browser; returns whether a program for that was found and succeeded. Others on
/// this machine can see its arguments while it runs, and so the code; but the code works only once,
/// and only with a press of the button.
#[expect(clippy::disallowed_methods, reason = "it is the browser of whoever runs this command")]
async fn has_opened(link: &Url) -> bool {
    for (program, before) in OPENERS {
        let mut opener = Command::new(program);
        opener.args(*before).arg(link.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut opener) = opener.spawn() else { continue };
        match tokio::time::timeout(PATIENCE, opener.wait()).await {
            Ok(ended) if !ended.as_ref().is_ok_and(ExitStatus::success) => {}
            _ => return true,
        }
    }
    false
}

/// The address of a path on the server, in a form for browsers, which keep a session only over TLS,
/// except on `localhost`.
pub(super) fn below(base: &str, path: &str) -> String {
    let whole = format!("{}{path}", base.trim_end_matches('/'));
    let Ok(mut url) = Url::parse(&whole) else { return whole };
    if url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]")) && url.set_host(Some("localhost")).is_err() {
        return whole;
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_link_on_this_machine_leads_where_browsers_keep_a_session() {
        for (base, link) in [
            ("http://127.0.0.1:8001", "http://localhost:8001/sign-in/link?code=x"),
            ("http://[::1]:8001/", "http://localhost:8001/sign-in/link?code=x"),
            ("https://127.0.0.1:8001", "https://127.0.0.1:8001/sign-in/link?code=x"),
            ("https://parkbrake.example.com", "https://parkbrake.example.com/sign-in/link?code=x"),
        ] {
            assert_eq!(below(base, "/sign-in/link?code=x"), link);
        }
    }
}
