//! Replication: what is owed to which region, who pays it, and what was proved.
//!
//! Rules: events are hints, never facts; a ledger row is changed only by who
//! holds its claim; copies raise no copies. Copying itself is left to the orchestrator.

mod batch;
mod detour;
mod encoding;
mod event;
mod history;
mod identity;
mod inventory;
mod ledger;
mod pace;
mod plan;
mod relay;
mod rules;
mod sequencer;
mod shipment;

pub use batch::{Disposition, ItemFailure, Outcome};
pub use detour::Detour;
pub use event::{BODY_LEN_MAX, EventError, Hint, Kind, Message, RECORDS_MAX};
pub use history::{History, twins};
pub use identity::{
    BY_RULE, InvalidOrigin, META_CLASS, META_ORIGIN, META_REGIONS, META_UPLOAD, ObjectId, Origin,
    UPLOAD_ID_LEN_MAX, origin_value, own_regions, regions_value,
};
pub use inventory::{Gaps, gaps};
pub use ledger::{Claim, Entry, Phase, Refused, RetryPolicy, Source, Token};
pub use pace::{Felt, Pace};
pub use plan::{COPY_MAX, CopyPlan, Presence, destinations, owed, payer};
pub use relay::{EXACT_MAX, Link, Market, Price, SAVING_MIN_PERCENT, Tree, Why};
pub use rules::{Goes, Placement, Relaying, Rule, Rules};
pub use sequencer::{InvalidSequencer, Sequencer};
pub use shipment::{Asked, Contradiction, Named, Shipment};
