//! Failover: a decision that anyone may compute, and one record that says who won.

mod policy;

pub use policy::{Mode, Policy};
