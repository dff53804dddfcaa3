//! Whether a region's machines run at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The switch of one region; clones are the same switch.
///
/// Those who wait for it are woken in the order in which they began to: a channel that
/// wakes its receivers in an order of its own would make two runs of a seed differ.
#[derive(Debug, Clone)]
pub struct Power(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    turned_off: Notify,
}

#[derive(Debug, Clone, Copy)]
struct State {
    on: bool,
    losses: u64,
}

impl Default for Power {
    /// On.
    fn default() -> Self {
        let state = Mutex::new(State { on: true, losses: 0 });
        Self(Arc::new(Inner { state, turned_off: Notify::new() }))
    }
}

impl Power {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.state().on
    }

    /// How often it was turned off so far: what ran under another number is gone.
    pub fn losses(&self) -> u64 {
        self.state().losses
    }

    /// Turns it on or off.
    pub fn turn(&self, on: bool) {
        let mut state = self.state();
        let lost = state.on && !on;
        *state = State { on, losses: state.losses + u64::from(lost) };
        drop(state);
        if lost {
            self.0.turned_off.notify_waiters();
        }
    }

    /// Ends when it is off, or was turned off meanwhile.
    pub async fn off(&self) {
        let turned_off = self.0.turned_off.notified();
        if self.is_on() {
            turned_off.await;
        }
    }
}
