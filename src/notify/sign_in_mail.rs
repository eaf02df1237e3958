//! The mail with a sign-in link. It goes straight to the mail server and is stored in no table,
//! because the link is a secret.

use crate::actors::ports::{Mailer, SignInMail, Undelivered};
use crate::notify::email::Email;
use futures_util::future::BoxFuture;

impl Mailer for Email {
    fn send_link(&self, mail: SignInMail) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move { self.send_words(&mail.address, "Sign in to parkbrake", text(&mail), html(&mail)).await })
    }
}

fn text(SignInMail { name, link, .. }: &SignInMail) -> String {
    format!(
        "Open this link and press the button on its page to sign in to parkbrake as {name}:\n\n{link}\n\n\
         It works once, within 10 minutes. Send it to nobody.\n\n\
         If you did not ask for it, delete this mail: nobody is signed in unless the button is pressed.\n"
    )
}

/// The same in HTML. Names and links of parkbrake contain no characters with a meaning in HTML.
fn html(SignInMail { name, link, .. }: &SignInMail) -> String {
    let link = link.replace('&', "&amp;");
    format!(
        "<p>Open this link and press the button on its page to sign in to parkbrake as {name}:</p><p><a href=\"{link}\">{link}</a></p>\
         <p>It works once, within 10 minutes. Send it to nobody.</p>\
         <p>If you did not ask for it, delete this mail: nobody is signed in unless the button is pressed.</p>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_on_its_own_line_and_can_be_clicked() {
        let mail =
            SignInMail { name: "alice".to_owned(), address: "alice@example.com".to_owned(), link: "https://a.example/x?y&z".to_owned() };
        assert!(text(&mail).lines().any(|line| line == "https://a.example/x?y&z"));
        assert!(html(&mail).contains("<a href=\"https://a.example/x?y&amp;z\">"));
    }
}
