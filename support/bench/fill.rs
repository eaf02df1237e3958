//! Many parked workflows, quickly: rows as the server writes them, copied from three that it wrote.

use crate::load::{Caller, Id, submission, task};
use crate::stage::Server;
use sqlx::PgConnection;
use uuid::Uuid;

/// What is copied: one of each level that waits for people.
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
            id.parse().expect("an id")
        };
        Self {
            medium: park("build", "development", "code", 250).await,
            high: park("deploy", "production", "service", 0).await,
            critical: park("delete", "production", "database", 0).await,
        }
    }

    /// Copies them until this many wait. The server is not running meanwhile.
    pub async fn fill(&self, db: &mut PgConnection, count: i32) {
        let there: i64 = sqlx::query_scalar("select count(*) from workflow where approval_status = 'pending'")
            .fetch_one(&mut *db)
            .await
            .expect("a count");
        let there = i32::try_from(there).expect("a small count");
        sqlx::raw_sql(include_str!("fill.sql")).execute(&mut *db).await.expect("a function");
        sqlx::query("select pg_temp.fill($1, $2, $3, $4, $5)")
            .bind(there + 1)
            .bind(count)
            .bind(self.medium)
            .bind(self.high)
            .bind(self.critical)
            .execute(&mut *db)
            .await
            .expect("copies");
        for statement in ["drop function pg_temp.fill", "vacuum analyze", "checkpoint"] {
            sqlx::raw_sql(statement).execute(&mut *db).await.expect(statement);
        }
    }
}
