//! Time since the last write, as one controller measured it.
//!
//! Controllers run on many machines, and no clock is compared with another
//! machine's. So the record keeps *ages* as of its last write, and each reader
//! adds how long it has itself looked at that very version. An age can only be
//! too small, never too large: damping may last longer than it must, and no
//! skewed clock can cut it short.

use std::time::Duration;

use crate::time::Timestamp;

/// A controller's own clock, and how long it has watched one version of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// This controller's clock.
    pub now: Timestamp,
    /// The version it has been looking at.
    pub version: u64,
    /// How long it has been looking at that version.
    pub watched: Duration,
}

impl Moment {
    /// The moment of a controller that sees `version` for the first time.
    pub const fn first_sight(version: u64, now: Timestamp) -> Self {
        Self { now, version, watched: Duration::ZERO }
    }

    /// Time to add to the ages kept in `version`; nothing for another version.
    pub fn watched(self, version: u64) -> Duration {
        if self.version == version { self.watched } else { Duration::ZERO }
    }
}

/// What a controller remembers between its ticks: the version it last saw, and since when.
///
/// A controller that starts cold remembers nothing, and so waits longer, never shorter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    seen: Option<(u64, Timestamp)>,
}

impl Watch {
    /// Looks at `version` (0 when there is no record yet) and says for how long it has been the same.
    ///
    /// Call it after each read, and after each write of one's own that succeeded.
    pub fn look(&mut self, version: u64, now: Timestamp) -> Moment {
        match self.seen {
            Some((seen, since)) if seen == version => Moment { now, version, watched: now.since(since) },
            Some(_) | None => {
                self.seen = Some((version, now));
                Moment::first_sight(version, now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn watching_starts_anew_with_each_version() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(7, at(100)).watched, Duration::ZERO);
        assert_eq!(watch.look(7, at(130)).watched, Duration::from_secs(30));
        assert_eq!(watch.look(8, at(140)).watched, Duration::ZERO);
        assert_eq!(watch.look(8, at(150)).watched(7), Duration::ZERO, "time spent on 8 says nothing of 7");
    }

    #[test]
    fn a_clock_set_back_adds_no_time() {
        let mut watch = Watch::default();
        watch.look(1, at(1000));
        assert_eq!(watch.look(1, at(10)).watched, Duration::ZERO);
    }
}
