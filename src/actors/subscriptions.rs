//! The subscribed browsers of people, from the database.

use crate::actors::ports::Subscriptions;
use crate::domain::notice::Subscription;
use crate::storage::Storage;
use futures_util::future::BoxFuture;
use uuid::Uuid;

impl Subscriptions for Storage {
    fn of<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<Vec<Subscription>, String>> {
        Box::pin(async move { self.push_subscriptions(person).await.map_err(|error| error.to_string()) })
    }

    fn forget(&self, id: Uuid) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move { self.push_ended(id).await.map_err(|error| error.to_string()) })
    }
}
