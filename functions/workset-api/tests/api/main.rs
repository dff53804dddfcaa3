//! The whole API on tables in memory, called as the gateway calls it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod access;
mod buckets;
mod costs;
mod crashes;
mod described;
mod events;
mod hostile;
mod locks;
mod meddled;
mod once;
mod outages;
mod registry;
mod status;
mod strong;
mod told;
mod uploads;
mod worksets;
mod world;
