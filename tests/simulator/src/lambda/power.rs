//! Whether a region's machines run at all.

use tokio::sync::watch;

/// The switch of one region; clones are the same switch.
#[derive(Debug, Clone)]
pub struct Power(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    on: bool,
    losses: u64,
}

impl Default for Power {
    /// On.
    fn default() -> Self {
        Self(watch::Sender::new(State { on: true, losses: 0 }))
    }
}

impl Power {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.0.borrow().on
    }

    /// How often it was turned off so far: what ran under another number is gone.
    pub fn losses(&self) -> u64 {
        self.0.borrow().losses
    }

    /// Turns it on or off.
    pub fn turn(&self, on: bool) {
        self.0.send_modify(|state| {
            state.losses += u64::from(state.on && !on);
            state.on = on;
        });
    }

    /// Ends when it is off.
    pub async fn off(&self) {
        // The sender is held here, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|state| !state.on).await;
    }
}
