//! Failover: a decision that anyone may compute, and one record that says who won.
//!
//! Every controller reads the [`Record`], [`decide`]s, and writes what
//! [`apply`] makes of it under the condition that the record is still the one
//! it read. No controller leads, so none is missed when its region dies.

mod apply;
mod decide;
mod decision;
mod moved;
mod phase;
mod phases;
mod pins;
mod policy;
mod record;
mod standing;
mod watch;

#[cfg(test)]
mod corners;
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
pub use phase::{Phase, Share};
pub use phases::VERIFY_AFTER;
pub use pins::{Pin, Pins, Rule};
pub use policy::{Mode, Policy};
pub use record::{
    MOVES_KEPT, MOVES_WINDOW, PastMove, Proposal, Reason, Record, Recovery, StartedBy, Step, TEXT_LEN_MAX,
    Underway,
};
pub use standing::{PRIMARY_NEEDS, Sighting, Standing, sightings, standbys};
pub use watch::{Moment, Watch};
