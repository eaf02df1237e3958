//! Builds a task from flags.

use crate::cli::client::env;
use crate::cli::id::GivenId;
use crate::cli::{Error, terraform};
use crate::domain::request::evidence;
use serde_json::{Map, Value};
use std::path::PathBuf;
use uuid::Uuid;

/// The flags that describe a task. Values of `--arg` are text; the server checks them against the
/// runbook. Values of `--metadata` are typed by their form: see [`typed`].
#[derive(Debug, clap::Args)]
pub struct TaskFlags {
    /// The operation, such as deploy
    #[arg(long, value_name = "WORD", conflicts_with_all = ["file", "playbook"], required_unless_present_any = ["file", "playbook", "terraform_plan"])]
    operation: Option<String>,
    /// The description that the approver reads as your claim
    #[arg(long, value_name = "TEXT", conflicts_with = "file", required_unless_present_any = ["file", "terraform_plan"])]
    description: Option<String>,
    /// The environment: production, staging, development, …
    #[arg(long, value_name = "WORD", conflicts_with_all = ["file", "playbook"])]
    environment: Option<String>,
    /// The resource
    #[arg(long, value_name = "NAME", conflicts_with_all = ["file", "playbook"])]
    resource: Option<String>,
    /// The type of the resource: database, infrastructure, code, …
    #[arg(long, value_name = "WORD", conflicts_with_all = ["file", "playbook"])]
    resource_type: Option<String>,
    /// The estimated cost, in US dollars
    #[arg(long, value_name = "DOLLARS", conflicts_with_all = ["file", "playbook"], value_parser = dollars)]
    cost: Option<f64>,
    /// Your own name for the task
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    task_id: Option<String>,
    /// The workflow of your earlier request, still waiting, that this task supersedes
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    pub supersedes: Option<GivenId>,
    /// Have parkbrake run this runbook; without it, you act yourself once you may, and report the
    /// result
    #[arg(long, value_name = "NAME", conflicts_with = "file", group = "configured")]
    runbook: Option<String>,
    /// Have parkbrake make the steps of this playbook, instead of one task
    #[arg(long, value_name = "NAME", conflicts_with = "file", group = "configured")]
    playbook: Option<String>,
    /// Show a Terraform plan: a file with the output of `terraform show -json` or
    /// `tofu show -json`, or -. It is read on this machine, and only counts, changes without
    /// sensitive values, and a digest are sent. Without --operation and --resource-type the task is
    /// to modify infrastructure
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "playbook"])]
    terraform_plan: Option<PathBuf>,
    /// The workspace that the plan is for; if left out, TF_WORKSPACE, or the one that is selected
    /// in this folder
    #[arg(long, value_name = "NAME", requires = "terraform_plan")]
    terraform_workspace: Option<String>,
    /// An argument of the runbook or the playbook; may be repeated
    #[arg(long = "arg", value_name = "NAME=VALUE", requires = "configured", conflicts_with = "file", value_parser = pair)]
    args: Vec<(String, String)>,
    /// Additional data to keep with the task; may be repeated. A number, true, false, and a list,
    /// an object or quoted text in JSON keep their type (replicas=2, tags='["a"]', build='"2"');
    /// everything else is text (version=1.10)
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "file", value_parser = pair)]
    metadata: Vec<(String, String)>,
}

impl TaskFlags {
    /// The task as JSON. `supersedes` is the workflow that the flag of the same name refers to.
    ///
    /// # Errors
    /// The plan cannot be read.
    pub fn task(mut self, supersedes: Option<Uuid>) -> Result<Value, Error> {
        let mut task = Map::new();
        if let Some(file) = &self.terraform_plan {
            let plan = terraform::read(file, self.terraform_workspace.take().or_else(|| env("TF_WORKSPACE")))?;
            self.operation.get_or_insert_with(|| "modify".to_owned());
            self.resource_type.get_or_insert_with(|| "infrastructure".to_owned());
            self.description.get_or_insert_with(|| format!("Apply a Terraform plan: {}", plan.summary.counts));
            task.insert(evidence::FIELD.to_owned(), Value::Object(evidence::of_plan(&plan)));
        }
        let texts = [
            ("task_id", self.task_id),
            ("supersedes", supersedes.map(|id| id.to_string())),
            ("description", self.description),
            ("operation", self.operation),
            ("environment", self.environment),
            ("resource", self.resource),
            ("resource_type", self.resource_type),
            ("playbook", self.playbook),
        ];
        let is_playbook = texts.iter().any(|(name, text)| *name == "playbook" && text.is_some());
        task.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::String(text?)))));
        task.extend(self.cost.map(|cost| ("estimated_cost".to_owned(), Value::from(cost))));
        if is_playbook {
            task.insert("args".to_owned(), object(std::mem::take(&mut self.args)));
        }
        task.extend(self.runbook.map(|name| {
            let action = Map::from_iter([
                ("type".to_owned(), Value::from("runbook")),
                ("name".to_owned(), Value::String(name)),
                ("args".to_owned(), object(self.args)),
            ]);
            ("action".to_owned(), Value::Object(action))
        }));
        if !self.metadata.is_empty() {
            task.insert("metadata".to_owned(), self.metadata.into_iter().map(|(name, text)| (name, typed(text))).collect());
        }
        Ok(Value::Object(task))
    }
}

fn object(pairs: Vec<(String, String)>) -> Value {
    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}

/// A value with the type of its form, if that is unambiguous: a number in its canonical spelling,
/// `true`, `false`, or a list, an object or text in JSON. Everything else is text: `1.10`, `007`
/// and `1e3` are names, and would come back as other numbers.
fn typed(text: String) -> Value {
    /// Above it, a double cannot hold every integer.
    const LARGEST: u64 = 1 << 53;
    let whole = text.parse::<i64>().ok().filter(|number| number.unsigned_abs() <= LARGEST && number.to_string() == text);
    let fraction = || text.parse::<f64>().ok().filter(|number| number.is_finite() && text.contains('.') && number.to_string() == text);
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match (whole, fraction()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) if text.starts_with(['{', '[', '"']) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            (None, None) => Value::String(text),
        },
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn dollars(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|cost: &f64| cost.is_finite() && *cost >= 0.0).ok_or_else(|| "write a number such as 250 or 99.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_json_if_it_parses_and_text_otherwise() {
        for (text, value) in [
            ("2", json!(2)),
            ("-7", json!(-7)),
            ("2.5", json!(2.5)),
            ("true", json!(true)),
            ("[1,\"a\"]", json!([1, "a"])),
            ("{\"a\": {}}", json!({"a": {}})),
            ("\"2\"", json!("2")),
        ] {
            assert_eq!(typed(text.to_owned()), value, "{text}");
        }
        for text in
            ["", "1.10", "007", "+1", "1e3", "1.", ".5", "NaN", "inf", "null", "True", "2 ", "[1", "{a}", "9007199254740993", "OPS-7"]
        {
            assert_eq!(typed(text.to_owned()), json!(text));
        }
    }
}
