//! Everything from a period in one file, for audits.

use crate::api::examples;
use crate::api::views::ExportedWorkflow;
use crate::http::csv;
use crate::http::openapi::{self, CALLER, WAIT, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Parameters, Period, invalid};
use crate::identity::{Caller, Reauthentication};
use crate::service::Service;
use crate::service::export::{Broken, Exported};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Only workflows submitted at this time or later: a day in UTC (`2026-10-01`) or a time
    /// (`2026-10-01T08:00:00Z`). Left out: from the beginning.
    #[param(example = "2026-10-01")]
    from: Option<String>,
    /// Only workflows submitted before this time, or by the end of this day. Left out, or in the
    /// future: until now.
    #[param(example = "2026-10-31")]
    until: Option<String>,
    /// `jsonl` if left out: each line is an ExportedWorkflow. `csv`: a table with a header row.
    #[param(value_type = Option<Format>)]
    format: Option<String>,
    /// Whether each line includes the whole document; only for `jsonl`.
    documents: Option<bool>,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = ExportFormat, rename_all = "lowercase")]
enum Format {
    Jsonl,
    Csv,
}

impl Format {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            _ => Err(invalid("format", "has to be jsonl or csv")),
        }
    }

    /// The media type, and the extension of the file.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Jsonl => ("application/jsonl", "attachment; filename=\"parkbrake-export.jsonl\""),
            Self::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"parkbrake-export.csv\""),
        }
    }

    /// The text before the first workflow.
    fn head(self) -> String {
        let mut head = String::new();
        if self == Self::Csv {
            csv::row(&mut head, ExportedWorkflow::COLUMNS);
        }
        head
    }

    fn lines(self, page: &[Exported], documents: bool) -> String {
        let mut text = String::new();
        for exported in page {
            let exported = if documents { ExportedWorkflow::with_document(exported) } else { exported.into() };
            match self {
                Self::Jsonl => exported.add_line(&mut text),
                Self::Csv => exported.add_row(&mut text),
            }
        }
        text
    }
}

refused_with!(ExportProblems = CALLER, [Code::NotPermitted], WAIT);

/// Export workflows
///
/// Everything that was submitted in a period, the oldest first, with every decision and every
/// attempt: for audits, and for people. The server streams the export and reads page by page while
/// it writes, so each workflow is as it was when its page was read; an export does not contain what
/// is submitted after it began. It contains nothing that `GET /workflows/{id}` does not show, and
/// no output.
///
/// If the server cannot finish an export (it stops, the database stays unavailable, the token is
/// revoked), it breaks the connection: an export is complete only if its last chunk arrived. A
/// person can write two exports at once, and a server four in all. In a table, a cell that would
/// begin a formula starts with an apostrophe, and `argv`, `decisions` and `attempts` are JSON.
#[utoipa::path(
    get,
    path = "/workflows/export",
    operation_id = "export_workflows",
    tag = openapi::READING,
    params(ExportQuery),
    responses(
        (status = 200, description = "The export, as a file.", content(
            (String = "application/jsonl", example = json!(examples::EXPORT_LINE)),
            (String = "text/csv", example = json!(examples::EXPORT_TABLE)),
        )),
        ExportProblems,
    ),
)]
pub async fn export(
    State(service): State<Service>,
    by: Caller,
    reauthentication: Reauthentication,
    Parameters(query): Parameters<ExportQuery>,
) -> Result<Response, Problem> {
    let format = query.format.as_deref().map_or(Ok(Format::Jsonl), Format::parse)?;
    let documents = query.documents.unwrap_or_default();
    if documents && format == Format::Csv {
        return Err(invalid("documents", "is for jsonl: a table has no column for documents"));
    }
    let Period { from, until } = Period::read(query.from.as_deref(), query.until.as_deref())?;
    let export = service.export(&by, reauthentication, from, until).await?;
    let start = (Some(format.head()), export);
    let pages = stream::try_unfold(start, move |(head, mut export)| async move {
        let page = export.next().await.inspect_err(|error| tracing::warn!(%error, "an export ended before it was complete"))?;
        let text = page.map(|page| head.unwrap_or_default() + &format.lines(&page, documents));
        Ok::<_, Broken>(text.map(|text| (Bytes::from(text), (None, export))))
    });
    let mut response = Response::new(Body::from_stream(pages));
    let (media_type, disposition) = format.names();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    Ok(response)
}
