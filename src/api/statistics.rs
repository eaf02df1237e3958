//! Statistics of requests for approval.

use crate::api::examples;
use crate::api::views::{StatisticsAnswer, Table};
use crate::domain::risk::level::Level;
use crate::http::openapi::{self, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Parameters, Period, invalid, level};
use crate::identity::Caller;
use crate::service::Service;
use crate::service::statistics::StatisticsQuery;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FiguresQuery {
    /// Only requests made at this time or later: a day in UTC (`2026-10-01`) or a time
    /// (`2026-10-01T08:00:00Z`). Left out: 30 days.
    #[param(example = "2026-10-01")]
    from: Option<String>,
    /// Only requests made before this time, or by the end of this day. Left out, or in the future:
    /// until now. At most 366 days after `from`.
    #[param(example = "2026-10-31")]
    until: Option<String>,
    /// Only of this level.
    #[param(value_type = Option<Level>)]
    risk_level: Option<String>,
    /// Only of this requester.
    requested_by: Option<String>,
    /// Only requests that people of this team decided.
    team: Option<String>,
    /// Only this part, as comma-separated values.
    #[param(value_type = Option<Table>)]
    table: Option<String>,
}

refused_with!(FiguresProblems = CALLER, [Code::NotPermitted]);

/// How long people let requests wait
///
/// Mean, median, 90th percentile and the share within the goal (`policies.LEVEL.goal`), each beside
/// the figures of the preceding period of the same length; by level, role, team, requester and
/// person, and week by week. A decision is an approval that completed the quorum, or a rejection,
/// by a person; requests that a standing grant released do not count. The newest 50,000 requests
/// are evaluated at most.
#[utoipa::path(
    get,
    path = "/statistics",
    operation_id = "statistics",
    tag = openapi::OPERATIONS,
    params(FiguresQuery),
    responses(
        (status = 200, description = "The figures; with `table`, one part of them.", content(
            (StatisticsAnswer = "application/json", example = json!(examples::statistics())),
            (String = "text/csv", example = json!(examples::STATISTICS_TABLE)),
        )),
        FiguresProblems,
    ),
)]
pub async fn statistics(
    State(service): State<Service>,
    by: Caller,
    Parameters(query): Parameters<FiguresQuery>,
) -> Result<Response, Problem> {
    let Period { from, until } = Period::read(query.from.as_deref(), query.until.as_deref())?;
    let risk_level = level(query.risk_level.as_deref())?;
    let table = query
        .table
        .as_deref()
        .map(|text| Table::parse(text).ok_or_else(|| invalid("table", format!("has to be one of {}", Table::known()))));
    let table = table.transpose()?;
    let query = StatisticsQuery { from, until, risk_level, requested_by: query.requested_by, team: query.team };
    let figures = service.statistics(&by, query).await?;
    let answer = StatisticsAnswer::from(&figures);
    let Some(table) = table else { return Ok(Json(answer).into_response()) };
    let disposition = format!("attachment; filename=\"parkbrake-{}.csv\"", table.as_str());
    let head = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((head, answer.table(table)).into_response())
}
