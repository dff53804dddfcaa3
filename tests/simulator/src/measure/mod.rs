//! Measurements: how long things took, and whether what was promised was kept.
//!
//! The cloud knows what was really wrong and every version of every row; the
//! functions do not. All that is judged here is judged by that knowledge, in pure
//! functions of the [`Evidence`] that a run left behind.

mod absence;
mod broken;
mod evidence;
pub mod expect;
mod oracle;
mod outcome;
mod percentile;
mod strong;
mod traffic;
mod truth;

pub use absence::absent;
pub use broken::Broken;
pub use evidence::{Acknowledged, Evidence, Ruled, Shown, Switch, Written};
pub use oracle::{DETECTION_MAX, bounds_unknown, false_moves, judge, missing_writes};
pub use outcome::Outcome;
pub use percentile::{Spread, nearest_rank};
pub use strong::Seen;
pub use traffic::{Asked, Wanted, moved_after};
pub use truth::{Extent, Outage, Truth};

pub use histories::{Deed, Entry, Told};
