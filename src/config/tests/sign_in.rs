//! `sign-in.yaml`, valid and invalid.

use super::*;

const MAIL: &str = "
public_url: https://parkbrake.example.com
channels:
  ops:  { type: slack, webhook_url: { from_env: SLACK_WEBHOOK } }
  mail: { type: email, smtp_url: { from_env: SMTP }, from: parkbrake@example.com }
";
const WITH_ADDRESSES: &str =
    "people: { alice: { roles: [team_lead], email: alice@example.com }, tom: { roles: [tech_lead] }, cora: { roles: [cto, admin] } }\n";

#[test]
fn links_go_by_the_channel_of_mail_that_is_named_and_by_none_where_none_is() {
    let files = [(APPROVALS, WITH_ADDRESSES), (NOTIFICATIONS, MAIL)];
    let without = valid(&files);
    assert_eq!(without.sign_in.mail, None, "whoever reads a mailbox signs in only where an operator has said so");
    let with = valid(&[&files[..], &[(SIGN_IN, "mail: mail")]].concat());
    assert_eq!(with.sign_in.mail.as_deref(), Some("mail"));
    assert_ne!(with.version, without.version);
    assert_eq!(valid(&[&files[..], &[(SIGN_IN, "{}")]].concat()).version, without.version);
}

#[test]
fn invalid_settings_are_reported_with_line_and_key() {
    for (people, notifications, text, expected) in [
        (
            WITH_ADDRESSES,
            MAIL,
            "mail: ops",
            "sign-in.yaml:1: mail: `ops` is not a mail channel; the channels of type email in notifications.yaml are: mail",
        ),
        (
            WITH_ADDRESSES,
            "{}",
            "mail: mail",
            "sign-in.yaml:1: mail: `mail` is not a mail channel; the channels of type email in notifications.yaml are: none",
        ),
        (PEOPLE, MAIL, "mail: mail", "sign-in.yaml:1: mail: reaches nobody"),
        (WITH_ADDRESSES, &MAIL.replace("public_url", "# public_url"), "mail: mail", "sign-in.yaml:1: mail: needs the address"),
        (WITH_ADDRESSES, MAIL, "mial: mail", "sign-in.yaml:1: mial: is not a known key"),
        (WITH_ADDRESSES, MAIL, "mail: [mail]", "sign-in.yaml:1: mail: is a list, but has to be text"),
    ] {
        let problems = invalid(&[(APPROVALS, people), (NOTIFICATIONS, notifications), (SIGN_IN, text)]);
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}

#[test]
fn a_provider_is_read_with_whom_it_proves() {
    let text = "openid_connect:\n  issuer: https://login.example.com/realms/ops\n  client_id: parkbrake\n  client_secret: { from_env: OIDC_SECRET }\n  people: { alice: \"00u1\" }\n  match_email: true\n";
    let read = valid(&[(APPROVALS, WITH_ADDRESSES), (NOTIFICATIONS, MAIL), (SIGN_IN, text)]);
    let openid = read.sign_in.openid.as_ref().expect("a provider");
    assert_eq!(
        (openid.issuer.as_str(), openid.host(), openid.client_id.as_str()),
        ("https://login.example.com/realms/ops", "login.example.com", "parkbrake")
    );
    assert!(openid.match_email && openid.has_subject("alice") && !openid.has_subject("tom") && openid.subjects["00u1"] == "alice");
    assert!(read.variables().contains("OIDC_SECRET"), "it is masked in what runbooks print");
}

#[test]
fn a_nonsensical_provider_is_reported() {
    let with = |more: &str| format!("openid_connect: {{ client_id: parkbrake, {more} }}");
    let issuer = "issuer: \"https://login.example.com\"";
    let twice = WITH_ADDRESSES.replace("tom: { roles: [tech_lead]", "tom: { roles: [tech_lead], email: ALICE@example.com");
    for (people, notifications, more, expected) in [
        (WITH_ADDRESSES, MAIL, "match_email: true".to_owned(), "openid_connect.issuer: is missing"),
        (
            WITH_ADDRESSES,
            MAIL,
            "issuer: \"http://login.example.com\", match_email: true".to_owned(),
            "openid_connect.issuer: has to begin with https://",
        ),
        (WITH_ADDRESSES, MAIL, issuer.to_owned(), "openid_connect: signs nobody in"),
        (WITH_ADDRESSES, MAIL, format!("{issuer}, client_secret: hunter2, match_email: true"), "openid_connect.client_secret: is a secret"),
        (WITH_ADDRESSES, MAIL, format!("{issuer}, people: {{ eve: x }}"), "openid_connect.people.eve: `eve` is not one of the people"),
        (
            WITH_ADDRESSES,
            MAIL,
            format!("{issuer}, people: {{ alice: x, tom: x }}"),
            "openid_connect.people.tom: is the subject of alice, too",
        ),
        (WITH_ADDRESSES, MAIL, format!("{issuer}, people: {{ alice: \"é\" }}"), "openid_connect.people.alice: is not a subject"),
        (
            WITH_ADDRESSES,
            "{}",
            format!("{issuer}, match_email: true"),
            "openid_connect: needs the address that the provider sends people back to",
        ),
        (twice.as_str(), MAIL, format!("{issuer}, match_email: true"), "openid_connect: matches people by mail address, and more than one"),
    ] {
        let problems = invalid(&[(APPROVALS, people), (NOTIFICATIONS, notifications), (SIGN_IN, &with(&more))]);
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("sign-in.yaml:1: {expected}"))), "{more}: {problems:?}");
        assert!(!problems.iter().any(|problem| problem.contains("hunter2")), "{problems:?}");
    }
}
