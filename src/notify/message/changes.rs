//! Differences, in the words of a message.

use crate::actors::ports::Notice;
use crate::domain::task::difference::Difference;
use crate::notify::message::{cut, value};

/// The most changed fields, and the most characters of each value.
const MOST_CHANGES: usize = 8;
const LONGEST_CHANGE: usize = 120;

/// The differences from the document that people were asked about before, or from the request that
/// this one supersedes.
pub fn instead(notice: &Notice) -> String {
    let renewal = notice.workflow.open_round().and_then(|round| notice.workflow.renewal_of(round));
    if !notice.kind.asks() || (renewal.is_none() && notice.workflow.submission.supersedes.is_none()) {
        return String::new();
    }
    let side = |side: &Option<String>| side.as_deref().map_or_else(|| "nothing".to_owned(), |text| cut(&value(text), LONGEST_CHANGE));
    let one = |one: &Difference| format!("{} from {} to {}", value(&one.pointer), side(&one.before), side(&one.after));
    let mut changes: Vec<String> = notice.differences.iter().take(MOST_CHANGES).map(one).collect();
    match notice.differences.len() {
        0 => changes.push("nothing that is known".to_owned()),
        all if all > MOST_CHANGES => changes.push(format!("{} more fields", all - MOST_CHANGES)),
        _ => {}
    }
    let changes = changes.join("; ");
    match renewal {
        Some(renewal) => format!(" People are asked again, because {}. Changed: {changes}.", value(&renewal.reason)),
        None => format!(" It supersedes an earlier request, which no longer needs a decision. Changed: {changes}."),
    }
}
