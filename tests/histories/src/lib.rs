//! What workers did with worksets through the public API, and whether it fits together.
//!
//! An entry is an interval: its effect, if it had one, lies somewhere between the moment it
//! was sent and the moment its answer was heard, both on the one clock of whoever kept the notes. A
//! rule is broken only where no choice of moments within the intervals keeps it. The simulator judges
//! its worlds by these rules, and `cargo xtask drill --live` what real clients were told by real functions.

mod entry;
mod epochs;
#[cfg(test)]
mod fixture;
mod locks;
mod misfit;
mod writes;

pub use entry::{Deed, Entry, Look, Seen, Told};
pub use epochs::{judge_epochs, reigns};
pub use locks::judge_history;
pub use misfit::Misfit;
pub use writes::{judge_reads, judge_writes};
