//! The client side of shipping: reads a source once and feeds several regions.
//!
//! [`Source`] gives blocks with their checksums, [`ship`] carries them (through a [`Gate`] such as
//! the upload's [`Leases`], if there is one), and
//! [`recheck`] reads again what a receipt names. What is decided on the way (how
//! many copies, which region next, what may be claimed) is decided in [`crate::upload`].

mod archive;
mod blocks;
mod calls;
mod item;
mod leases;
mod progress;
mod proof;
mod reading;
mod room;
mod ship;
mod source;
mod trip;
mod verify;

pub use blocks::{Block, Whole};
pub use leases::{LEASE_CALL_MAX, Leases};
pub use progress::Progress;
pub use ship::{Gate, Order, ShipError, ship, ship_through};
pub use source::{MANIFEST_NAME, Source, SourceError};
pub use verify::{Checked, Finding, recheck};
