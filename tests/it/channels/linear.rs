//! Linear: one issue for each request, whatever is lost on the way, and its final state.

use super::{deliver, escalated, nowhere, refused, weathers_that_nobody_is_there, weathers_what_http_does};
use crate::support::called;
use crate::support::notices::{about, everything, hostile, notice, rejected, short_of_one, then};
use crate::support::services::http::{Mishap, Reply};
use crate::support::services::linear::{API_KEY, TEAM, error};
use crate::support::services::{self};
use parkbrake::actors::ports::Undelivered;
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::linear::{Linear, Settings};
use parkbrake::outbound::secret::Secret;
use std::time::Duration;

#[track_caller]
pub fn start() -> impl Future<Output = (services::Linear, Linear)> {
    called(async move {
        let service = services::Linear::start().await;
        let channel = Linear::new(&Secret::new(API_KEY), settings(&service.api_url()), None).unwrap();
        (service, channel)
    })
}

fn settings(api_url: &str) -> Settings {
    Settings {
        channel: "linear".to_owned(),
        api_url: api_url.to_owned(),
        team_id: TEAM.to_owned(),
        done_state: None,
        cancelled_state: None,
    }
}

#[tokio::test]
async fn linear_accepts_every_notice() {
    let (service, channel) = start().await;
    let mut sent = 0;
    for notice in everything() {
        let kind = notice.kind;
        assert_eq!(deliver(&channel, notice).await, Ok(()), "{kind:?}: {:?}", service.complaints());
        sent += 1;
    }
    assert_eq!(service.issues().len(), sent, "an issue for each workflow, also where the first notice was never sent");
    assert_eq!(service.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn an_issue_follows_its_request_to_the_end() {
    let (service, channel) = start().await;
    let request = notice(Kind::Requested, Level::Critical);
    deliver(&channel, request.clone()).await.unwrap();
    let issue = service.issue();
    assert_eq!((issue.title.as_str(), issue.priority), ("Approval needed (critical risk): deploy api-gateway in production", 1));
    assert!(issue.description.contains(&format!("({})", request.link.clone().unwrap())), "{}", issue.description);
    for kind in [Kind::Reminded, Kind::Escalated] {
        deliver(&channel, then(&request, kind)).await.unwrap();
    }
    deliver(&channel, short_of_one(then(&request, Kind::Decided))).await.unwrap();
    assert_eq!((service.issue().state.as_str(), service.issue().comments.len()), ("Todo", 3));
    deliver(&channel, then(&request, Kind::Decided)).await.unwrap();
    let issue = service.issue();
    assert_eq!(issue.state, "Done", "the first of the type `completed` by position");
    assert!(issue.comments[3].starts_with("Approved by alice. It has been released."), "{}", issue.comments[3]);
    deliver(&channel, then(&request, Kind::OutcomeUnknown)).await.unwrap();
    assert_eq!(service.issue().comments.len(), 5);
}

#[tokio::test]
async fn linear_cancels_the_issue_of_a_request_that_ends_undone() {
    for kind in [Kind::Decided, Kind::Expired, Kind::Cancelled, Kind::Superseded] {
        let (service, channel) = start().await;
        let request = notice(Kind::Requested, Level::High);
        deliver(&channel, request.clone()).await.unwrap();
        let last = then(&request, kind);
        deliver(&channel, if kind == Kind::Decided { rejected(last) } else { last }).await.unwrap();
        assert_eq!(service.issue().state, "Canceled", "{kind:?}");
    }
}

#[tokio::test]
async fn states_are_found_by_name_and_asked_for_again_when_they_change() {
    let service = services::Linear::start().await;
    let named =
        Settings { done_state: Some("Shipped".to_owned()), cancelled_state: Some("Duplicate".to_owned()), ..settings(&service.api_url()) };
    let channel = Linear::new(&Secret::new(API_KEY), named, None).unwrap();
    let request = notice(Kind::Requested, Level::High);
    deliver(&channel, then(&request, Kind::Decided)).await.unwrap();
    assert_eq!(service.issue().state, "Shipped");
    deliver(&channel, then(&request, Kind::Expired)).await.unwrap();
    assert_eq!(service.issue().state, "Duplicate");
    service.rename_state("Shipped", "Delivered");
    refused(deliver(&channel, then(&request, Kind::Succeeded)).await, "WorkflowState");
    refused(deliver(&channel, then(&request, Kind::Succeeded)).await, "no state named `Shipped`");
    service.rename_state("Delivered", "Shipped");
    deliver(&channel, then(&request, Kind::Succeeded)).await.unwrap();
    assert_eq!(service.issue().state, "Shipped");
}

#[tokio::test]
async fn a_lost_answer_creates_no_second_issue_or_comment() {
    let (service, channel) = start().await;
    let lost = || service.service.next(Mishap::Lost(Reply::new(502, "bad gateway")));
    let request = notice(Kind::Requested, Level::High);
    lost();
    assert!(matches!(deliver(&channel, request.clone()).await, Err(Undelivered::Later { .. })));
    deliver(&channel, request.clone()).await.unwrap();
    assert_eq!(service.issues().len(), 1);
    let reminder = then(&request, Kind::Reminded);
    // The query for the issue is answered; the answer for the comment is lost.
    service.service.next(Mishap::Lost(Reply::new(502, "bad gateway")));
    assert!(deliver(&channel, reminder.clone()).await.is_err(), "the question was lost");
    let decided = then(&request, Kind::Decided);
    for _ in 0..4 {
        lost();
        let _ = deliver(&channel, decided.clone()).await;
    }
    deliver(&channel, reminder.clone()).await.unwrap();
    deliver(&channel, reminder).await.unwrap();
    deliver(&channel, decided.clone()).await.unwrap();
    deliver(&channel, decided).await.unwrap();
    let issue = service.issue();
    assert_eq!((issue.comments.len(), issue.state.as_str()), (2, "Done"), "{:#?}", issue.comments);
}

#[tokio::test]
async fn an_issue_that_is_missing_is_made_before_its_comment() {
    let (service, channel) = start().await;
    let request = notice(Kind::Requested, Level::High);
    deliver(&channel, request.clone()).await.unwrap();
    service.clear_issues();
    deliver(&channel, then(&request, Kind::Escalated)).await.unwrap();
    assert_eq!(service.issue().comments.len(), 1);
}

/// The text inside Markdown fences, and the text outside.
#[track_caller]
fn inside_and_outside(markdown: &str) -> (String, String) {
    let (mut inside, mut outside, mut fence) = (String::new(), String::new(), None::<usize>);
    for line in markdown.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            Some(open) if ticks >= open && line.trim_start_matches('`').trim().is_empty() => fence = None,
            Some(_) => inside.push_str(&format!("{line}\n")),
            None => outside.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(fence, None, "a fence is not closed");
    (inside, outside)
}

#[tokio::test]
async fn text_from_outside_stays_in_its_fence() {
    let (service, channel) = start().await;
    let request = about(Kind::Requested, Level::High, hostile());
    deliver(&channel, request.clone()).await.unwrap();
    deliver(&channel, rejected(then(&request, Kind::Decided))).await.unwrap();
    let issue = service.issue();
    for markdown in [&issue.description, &issue.comments[0]] {
        let (inside, outside) = inside_and_outside(markdown);
        assert!(inside.contains("# out of the fence") && inside.contains("<img src=x"), "{inside}");
        for word in ["evil", "onerror", "# out", "everybody", "channel"] {
            assert!(!outside.contains(word), "`{word}` is in: {outside}");
        }
        assert!(!markdown.contains('\u{202e}'));
    }
    assert!(!issue.title.contains('\n') && issue.title.chars().count() <= 255);
}

#[tokio::test]
async fn answers_of_linear_are_understood() {
    let (service, channel) = start().await;
    weathers_what_http_does(&channel, &service.service, &[API_KEY]).await;
    let answer = |reply: Reply| service.service.next(Mishap::Instead(reply));
    let limited = error("Rate limit exceeded", "ratelimited", "RATELIMITED").to_string();
    for status in [200, 400, 429] {
        answer(Reply::new(status, limited.clone()).with("retry-after", "30"));
        let later = deliver(&channel, escalated()).await;
        let Err(Undelivered::Later { after, reason }) = later else { panic!("{later:?}") };
        assert_eq!((after, reason.as_str()), (Some(Duration::from_secs(30)), "Linear says: Rate limit exceeded"));
    }
    for (kind, code) in [("authentication error", "AUTHENTICATION_ERROR"), ("forbidden", "FORBIDDEN"), ("", "INTERNAL_SERVER_ERROR")] {
        answer(Reply::new(200, error("no", kind, code).to_string()));
        assert!(matches!(deliver(&channel, escalated()).await, Err(Undelivered::Later { .. })), "{code}");
    }
    answer(Reply::new(200, "<html>"));
    assert!(matches!(deliver(&channel, escalated()).await, Err(Undelivered::Later { .. })));
    let wrong_key = Linear::new(&Secret::new("lin_api_other"), settings(&service.api_url()), None).unwrap();
    let Err(Undelivered::Later { reason, .. }) = deliver(&wrong_key, escalated()).await else { panic!("a wrong key") };
    assert!(reason.contains("API key") && !reason.contains("lin_api_other"), "{reason}");
    let wrong_team = Settings { team_id: "nobody's".to_owned(), ..settings(&service.api_url()) };
    let wrong_team = Linear::new(&Secret::new(API_KEY), wrong_team, None).unwrap();
    refused(deliver(&wrong_team, notice(Kind::Requested, Level::High)).await, "Entity not found: Team");
    let nowhere = Linear::new(&Secret::new(API_KEY), settings(&format!("http://{}/graphql", nowhere())), None).unwrap();
    weathers_that_nobody_is_there(&nowhere, &[API_KEY]).await;
    assert!(!Linear::new(&Secret::new("se\ncret"), settings("http://x/"), None).err().unwrap().contains("cret"));
}
