//! Approving and asking for moves: a conditional write of the record, and nothing more.
//!
//! The next controller that looks carries it out, by the same decision as ever.

use std::fmt;

use sealane::{
    config::Config,
    failover::{Moment, Proposal, Reason, Record},
    ports::{Rows, RowsError},
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, world::World};

/// How often the record is read anew after another writer was first.
const TRIES_MAX: usize = 5;

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// The move that waits for approval.
    Approve {
        /// Where it goes.
        to: RegionName,
        /// Who approves.
        by: String,
    },
    /// A move of the operator's own.
    Move {
        /// Where it goes.
        to: RegionName,
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
}

/// What the record says now.
#[derive(Debug, PartialEq, Serialize)]
struct Ordered {
    to: RegionName,
    approved_by: String,
    reason: String,
    active: RegionName,
    record_version: u64,
}

/// Writes the order into the record.
pub(super) async fn run(order: Order, config: Config, console: Console) -> Result<Exit, Fault> {
    let world = World::connect(config).await;
    let record = write(&order, &world.control(), World::now()).await?;
    let proposal = record.proposal.clone().ok_or(Fault::Contended)?;
    console.show(&Ordered {
        to: proposal.to,
        approved_by: proposal.approved_by.unwrap_or_default(),
        reason: proposal.reason.to_string(),
        active: record.active,
        record_version: record.version,
    })?;
    Ok(Exit::Done)
}

/// The record with the order in it, as written.
///
/// A lost race is run again on the record that won. An order that the record
/// holds already is not written twice: the first write may have been one whose
/// answer was lost.
async fn write<R: Rows>(order: &Order, control: &ControlTable<R>, now: Timestamp) -> Result<Record, Fault> {
    const RECORD: &str = "the record of the active region";
    for _ in 0..TRIES_MAX {
        let read = control.record().await.map_err(|source| Fault::Read { what: RECORD, source })?;
        let old = read.ok_or(Fault::NoRecord)?;
        if old.proposal.as_ref().is_some_and(|proposal| order.is_in(proposal)) {
            return Ok(old);
        }
        let new = order.apply(&old, Moment::first_sight(old.version, now))?;
        match control.swap(Some(&old), &new).await {
            Ok(()) => return Ok(new),
            Err(RowsError::Conflict) => {}
            Err(source) => return Err(Fault::Write { what: RECORD, source }),
        }
    }
    Err(Fault::Contended)
}

impl Order {
    fn apply(&self, record: &Record, moment: Moment) -> Result<Record, Fault> {
        match self {
            Self::Approve { to, by } => {
                record.approve(*to, by, moment).ok_or(Fault::NothingToApprove { to: *to })
            }
            Self::Move { to, by, reason } => {
                record.ask(*to, by, reason, moment).ok_or(Fault::AlreadyThere { to: *to })
            }
        }
    }

    /// Whether this very order stands in the record.
    fn is_in(&self, proposal: &Proposal) -> bool {
        let approved_by = |by: &str| proposal.approved_by.as_deref() == Some(by);
        match self {
            Self::Approve { to, by } => proposal.to == *to && approved_by(by),
            Self::Move { to, by, reason } => {
                let same = matches!(&proposal.reason, Reason::Asked { note } if note == reason);
                proposal.to == *to && approved_by(by) && same
            }
        }
    }
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, approved_by, reason, active, .. } = self;
        writeln!(f, "the move from {active} to {to} is approved by {approved_by}: {reason}")?;
        f.write_str("the next controller that looks carries it out (see `sealane failover status`)")
    }
}

#[cfg(test)]
mod tests {
    use sealane::memory::MemoryRows;

    use super::*;

    fn region(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    fn asked(to: &str) -> Order {
        Order::Move { to: region(to), by: "ada".to_owned(), reason: "drill".to_owned() }
    }

    async fn table(rows: &MemoryRows) -> ControlTable<MemoryRows> {
        let control = ControlTable::new(vec![rows.clone()]);
        control.swap(None, &Record::first(region("us-west-2"), Timestamp::default())).await.unwrap();
        control
    }

    #[tokio::test]
    async fn an_order_given_twice_is_written_once() {
        let control = table(&MemoryRows::default()).await;
        let first = write(&asked("us-east-1"), &control, Timestamp::default()).await.unwrap();
        let second = write(&asked("us-east-1"), &control, Timestamp::default()).await.unwrap();
        assert_eq!((first.version, &first), (2, &second));
    }

    #[tokio::test]
    async fn work_does_not_move_to_where_it_is() {
        let control = table(&MemoryRows::default()).await;
        let refused = write(&asked("us-west-2"), &control, Timestamp::default()).await;
        assert!(matches!(refused, Err(Fault::AlreadyThere { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn only_what_waits_can_be_approved() {
        let control = table(&MemoryRows::default()).await;
        let order = Order::Approve { to: region("us-east-1"), by: "ada".to_owned() };
        let refused = write(&order, &control, Timestamp::default()).await;
        assert!(matches!(refused, Err(Fault::NothingToApprove { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn silence_is_not_an_absent_record() {
        let rows = MemoryRows::default();
        let control = table(&rows).await;
        rows.cut(true);
        let refused = write(&asked("us-east-1"), &control, Timestamp::default()).await;
        assert!(matches!(refused, Err(Fault::Read { .. })), "{refused:?}");
    }
}
