//! Creates many workflows quickly, by copying the rows of a few that the server wrote.

use crate::harness::Server;
use crate::load::{Caller, Id, submission, task, usual_task};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

/// The workflows that one statement copies; a limit, so that PostgreSQL sorts few rows at a time.
const CHUNK: i32 = 50_000;

/// The workflows to copy: one of each level that waits for people, or three times the same one.
#[derive(Clone, Copy)]
pub struct Patterns {
    medium: Uuid,
    pub high: Uuid,
    critical: Uuid,
}

impl Patterns {
    /// Submits them.
    pub async fn submit(server: &Server) -> Self {
        let mut caller = Caller::connect(server.addr).await;
        let mut park = async |operation: &str, environment: &str, resource_type: &str, cost: u32| -> Uuid {
            let id: Id = caller.submit(&submission(&task(operation, environment, resource_type, cost))).await;
            id.to_string().parse().expect("an id")
        };
        Self {
            medium: park("build", "development", "code", 250).await,
            high: park("deploy", "production", "service", 0).await,
            critical: park("delete", "production", "database", 0).await,
        }
    }

    /// Submits one, and completes it.
    pub async fn complete(server: &Server) -> Self {
        let mut caller = Caller::connect(server.addr).await;
        let id = caller.submit(&submission(&usual_task())).await;
        caller.approve(&id).await;
        caller.report(&id).await;
        Self::only(id.to_string().parse().expect("an id"))
    }

    /// Copies only this one.
    pub fn only(id: Uuid) -> Self {
        Self { medium: id, high: id, critical: id }
    }

    /// Copies them until this many wait, the newest of them from now. The server does not run
    /// meanwhile.
    pub async fn fill(&self, db: &mut PgConnection, count: i32) {
        let there: i64 = sqlx::query_scalar("select count(*) from workflow where approval_status = 'pending'")
            .fetch_one(&mut *db)
            .await
            .expect("a count");
        let there = i32::try_from(there).expect("a small count");
        let spacing = TimeDelta::microseconds(100);
        let start = now(db).await - spacing * count;
        self.copy(db, there + 1, count, start, spacing).await;
    }

    /// Copies them, with this interval between two copies.
    pub async fn copy(&self, db: &mut PgConnection, from: i32, to: i32, start: DateTime<Utc>, spacing: TimeDelta) {
        sqlx::raw_sql(include_str!("fill.sql")).execute(&mut *db).await.expect("a function");
        for first in (from..=to).step_by(CHUNK as usize) {
            sqlx::query("select pg_temp.fill($1, $2, $3, $4, $5, $6, $7)")
                .bind(first)
                .bind(to.min(first + CHUNK - 1))
                .bind(start)
                .bind(PgInterval::try_from(spacing).expect("a spacing"))
                .bind(self.medium)
                .bind(self.high)
                .bind(self.critical)
                .execute(&mut *db)
                .await
                .expect("copies");
        }
        for statement in ["drop function pg_temp.fill", "vacuum analyze", "checkpoint"] {
            sqlx::raw_sql(statement).execute(&mut *db).await.expect(statement);
        }
    }
}

/// The database's clock.
pub async fn now(db: &mut PgConnection) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()").fetch_one(db).await.expect("the time")
}
