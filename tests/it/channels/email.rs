//! Mail: what arrives, to whom, and the possible answers of the server.

use super::{deliver, escalated, nowhere, refused};
use crate::support::called;
use crate::support::notices::{HOSTILE, about, alice, crowd, everything, hostile, notice, task, then, to_alice};
use crate::support::services::smtp::PASSWORD;
use crate::support::services::{self};
use parkbrake::actors::ports::{Channel as _, Contact, Undelivered};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::email::Email;
use parkbrake::outbound::secret::Secret;

const FROM: &str = "Parkbrake <parkbrake@example.com>";

#[track_caller]
pub fn start() -> impl Future<Output = (services::Smtp, Email)> {
    called(async move {
        let service = services::Smtp::start().await;
        let channel = Email::new(&Secret::new(service.url()), FROM, None).unwrap();
        (service, channel)
    })
}

#[tokio::test]
async fn a_mail_server_accepts_every_notice() {
    let (service, channel) = start().await;
    let mut sent = 0;
    for notice in everything() {
        let kind = notice.kind;
        assert_eq!(deliver(&channel, notice).await, Ok(()), "{kind:?}: {:?}", service.complaints());
        sent += 1;
    }
    assert_eq!((service.mails().len(), service.complaints()), (sent, Vec::new()));
}

#[tokio::test]
async fn a_request_arrives_as_text_and_as_html() {
    let (service, channel) = start().await;
    let notice = to_alice(notice(Kind::Requested, Level::High));
    let link = notice.link.clone().unwrap();
    deliver(&channel, notice.clone()).await.unwrap();
    let mail = &service.mails()[0];
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("parkbrake@example.com", &["alice@example.com".to_owned()][..]));
    assert_eq!(mail.header("Subject"), "Approval needed (high risk): deploy api-gateway in production");
    assert_eq!(mail.header("To"), "alice@example.com");
    assert_eq!(mail.header("From"), FROM);
    assert_eq!(mail.header("Message-ID"), format!("<{}@example.com>", notice.id));
    assert_eq!(mail.header("Date"), "Sun, 22 Nov 2026 12:00:00 +0000");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    for words in ["team_lead or tech_lead", "\n> Deploy api 1.4.2\n", r#"Would run: ["deploy.sh","api","it's 1.4.2"]"#, &link] {
        assert!(mail.text.contains(words), "`{words}` is not in: {}", mail.text);
    }
    for words in [format!("<a href=\"{}\">", link.replace('/', "&#x2f;")).as_str(), "deploy.sh", "<html lang=\"en\">"] {
        assert!(mail.html.contains(words), "`{words}` is not in: {}", mail.html);
    }
}

#[tokio::test]
async fn the_mails_of_a_request_are_one_thread() {
    let (service, channel) = start().await;
    let request = to_alice(notice(Kind::Requested, Level::High));
    deliver(&channel, request.clone()).await.unwrap();
    deliver(&channel, to_alice(then(&request, Kind::Reminded))).await.unwrap();
    deliver(&channel, to_alice(escalated())).await.unwrap();
    let mails = service.mails();
    let thread = format!("<{}@example.com>", request.workflow.id);
    for mail in &mails[..2] {
        assert_eq!((mail.header("References"), mail.header("In-Reply-To")), (thread.as_str(), thread.as_str()));
    }
    assert_ne!(mails[2].header("References"), thread);
    assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test]
async fn text_from_outside_cannot_leave_its_place() {
    let (service, channel) = start().await;
    deliver(&channel, to_alice(about(Kind::Requested, Level::High, hostile()))).await.unwrap();
    let mail = &service.mails()[0];
    assert!(mail.get("Bcc").is_none() && mail.to == ["alice@example.com"]);
    assert!(mail.header("Subject").contains("</script>"), "{}", mail.header("Subject"));
    assert!(mail.text.contains("> .\n") && mail.text.contains("> Bcc: everybody@example.com\n"), "{}", mail.text);
    assert!(mail.text.contains("{{ 7 * 7 }}"), "nothing in it is a template");
    for markup in ["<img", "</script", "<!channel", "<https:"] {
        assert!(!mail.html.contains(markup), "`{markup}` is in: {}", mail.html);
    }
    for hidden in ['\u{202e}', '\u{200b}'] {
        assert!(!mail.text.contains(hidden) && !mail.html.contains(hidden));
    }
    let mut encoded = task("plain");
    encoded.operation = "=?utf-8?q?Approved_by_cora?=".to_owned();
    deliver(&channel, to_alice(about(Kind::Requested, Level::High, encoded))).await.unwrap();
    let subject = service.mails()[1].header("Subject").to_owned();
    assert!(subject.contains("= ?utf-8?q?Approved_by_cora?="), "a reader would decode it: {subject}");
}

