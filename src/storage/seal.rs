//! The seals of logs: the server acts only on what it wrote itself.
//!
//! Each event is sealed with a key that is not in the database, over everything in its row except
//! the time; its workflow's row is sealed over its version and the seal of its last event. So an
//! event that somebody inserted, changed, moved or copied from another workflow does not verify.
//! Nor does a log with removed events, because the earlier seal of the workflow's row is gone.
//! Restoring an earlier state as a whole (a backup, an old copy of all rows of a workflow) verifies
//! again: only a record elsewhere could detect that.

use crate::secret_key::{Purpose, Seal, SecretKeys};
use uuid::Uuid;

/// An event's row.
#[derive(Debug)]
pub(super) struct EventRow<'a> {
    pub workflow_id: Uuid,
    pub version: i32,
    pub kind: &'a str,
    pub actor: &'a str,
    pub via: Option<&'a str>,
    pub data: &'a str,
}

/// The parts of an event's row that its seal covers.
fn parts<T>(row: &EventRow<'_>, with: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (id, version) = (row.workflow_id.as_bytes(), row.version.to_be_bytes());
    with(&[id, &version, row.kind.as_bytes(), row.actor.as_bytes(), row.via.unwrap_or_default().as_bytes(), row.data.as_bytes()])
}

/// Seals an event.
pub(super) fn event(keys: &SecretKeys, row: &EventRow<'_>) -> Seal {
    parts(row, |parts| keys.seal(Purpose::Event, parts))
}

/// Seals the row of a workflow whose last event has this seal.
pub(super) fn head(keys: &SecretKeys, workflow_id: Uuid, version: i32, last: &[u8]) -> Seal {
    keys.seal(Purpose::Head, &[workflow_id.as_bytes(), &version.to_be_bytes(), last])
}

/// A workflow's row and its seal.
pub(super) struct Head<'a> {
    pub version: i32,
    pub seal: Option<&'a [u8]>,
}

/// Verifies that a server with one of these keys wrote this log, complete and in order.
///
/// # Errors
/// What does not verify, for people.
pub(super) fn verify<'a>(
    keys: &SecretKeys,
    workflow_id: Uuid,
    log: impl IntoIterator<Item = (EventRow<'a>, Option<&'a [u8]>)>,
    workflow: Option<&Head<'_>>,
) -> Result<(), String> {
    let (mut version, mut last): (i32, Option<&[u8]>) = (0, None);
    for (row, seal) in log {
        version += 1;
        if row.version != version {
            return Err(format!("event {version} is missing from its log"));
        }
        let seal = seal.ok_or_else(|| {
            format!("event {version} has no seal: it was not written by this server, or before there were seals and `parkbrake rekey` has not sealed it")
        })?;
        if !parts(&row, |parts| keys.verifies(Purpose::Event, parts, seal)) {
            return Err(format!(
                "the seal of event {version} does not fit: it was changed, or written by somebody without the server's secret key"
            ));
        }
        last = Some(seal);
    }
    let Some(last) = last else { return Ok(()) };
    let workflow = workflow.ok_or("its row is missing")?;
    if workflow.version != version {
        return Err(format!("its log has {version} events, and its row says {}", workflow.version));
    }
    let fits =
        workflow.seal.is_some_and(|seal| keys.verifies(Purpose::Head, &[workflow_id.as_bytes(), &version.to_be_bytes(), last], seal));
    if fits { Ok(()) } else { Err(format!("the seal of its row does not fit its log of {version} events: some were removed or put back")) }
}

