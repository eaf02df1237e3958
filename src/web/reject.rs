//! Rejects several requests at once, with a result for each. Several requests cannot be approved at
//! once: an approval is for a document that the person has read.

use crate::domain::risk::target::Target;
use crate::http::problem::Problem;
use crate::http::query::invalid;
use crate::service::decide::Saying;
use crate::web::Web;
use crate::web::csrf::Posted;
use crate::web::page;
use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// The most requests in one form.
const MOST: usize = 100;

/// The result for one request.
#[derive(Debug, Serialize)]
struct Outcome {
    id: Uuid,
    headline: Option<String>,
    called: Option<String>,
    /// Why it was not rejected.
    refusal: Option<String>,
}

/// `POST /inbox/reject`: asks once more, and then rejects them.
pub async fn several(State(web): State<Web>, Posted { session, fields, permit }: Posted) -> Result<Response, Problem> {
    let mut ids = Vec::new();
    for text in fields.all("id") {
        ids.push(Uuid::try_parse(text).map_err(|_| invalid("id", "names no request"))?);
    }
    ids.dedup();
    if ids.len() > MOST {
        return Err(invalid("id", format!("at most {MOST} requests are rejected at once")));
    }
    let reason = fields.one("reason")?;
    let targets = web.service.targets(&session.person, &ids).await?;
    let target = |id: &Uuid| targets.get(id).map(|about| &about.target);
    if fields.one("sure")?.is_none() {
        let chosen: Vec<_> = ids
            .iter()
            .map(|id| json!({"id": id, "headline": target(id).map(Target::short), "called": target(id).and_then(Target::called)}))
            .collect();
        let shown = json!({"section": "waiting", "chosen": chosen, "reason": reason.unwrap_or_default()});
        return Ok(page::render(&web, &session, "reject.html", shown));
    }
    let reject = |id: &Uuid| {
        let saying = Saying { note: reason.map(str::to_owned), ..Saying::default() };
        web.service.reject(&session.person, *id, saying, Arc::clone(&permit))
    };
    let answers = join_all(ids.iter().map(reject));
    let outcomes: Vec<Outcome> = answers
        .await
        .into_iter()
        .zip(&ids)
        .map(|(answer, id)| Outcome {
            id: *id,
            headline: target(id).map(Target::short),
            called: target(id).and_then(Target::called),
            refusal: answer.err().map(|error| error.to_string()),
        })
        .collect();
    let rejected = outcomes.iter().filter(|outcome| outcome.refusal.is_none()).count();
    Ok(page::render(&web, &session, "rejected.html", json!({ "section": "waiting", "outcomes": outcomes, "rejected": rejected })))
}
