//! This observer's own row: taken up, written, and left to another invocation that
//! writes it, too.

use std::time::Duration;

use sealane::{
    health::Observation,
    ports::{Rows, RowsError},
    region::{Capability, Region, RegionName},
    store::HealthTable,
    time::Timestamp,
};
use tokio::time::timeout;

use crate::{Row, State};

/// Longest wait for this region's own replica: beyond the client's own limit, so that
/// no write is dropped while it may still arrive.
pub(crate) const OWN_ANSWER_MAX: Duration = Duration::from_secs(6);

/// Who wrote this observer's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// This invocation, or nobody because the replica did not answer.
    Here,
    /// Another invocation of the same prober.
    ByAnother,
}

/// What came of one write of the row.
#[derive(Debug)]
pub(crate) enum Published {
    /// It has this version now.
    At(u64),
    /// It is not known which version is there, so that nothing was tried.
    Untried,
    /// Another invocation wrote it.
    ByAnother,
    /// It may have been written all the same.
    Unanswered(Option<RowsError>),
}

/// Takes up this observer's row where another sandbox left it. `now` is from before the read: what
/// names a later number of this row was written after it.
pub(crate) async fn adopt<R: Rows>(
    own: &HealthTable<R>,
    state: &mut State,
    here: RegionName,
    now: Timestamp,
) {
    if state.row != Row::Unread {
        return;
    }
    match timeout(OWN_ANSWER_MAX, own.observation(here)).await {
        Ok(Ok(None)) => state.row = Row::Absent,
        Ok(Ok(Some(held))) => {
            state.row = Row::At(held.version);
            state.memory.adopt(held.value.seq(), now);
            if held.value.seq() > state.observation.seq() {
                state.observation = held.value.taken_up();
                // Another sandbox watched meanwhile, and told of the uploads that ended.
                state.counted.clear();
            }
        }
        Ok(Err(error)) => tracing::warn!(region.name = %here, %error, "own row was not read"),
        Err(_) => tracing::warn!(region.name = %here, "own row was not read in time"),
    }
}

/// Makes the view ready to be written, with these doubts and under the next number.
pub(crate) fn seal(state: &mut State, doubted: &[(RegionName, Capability)], regions: &[Region]) {
    let first = *state.first.get_or_insert(state.observation.seq() + 1);
    state.observation = state.observation.clone().doubt(doubted).on_shift_since(first).seal(regions);
}

/// Writes `observation` if the row that was read is still there.
pub(crate) async fn write<R: Rows>(own: &HealthTable<R>, observation: &Observation, read: Row) -> Published {
    let read = match read {
        Row::Unread => return Published::Untried,
        Row::Absent => None,
        Row::At(version) => Some(version),
    };
    match timeout(OWN_ANSWER_MAX, own.publish(observation, read)).await {
        Ok(Ok(version)) => Published::At(version),
        Ok(Err(RowsError::Conflict)) => Published::ByAnother,
        Ok(Err(error)) => Published::Unanswered(Some(error)),
        Err(_) => Published::Unanswered(None),
    }
}

/// Remembers what came of a write.
pub(crate) fn settle(state: &mut State, published: Published) -> Written {
    match published {
        Published::At(version) => state.row = Row::At(version),
        Published::Untried => {}
        Published::ByAnother => return Written::ByAnother,
        // Read before the next write.
        Published::Unanswered(error) => {
            state.row = Row::Unread;
            let error = error.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
            tracing::warn!(error, "observation was not written");
        }
    }
    Written::Here
}
