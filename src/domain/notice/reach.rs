//! Which people get their own notice, and when: by their channels, the levels for which they want
//! notices, and their quiet hours.
//!
//! These preferences never mean that nobody is notified. If nobody wants notices for a level,
//! everybody gets them; and a notice that needs action waits for the end of quiet hours only if
//! somebody else has been notified.

use crate::domain::notice::{Kind, Medium};
use crate::domain::policy::Person;
use crate::domain::risk::level::Level;
use chrono::{DateTime, Utc};

/// People by their names.
pub type People<'p> = Vec<(&'p str, &'p Person)>;

/// Whether a personal channel of this kind reaches somebody at all.
pub fn is_reached(person: &Person, medium: Medium) -> bool {
    match medium {
        Medium::Email => person.email.is_some(),
        Medium::Slack => person.slack.is_some(),
        Medium::Linear => person.linear.is_some(),
        // Whether they have subscribed a browser is looked up when the notice is sent.
        Medium::WebPush => true,
        Medium::Webhook | Medium::PagerDuty | Medium::Github => false,
    }
}

/// Those of these people who get a notice on a channel. In an emergency, that is everybody it
/// reaches.
pub fn recipients<'p>(people: People<'p>, kind: Kind, level: Level, medium: Medium) -> People<'p> {
    let reached: People<'p> = people.into_iter().filter(|(_, person)| is_reached(person, medium)).collect();
    let wanted: People<'p> = reached.iter().copied().filter(|(_, person)| person.notify.wants(level)).collect();
    if kind == Kind::GlassBroken || wanted.is_empty() { reached } else { wanted }
}

/// Until when a notice to one of the people waits because of quiet hours; `None` if it is sent now.
/// `recipients` are all people who get the same notice on this channel.
pub fn waits_until(
    name: &str,
    person: &Person,
    kind: Kind,
    level: Level,
    recipients: &[(&str, &Person)],
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let until = person.notify.quiet_until(level, now)?;
    let is_awake = |(other, person): &(&str, &Person)| *other != name && person.notify.quiet_until(level, now).is_none();
    match kind {
        // Escalations and emergencies never wait.
        Kind::Escalated | Kind::GlassBroken => None,
        kind if kind.asks() || kind == Kind::OutcomeUnknown => recipients.iter().any(is_awake).then_some(until),
        _ => Some(until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::{DAY, Hours, Window};
    use crate::domain::policy::{Attention, Quiet};
    use chrono::Weekday;

    fn person(levels: Option<&[Level]>, is_quiet: bool) -> Person {
        let window = Window::Weekly { days: vec![Weekday::Fri], from: 0, minutes: DAY };
        let quiet = Quiet { hours: Hours { window, zone: "UTC".parse().unwrap() }, except: vec![Level::Critical] };
        let notify = Attention { levels: levels.map(<[Level]>::to_vec), quiet: is_quiet.then_some(quiet) };
        Person { email: Some("somebody@example.com".to_owned()), notify, ..Person::default() }
    }

    fn names(people: &People<'_>) -> Vec<String> {
        people.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn level_preferences_apply_unless_nobody_would_be_notified() {
        let (all, high, away) = (person(None, false), person(Some(&[Level::High]), false), Person::default());
        let people = || vec![("all", &all), ("high", &high), ("away", &away)];
        let reached_at = |people, kind, level| names(&recipients(people, kind, level, Medium::Email));
        assert_eq!(reached_at(people(), Kind::Requested, Level::High), ["all", "high"]);
        assert_eq!(reached_at(people(), Kind::Requested, Level::Medium), ["all"]);
        assert_eq!(reached_at(vec![("high", &high)], Kind::Requested, Level::Medium), ["high"], "nobody else would be told");
        assert_eq!(reached_at(people(), Kind::GlassBroken, Level::Medium), ["all", "high"], "in an emergency");
    }

    /// On a Friday, which is quiet all day.
    #[test]
    fn quiet_hours_delay_a_notice_only_if_somebody_else_is_notified() {
        let (quiet, awake) = (person(None, true), person(None, false));
        let (now, end) = ("2026-11-27T12:00:00Z".parse().unwrap(), "2026-11-28T00:00:00Z".parse().unwrap());
        let waits = |kind, level, others: &[(&str, &Person)]| {
            let told: People<'_> = others.iter().copied().chain([("quiet", &quiet)]).collect();
            waits_until("quiet", &quiet, kind, level, &told, now)
        };
        let (alone, together) = ([("too", &quiet)], [("awake", &awake)]);
        for kind in [Kind::Requested, Kind::Reminded, Kind::GoalNears, Kind::Expiring, Kind::OutcomeUnknown] {
            assert_eq!(waits(kind, Level::High, &together), Some(end), "{kind:?}");
            assert_eq!(waits(kind, Level::High, &alone), None, "{kind:?}: nobody would be told");
            assert_eq!(waits(kind, Level::Critical, &together), None, "{kind:?}: excepted");
        }
        for kind in [Kind::Escalated, Kind::GlassBroken] {
            assert_eq!(waits(kind, Level::High, &together), None, "{kind:?}");
        }
        for kind in [Kind::Failed, Kind::ReportOverdue, Kind::Asked, Kind::Answered] {
            assert_eq!(waits(kind, Level::High, &alone), Some(end), "{kind:?}: nobody has to act on it tonight");
        }
        assert_eq!(waits_until("awake", &awake, Kind::Requested, Level::High, &[("awake", &awake)], now), None);
    }
}
