//! Checks a summary that the sender made of a plan: it has to be within the bounds and consistent.
//!
//! Such a summary is a claim, like a whole plan: whoever sends one could have forged the other. The
//! check keeps stored data small, and keeps what people see consistent with what rules evaluate.

use super::{
    Act, Attribute, LONGEST_NAME, LONGEST_VALUE, MOST_ATTRIBUTES, MOST_ATTRIBUTES_OF_ONE, MOST_CHANGES, MOST_OUTPUTS, MOST_TYPES, Summary,
};

/// The most characters that are added to a value that is cut.
const AROUND: usize = 32;

impl Summary {
    /// Checks the summary.
    ///
    /// # Errors
    /// The first fault, with its pointer.
    pub fn check(&self) -> Result<(), (String, String)> {
        let wrong = |pointer: &str, detail: String| Err((pointer.to_owned(), detail));
        if self.changes.len() > MOST_CHANGES {
            return wrong("/changes", format!("lists more than {MOST_CHANGES} changes; count the others in `unlisted`"));
        }
        if self.outputs.len() > MOST_OUTPUTS {
            return wrong("/outputs", format!("lists more than {MOST_OUTPUTS} outputs; count the others in `unlisted_outputs`"));
        }
        if self.types.len() > MOST_TYPES {
            return wrong("/types", format!("holds more than {MOST_TYPES} types"));
        }
        let attributes = || self.changes.iter().flat_map(|change| &change.attributes);
        if attributes().count() > MOST_ATTRIBUTES || self.changes.iter().any(|change| change.attributes.len() > MOST_ATTRIBUTES_OF_ONE) {
            let detail = format!("list more than {MOST_ATTRIBUTES} attributes, or more than {MOST_ATTRIBUTES_OF_ONE} of one change");
            return wrong("/changes", detail);
        }
        if !attributes().chain(&self.outputs).all(fits) || self.names().any(|name| name.chars().count() > LONGEST_NAME) {
            let detail = format!("holds a name of more than {LONGEST_NAME} characters, or a value of more than {}", LONGEST_VALUE + AROUND);
            return wrong("", detail);
        }
        self.check_counts()
    }

    fn check_counts(&self) -> Result<(), (String, String)> {
        let wrong = |pointer: &str, detail: &str| Err((pointer.to_owned(), detail.to_owned()));
        let counts = &self.counts;
        let of_all = [counts.creates, counts.updates, counts.deletes, counts.replaces, counts.forgets, counts.reads, counts.actions];
        // Resources that are only imported or moved are counted only there.
        let all = of_all.into_iter().fold(0_u64, u64::saturating_add);
        let adopted = self.listed(Act::Adopt);
        let listed = self.changes.len() as u64;
        if listed.saturating_add(self.unlisted) < all || listed.saturating_sub(adopted) > all {
            return wrong("/counts", "do not fit the changes that are listed and those in `unlisted`");
        }
        for (act, count) in [
            (Act::Delete, counts.deletes),
            (Act::Replace, counts.replaces),
            (Act::Forget, counts.forgets),
            (Act::Update, counts.updates),
            (Act::Create, counts.creates),
            (Act::Invoke, counts.actions),
            (Act::Read, counts.reads),
        ] {
            let listed = self.listed(act);
            if listed > count || self.unlisted == 0 && listed != count {
                return wrong("/counts", "do not fit the changes that are listed");
            }
        }
        let listed = self.outputs.len() as u64;
        if listed.saturating_add(self.unlisted_outputs) != counts.outputs {
            return wrong("/counts/outputs", "does not fit the outputs that are listed and those in `unlisted_outputs`");
        }
        let is_destroyed = |act: Act| matches!(act, Act::Delete | Act::Replace);
        if let Some(index) = self.changes.iter().position(|change| {
            !self.types.contains(&change.kind) || is_destroyed(change.act) && !self.destroyed_types.contains(&change.kind)
        }) {
            let detail = "is missing among `types`, or, being deleted or replaced, among `destroyed_types`";
            return wrong(&format!("/changes/{index}/type"), detail);
        }
        Ok(())
    }

    fn listed(&self, act: Act) -> u64 {
        self.changes.iter().filter(|change| change.act == act).count() as u64
    }

    /// Every text that is only a name.
    fn names(&self) -> impl Iterator<Item = &String> {
        let of_changes = self.changes.iter().flat_map(|change| {
            [Some(&change.address), Some(&change.kind), change.reason.as_ref(), change.previous_address.as_ref(), change.deposed.as_ref()]
        });
        let state = self.state.as_ref().and_then(|state| state.lineage.as_ref());
        let own = [self.terraform_version.as_ref(), self.workspace.as_ref(), state];
        of_changes.chain(own).flatten().chain(&self.types).chain(&self.destroyed_types)
    }
}

fn fits(attribute: &Attribute) -> bool {
    let fits = |value: &Option<String>| value.as_ref().is_none_or(|value| value.chars().count() <= LONGEST_VALUE + AROUND);
    attribute.path.chars().count() <= LONGEST_NAME && fits(&attribute.before) && fits(&attribute.after)
}