/// Whether all seals of a verified log use the current key.
pub(super) fn is_current<'a>(keys: &SecretKeys, log: impl IntoIterator<Item = (EventRow<'a>, Option<&'a [u8]>)>) -> bool {
    log.into_iter().all(|(row, seal)| seal.is_some_and(|seal| parts(&row, |parts| keys.is_current(Purpose::Event, parts, seal))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const TWO: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

    fn keys(text: &str) -> SecretKeys {
        SecretKeys::parse(text, "a test").unwrap()
    }

    fn row(workflow_id: Uuid, version: i32) -> EventRow<'static> {
        EventRow { workflow_id, version, kind: "approved", actor: "alice", via: Some("rest"), data: "{}" }
    }

    type Log = Vec<(EventRow<'static>, Option<Vec<u8>>)>;

    fn sealed(id: Uuid, length: i32) -> (Log, (i32, Vec<u8>)) {
        let keys = keys(ONE);
        let log: Log = (1..=length).map(|version| (row(id, version), Some(event(&keys, &row(id, version)).to_vec()))).collect();
        let last = log.last().unwrap().1.clone().unwrap();
        (log, (length, head(&keys, id, length, &last).to_vec()))
    }

    fn verified(keys: &SecretKeys, id: Uuid, log: &Log, (version, seal): &(i32, Vec<u8>)) -> Result<(), String> {
        let rows = log.iter().map(|(row, seal)| (EventRow { ..*row }, seal.as_deref()));
        verify(keys, id, rows, Some(&Head { version: *version, seal: Some(seal) }))
    }

    #[test]
    fn a_log_verifies_also_with_an_earlier_key() {
        let id = Uuid::from_u128(1);
        let (log, head) = sealed(id, 3);
        assert_eq!(verified(&keys(ONE), id, &log, &head), Ok(()));
        assert_eq!(verified(&keys(&format!("{TWO} {ONE}")), id, &log, &head), Ok(()));
        assert!(verified(&keys(TWO), id, &log, &head).unwrap_err().contains("event 1"));
        assert_eq!(verify(&keys(ONE), id, Vec::new(), None), Ok(()), "there is no such workflow");
    }

    #[test]
    fn every_change_of_a_row_is_noticed() {
        let id = Uuid::from_u128(1);
        let changes: [fn(&mut EventRow<'static>); 6] = [
            |row| row.kind = "rejected",
            |row| row.actor = "tina",
            |row| row.via = None,
            |row| row.via = Some("slack"),
            |row| row.data = "{ }",
            |row| row.version = 7,
        ];
        for (index, change) in changes.iter().enumerate() {
            let (mut log, head) = sealed(id, 3);
            change(&mut log[1].0);
            assert!(verified(&keys(ONE), id, &log, &head).is_err(), "change {index}");
        }
    }

    #[test]
    fn inserted_removed_moved_or_restored_events_are_noticed() {
        let id = Uuid::from_u128(1);
        let (log, head) = sealed(id, 4);
        let with = |change: &dyn Fn(&mut Log), head: &(i32, Vec<u8>)| {
            let (mut log, _) = sealed(id, 4);
            change(&mut log);
            verified(&keys(ONE), id, &log, head)
        };
        assert!(with(&|log| drop(log.pop()), &head).unwrap_err().contains("its row says 4"));
        assert!(with(&|log| drop(log.pop()), &(3, head.1.clone())).unwrap_err().contains("were removed"));
        let seal_of_an_event = log[2].1.clone().unwrap();
        assert!(with(&|log| drop(log.pop()), &(3, seal_of_an_event)).is_err(), "the seal of an event is none of a row");
        assert!(with(&|log| drop(log.remove(1)), &head).unwrap_err().contains("event 2 is missing"));
        assert!(with(&|log| log.swap(1, 2), &head).is_err());
        assert!(with(&|log| log.push((row(id, 5), None)), &(5, head.1.clone())).unwrap_err().contains("event 5 has no seal"));
        let other = sealed(Uuid::from_u128(2), 5).0.pop().unwrap().1;
        assert!(with(&|log| log.push((row(id, 5), other.clone())), &(5, head.1.clone())).unwrap_err().contains("event 5 does not fit"));
        let rows = log.iter().map(|(row, seal)| (EventRow { ..*row }, seal.as_deref()));
        assert!(verify(&keys(ONE), id, rows, None).unwrap_err().contains("its row is missing"));
    }
}
