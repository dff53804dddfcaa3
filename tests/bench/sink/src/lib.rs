//! An S3 that discards: it answers uploads as S3 does, and keeps of an object no more than its
//! size and checksum.
//!
//! Each region has a port for http and one for TLS. A region can be slowed, can refuse or can
//! fall silent, at once or after so many bytes; its answers can take a while, and some ask to slow down. What clients do is counted.

mod answers;
mod listen;
mod region;

pub use listen::{Ports, open};
pub use region::{Counts, Fault, Link, Region, Trouble};
