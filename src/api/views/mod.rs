//! The shapes that the API sends, one file per resource: each is a struct that writes its JSON and
//! describes it.
//!
//! A view is made from the log, the stored document or a row, borrows what it can, and is never
//! deserialized.

mod approval;
mod assessment;
mod change;
mod differences;
mod events;
mod evidence;
mod exported;
mod grants;
mod halts;
mod history;
mod lists;
mod notices;
mod operations;
mod output;
mod plan_request;
mod proposals;
mod reviews;
mod sign_in;
mod statistics;
mod steps;
mod submission;
mod success;
mod system;
mod task;
mod task_request;
mod whoami;
mod workflow;

pub use approval::Approval;
use assessment::Assessment;
pub use change::{Approved, Commented, Rejected, StatusChange, TakenBack, Withdrawn};
pub use events::{Happened, Reset};
pub use evidence::{PlanVerification, SentEvidence};
pub use exported::ExportedWorkflow;
pub use grants::{GrantAnswer, GrantPage};
pub use halts::{HaltPage, Standing};
pub use lists::{PendingPage, WorkflowPage};
pub use notices::{NoticeAnswer, NoticePage, NoticeStatus};
pub use operations::{Health, Readiness};
pub use output::OutputAnswer;
pub use plan_request::SubmitRequest;
pub use proposals::ProposalPage;
pub use reviews::{ReviewPage, Reviewed};
pub use sign_in::SignInLink;
pub use statistics::{StatisticsAnswer, Table};
pub use steps::AssessedStep;
pub use submission::{Assessed, Submitted};
pub use success::Success;
pub use system::SystemAnswer;
pub use whoami::{ByGroup, WhoAmI};
pub use workflow::{WorkflowAnswer, target_of};
