//! The server in terms of the protocol: its capabilities, its tools, and calls of them.

use crate::mcp::admitted::Admitted;
use crate::mcp::answers::Refused;
use crate::mcp::calls::{self, Backend};
use crate::mcp::tools;
use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, Implementation, InitializeResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use std::borrow::Cow;

/// The supported revisions, the newest first.
static REVISIONS: [ProtocolVersion; 3] = [ProtocolVersion::V_2026_07_28, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2025_06_18];

/// The instructions that a model reads before the tools.
const INSTRUCTIONS: &str = "Parkbrake is the brake for risky work. Before you deploy, delete, migrate, change infrastructure or spend, submit the task \
    with submit_task and do nothing until its status allows it. `pending_approval` means that people have to decide: call wait_for_decision, again and \
    again if need be, and never act meanwhile. `executing` of an external task means that you may do exactly what you submitted, once. Parkbrake itself \
    runs runbooks and webhooks. No tool here decides, and you cannot approve.";

/// Answers one message; the handle is cloned for each.
#[derive(Clone)]
pub struct McpServer {
    backend: Backend,
}

impl McpServer {
    /// A server over the use cases.
    pub fn new(backend: Backend) -> Self {
        Self { backend }
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> InitializeResult {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("parkbrake", env!("CARGO_PKG_VERSION")).with_title("Parkbrake"))
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&REVISIONS)
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(&self, call: CallToolRequestParams, context: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let admitted = context.extensions.get::<Parts>().and_then(|head| head.extensions.get::<Admitted>()).cloned();
        let Some(admitted) = admitted else { return Err(ErrorData::internal_error("the call came without its caller", None)) };
        let Some(tool) = tools::Name::parse(&call.name) else {
            let known = tools::Name::ALL.map(tools::Name::as_str).join(", ");
            return Err(ErrorData::invalid_params(format!("there is no tool of this name; there are {known}"), None));
        };
        let ended = context.ct.clone();
        tokio::select! {
            answer = calls::carry_out(&self.backend, &admitted, tool, call, &context) => {
                Ok(answer.unwrap_or_else(|error| Refused::from(error).into_result().into()))
            }
            () = ended.cancelled() => Err(ErrorData::internal_error("the call was cancelled; what it submitted is unchanged", None)),
        }
    }
}
