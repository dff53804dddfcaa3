//! The client side of shipping: reads a source once and feeds several regions.
//!
//! [`Source`] gives blocks with their checksums, [`ship`] carries them, and
//! [`recheck`] reads again what a receipt names. What is decided on the way (how
//! many copies, which region next, what may be claimed) is decided in [`crate::upload`].

mod archive;
mod blocks;
mod calls;
mod item;
mod progress;
mod proof;
mod ship;
mod source;
mod trip;
mod verify;

pub use blocks::{Block, Whole};
pub use progress::Progress;
pub use ship::{Order, ShipError, ship, ship_within};
pub use source::{MANIFEST_NAME, Source, SourceError};
pub use verify::{Checked, Finding, recheck};
