//! `sign-in.yaml`, sound and unsound.

use super::*;

const MAIL: &str = "
public_url: https://parkbrake.example.com
channels:
  ops:  { type: slack, webhook_url: { from_env: ROOM } }
  mail: { type: email, smtp_url: { from_env: SMTP }, from: parkbrake@example.com }
";
const WITH_ADDRESSES: &str =
    "people: { alice: { roles: [team_lead], email: alice@example.com }, tom: { roles: [tech_lead] }, cora: { roles: [cto, admin] } }\n";

#[test]
fn links_go_by_the_channel_of_mail_that_is_named_and_by_none_where_none_is() {
    let files = [(APPROVALS, WITH_ADDRESSES), (NOTIFICATIONS, MAIL)];
    let without = sound(&files);
    assert_eq!(without.sign_in.mail, None, "whoever reads a mailbox signs in only where an operator has said so");
    let with = sound(&[&files[..], &[(SIGN_IN, "mail: mail")]].concat());
    assert_eq!(with.sign_in.mail.as_deref(), Some("mail"));
    assert_ne!(with.version, without.version);
    assert_eq!(sound(&[&files[..], &[(SIGN_IN, "{}")]].concat()).version, without.version);
}

#[test]
fn what_does_not_fit_is_told_with_its_line_and_key() {
    for (people, notifications, text, expected) in [
        (
            WITH_ADDRESSES,
            MAIL,
            "mail: ops",
            "sign-in.yaml:1: mail: `ops` is no channel of mail; notifications.yaml has of type email: mail",
        ),
        (
            WITH_ADDRESSES,
            "{}",
            "mail: mail",
            "sign-in.yaml:1: mail: `mail` is no channel of mail; notifications.yaml has of type email: none",
        ),
        (PEOPLE, MAIL, "mail: mail", "sign-in.yaml:1: mail: reaches nobody"),
        (WITH_ADDRESSES, &MAIL.replace("public_url", "# public_url"), "mail: mail", "sign-in.yaml:1: mail: needs the address"),
        (WITH_ADDRESSES, MAIL, "mial: mail", "sign-in.yaml:1: mial: is no key that is known here"),
        (WITH_ADDRESSES, MAIL, "mail: [mail]", "sign-in.yaml:1: mail: is a list, but has to be text"),
    ] {
        let problems = unsound(&[(APPROVALS, people), (NOTIFICATIONS, notifications), (SIGN_IN, text)]);
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}
