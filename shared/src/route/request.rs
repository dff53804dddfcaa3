//! What a caller asks of the selection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    region::{Capability, Coordinates, RegionName},
    route::{
        capacity::Load,
        sticky::{mixed, stable_hash},
    },
    time::Timestamp,
};

/// One request to be placed.
///
/// Only [`needs`](Self::needs) must be given; see [`Request::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What the region has to be able to do.
    pub needs: Capability,
    /// Residency tags that a region must have, all of them.
    pub residency: Vec<String>,
    /// Regions that failed this request already: never chosen again.
    pub tried: Vec<RegionName>,
    /// The session that the request belongs to, such as an upload's or a user's id.
    ///
    /// It must be the same on every request of the session. Read when
    /// [`Policy::sticky_sessions`](super::Policy::sticky_sessions) is set, and for shares.
    pub session: Option<String>,
    /// The moment of the request, for [`Policy::session_ttl`](super::Policy::session_ttl).
    ///
    /// Machines whose clocks differ disagree for that difference about a session
    /// that is just drawn anew, and about nothing else.
    pub at: Timestamp,
    /// Whose turn it is under `round_robin` and `weighted`.
    pub turn: Turn,
    /// Where the client is, for `geographic`.
    pub client: Option<Coordinates>,
    /// The region that holds the data to be sent, for `cost`.
    pub data_in: Option<RegionName>,
    /// The region that served the caller last, for `latency`: it is left only for a clear gain.
    pub current: Option<RegionName>,
    /// The region that holds work in progress, such as an upload's parts: kept while it is not down.
    pub held: Option<RegionName>,
    /// What each region carries; a region that is not in it counts as empty.
    pub loads: BTreeMap<RegionName, Load>,
    /// How much of the traffic a returning region takes; a region that is not in it takes all of its own.
    pub shares: BTreeMap<RegionName, Share>,
}

/// Whose turn it is, for strategies that spread requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The number of requests before this one, from a caller that lives on.
    ///
    /// Even without bursts: round robin steps through the regions, and weighted
    /// steps by the golden ratio through the weights.
    Counter(u64),
    /// A hash of the request, as [`Turn::of`] makes it, from a caller that keeps
    /// no state, such as a Lambda sandbox. Even over many requests.
    Key(u64),
    /// The region whose turn it is, as [`SmoothWeighted`](super::SmoothWeighted) found it.
    Region {
        /// The region.
        region: RegionName,
        /// The number of requests before this one.
        count: u64,
    },
}

/// The part of a region's traffic that may go there already, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u8")]
pub struct Share(u8);

impl Request {
    /// A request for a region that has the capability, with nothing else demanded.
    pub fn new(needs: Capability) -> Self {
        Self {
            needs,
            residency: Vec::new(),
            tried: Vec::new(),
            session: None,
            at: Timestamp::default(),
            turn: Turn::Counter(0),
            client: None,
            data_in: None,
            current: None,
            held: None,
            loads: BTreeMap::new(),
            shares: BTreeMap::new(),
        }
    }

    /// The hash by which a share lets this request in: of the session if it has
    /// one, so that a session does not fall in and out, else of its turn.
    pub(super) fn key(&self) -> u64 {
        match (&self.session, self.turn) {
            (Some(session), _) => stable_hash(session.as_bytes()),
            (None, Turn::Key(key)) => key,
            (None, Turn::Counter(count) | Turn::Region { count, .. }) => stable_hash(&count.to_le_bytes()),
        }
    }

    /// Where a request of this [`key`](Self::key) stands in the traffic of the region of that name, 0 to 99.
    ///
    /// The same request stands at the same place whatever the share, so a
    /// larger share adds requests and takes none away.
    pub(super) fn percentile(key: u64, name_hash: u64) -> u8 {
        // Salted, so that who stands first here is unrelated to the lots drawn for stickiness.
        let place = mixed(key ^ 0x5a5a_5a5a_5a5a_5a5a, name_hash) % 100;
        u8::try_from(place).unwrap_or(u8::MAX)
    }
}

impl Turn {
    /// The turn of a request known by `id`, such as its request id or object key.
    pub fn of(id: &[u8]) -> Self {
        Self::Key(stable_hash(id))
    }
}

impl Share {
    /// This many percent; more than 100 is 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// The number of percent, 0 to 100.
    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

impl From<u8> for Share {
    fn from(percent: u8) -> Self {
        Self::percent(percent)
    }
}
