//! The one region that takes the writes, by a look that is not too old.

use std::time::Duration;

use super::Outlook;
use crate::{failover::Phase, region::RegionName, time::Timestamp};

/// Why no region takes the writes: two that both took them would be worse than a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoWriter {
    /// Nobody ever decided, or what was decided was never read.
    #[error("nobody is known to have decided which region takes writes")]
    Unknown,
    /// The record could not be read for longer than it may be gone by.
    #[error("which region takes writes is not known now")]
    Stale,
    /// Writes are about to move.
    #[error("writes move from `{from}` to `{to}` ({phase})")]
    Moving {
        /// The region that takes no more of them.
        from: RegionName,
        /// The region that takes none yet.
        to: RegionName,
        /// How far the move is.
        phase: &'static str,
    },
}

impl Outlook {
    /// The region that takes the writes, as known at `now` on the clock of this look.
    ///
    /// A region that is cut off from the control table may have been left without knowing it:
    /// a record that was last read more than `age_max` ago is good enough to read by, and not to write by.
    ///
    /// # Errors
    /// When none does, or nobody knows.
    pub fn takes_writes(&self, now: Timestamp, age_max: Duration) -> Result<RegionName, NoWriter> {
        let record = self.record.as_ref().ok_or(NoWriter::Unknown)?;
        let since = now.since(self.at);
        if self.record_age.is_none_or(|age| age.saturating_add(since) > age_max) {
            return Err(NoWriter::Stale);
        }
        let phase = record.phase.as_str();
        match record.phase {
            Phase::Steady | Phase::Returning { .. } | Phase::Verifying { .. } => Ok(record.active),
            Phase::Draining { to } | Phase::Switching { to } => {
                Err(NoWriter::Moving { from: record.active, to, phase })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::failover::{Record, Share};

    const CACHE: Duration = Duration::from_secs(2);

    fn region(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    /// A look at `phase`, whose record was read `age_ms` before.
    fn look(phase: Option<Phase>, age_ms: u64) -> Outlook {
        let record =
            phase.map(|phase| Record { phase, ..Record::first(region("us-west-2"), Timestamp::default()) });
        let record_age = record.as_ref().map(|_| Duration::from_millis(age_ms));
        Outlook { record, record_age, ..Outlook::default() }
    }

    fn phase() -> impl Strategy<Value = Phase> {
        let (to, from) = (region("us-east-1"), region("eu-west-1"));
        prop_oneof![
            Just(Phase::Steady),
            Just(Phase::Returning { to, share: Share::Tenth }),
            Just(Phase::Draining { to }),
            Just(Phase::Switching { to }),
            Just(Phase::Verifying { from }),
        ]
    }

    #[test]
    fn nobody_takes_writes_before_the_first_decision() {
        assert_eq!(look(None, 0).takes_writes(Timestamp::default(), CACHE), Err(NoWriter::Unknown));
    }

    proptest! {
        /// However the record stands, only its active region ever takes writes, by a record that
        /// was read lately, and nobody does while they are about to move.
        #[test]
        fn only_the_active_region_takes_writes_and_none_while_they_move(
            phase in phase(), age_ms in 0..4_000_u64, since_ms in 0..4_000_u64,
        ) {
            let takes = look(Some(phase), age_ms).takes_writes(Timestamp::from_millis(since_ms), CACHE);
            let moving = matches!(phase, Phase::Draining { .. } | Phase::Switching { .. });
            match takes {
                Ok(active) => {
                    prop_assert_eq!(active, region("us-west-2"));
                    prop_assert!(!moving && age_ms + since_ms <= 2_000);
                }
                Err(NoWriter::Stale) => prop_assert!(age_ms + since_ms > 2_000),
                Err(NoWriter::Moving { to, .. }) => prop_assert!(moving && to == region("us-east-1")),
                Err(NoWriter::Unknown) => prop_assert!(false, "there is a record"),
            }
        }
    }
}
