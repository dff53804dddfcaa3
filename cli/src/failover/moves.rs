//! Asking for moves, proposing, approving and rejecting them: a conditional write of the
//! record, and nothing more.
//!
//! The next controller that looks carries it out, by the same decision as ever.

use std::fmt;

use sealane::{
    config::Config,
    failover::{Moment, NotApproved, Order, Proposal, Reason, Record, TEXT_LEN_MAX},
    ports::{Rows, RowsError},
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
};
use serde::Serialize;

use crate::{console::Console, exit::Exit, fault::Fault, world::World};

/// How often the record is read anew after another writer was first.
const TRIES_MAX: usize = 5;

/// What is to be done with a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Ask for it: it needs nobody else.
    Move,
    /// Propose it: another operator has to approve it.
    Propose,
    /// Approve the one that waits.
    Approve,
    /// Reject the one that waits.
    Reject,
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) verb: Verb,
    /// Where the move goes.
    pub(super) to: RegionName,
    /// Who wants it.
    pub(super) by: String,
    /// Why.
    pub(super) reason: String,
}

/// What the record says now.
#[derive(Debug, PartialEq, Serialize)]
struct Written {
    to: RegionName,
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_by: Option<String>,
    reason: String,
    active: RegionName,
    record_version: u64,
}

/// Writes the wish into the record.
pub(super) async fn run(wish: Wish, config: Config, console: Console) -> Result<Exit, Fault> {
    let world = World::connect(config).await;
    let record = write(&wish, &world.control(), World::now()).await?;
    let Proposal { to, reason, proposed_by, approved_by, rejected_by, .. } =
        record.proposal.clone().ok_or(Fault::Contended)?;
    console.show(&Written {
        to,
        proposed_by,
        approved_by,
        rejected_by,
        reason: reason.to_string(),
        active: record.active,
        record_version: record.version,
    })?;
    Ok(Exit::Done)
}

/// The record with the wish in it, as written.
///
/// A lost race is run again on the record that won. A wish that the record holds
/// already is neither written nor listed twice: the first write may have been one
/// whose answer was lost.
async fn write<R: Rows>(wish: &Wish, control: &ControlTable<R>, now: Timestamp) -> Result<Record, Fault> {
    const RECORD: &str = "the record of the active region";
    let mut listed = false;
    for _ in 0..TRIES_MAX {
        let read = control.record().await.map_err(|source| Fault::Read { what: RECORD, source })?;
        let old = read.ok_or(Fault::NoRecord)?;
        if old.proposal.as_ref().is_some_and(|proposal| wish.is_in(proposal)) {
            return Ok(old);
        }
        let new = wish.apply(&old, Moment::first_sight(old.version, now))?;
        if !listed {
            let entry = control.order(&wish.by, &wish.reason, wish.order(), now).await;
            entry.map_err(|source| Fault::Write { what: "the list of orders", source })?;
            listed = true;
        }
        match control.swap(Some(&old), &new).await {
            Ok(()) => return Ok(new),
            Err(RowsError::Conflict) => {}
            Err(source) => return Err(Fault::Write { what: RECORD, source }),
        }
    }
    Err(Fault::Contended)
}

impl Wish {
    fn apply(&self, record: &Record, moment: Moment) -> Result<Record, Fault> {
        let Self { verb, to, by, reason } = self;
        let to = *to;
        match verb {
            Verb::Move => record.ask(to, by, reason, moment).ok_or(Fault::AlreadyThere { to }),
            Verb::Propose => record.propose(to, by, reason, moment).ok_or(Fault::AlreadyThere { to }),
            Verb::Approve => record.approve(to, by, moment).map_err(|refused| match refused {
                NotApproved::NothingWaits { to } => Fault::NothingToApprove { to },
                NotApproved::OwnProposal { to, by } => Fault::OwnProposal { to, by },
            }),
            Verb::Reject => record.reject(to, by, moment).ok_or(Fault::NothingToReject { to }),
        }
    }

    fn order(&self) -> Order {
        let to = self.to;
        match self.verb {
            Verb::Move => Order::Move { to },
            Verb::Propose => Order::Propose { to },
            Verb::Approve => Order::Approve { to },
            Verb::Reject => Order::Reject { to },
        }
    }

