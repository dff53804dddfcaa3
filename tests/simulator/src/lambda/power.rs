//! Whether a region's machines run at all.

use tokio::sync::watch;

/// The switch of one region; clones are the same switch.
#[derive(Debug, Clone)]
pub struct Power(watch::Sender<bool>);

impl Default for Power {
    /// On.
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Power {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Turns it on or off.
    pub fn turn(&self, on: bool) {
        self.0.send_replace(on);
    }

    /// Ends when it is off.
    pub async fn off(&self) {
        // The sender is held here, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|on| !on).await;
    }
}
