//! Shipping: how many copies, where, in what pieces, and what may be said of them.
//!
//! Rule: an acknowledgement never claims more than was verified. Moving the
//! bytes is left to the transport; this module decides.

mod allowance;
pub mod backoff;
mod batch;
mod batch_log;
mod class;
pub mod cost;
mod digest;
mod flow;
mod journal;
mod key;
mod lane;
pub mod manifest;
mod parts;
mod plan;
mod policy;
mod pulse;
mod reason;
mod receipt;
pub mod ticket;

pub use allowance::Allowance;
pub use backoff::{backoff, jitter};
pub use batch::{Batch, Unshipped};
pub use batch_log::{BATCH_FORMAT, BatchRecord, Shipped};
pub use class::{Access, Classes, InvalidClass, StorageClass};
pub use digest::{InvalidSha256, META_SHA256, Sha256};
pub use flow::Flow;
pub use journal::{Begun, Identity, JOURNAL_FORMAT, Note, Record};
pub use key::{InvalidKey, KEY_LEN_MAX, ObjectKey, SYSTEM_PREFIX, is_system_key};
pub use lane::{Attempt, AttemptOutcome, Event, Lane, OutOfTurn, State, Stored, next_region};
pub use manifest::Manifest;
pub use parts::{Layout, OBJECT_MAX, PART_MAX, PART_MIN, PARTS_MAX, Part, TooLarge, part_size, wait_max};
pub use plan::{Plan, PlanError, majority};
pub use policy::Policy;
pub use pulse::Pulse;
pub use reason::Reason;
pub use receipt::{AttemptLine, CopyLine, How, Leftover, Outcome, Receipt, RegionReason, Shipment};
