//! Sealane keeps a team's S3 archives and its registry of worksets available
//! when an AWS region is not.
//!
//! Read it from the inside out. The pure domain decides and never waits:
//! [`region`], [`health`], [`route`], [`failover`], [`lease`], [`upload`],
//! [`replication`], [`workset`], [`notify`] and [`config`] have no clock, no random source
//! and no I/O; `now` and seeds are arguments. [`ports`] names what the domain
//! needs from the world. The adapters (feature `aws`) are those ports on the
//! AWS SDK, and `memory` has the same rules without a network. `transport`
//! (feature of that name) carries files and folders into several regions at once.

pub mod admission;
pub mod audit;
#[cfg(feature = "aws")]
pub mod aws;
pub mod checksum;
pub mod config;
#[cfg(any(feature = "aws", feature = "lambda"))]
pub mod edge;
pub mod emf;
pub mod endpoint;
pub mod failover;
pub mod health;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod lease;
#[cfg(feature = "memory")]
pub mod memory;
pub mod notify;
pub mod outlook;
pub mod ports;
pub mod region;
pub mod replication;
pub mod retry;
pub mod route;
pub mod steer;
pub mod store;
pub mod time;
#[cfg(feature = "transport")]
pub mod transport;
pub mod units;
pub mod upload;
pub mod workset;
