//! How regions are ranked.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    region::RegionName,
    route::sticky::{mixed, stable_hash},
    time::{Timestamp, millis},
};

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
    /// Time after which a session's region is drawn anew, each session at its own moment.
    ///
    /// So a heavy session does not burden the same region for ever. There is no
    /// table of sessions: the time does not begin at the first request, it is a
    /// period of the clock. Above 0.
    /// Work in progress does not move with it: see [`Request::held`](super::Request::held).
    pub session_ttl: Duration,
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
            session_ttl: Duration::from_secs(24 * 60 * 60),
            preferred_regions: Vec::new(),
            latency_gain_ratio_min: 0.15,
            latency_gain_min: Duration::from_millis(10),
        }
    }
}

/// A session in one of its periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Session {
    /// What its lots are drawn by.
    pub(super) key: u64,
    /// Time until they are drawn anew.
    pub(super) left: Duration,
}

impl Policy {
    /// The session as it stands at `at`.
    pub(super) fn session(&self, name: &str, at: Timestamp) -> Session {
        let (hash, ttl_ms) = (stable_hash(name.as_bytes()), millis(self.session_ttl).max(1));
        // Shifted by the hash, or all sessions would be drawn anew in the same moment.
        let shifted = at.as_millis().saturating_add(hash % ttl_ms);
        let key = match shifted / ttl_ms {
            0 => hash,
            period => mixed(hash, period),
        };
        Session { key, left: Duration::from_millis(ttl_ms - shifted % ttl_ms) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Strategy, *};

    proptest! {
        /// A session is drawn anew once in each period, at the end that it was told, and not before.
        #[test]
        fn a_session_is_drawn_anew_when_its_time_is_over(
            name in "[a-z]{1,12}", ttl_s in 1..100_000_u64, at in 0..4_000_000_000_000_u64,
        ) {
            let policy = Policy { session_ttl: Duration::from_secs(ttl_s), ..Policy::default() };
            let session = |ms| policy.session(&name, Timestamp::from_millis(ms));
            let now = session(at);
            let left = millis(now.left);
            prop_assert!(left > 0 && now.left <= policy.session_ttl);
            prop_assert_eq!(session(at + left - 1).key, now.key);
            prop_assert_ne!(session(at + left).key, now.key);
            prop_assert_eq!(session(at + left).left, policy.session_ttl);
        }
    }

    #[test]
    fn sessions_are_not_drawn_anew_all_at_once() {
        let policy = Policy { session_ttl: Duration::from_secs(100), ..Policy::default() };
        let moves = |s: u64| {
            let key = |name: &str, s| policy.session(name, Timestamp::from_millis(s * 1000)).key;
            (0..1_000).filter(|i| key(&format!("s-{i}"), s) != key(&format!("s-{i}"), s + 1)).count()
        };
        // Each second should see 10 of 1,000; five standard deviations are below 16.
        assert!((1_000..1_100).all(|s| moves(s) <= 26));
    }

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
