//! The REST API: a handler parses the request, calls a use case, and renders its result as JSON.

mod cancel;
mod comments;
mod decisions;
mod events;
mod evidence;
mod examples;
mod export;
mod grants;
mod halts;
mod notices;
mod operations;
mod output;
mod reviews;
mod sign_in;
mod statistics;
mod system;
mod task_body;
mod tasks;
mod views;
mod whoami;
mod workflows;

use crate::http::sent;
use crate::service::Service;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The schemas of stream messages and export lines, to which no answer refers.
#[derive(OpenApi)]
#[openapi(components(schemas(views::Happened, views::Reset, views::ExportedWorkflow)))]
struct OfStreams;

/// Every call of the API, each with its documentation.
pub fn calls() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(OfStreams::openapi())
        .routes(routes!(tasks::orchestrate))
        .routes(routes!(tasks::assess))
        .routes(routes!(evidence::verify_plan))
        .routes(routes!(whoami::whoami))
        .routes(routes!(workflows::pending))
        .routes(routes!(workflows::list))
        .routes(routes!(export::export))
        .routes(routes!(workflows::one))
        .routes(routes!(workflows::status_of))
        .routes(routes!(workflows::wait))
        .routes(routes!(output::output))
        .routes(routes!(events::of_workflow))
        .routes(routes!(events::of_all))
        .routes(routes!(decisions::approve))
        .routes(routes!(decisions::reject))
        .routes(routes!(decisions::withdraw))
        .routes(routes!(comments::comment))
        .routes(routes!(cancel::cancel))
        .routes(routes!(decisions::result))
        .routes(routes!(decisions::resolve))
        .routes(routes!(notices::list))
        .routes(routes!(notices::resend))
        .routes(routes!(sign_in::link))
        .routes(routes!(reviews::close))
        .routes(routes!(reviews::list))
        .routes(routes!(grants::give))
        .routes(routes!(grants::list))
        .routes(routes!(grants::proposals))
        .routes(routes!(grants::one))
        .routes(routes!(grants::revoke))
        .routes(routes!(halts::halt))
        .routes(routes!(halts::resume))
        .routes(routes!(halts::list))
        .routes(routes!(statistics::statistics))
        .routes(routes!(system::system))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::description))
}
