//! Compares the facts that a runbook states with the command that it runs. Because the risk is
//! assessed by these facts, the requester may not choose them freely, and a runbook that changes
//! something has to state where.

use crate::config::value::Fields;
use crate::config::words::Words;
use crate::domain::request::arguments::Template;

/// The operation with which a runbook need not state its environment.
const READ: &str = "read";

/// The facts of a runbook, by their keys.
pub type Facts<'t> = [(&'static str, Option<&'t Template>); 4];

/// Notes facts through which a requester could choose how dangerous the runbook seems.
pub fn refuse_claims(fields: &Fields<'_>, facts: &Facts<'_>, command: &[&Template], args: &[&str], operations: &Words<'_>) {
    let reaches = |argument: &str| command.iter().any(|part| part.arguments().any(|known| known == argument));
    for (key, template) in facts {
        let (Some(template), Some(at)) = (template, fields.get(key)) else { continue };
        for argument in template.arguments().filter(|argument| args.contains(argument) && !reaches(argument)) {
            at.problem(format!(
                "is what the requester says in `{argument}`, which does not reach the command, so that it could be anything; pass \
                 `{{{{ {argument} }}}}` on in the command too, or write the word out"
            ));
        }
    }
    let [(_, Some(operation)), (_, None), ..] = facts else { return };
    let reads = operation.literal().and_then(|written| operations.vocabulary.resolve(written)).is_some_and(|word| word == READ);
    // An unknown word has been reported already.
    let is_known = operation.literal().is_none_or(|written| operations.vocabulary.resolve(written).is_some());
    if !reads && is_known && fields.get("environment").is_none() {
        fields.required(
            "environment",
            "say where it runs, such as production, or by an argument that stands in the command, such as \"{{ environment }}\"; only a \
             read may leave it out",
        );
    }
}
