//! How regions are ranked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::region::RegionName;

/// How the usable regions are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Each region in turn.
    #[default]
    RoundRobin,
    /// Each region by its weight.
    Weighted,
    /// The fastest first.
    Latency,
    /// The nearest to the client first.
    Geographic,
    /// The lowest priority number first.
    Priority,
    /// The cheapest to send to from where the data is.
    Cost,
}

/// The selection settings (`load_balancing` in the configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How the usable regions are ranked.
    pub strategy: Strategy,
    /// Whether a session keeps its region while that region is up.
    pub sticky_sessions: bool,
    /// Regions that come first when they are usable, best first.
    pub preferred_regions: Vec<RegionName>,
    /// Share by which another region must be faster to be worth a switch. 0.15 is 15%.
    pub latency_gain_ratio_min: f64,
    /// Time by which another region must be faster to be worth a switch.
    pub latency_gain_min: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            sticky_sessions: false,
            preferred_regions: Vec::new(),
            latency_gain_ratio_min: 0.15,
            latency_gain_min: Duration::from_millis(10),
        }
    }
}
