//! The time during which this server acts on its database: the lease is renewed until it is
//! released or lost.

use crate::fence::{Fence, FenceTime};
use crate::storage::ServerLease;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The pause between two attempts to renew, after an unanswered one.
const RETRY: Duration = Duration::from_millis(250);

/// Renews the lease in the background.
pub(super) struct Tenure {
    task: JoinHandle<()>,
    /// Signals that the lease is to be released.
    end: Option<oneshot::Sender<()>>,
    lost: watch::Receiver<bool>,
}

impl Tenure {
    /// Begins right after the claim was granted.
    #[expect(clippy::disallowed_methods, reason = "`Tenure` keeps the task and awaits it, and the fence falls where it fails")]
    pub(super) fn begin(mut lease: ServerLease, fence: Arc<Fence>) -> Self {
        let (end, ending) = oneshot::channel();
        let (losing, lost) = watch::channel(false);
        let task = tokio::spawn(async move {
            let ended = tokio::select! {
                () = renew(&mut lease, &fence) => {
                    losing.send_replace(true);
                    return;
                }
                ended = ending => ended,
            };
            fence.lose();
            // If the channel closed without a message, the server was dropped, not stopped: then
            // nobody knows what still runs, and the lease has to lapse.
            if ended.is_ok()
                && let Err(error) = lease.release(fence.server_id()).await
            {
                tracing::warn!(%error, "the lease could not be released; the next server on another machine waits until it lapses");
            }
        });
        Self { task, end: Some(end), lost }
    }

    /// Waits until another server acts on the database.
    pub(super) async fn lost(&mut self) {
        if self.lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Releases the lease. From then on another server may act, so this one must have stopped all
    /// work.
    pub(super) async fn end(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        let _ = (&mut self.task).await;
    }
}

/// Renews the lease for as long as nobody else has claimed the database.
async fn renew(lease: &mut ServerLease, fence: &Fence) {
    let mut late = false;
    let mut rest = fence.lease() / 3;
    loop {
        tokio::time::sleep(rest).await;
        let asked = FenceTime::now();
        match lease.renew(fence.server_id()).await {
            Ok(true) => {
                fence.renewed(asked);
                if std::mem::take(&mut late) {
                    tracing::info!("the lease is renewed again");
                }
                rest = fence.lease() / 3;
            }
            Ok(false) => {
                fence.lose();
                return;
            }
            Err(error) => {
                if !std::mem::replace(&mut late, true) {
                    tracing::warn!(%error, "the lease could not be renewed; trying again");
                }
                rest = RETRY;
            }
        }
    }
}
