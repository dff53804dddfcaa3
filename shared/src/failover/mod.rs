//! Failover: a decision that anyone may compute, and one record that says who won.
//!
//! Every controller reads the [`Record`], [`decide`]s, and writes what
//! [`apply`] makes of it under the condition that the record is still the one
//! it read. No controller leads, so none is missed when its region dies.

mod apply;
mod decide;
mod decision;
mod moved;
mod orders;
mod phase;
mod phases;
mod pins;
mod policy;
mod proposal;
mod record;
mod saw;
mod standing;
mod watch;

#[cfg(test)]
mod corners;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod room;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod world;

pub use apply::{AGES_KEPT_EVERY, apply};
pub use decide::{Inputs, Lags, decide};
pub use decision::{Abandon, Advance, Because, Decision, Hold, Stay, Withdraw};
pub use moved::Moved;
pub use orders::{Order, Ordered};
pub use phase::{Phase, Share};
pub use phases::VERIFY_AFTER;
pub use pins::{Pin, Pins, Rule};
pub use policy::{Mode, Policy};
pub use proposal::{NotApproved, PROPOSAL_TERM, Proposal};
pub(crate) use record::age_ms;
pub use record::{
    MOVES_KEPT, MOVES_WINDOW, PastMove, Reason, Record, Recovery, StartedBy, Step, TEXT_LEN_MAX, Underway,
};
pub use saw::{Loads, Polls, Saw, Votes, polls};
pub use standing::{PRIMARY_NEEDS, Sighting, Standby, Standing, sightings, standbys};
pub use watch::{Moment, Watch};
