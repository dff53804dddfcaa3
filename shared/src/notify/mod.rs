//! Telling others what happened: which target hears of what, in which words, and what follows
//! when it does not listen.
//!
//! What is told is written down before it is told and struck out after it was heard, so it is told
//! at least once; each [`Notice`] has an id that no other has and that never changes, by which a
//! receiver drops what it hears twice. The notices of one line (a workset, or the failovers) are
//! told to a target one after the other; lines do not wait for each other ([`lanes`]). A target that
//! does not answer is asked again later and later, and one that refuses, or never answers, leaves the
//! notice parked for an operator ([`Queued`]).
//!
//! Where the rows lie is settled in [`store`](crate::store), and who sends is an adapter of
//! [`Posts`](crate::ports::Posts).

mod answer;
mod failovers;
mod lanes;
mod notice;
mod queued;
pub mod sns;
mod target;
pub mod webhook;

pub use answer::{Outcome, judge};
pub use failovers::{Heard, untold};
pub use lanes::lanes;
pub use notice::{Notice, What};
pub use queued::{KEPT_FOR, Queued, Stage};
pub use target::{About, Channel, InvalidTarget, InvalidTopic, Policy, Target, TargetName, TopicArn};
