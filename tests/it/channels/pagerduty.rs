//! PagerDuty: when an alert opens, and when it is resolved.

use super::{deliver, escalated, nowhere, refused, weathers_that_nobody_is_there, weathers_what_http_does};
use crate::support::called;
use crate::support::notices::{about, everything, notice, rejected, short_of_one, task, then};
use crate::support::services::http::{Mishap, Reply};
use crate::support::services::{self, pagerduty::ROUTING_KEY};
use parkbrake::domain::notice::{Kind, Medium};
use parkbrake::domain::risk::level::Level;
use parkbrake::notify::pagerduty::PagerDuty;
use parkbrake::outbound::secret::Secret;

#[track_caller]
pub fn start() -> impl Future<Output = (services::PagerDuty, PagerDuty)> {
    called(async move {
        let service = services::PagerDuty::start().await;
        let channel = PagerDuty::new(Secret::new(ROUTING_KEY), &service.api_url(), None).unwrap();
        (service, channel)
    })
}

#[tokio::test]
async fn pagerduty_accepts_every_notice() {
    let (service, channel) = start().await;
    for notice in everything() {
        let (kind, calls) = (notice.kind, service.service.calls().len());
        assert_eq!(deliver(&channel, notice).await, Ok(()), "{kind:?}: {:?}", service.complaints());
        assert_eq!(service.service.calls().len() > calls, Medium::PagerDuty.says(kind), "{kind:?}");
    }
}

#[tokio::test]
async fn an_escalation_is_one_call_until_somebody_decides() {
    let (service, channel) = start().await;
    let first = escalated();
    let key = first.workflow.id.to_string();
    deliver(&channel, first.clone()).await.unwrap();
    deliver(&channel, then(&first, Kind::Escalated)).await.unwrap();
    assert_eq!(service.alerts(), 1);
    let event = service.open(&key).expect("a call");
    assert_eq!(event["payload"]["summary"], "Escalated (high risk): deploy api-gateway in production");
    assert_eq!((&event["payload"]["severity"], &event["payload"]["class"]), (&"error".into(), &"approval.escalated".into()));
    assert_eq!(event["payload"]["custom_details"]["Would run"], r#"["deploy.sh","api","it's 1.4.2"]"#);
    assert_eq!(event["links"][0]["href"], first.link.clone().unwrap());
    deliver(&channel, short_of_one(then(&first, Kind::Decided))).await.unwrap();
    assert!(service.open(&key).is_some(), "one yes of two ends nothing");
    deliver(&channel, then(&first, Kind::Decided)).await.unwrap();
    assert!(service.open(&key).is_none());
}

#[tokio::test]
async fn every_end_of_a_request_ends_the_call() {
    let (service, channel) = start().await;
    for kind in [Kind::Decided, Kind::Expired, Kind::Cancelled, Kind::Superseded] {
        let first = escalated();
        deliver(&channel, first.clone()).await.unwrap();
        let last = then(&first, kind);
        deliver(&channel, if kind == Kind::Decided { rejected(last) } else { last }).await.unwrap();
        assert!(service.open(&first.workflow.id.to_string()).is_none(), "{kind:?}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_a_call_of_its_own() {
    let (service, channel) = start().await;
    for (level, severity) in [(Level::Low, "error"), (Level::Critical, "critical")] {
        let unknown = notice(Kind::OutcomeUnknown, level);
        deliver(&channel, unknown.clone()).await.unwrap();
        let event = service.open(&format!("{}/outcome", unknown.workflow.id)).expect("a call");
        assert_eq!(event["payload"]["severity"], severity);
    }
}

#[tokio::test]
async fn answers_of_pagerduty_are_understood() {
    let (service, channel) = start().await;
    weathers_what_http_does(&channel, &service.service, &[ROUTING_KEY]).await;
    let wrong = PagerDuty::new(Secret::new("short"), &service.api_url(), None).unwrap();
    refused(deliver(&wrong, escalated()).await, "should be 32 characters");
    service.service.next(Mishap::Instead(Reply::new(400, "no json")));
    refused(deliver(&channel, escalated()).await, "does not say why");
    let nowhere = PagerDuty::new(Secret::new(ROUTING_KEY), &format!("http://{}/v2/enqueue", nowhere()), None).unwrap();
    weathers_that_nobody_is_there(&nowhere, &[ROUTING_KEY]).await;
}

#[tokio::test]
async fn a_summary_is_never_too_long_and_never_empty() {
    let service = services::PagerDuty::start().await;
    for own in ["{{ notice.description }}", "  ", "{{ title }} {{ notice.description }}{{ notice.description }}"] {
        let channel = PagerDuty::new(Secret::new(ROUTING_KEY), &service.api_url(), Some(own)).unwrap();
        let notice = about(Kind::Escalated, Level::High, task(&"🚀".repeat(1024)));
        deliver(&channel, notice).await.unwrap_or_else(|_| panic!("{:?}", service.complaints()));
    }
}
