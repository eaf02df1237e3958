//! Runbooks that keep a ledger with times: their start, their progress and their end.

use super::history::{Line, Mark};
use crate::support::Config;
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A line of this size is appended atomically. The duration depends on the workflow: most end at
/// once, some take seconds.
const SCRIPT: &str = r#"#!/bin/sh
note() { echo "$(date +%s.%N) $1 $PARKBRAKE_WORKFLOW_ID $PARKBRAKE_ATTEMPT $PARKBRAKE_IDEMPOTENCY_KEY" >> ledger; }
note start
case $PARKBRAKE_WORKFLOW_ID in
  *0) steps=20 ;;
  *[1-3]) steps=4 ;;
  *) steps=0 ;;
esac
while [ $steps -gt 0 ]; do sleep 0.25; note step; steps=$((steps - 1)); done
note end
"#;

/// The people who decide, and when a request of the level `medium` escalates and expires.
const POLICIES: &str = "
policies:
  medium:   { expire_after: 4s }
  critical: { required: 2 }
escalation: { medium: [ { after: 2s, to: [cto] } ] }
";

/// The runbooks' folder, which holds the ledger.
pub struct Runbooks {
    folder: PathBuf,
}

impl Runbooks {
    pub fn new(folder: &Path) -> Self {
        std::fs::write(folder.join("run.sh"), SCRIPT).expect("a script");
        Self { folder: folder.to_owned() }
    }

    /// A configuration with these runbooks: `once`, `again`, `build` and `drop` need approval,
    /// `look` and `peek` do not.
    pub fn config(&self) -> Config {
        let runbook = |(name, operation, idempotent): (&str, &str, bool)| {
            let folder = self.folder.display();
            format!(
                "  {name}: {{ operation: {operation}, environment: development, command: [/bin/sh, run.sh], working_dir: '{folder}', timeout: 1m, idempotent: {idempotent} }}\n"
            )
        };
        let all = [
            ("once", "deploy", false),
            ("again", "deploy", true),
            ("build", "build", false),
            ("drop", "delete", true),
            ("look", "read", false),
            ("peek", "read", true),
        ];
        let runbooks: String = all.into_iter().map(runbook).collect();
        Config::new().with_policies(POLICIES).with_runbooks(&format!("runbooks:\n{runbooks}"))
    }

    /// The ledger so far.
    #[track_caller]
    pub fn ledger(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.folder.join("ledger")).unwrap_or_default();
        text.lines().map(|line| read(line).unwrap_or_else(|| panic!("a torn line in the ledger: {line}"))).collect()
    }
}

fn read(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split(' ').collect();
    let [at, what, workflow, attempt, key] = words[..] else { return None };
    let (seconds, nanos) = at.split_once('.')?;
    let at: DateTime<Utc> = DateTime::from_timestamp(seconds.parse().ok()?, nanos.parse().ok()?)?;
    let mark = match what {
        "start" => Mark::Start,
        "step" => Mark::Step,
        "end" => Mark::End,
        _ => return None,
    };
    Some(Line { at, mark, workflow: Uuid::try_parse(workflow).ok()?, attempt: attempt.parse().ok()?, key: key.to_owned() })
}
