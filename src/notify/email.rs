//! Mail, through SMTP: text and HTML, to one of the people who are asked.
//!
//! All mails about one request form one thread: each refers to a first message that was never sent
//! and whose id is the workflow's. The id of a mail is derived from its notices, so that most
//! mailboxes show a mail that was sent twice only once.

use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::domain::task::digest::Digest;
use crate::domain::text::shown;
use crate::notify::message::{Message as Words, cut};
use crate::notify::templates::{Shipped, Template};
use crate::outbound::secret::Secret;
use futures_util::future::BoxFuture;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// How long the server may take for one mail, from connecting to its last answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most characters of a subject.
const LONGEST_SUBJECT: usize = 200;
/// Answers that are about the sender or the server and not about the mail: busy, or the credentials
/// are wrong.
const NOT_ABOUT_THE_MAIL: [u16; 5] = [421, 530, 534, 535, 538];

/// A mail server that relays mail.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    text: Template,
    html: Template,
}

impl Email {
    /// A channel that sends from an address, through a server: `smtps://USER:PASSWORD@HOST`, or
    /// `smtp://HOST:PORT` with `?tls=required` or `?tls=opportunistic`.
    ///
    /// # Errors
    /// An address or the template is invalid. No error shows the password.
    pub fn new(smtp_url: &Secret, from: &str, template: Option<&str>) -> Result<Self, String> {
        // Fails only if a provider is already installed, which then does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let invalid = "the address of the mail server is not valid: write it as smtps://USER:PASSWORD@HOST, with special characters of \
                       the password percent-encoded";
        // The error may repeat the address, which holds the password, so it is not passed on.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url.expose()).map_err(|_| invalid.to_owned())?;
        let from = from.parse().map_err(|_| format!("`{}` is not a mail address to send from", shown(from)))?;
        Ok(Self {
            transport: transport.timeout(Some(REQUEST_TIMEOUT)).build(),
            from,
            text: Template::new(Shipped::Email, template)?,
            html: Template::new(Shipped::EmailHtml, None)?,
        })
    }

    async fn send(&self, notices: &[Notice]) -> Result<(), Undelivered> {
        match self.compose(notices)? {
            Some(mail) => self.transmit(mail).await,
            None => Ok(()),
        }
    }

    /// Sends a short mail, as text and as HTML, to one address.
    ///
    /// # Errors
    /// The mail server did not accept it.
    pub async fn send_words(&self, address: &str, subject: &str, text: String, html: String) -> Result<(), Undelivered> {
        let to =
            address.parse().map_err(|_| refused("the mail address is invalid: correct it in hitl/approval-policies.yaml".to_owned()))?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .message_id(Some(self.id(&Uuid::new_v4().to_string())))
            .raw_header(fixed("Auto-Submitted", "auto-generated"))
            .raw_header(fixed("X-Auto-Response-Suppress", "All"))
            .multipart(MultiPart::alternative_plain_html(text, html))
            .map_err(|error| refused(format!("the mail could not be built: {error}")))?;
        self.transmit(mail).await
    }

    async fn transmit(&self, mail: Message) -> Result<(), Undelivered> {
        match tokio::time::timeout(REQUEST_TIMEOUT, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(undelivered(&error)),
            Err(_) => Err(Undelivered::Later { reason: "the mail server did not answer in time".to_owned(), after: None }),
        }
    }

    fn compose(&self, notices: &[Notice]) -> Result<Option<Message>, Undelivered> {
        let (Some(words), Some(first)) = (Words::of(notices), notices.first()) else { return Ok(None) };
        let mut mail = Message::builder()
            .from(self.from.clone())
            .to(recipient(first)?)
            .subject(subject(&words.title))
            .date(SystemTime::from(first.at))
            .message_id(Some(self.id(&message_name(notices))))
            .raw_header(fixed("Auto-Submitted", "auto-generated"))
            .raw_header(fixed("X-Auto-Response-Suppress", "All"));
        if let [only] = notices {
            let thread = self.id(&only.workflow.id.to_string());
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        let body = MultiPart::alternative_plain_html(self.text.render(&words), self.html.render(&words));
        mail.multipart(body).map(Some).map_err(|error| refused(format!("the mail could not be built: {error}")))
    }

    /// An id in the form of mail, in the sender's domain.
    fn id(&self, name: &str) -> String {
        format!("<{name}@{}>", self.from.email.domain())
    }
}

impl Channel for Email {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move { self.send(&message).await })
    }
}

/// The mailbox of the recipient.
fn recipient(notice: &Notice) -> Result<Mailbox, Undelivered> {
    let Some(person) = &notice.recipient else {
        return Err(refused("the notice has no recipient, and a mail needs one".to_owned()));
    };
    let Some(address) = &person.email else {
        return Err(refused(format!(
            "{} has no mail address: write one under `people` in hitl/approval-policies.yaml",
            shown(&person.name)
        )));
    };
    address
        .parse()
        .map(|email| Mailbox::new(None, email))
        .map_err(|_| refused(format!("the mail address of {} is invalid: correct it in hitl/approval-policies.yaml", shown(&person.name))))
}

/// One line without anything that a mail client would decode: the requester wrote parts of it.
fn subject(title: &str) -> String {
    cut(&title.replace("=?", "= ?"), LONGEST_SUBJECT)
}

/// The part of a mail's id that names its notices.
fn message_name(notices: &[Notice]) -> String {
    match notices {
        [only] => only.id.to_string(),
        several => {
            let ids: Vec<u8> = several.iter().flat_map(|notice| *notice.id.as_bytes()).collect();
            Digest::of(&ids).as_str().trim_start_matches("sha256:").to_owned()
        }
    }
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn refused(reason: String) -> Undelivered {
    Undelivered::Refused { reason }
}

/// What a failure means for the mail. If nobody knows the cause, the mail is tried again.
fn undelivered(error: &smtp::Error) -> Undelivered {
    let reason = match (error.status(), error.is_timeout()) {
        (Some(_), _) => format!("the mail server said: {}", shown(&error.to_string())),
        (None, true) => "the mail server did not answer in time".to_owned(),
        (None, false) => format!("the mail server could not be used: {}", shown(&error.to_string())),
    };
    let about_the_mail = error.status().is_some_and(|code| !NOT_ABOUT_THE_MAIL.contains(&u16::from(code)));
    if error.is_permanent() && about_the_mail { refused(reason) } else { Undelivered::Later { reason, after: None } }
}
