//! Records that hold each other: who did what, in chains in which a cut shows.
//!
//! What is written anyway is the record: each write of a workset is an event of its history, each
//! act of an operator an order, each move an account of it. None is ever changed. Each carries a
//! [`Link`]: the digest of the record before it, of what the write left behind, and of itself. So
//! the chains cost no write of their own and nothing can take effect without its record: the row
//! that a write replaces carries it.
//!
//! The digest is SHA-256 over the record as JSON without blanks, with the fields of every object in
//! the order of their names, and without `chain.hash`. [`verify`] names a record that was changed,
//! taken out, put in or moved. Two regions that wrote one version around a failover leave a fork,
//! which is told as such. What no chain shows by itself is that its newest records are gone together
//! with all that follows: for that somebody keeps the [`Heads`].

mod digest;
mod link;
mod verify;

pub use digest::{Digest, InvalidDigest};
pub use link::{Link, content};
pub use verify::{Entry, Finding, Fork, Head, Heads, Rules, Verified, foreign, verify};
