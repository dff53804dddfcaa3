//! The client side of shipping: reads a source once and feeds several regions.
//!
//! [`Source`] gives blocks with their checksums, [`ship`] carries them (through a [`Gate`] such as
//! the upload's [`Leases`], if there is one), and
//! [`recheck`] reads again what a receipt names. What is decided on the way (how
//! many copies, which region next, what may be claimed) is decided in [`crate::upload`].

mod archive;
mod batches;
mod blocks;
mod calls;
mod digest;
mod fetch;
mod item;
mod journal;
mod landing;
mod lanes;
mod leases;
mod pacing;
mod progress;
mod proof;
mod ranges;
mod reading;
mod resume;
mod room;
mod sending;
mod ship;
mod source;
mod trip;
mod unpack;
mod verify;
mod voyage;

pub use batches::{BatchEntry, BatchFile, ShippedFiles};
pub use blocks::{Block, Whole};
pub use fetch::{Candidate, FetchError, Fetched, Share, Wanted, fetch};
pub use journal::{Entry, Journal, JournalError, JournalFile, Journals, Unkept};
pub use leases::{LEASE_CALL_MAX, Leases};
pub use pacing::Rates;
pub use progress::Progress;
pub use resume::tidy;
pub use ship::{Gate, Means, Order, ShipError, ship, ship_through, ship_with};
pub use source::{MANIFEST_NAME, Source, SourceError};
pub use unpack::{UnpackError, unpack};
pub use verify::{Checked, Finding, recheck};
