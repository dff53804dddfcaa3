//! The whole API on tables in memory, called as the gateway calls it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod events;
mod hostile;
mod meddled;
mod outages;
mod status;
mod worksets;
mod world;
