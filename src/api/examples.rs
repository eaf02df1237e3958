//! Examples in the OpenAPI document: answers that a server with the shipped configuration gave.

use crate::api::views::Readiness;
use crate::service;
use serde_json::{Value, json};
use uuid::Uuid;

/// A workflow that most of the examples are about.
const WORKFLOW: &str = "01a219ab-c616-7118-93f0-ddb20c283aee";

/// The beginning of an event stream.
pub const STREAM: &str = include_str!("examples/stream.txt");

/// The line of an export in JSON, and the same export as a table.
pub const EXPORT_LINE: &str = include_str!("examples/export.jsonl");
pub const EXPORT_TABLE: &str = include_str!("examples/export.csv");

/// A part of the statistics as a table.
pub const STATISTICS_TABLE: &str = "week,decided,mean_s,median_s,p90_s,within_goal\r\n2026-11-23,42,516.2,198.4,1304.9,0.5952\r\n";

pub fn statistics() -> Value {
    read(include_str!("examples/statistics.json"))
}

pub fn system() -> Value {
    json!({
        "success": true, "now": "2026-11-27T21:03:37.538432Z", "version": "0.1.0", "server_id": "2f0c8c6e-5a2b-4c8e-9d3f-0b7a1e6d9c41",
        "policy_version": "sha256:fbeac11b932b4fca4f54c17657d1b3e57187196c813cf5c7dae6ad60b6de97d1", "configuration_weaknesses": 0,
        "troubles": ["1 notice was given up in the last 7 days: somebody was not notified."],
        "servers": [{
            "server_id": "2f0c8c6e-5a2b-4c8e-9d3f-0b7a1e6d9c41", "address": "127.0.0.1:8001", "host": "ops-1", "version": "0.1.0",
            "started_at": "2026-11-26T20:00:00.000000Z", "lease_until": "2026-11-27T21:03:46.120000Z", "acts": true, "ended_at": null,
        }],
        "channels": [{
            "channel": "ops", "waiting": 0, "oldest_waiting": null, "delivered": 412, "dead": 1,
            "last_delivered_at": "2026-11-27T21:02:11.384000Z", "last_error": "the other side answered 503",
        }],
        "dead_notices": [one_notice("dead")],
        "quarantined": [],
        "outcome_unknown": {"count": 1, "workflows": [{
            "workflow_id": WORKFLOW, "headline": "deploy api-gateway in production", "risk_level": "high", "requested_by": "deploy-bot",
            "since": "2026-11-27T20:51:09.000000Z",
        }]},
        "executing": {"count": 0, "workflows": []},
        "halts": [one_halt()], "reviews": [],
    })
}

pub fn submitted() -> Value {
    read(include_str!("examples/submitted.json"))
}

pub fn assessed() -> Value {
    read(include_str!("examples/assessed.json"))
}

pub fn pending() -> Value {
    read(include_str!("examples/pending.json"))
}

pub fn workflows() -> Value {
    read(include_str!("examples/workflows.json"))
}

pub fn workflow() -> Value {
    read(include_str!("examples/workflow.json"))
}

pub fn output() -> Value {
    read(include_str!("examples/output.json"))
}

pub fn approved() -> Value {
    read(include_str!("examples/approved.json"))
}

pub fn rejected() -> Value {
    read(include_str!("examples/rejected.json"))
}

pub fn withdrawn() -> Value {
    json!({
        "success": true, "workflow_id": WORKFLOW, "status": "withdrawn", "withdrawn_by": "alice", "approvals_remaining": 2,
        "workflow_status": "pending_approval",
    })
}

pub fn plan_verification() -> Value {
    json!({
        "success": true, "workflow_id": WORKFLOW, "verified": false, "status": "executing", "digest": "sha256:d3e3528b56ce32761e89b19215ec111ec2529d83bb9aa614784bb5b2c64416fa",
        "reasons": ["aws_db_instance.main: this plan is to delete it, which nobody approved"],
    })
}

pub fn whoami() -> Value {
    json!({"success": true, "name": "alice", "kind": "person", "roles": ["team_lead"], "on_behalf_of": null})
}

pub fn commented() -> Value {
    json!({"success": true, "workflow_id": WORKFLOW, "version": 3})
}

/// A change after which the workflow has this status.
pub fn status_change(status: &str) -> Value {
    json!({"success": true, "workflow_id": WORKFLOW, "status": status})
}

pub fn cancelled(status: &str) -> Value {
    let mut answer = json!({"success": true, "workflow_id": WORKFLOW, "status": status});
    if status == "executing" {
        answer["cancel_requested"] = true.into();
    }
    answer
}

pub fn reviewed() -> Value {
    json!({
        "success": true, "workflow_id": WORKFLOW,
        "review": {
            "broken_by": "sam", "opened_at": "2026-11-27T03:12:00.000000Z", "closed_by": "cora", "closed_at": "2026-11-27T09:30:00.000000Z",
            "finding": "Right: the outage of INC-7 left no time for a second person",
        },
    })
}

