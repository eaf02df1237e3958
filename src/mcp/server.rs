//! The server as the protocol sees it: what it can do, its tools, and calls of them.

use crate::identity::Caller;
use crate::mcp::answers::Refused;
use crate::mcp::{calls, tools};
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, Implementation, InitializeResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

/// The revisions that are spoken, the newest first.
static REVISIONS: [ProtocolVersion; 3] = [ProtocolVersion::V_2026_07_28, ProtocolVersion::V_2025_11_25, ProtocolVersion::V_2025_06_18];

/// What a model is told before it sees the tools.
const INSTRUCTIONS: &str = "Parkbrake is the brake for risky work. Before you deploy, delete, migrate, change infrastructure or spend, submit the task \
    with submit_task and do nothing until its status allows it. `pending_approval` means that people have to decide: call wait_for_decision, again and \
    again if need be, and never act meanwhile. `executing` of an external task means that you may do exactly what you submitted, once. Parkbrake itself \
    runs runbooks and webhooks. No tool here decides, and you cannot approve.";

/// Who sent a message, and the room that was admitted for it.
#[derive(Clone)]
pub struct Admitted {
    pub by: Caller,
    permit: Arc<Mutex<Option<Arc<Permit>>>>,
}

impl Admitted {
    pub fn new(by: Caller, permit: Arc<Permit>) -> Self {
        Self { by, permit: Arc::new(Mutex::new(Some(permit))) }
    }

    /// The room for a change, which goes along with its work. Whoever only looks or waits drops it.
    ///
    /// # Errors
    /// It was taken before: a message is one call.
    pub fn take(&self) -> Result<Arc<Permit>, ServiceError> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ServiceError::internal)
    }
}

/// Answers one message; a handle that is copied for each.
#[derive(Clone)]
pub struct McpServer {
    pub service: Service,
    /// Where people reach the inbox, if the configuration says so.
    pub inbox: Option<String>,
}

impl McpServer {
    pub fn new(service: Service, inbox: Option<String>) -> Self {
        Self { service, inbox }
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
            answer = calls::carry_out(self, &admitted, tool, call, &context) => {
                Ok(answer.unwrap_or_else(|error| Refused::from(error).into_result().into()))
            }
            () = ended.cancelled() => Err(ErrorData::internal_error("the call was cancelled; what it submitted stays where it is", None)),
        }
    }
}
