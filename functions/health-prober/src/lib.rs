//! The health prober: watches every other region from outside, and steers.
//!
//! A schedule starts it each minute; inside the invocation it loops, since a
//! minute is too long to notice a dead region. One invocation works for some minutes, and the
//! next one stands by to take its place should it be killed. Each tick probes what is due,
//! confirms what failed, writes one row, reads everyone's rows, and takes one turn
//! at the wheel. Between ticks it reads the rows each second, looks at once into
//! what a peer doubts, and acts on a verdict as soon as the rows come to one.
//! It also frees the slots of uploaders that are gone, since it looks at the leases often
//! enough to see them stand still.
//!
//! A tick never fails as a whole: what cannot be reached is what it reports.

#[cfg(feature = "lambda")]
pub mod aws;
mod conclude;
mod doors;
mod heed;
mod look;
mod marks;
mod metrics;
mod probe;
mod row;
mod sheet;
mod standby;
mod tick;

use std::{collections::BTreeMap, time::Duration};

use sealane::{
    config::Config,
    failover::Watch,
    health::{Marks, Observation, Verdicts},
    lease::{self, Book, Done},
    outlook,
    ports::{Apis, Clock, Objects, Rows},
    region::RegionName,
    store::{ControlTable, HealthTable, MarksTable},
    time::Timestamp,
};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

pub use doors::{Doors, Reach};
pub use standby::Shift;

use heed::Heed;
use row::Written;
use standby::{Seen, stand_by};

/// For how long an invocation stands by at least: to when the next one is about to start.
const STAND_BY: Duration = Duration::from_secs(58);

/// Time between two readings of everyone's rows. A doubt of a peer, a verdict that its
/// row makes and a phase that is over shall not wait for the next tick.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// What the prober works with.
#[derive(Debug)]
pub struct Deps<D, R, C> {
    /// The configuration.
    pub config: Config,
    /// The region that this prober runs in, and speaks for.
    pub here: RegionName,
    /// The ways into every region.
    pub reach: D,
    /// This region's own replica of the health table.
    pub own: HealthTable<R>,
    /// This region's own replica of the data's table, for marks; `None` in a witness.
    pub data: Option<MarksTable<R>>,
    /// The control table.
    pub control: ControlTable<R>,
    /// This machine's clock.
    pub clock: C,
    /// Where metric lines go.
    pub print: fn(&[String]),
    /// For how long an invocation works.
    pub shift: Shift,
}

/// What a sandbox keeps between its invocations.
#[derive(Debug)]
pub struct State {
    /// This observer's view, as it grows.
    pub(crate) observation: Observation,
    /// The version of the row that the next write replaces; `None` until it was read.
    pub(crate) row: Row,
    /// The number of the first row that this invocation wrote since it last stood by.
    pub(crate) first: Option<u64>,
    /// What was seen of the row while another invocation worked.
    pub(crate) seen: Seen,
    /// What each region last acknowledged of this observer's writes.
    pub(crate) acknowledged: BTreeMap<RegionName, probe::Acknowledged>,
    /// When this sandbox took its first tick, which tells its marks from those of others.
    pub(crate) began: Option<Timestamp>,
    /// The marks of this sandbox in each region, and what of them has arrived here.
    pub(crate) marks: BTreeMap<RegionName, Marks>,
    /// When each region is to be probed again.
    pub(crate) due: BTreeMap<RegionName, Instant>,
    /// Whose rows advanced, and the last verdicts.
    pub(crate) memory: outlook::Memory,
    /// What peers doubt, and what was looked into for it.
    pub(crate) heed: Heed,
    /// For how long the record has been the same.
    pub(crate) watch: Watch,
    /// How old each region's leases are, as far as this prober can vouch for.
    pub(crate) leases: BTreeMap<RegionName, lease::Watch>,
    /// The leases as last read; `None` when they could not be.
    pub(crate) books: Option<BTreeMap<RegionName, Book>>,
    /// The endings of leases that were counted in metrics already.
    pub(crate) counted: BTreeMap<RegionName, Done>,
    /// What this prober last concluded.
    pub(crate) verdicts: Verdicts,
    /// Whether a move is under way whose next phase may begin at any moment.
    pub(crate) moving: bool,
    /// Turns in a row that control did not answer.
    pub(crate) unanswered: u32,
    /// Ticks so far: pooled and fresh connections take turns.
    pub(crate) ticks: u64,
    /// When metrics were last printed.
    pub(crate) printed: Option<Timestamp>,
}

/// What is known of this observer's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// It must be read before it is written.
    Unread,
    /// There is none.
    Absent,
    /// It has this version.
    At(u64),
}

impl State {
    /// A sandbox that has seen nothing.
    pub fn new(here: RegionName) -> Self {
        Self {
            observation: Observation::new(here),
            row: Row::Unread,
            first: None,
            seen: Seen::default(),
            acknowledged: BTreeMap::new(),
            began: None,
            marks: BTreeMap::new(),
            due: BTreeMap::new(),
            memory: outlook::Memory::of(here),
            heed: Heed::default(),
            watch: Watch::default(),
            leases: BTreeMap::new(),
            books: None,
            counted: BTreeMap::new(),
            verdicts: Verdicts::default(),
            moving: false,
            unanswered: 0,
            ticks: 0,
            printed: None,
        }
    }
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Ticks that were taken.
    pub ticks: u32,
    /// Why it ended.
    pub ended: Ended,
}

/// Why an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It has worked for as long as it may.
    ShiftOver,
    /// Another invocation of the same prober is at work, and the next one is due to stand by.
    AnotherAtWork,
}

/// Works while no other invocation of this prober does, and stands by while one does.
pub async fn watch<D, R, C>(deps: &Deps<D, R, C>, state: &mut State) -> Round
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    let start = Instant::now();
    let mut ticks = 0;
    while stand_by(deps, state, start + STAND_BY).await {
        let ended = work(deps, state, start + deps.shift.time, &mut ticks).await;
        if ended == Ended::ShiftOver {
            return Round { ticks, ended };
        }
    }
    Round { ticks, ended: Ended::AnotherAtWork }
}

/// Ticks until `end`, or until another invocation of this prober is met.
async fn work<D, R, C>(deps: &Deps<D, R, C>, state: &mut State, end: Instant, ticks: &mut u32) -> Ended
where
    D: Reach,
    D::Rows: Rows,
    D::Objects: Objects,
    D::Apis: Apis,
    R: Rows,
    C: Clock,
{
    // Another sandbox may have written the row since this one last did.
    (state.row, state.first) = (Row::Unread, None);
    state.due.clear();
    loop {
        let started = Instant::now();
        if tick::take(deps, state).await == Written::ByAnother {
            return Ended::AnotherAtWork;
        }
        *ticks += 1;
        let next = tick::next(deps, state, started);
        while Instant::now() + LISTEN_EVERY < next.min(end) {
            sleep(LISTEN_EVERY).await;
            if tick::listen(deps, state).await == Written::ByAnother {
                return Ended::AnotherAtWork;
            }
        }
        if next >= end {
            return Ended::ShiftOver;
        }
        sleep_until(next).await;
    }
}
