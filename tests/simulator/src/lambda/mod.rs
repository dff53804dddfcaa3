//! The life of a function: sandboxes, schedules, retries, and all that ends an invocation early.
//!
//! What runs in a sandbox is the real flow of a function with the real clients. Here it
//! only starts late, twice or again, is frozen, killed at any await, or loses its region.

pub mod alarm;
mod fate;
mod fleet;
mod power;
mod schedule;

pub use fate::{End, Fate, Freeze, Kill, run};
pub use fleet::{Fleet, Function, Hazards, Limits};
pub use power::Power;
pub use schedule::{Schedule, every_minute};