#[tokio::test]
async fn many_requests_are_one_mail() {
    let (service, channel) = start().await;
    let crowd = crowd(100);
    channel.deliver(crowd.clone()).await.unwrap_or_else(|error| panic!("{error}: {:?}", service.complaints()));
    let mail = &service.mails()[0];
    assert_eq!(mail.header("Subject"), "100 requests wait for approval, the worst of them critical");
    for notice in &crowd {
        let link = notice.link.as_deref().unwrap();
        assert!(mail.text.contains(link) && mail.html.contains(&link.replace('/', "&#x2f;")), "{link}");
    }
    assert!(mail.get("References").is_none());
    channel.deliver(crowd.clone()).await.unwrap();
    channel.deliver(crowd[..99].to_vec()).await.unwrap();
    let ids: Vec<String> = service.mails().iter().map(|mail| mail.header("Message-ID").to_owned()).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "the same mail has the same id, and another has not: {ids:?}");
}

#[tokio::test]
async fn recipients_without_a_usable_address_are_named() {
    let (service, channel) = start().await;
    let mut notice = to_alice(escalated());
    notice.recipient = Some(Contact { email: None, ..alice() });
    refused(deliver(&channel, notice.clone()).await, "alice has no mail address");
    notice.recipient = Some(Contact { email: Some("no address\r\nRCPT TO:<x@y>".to_owned()), ..alice() });
    refused(deliver(&channel, notice.clone()).await, "the mail address of alice is invalid");
    notice.recipient = None;
    refused(deliver(&channel, notice).await, "has no recipient");
    assert!(service.mails().is_empty() && service.complaints().is_empty());
}

#[tokio::test]
async fn answers_of_the_mail_server_are_understood() {
    let (service, channel) = start().await;
    let mail = || to_alice(escalated());
    for (command, line) in [
        ("CONNECT", "421 4.3.2 shutting down"),
        ("CONNECT", "what?"),
        ("MAIL", "451 4.3.0 later"),
        ("RCPT", "450 4.2.1 greylisted"),
        (".", "452 4.3.1 full"),
        ("AUTH", "535 5.7.8 wrong"),
        ("MAIL", "530 5.7.0 sign in first"),
        ("AUTH", "454 4.7.0 try again"),
    ] {
        service.answer(command, Some(line));
        let answer = deliver(&channel, mail()).await;
        let Err(Undelivered::Later { reason, .. }) = answer else { panic!("{command} {line}: {answer:?}") };
        assert!(!reason.contains(PASSWORD) && !reason.contains('\n'), "{reason}");
        service.answer(command, None);
    }
    for (command, line) in [("RCPT", "550 5.1.1 no such user"), ("MAIL", "553 5.1.8 not from there"), (".", "554 5.7.1 spam")] {
        service.answer(command, Some(line));
        refused(deliver(&channel, mail()).await, &line[4..]);
        service.answer(command, None);
    }
    assert!(service.mails().is_empty());
    deliver(&channel, mail()).await.unwrap();
    assert_eq!(service.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_speaks_no_tls_is_for_later() {
    let service = services::Smtp::start().await;
    for url in [
        format!("smtp://{}", nowhere()),
        format!("smtps://user:{PASSWORD}@{}", service.addr).replace(PASSWORD, "pass"),
        format!("smtp://{}?tls=required", service.addr),
    ] {
        let channel = Email::new(&Secret::new(url.clone()), FROM, None).unwrap();
        let answer = deliver(&channel, to_alice(escalated())).await;
        assert!(matches!(answer, Err(Undelivered::Later { .. })), "{url}: {answer:?}");
    }
    assert!(service.mails().is_empty(), "nothing goes out without the encryption that is asked for");
}

#[tokio::test]
async fn an_invalid_mail_setting_is_reported_without_the_password() {
    for (url, from) in
        [("smtp:/secret", FROM), ("https://u:secret@example.com", FROM), ("secret", FROM), ("smtp://localhost", "no address")]
    {
        let error = Email::new(&Secret::new(url), from, None).err().unwrap();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_custom_template_is_the_text() {
    let service = services::Smtp::start().await;
    let own = "{% for notice in notices %}{{ notice.risk }}: {{ notice.description }}\n{% endfor %}";
    let channel = Email::new(&Secret::new(service.url()), FROM, Some(own)).unwrap();
    deliver(&channel, to_alice(about(Kind::Requested, Level::High, task(HOSTILE)))).await.unwrap();
    let mail = &service.mails()[0];
    assert!(mail.text.starts_with("high: </script>") && !mail.html.contains("<img"), "{}", mail.text);
}
