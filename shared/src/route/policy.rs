//! How regions are ranked.

use std::{fmt, str::FromStr, time::Duration};

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

/// The text names no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a routing strategy (want `round_robin`, `weighted`, `latency`, `geographic`, `priority` or `cost`)"
)]
pub struct UnknownStrategy(String);

impl Strategy {
    /// Every strategy, in the order in which they are listed to people.
    pub const ALL: [Self; 6] =
        [Self::RoundRobin, Self::Weighted, Self::Latency, Self::Geographic, Self::Priority, Self::Cost];

    /// The name used in settings, rows and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Latency => "latency",
            Self::Geographic => "geographic",
            Self::Priority => "priority",
            Self::Cost => "cost",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|strategy| strategy.as_str() == text);
        named.ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

/// The selection settings (`load_balancing` in the configuration).
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How the usable regions are ranked.
    pub strategy: Strategy,
    /// Whether a session keeps its region while no other is healthier.
    ///
    /// Health goes before stickiness: sessions of a degraded region move while
    /// a healthy one can take them, and return when it is healthy again.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_parses_from_the_name_it_prints_and_serializes_as() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
            assert_eq!(serde_json::to_value(strategy).unwrap(), strategy.as_str());
        }
    }

    #[test]
    fn an_unknown_strategy_is_named_and_the_legal_ones_are_listed() {
        let error = "fastest".parse::<Strategy>().unwrap_err().to_string();
        assert!(error.contains("`fastest`"), "{error}");
        for strategy in Strategy::ALL {
            assert!(error.contains(&format!("`{strategy}`")), "{error}");
        }
    }
}
