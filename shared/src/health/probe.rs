//! One probe: what was asked once, and what came back.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Why a probe failed, as far as the prober could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No answer within the probe's timeout.
    Timeout,
    /// No connection: refused, reset, or no address.
    Refused,
    /// Asked to slow down (503 `SlowDown`, throttling errors).
    Throttled,
    /// An answer in time, with another value than the one last written.
    WrongValue,
    /// Any other answer of this HTTP status.
    Status(u16),
    /// None of the above.
    Other,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Refused => f.write_str("no connection"),
            Self::Throttled => f.write_str("throttled"),
            Self::WrongValue => f.write_str("wrong value"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Other => f.write_str("failed"),
        }
    }
}

/// The outcome of one attempt at one capability, never of a retried call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The right answer, after this long.
    Good(Duration),
    /// No answer, or a wrong one. It carries no latency: a fast error is not a fast region.
    Bad(Failure),
}
