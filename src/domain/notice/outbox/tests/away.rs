//! People who are away, and those who cover for them.

use super::*;
use crate::domain::policy::Away;
use chrono::TimeDelta;

#[test]
fn the_cover_is_asked_in_place_of_the_absent_person() {
    let mut people = policy().people().clone();
    people.get_mut("ann").unwrap().away = Some(Away { until: DateTime::UNIX_EPOCH + TimeDelta::days(1), cover: "zoe".to_owned() });
    let levels = Level::ALL.map(|level| policy().level(level).clone());
    let policy = Policy::new(levels, people, policy().agents().clone());
    let mails = |planned: Vec<Planned>| told(&planned).into_iter().filter(|line| line.starts_with("mail")).collect::<Vec<_>>();
    assert_eq!(
        mails(follow_under(&policy, &[&asked_of(Level::High, "bot", Some("ben"))])),
        [
            "mail approval.reminded@2 ann +1800",
            "mail approval.requested@2 cora",
            "mail approval.reminded@2 cora +1800",
            "mail approval.requested@2 zoe",
            "mail approval.reminded@2 zoe +1800",
        ],
        "the reminders of ann rest until she is back"
    );
    let own = mails(follow_under(&policy, &[&asked_of(Level::High, "zoe", None)]));
    assert!(own.contains(&"mail approval.requested@2 ann".to_owned()), "zoe may not decide her own request: {own:?}");
}