    /// Whether this very wish stands in the record.
    fn is_in(&self, proposal: &Proposal) -> bool {
        // The record keeps the beginning of a text that is too long for it.
        let kept = |text: &str| text.chars().take(TEXT_LEN_MAX).collect::<String>();
        let is_me = |name: &Option<String>| name.as_deref() == Some(kept(&self.by).as_str());
        let same = || matches!(&proposal.reason, Reason::Asked { note } if *note == kept(&self.reason));
        let there = match self.verb {
            Verb::Move => is_me(&proposal.approved_by) && same(),
            Verb::Propose => is_me(&proposal.proposed_by) && proposal.waits() && same(),
            Verb::Approve => is_me(&proposal.approved_by),
            Verb::Reject => is_me(&proposal.rejected_by),
        };
        proposal.to == self.to && there
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, proposed_by, approved_by, rejected_by, reason, active, .. } = self;
        match (approved_by, rejected_by, proposed_by) {
            (Some(by), ..) => {
                writeln!(f, "the move from {active} to {to} is approved by {by}: {reason}")?;
                f.write_str("the next controller that looks carries it out (see `sealane failover status`)")
            }
            (None, Some(by), _) => {
                writeln!(f, "the move from {active} to {to} is rejected by {by}: {reason}")?;
                f.write_str("it is not made or proposed for an hour, unless someone approves it")
            }
            (None, None, Some(by)) => {
                writeln!(f, "the move from {active} to {to} is proposed by {by}: {reason}")?;
                write!(
                    f,
                    "`sealane failover approve {to} --by NAME`, by another operator, starts it, within an hour"
                )
            }
            (None, None, None) => write!(f, "the move from {active} to {to} waits: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sealane::memory::MemoryRows;

    use super::*;

    fn region(name: &str) -> RegionName {
        name.parse().unwrap()
    }

    fn wish(verb: Verb, to: &str, by: &str) -> Wish {
        Wish { verb, to: region(to), by: by.to_owned(), reason: "drill".to_owned() }
    }

    async fn table(rows: &MemoryRows) -> ControlTable<MemoryRows> {
        let control = ControlTable::new(vec![rows.clone()]);
        control.swap(None, &Record::first(region("us-west-2"), Timestamp::default())).await.unwrap();
        control
    }

    async fn written(wish: Wish, control: &ControlTable<MemoryRows>) -> Result<Record, Fault> {
        write(&wish, control, Timestamp::default()).await
    }

    #[tokio::test]
    async fn a_wish_given_twice_is_written_and_listed_once() {
        let control = table(&MemoryRows::default()).await;
        let (ada, long) = ("ada", "b".repeat(1_000));
        for (verb, by) in
            [(Verb::Move, ada), (Verb::Reject, ada), (Verb::Approve, &long), (Verb::Propose, &long)]
        {
            let first = written(wish(verb, "us-east-1", by), &control).await.unwrap();
            let second = written(wish(verb, "us-east-1", by), &control).await.unwrap();
            assert_eq!(first, second, "{verb:?}");
        }
        assert_eq!(control.orders(10).await.unwrap().len(), 4);
    }

    #[tokio::test]
    async fn what_one_proposes_another_approves_and_both_are_listed() {
        let control = table(&MemoryRows::default()).await;
        written(wish(Verb::Propose, "us-east-1", "ada"), &control).await.unwrap();
        let record = written(wish(Verb::Approve, "us-east-1", "bob"), &control).await.unwrap();
        let proposal = record.proposal.unwrap();
        assert_eq!(
            (proposal.proposed_by.as_deref(), proposal.approved_by.as_deref()),
            (Some("ada"), Some("bob"))
        );
        let told: Vec<_> = control.orders(10).await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "order 2: bob ordered `approve the move to us-east-1`: drill",
                "order 1: ada ordered `propose to move to us-east-1`: drill"
            ]
        );
    }

    #[tokio::test]
    async fn what_is_refused_is_not_listed() {
        let control = table(&MemoryRows::default()).await;
        let there = written(wish(Verb::Move, "us-west-2", "ada"), &control).await;
        assert!(matches!(there, Err(Fault::AlreadyThere { .. })), "{there:?}");
        let approved = written(wish(Verb::Approve, "us-east-1", "ada"), &control).await;
        assert!(matches!(approved, Err(Fault::NothingToApprove { .. })), "{approved:?}");
        let own = table(&MemoryRows::default()).await;
        written(wish(Verb::Propose, "us-east-1", "ada"), &own).await.unwrap();
        let approved = written(wish(Verb::Approve, "us-east-1", "ada"), &own).await.unwrap_err().to_string();
        assert!(approved.starts_with("`ada` proposed the move to `us-east-1`, so another"), "{approved}");
        assert_eq!(own.orders(10).await.unwrap().len(), 1);
        let rejected = written(wish(Verb::Reject, "us-east-1", "ada"), &control).await;
        assert!(matches!(rejected, Err(Fault::NothingToReject { .. })), "{rejected:?}");
        assert_eq!(control.orders(10).await.unwrap(), []);
    }

    #[tokio::test]
    async fn silence_is_not_an_absent_record() {
        let rows = MemoryRows::default();
        let control = table(&rows).await;
        rows.cut(true);
        let refused = written(wish(Verb::Move, "us-east-1", "ada"), &control).await;
        assert!(matches!(refused, Err(Fault::Read { .. })), "{refused:?}");
    }
}
