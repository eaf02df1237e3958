//! Wakes the delivery workers when there may be something to deliver. A lost wakeup delays a
//! notice, and never loses one.

use tokio::sync::watch;

#[derive(Debug)]
pub struct Wakeup(watch::Sender<()>);

impl Default for Wakeup {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Wakeup {
    /// Wakes every subscriber.
    pub fn wake(&self) {
        self.0.send_replace(());
    }

    /// Receives every wakeup from now on.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
