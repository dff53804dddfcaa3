//! The simulator: the real functions and the real AWS clients on a cloud in memory.
//!
//! Time is paused and jumps to the next event, one seed drives everything, and two runs
//! of a seed leave the same trace. What happens is decided by the functions under test;
//! the simulator only answers their requests, loses them, delays them, and kills them.

pub mod cloud;
pub mod crash;
pub mod dice;
pub mod drill;
pub mod lambda;
pub mod measure;
pub mod replication;
pub mod report;
pub mod scenario;
pub mod trace;
pub mod world;
