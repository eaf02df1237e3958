//! Properties of every task, every policy and every sequence of commands: the pure core with random
//! input.

#[path = "properties/assessment.rs"]
mod assessment;
#[path = "properties/canonical.rs"]
mod canonical;
#[path = "properties/grants.rs"]
mod grants;
#[path = "properties/oracle.rs"]
mod oracle;
#[path = "properties/plans.rs"]
mod plans;
#[path = "properties/principals.rs"]
mod principals;
#[path = "properties/proposals.rs"]
mod proposals;
#[path = "properties/stricter.rs"]
mod stricter;
#[path = "properties/terraform.rs"]
mod terraform;
#[path = "properties/tools.rs"]
mod tools;
#[path = "properties/workflow.rs"]
mod workflow;
#[path = "properties/world.rs"]
mod world;
