//! Health: what each observer saw, and what the rows together say.
//!
//! Each region's prober folds its [`Probe`]s of the others into [`Track`]s and
//! writes them as one row, its [`Observation`]. A reader remembers by
//! [`Freshness`] whose rows still advance, and [`judge`] turns the rows into
//! [`Verdicts`]. All of it is pure: the row, the memory and the last verdicts
//! go in, new ones come out.

mod ballot;
mod echo;
mod freshness;
mod judge;
mod lag;
mod observation;
mod pace;
mod passive;
mod policy;
mod probe;
mod track;
mod verdict;
mod view;

pub use ballot::{Ballot, Standing, Tally};
pub use echo::Echo;
pub use freshness::Freshness;
pub use judge::{Verdicts, judge};
pub use lag::{Lag, Mark, Marks, SHARDS};
pub use observation::Observation;
pub use pace::until_next_look;
pub use passive::{Answer, Ejection, Ejections, Passive, PassivePolicy, Why as EjectedFor};
pub use policy::Policy;
pub use probe::{Failure, Probe};
pub use track::{ERROR_PERCENT_MAX, Track, Vote};
pub use verdict::{Verdict, Why};
pub use view::{Seen, View};
