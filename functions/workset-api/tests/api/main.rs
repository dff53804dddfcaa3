//! The whole API on tables in memory, called as the gateway calls it.

mod events;
mod hostile;
mod outages;
mod status;
mod worksets;
mod world;