pub fn reviews() -> Value {
    json!({
        "success": true,
        "reviews": [{
            "workflow_id": WORKFLOW, "headline": "deploy api-gateway in production", "broken_by": "sam", "since": "2026-11-27T03:12:00.000000Z",
        }],
    })
}

pub fn grant() -> Value {
    json!({"success": true, "grant": one_grant()})
}

pub fn grants() -> Value {
    json!({"success": true, "grants": [one_grant()]})
}

pub fn grant_proposals() -> Value {
    json!({
        "success": true, "after": 5, "days": 30, "looked_through": 412, "is_cut": false,
        "proposals": [{
            "headline": "deploy-bot: deploy docs in staging by runbook deploy-service (service \"docs\")",
            "pattern": {
                "requester": "deploy-bot", "operation": "deploy", "environment": "staging", "resource": "docs", "resource_type": null,
                "action": {"type": "runbook", "name": "deploy-service", "args": {"service": "docs"}},
            },
            "level": "medium", "like": WORKFLOW, "approved": {"count": 5, "workflow_ids": [WORKFLOW]},
            "others": {"count": 0, "workflow_ids": []}, "may_give": true,
        }],
    })
}

fn one_grant() -> Value {
    json!({
        "grant_id": "4b0e3a52-6a0c-4c53-9a52-93c1de3f6d0e", "status": "live",
        "headline": "deploy-bot: deploy api-* in staging by runbook deploy-service (service like \"api-*\", version any)",
        "pattern": {
            "requester": "deploy-bot", "operation": "deploy", "environment": "staging", "resource": "api-*", "resource_type": null,
            "action": {"type": "runbook", "name": "deploy-service", "args": {"service": {"like": "api-*"}, "version": {"any": true}}},
        },
        "level": "medium", "uses": 10, "used": 3, "cost": null, "spent": 0.0,
        "binding": "sha256:d3e3528b56ce32761e89b19215ec111ec2529d83bb9aa614784bb5b2c64416fa",
        "given_by": "alice", "roles": ["team_lead"], "via": "rest", "justification": "The release of OPS-12",
        "given_at": "2026-11-27T09:00:00.000000Z", "expires_at": "2026-11-27T11:00:00.000000Z", "revoked": null,
    })
}

pub fn notices() -> Value {
    json!({"success": true, "notices": [one_notice("dead")], "next_cursor": null})
}

pub fn notice() -> Value {
    json!({"success": true, "notice": one_notice("pending")})
}

fn one_notice(status: &str) -> Value {
    json!({
        "notice_id": "01a219ab-c617-7f02-8d2f-0c7a51f4a3b1", "workflow_id": WORKFLOW, "version": 2, "type": "approval.requested",
        "reminder": null, "goal_percent": null, "risk_level": "high", "channel": "ops", "recipient": null, "status": status, "attempts": 41, "resends": 0,
        "created_at": "2026-11-26T21:03:37.538432Z", "due_at": "2026-11-27T21:03:38.102355Z",
        "first_attempt_at": "2026-11-26T21:03:37.611740Z", "delivered_at": null, "error": "the other side answered 503",
    })
}

/// Production after it was halted, or resumed.
pub fn standing(is_halted: bool) -> Value {
    let halts = if is_halted { json!([one_halt()]) } else { json!([]) };
    json!({
        "success": true, "halted": is_halted, "environment": "production", "by": "cora",
        "since": if is_halted { "2026-11-26T21:03:37.538432Z" } else { "2026-11-26T21:40:02.117091Z" }, "changed": true, "halts": halts,
        "drill": null,
    })
}

pub fn halts() -> Value {
    json!({"success": true, "halts": [one_halt()], "log": [{
        "number": 1, "at": "2026-11-26T21:03:37.538432Z", "what": "halted", "environment": "production", "by": "cora", "via": "rest",
        "reason": "INC-7: the deploy bot runs wild", "drill": null,
    }]})
}

fn one_halt() -> Value {
    json!({
        "environment": "production", "by": "cora", "via": "rest", "reason": "INC-7: the deploy bot runs wild",
        "since": "2026-11-26T21:03:37.538432Z", "drill": false,
    })
}

pub fn sign_in_link() -> Value {
    json!({
        "success": true, "name": "alice", "path": "/sign-in/link?code=pbl_00112233445566778899aabbccddeeff",
        "url": "https://parkbrake.example.com/sign-in/link?code=pbl_00112233445566778899aabbccddeeff",
        "expires_at": "2026-11-26T21:13:37.538432Z",
    })
}

/// A server that is ready, or whose database does not answer.
pub fn readiness(is_ready: bool) -> Readiness {
    let server_id = Uuid::from_u128(0x2f0c_8c6e_5a2b_4c8e_9d3f_0b7a_1e6d_9c41);
    service::Readiness { database: is_ready, actors: true, lease: true, closing: false, server_id, halts: Vec::new() }.into()
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("an example is JSON")
}
