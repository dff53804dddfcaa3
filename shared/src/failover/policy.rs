//! When and how the active primary moves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a move is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Switch at once.
    Immediate,
    /// Take no new work for `drain_timeout`, or until the work in flight is known to have ended, then switch.
    #[default]
    Graceful,
    /// Propose, and wait for an operator's approval.
    Manual,
}

/// The failover settings (`failover` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether moves happen without an operator. `false` makes every move a proposal.
    pub auto_failover: bool,
    /// How a move is carried out.
    pub mode: Mode,
    /// Longest drain of a graceful move. Below `failover_timeout`.
    pub drain_timeout: Duration,
    /// Longest time a move may stay in one phase before the next controller pushes it on.
    pub failover_timeout: Duration,
    /// Shortest time between two moves.
    pub dwell: Duration,
    /// Hold-down before a failback, times the number of recent moves.
    pub hold_down: Duration,
    /// Longest hold-down.
    pub hold_down_max: Duration,
    /// Automatic moves away in any hour, failbacks left out; beyond that a move, and a
    /// failback too, waits for approval. At least 1.
    pub moves_per_hour_max: u32,
    /// Whether work returns to the primary region by itself.
    pub failback: bool,
    /// Replication lag above which work does not return.
    pub replication_lag_max: Duration,
    /// Time between two steps (10, 25, 50, 100%) of a return.
    pub failback_step: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auto_failover: true,
            mode: Mode::Graceful,
            drain_timeout: Duration::from_secs(10),
            failover_timeout: Duration::from_secs(30),
            dwell: Duration::from_secs(30),
            hold_down: Duration::from_secs(30),
            hold_down_max: Duration::from_secs(300),
            moves_per_hour_max: 2,
            failback: true,
            replication_lag_max: Duration::from_secs(5),
            failback_step: Duration::from_secs(10),
        }
    }
}
