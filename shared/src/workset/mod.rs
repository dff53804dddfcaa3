//! Worksets: a tenant's batches of data, their states, their locks and their queue.
//!
//! Everything here decides and nothing here waits: a caller reads a row, asks
//! this module what the next row is, and writes it under the condition that the
//! old one still stands. The rules hold in every region because they depend
//! only on the rows, never on the region that applies them.
//!
//! Left to others: who the tenant is (the verified caller), where the rows live
//! (the store), and whether a preferred region is configured (the API).

mod amend;
mod call;
mod class;
mod cursor;
mod document;
mod event;
mod fence;
pub mod keys;
mod lock;
mod name;
mod queue;
mod record;
mod register;
mod retry;
mod sentinel;
mod state;
mod transition;

pub use amend::{Amendment, Unamended, amend};
pub use call::{AT_WORK_MAX, Call, CallKey, InvalidCallKey, KEPT_FOR, Reply, Stage, Standing, standing};
pub use class::{ErrorCategory, Kind, Priority, UnknownName};
pub use cursor::{Cursor, InvalidCursor};
pub use document::{DEPTH_MAX, Document, InvalidDocument, Metadata, SIZE_MAX};
pub use event::{Act, By, Event, Place, collisions};
pub use fence::{broken, taken_over};
pub use lock::{Denied, InvalidLease, Lease, Lock, Slot};
pub use name::{Actor, Bucket, InvalidName, InvalidText, Prefix, Tenant, Text, WorksetId};
pub use queue::{Depth, next_ready};
pub use record::{Failure, Progress, Workset};
pub use register::{Invalid, Problem, Registration, register};
pub use retry::{DELAY_MAX, RETRIES_MAX, delay};
pub use sentinel::{Changes, Export, Sentinel, changes};
pub use state::{IllegalMove, State};
pub use transition::{Refused, Report, Transition, report, transition};
