//! Templates: their variables, and what happens when they fail.

use crate::support::notices::{crowd, everything, notice};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::message::Message;
use parkbrake::notify::templates::{Shipped, Template};
use regex::Regex;

const ALL: [Shipped; 6] =
    [Shipped::Slack, Shipped::Email, Shipped::EmailHtml, Shipped::LinearIssue, Shipped::LinearComment, Shipped::PagerDuty];

fn message() -> Message {
    Message::of(&[notice(Kind::Decided, Level::High)]).unwrap()
}

/// A template that names every variable of the page, so that both are checked against the actual
/// variables.
#[test]
fn every_variable_of_the_page_is_there() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/support/docs/NOTIFICATIONS.md")).unwrap();
    let (_, section) = page.split_once("\n## Templates\n").expect("a section on templates");
    let section = section.split("\n## ").next().unwrap();
    let row = Regex::new(r"(?m)^\| `([a-z_.]+)` \|").unwrap();
    let documented: std::collections::BTreeSet<String> = row.captures_iter(section).map(|found| found[1].to_owned()).collect();
    let value = serde_json::to_value(message()).unwrap();
    let names = |value: &serde_json::Value, before: &str| {
        value.as_object().unwrap().keys().map(|name| format!("{before}{name}")).collect::<Vec<_>>()
    };
    let there: std::collections::BTreeSet<String> = names(&value, "").into_iter().chain(names(&value["notice"], "notice.")).collect();
    assert_eq!(documented, there);
    let own: String = documented.iter().map(|name| format!("{{{{ {name} }}}}\n")).collect();
    let text = Template::new(Shipped::Email, Some(&own)).unwrap().render(&message());
    assert!(!text.contains("Sent by parkbrake"), "the template failed: {text}");
}

#[test]
fn shipped_templates_never_fail() {
    let largest = Message::of(&crowd(100)).unwrap();
    for shipped in ALL {
        let template = Template::new(shipped, None).unwrap();
        for notice in everything() {
            let message = Message::of(&[notice]).unwrap();
            let text = template.render(&message);
            assert!(!text.trim().is_empty());
            // If a shipped template failed, only the title would be left; only PagerDuty's has
            // nothing more.
            assert!(text.trim() != message.title || matches!(shipped, Shipped::PagerDuty), "{shipped:?}: {text}");
        }
        assert!(template.render(&largest).len() > 20);
    }
}

#[test]
fn a_template_that_fails_gives_way_to_the_shipped_one() {
    let message = message();
    let shipped = Template::new(Shipped::Email, None).unwrap().render(&message);
    for own in [
        "{{ notice.nonsense }}",
        "{% if notice.nonsense %}x{% endif %}",
        "{{ nonsense }}",
        "{% include 'etc/passwd' %}",
        "{% for a in range(90000) %}{% for b in range(90000) %}{{ title }}{% endfor %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ] {
        assert_eq!(Template::new(Shipped::Email, Some(own)).unwrap().render(&message), shipped, "{own}");
    }
}

#[test]
fn messages_about_people_are_complete_sentences() {
    let sentence = |kind: Kind| Message::of(&[notice(kind, Level::High)]).unwrap().notice.sentence;
    assert_eq!(
        sentence(Kind::Requested),
        "Approval needed (high risk). It runs only after one person who is team_lead or tech_lead has approved it."
    );
    assert_eq!(sentence(Kind::Expired), "Expired, because nobody decided in time. It will not run.");
    assert_eq!(sentence(Kind::Cancelled), "Cancelled by alice. It will not run.");
}

#[test]
fn an_empty_batch_renders_no_message() {
    assert!(Message::of(&[]).is_none());
}
