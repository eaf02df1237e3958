//! The account that a runbook runs as.
//!
//! A server that runs as root, and only such a server, can give each runbook an account of its own,
//! which cannot read what the server or other runbooks can. The run gets the account's own group,
//! or the group that is named, and no other groups.

use crate::domain::request::runbook::Runbook;
use crate::execution::shortage;
use nix::unistd::{Gid, Group, Uid, User};
use std::path::PathBuf;

/// An account, found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: u32,
    pub group: u32,
    pub home: PathBuf,
}

impl Account {
    /// Finds the account with this name, `USER` or `USER:GROUP`. It must be called on a thread that
    /// may block.
    ///
    /// # Errors
    /// There is no such account, or this server may not use it.
    pub fn find(name: &str) -> Result<Self, String> {
        let (user, group) = name.split_once(':').map_or((name, None), |(user, group)| (user, Some(group)));
        let found = shortage::retry_blocking(|| Ok(User::from_name(user)?))
            .map_err(|error| format!("the account `{user}` cannot be looked up: {error}"))?;
        let found = found.ok_or_else(|| format!("there is no account `{user}` on this machine"))?;
        let group = group.map_or(Ok(found.gid), group_named)?;
        if !Uid::effective().is_root() {
            let as_whom = Uid::effective();
            return Err(format!(
                "only a server that runs as root can run it as `{name}`, and this one runs as user {as_whom}; leave `user` out"
            ));
        }
        Ok(Self { user: found.uid.as_raw(), group: group.as_raw(), home: found.dir })
    }
}

/// Why this process cannot run runbooks under their accounts on this machine: a sentence for each
/// such runbook.
pub fn unusable<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>) -> Vec<String> {
    let named = runbooks.into_iter().filter_map(|runbook| Some((&runbook.name, runbook.user.as_deref()?)));
    named.filter_map(|(name, user)| Some(format!("runbooks.{name}.user: {}", Account::find(user).err()?))).collect()
}

fn group_named(name: &str) -> Result<Gid, String> {
    let found = shortage::retry_blocking(|| Ok(Group::from_name(name)?))
        .map_err(|error| format!("the group `{name}` cannot be looked up: {error}"))?;
    found.map(|group| group.gid).ok_or_else(|| format!("there is no group `{name}` on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_name_and_only_root_may_use_it() {
        assert!(Account::find("no-such-account-here").unwrap_err().contains("no account"));
        let found = Account::find("nobody");
        if Uid::effective().is_root() {
            let nobody = found.unwrap();
            assert_ne!((nobody.user, nobody.group), (0, 0));
            let in_daemon = Account::find("nobody:daemon").unwrap();
            assert_eq!(in_daemon.user, nobody.user);
            assert_ne!(in_daemon.group, nobody.group);
            assert!(Account::find("nobody:no-such-group-here").unwrap_err().contains("no group"));
        } else {
            assert!(found.unwrap_err().contains("runs as root"));
        }
    }
}
