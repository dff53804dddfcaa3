//! The client side of shipping: reads a source once and feeds several regions.
//!
//! [`Source`] gives blocks with their checksums, [`ship`] carries them, and
//! [`recheck`] reads again what a receipt names. What is decided on the way (how
//! many copies, which region next, what may be claimed) is decided in [`crate::upload`].

mod archive;
mod blocks;
mod source;

pub use blocks::{Block, Whole};
pub use source::{MANIFEST_NAME, Source, SourceError};
