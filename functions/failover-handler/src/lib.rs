//! The failover handler: a CloudWatch alarm wakes it, and it looks for itself.
//!
//! The event is a hint. The handler reads how the alarm stands now, waits until
//! enough observers were seen to be alive, and takes the same turn at the wheel as
//! the prober's tick, so doubled, late, reordered and stale events do no harm.
//!
//! Alarms come in storms, so an event that arrives just after a look is answered
//! from that look: its work is bounded by time and not by the number of events.

pub mod alarm;
#[cfg(feature = "lambda")]
pub mod aws;

use std::{future::Future, time::Duration};

use sealane::{
    config::Config,
    failover::Watch,
    health::Verdicts,
    outlook::{Memory, Trust, weigh},
    ports::{Clock, Rows, RowsError},
    region::RegionName,
    steer::steer,
    store::{ControlTable, HealthTable},
    time::Timestamp,
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use alarm::{AlarmError, AlarmState, Hint};

/// Longest turn at the wheel. Every write in it is conditional, so it may end anywhere.
const TURN_MAX: Duration = Duration::from_secs(10);

/// Longest wait for what the alarms say, which decides nothing.
const LISTEN_MAX: Duration = Duration::from_secs(4);

/// Longest wait for the observers' rows to advance, so that a turn still fits the invocation.
const ATTEND_MAX: Duration = Duration::from_secs(15);

/// Time between two looks at the observers' rows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Age up to which a look answers further events: the next look could see nothing
/// that the prober's next tick does not see as well.
const ANSWERS_FOR: Duration = Duration::from_secs(1);

/// What a sandbox remembers between its invocations.
#[derive(Debug, Default)]
pub struct Remembered {
    memory: Memory,
    watch: Watch,
    last: Option<(Timestamp, Decided)>,
}

impl Remembered {
    /// A sandbox in `here` that has seen nothing.
    pub fn of(here: RegionName) -> Self {
        Self { memory: Memory::of(here), ..Self::default() }
    }
}

/// What a look came to.
#[derive(Debug, Clone)]
struct Decided {
    decisions: Vec<String>,
    epoch: Option<u64>,
    active: Option<RegionName>,
}

/// Where the handler reads how an alarm stands now.
pub trait Alarms {
    /// How the alarm stands; `None` if there is no such alarm.
    fn state(&self, alarm: &str) -> impl Future<Output = Result<Option<AlarmState>, Unanswered>> + Send;
}

/// CloudWatch did not say how an alarm stands.
#[derive(Debug, thiserror::Error)]
#[error("cloudwatch did not say how alarm `{alarm}` stands")]
pub struct Unanswered {
    /// The alarm's name.
    pub alarm: String,
    /// What the client reported.
    #[source]
    pub source: sealane::ports::Cause,
}

/// What the handler works with.
#[derive(Debug)]
pub struct Deps<A, R, C> {
    /// The configuration.
    pub config: Config,
    /// The region that this handler runs in.
    pub here: RegionName,
    /// Where alarms are read.
    pub alarms: A,
    /// This region's replica of the health table.
    pub health: HealthTable<R>,
    /// The control table.
    pub control: ControlTable<R>,
    /// This machine's clock.
    pub clock: C,
}

/// What one alarm was, when told and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// Its name.
    pub alarm: String,
    /// How it stood when the event was sent.
    pub told: AlarmState,
    /// How it stands now; `None`: there is no such alarm, CloudWatch did not say, or it was not asked.
    pub now: Option<AlarmState>,
}

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The alarms that the event spoke of.
    pub heard: Vec<Heard>,
    /// What was decided, in words and in order.
    pub decisions: Vec<String>,
    /// The epoch after that.
    pub epoch: Option<u64>,
    /// The active region after that.
    pub active: Option<RegionName>,
}

/// The invocation came to nothing; the event may be delivered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// The event is none that this function takes.
    #[error("the event was refused")]
    Event(#[from] AlarmError),
    /// A table did not answer, so nothing was decided.
    #[error("nothing was decided")]
    Table(#[from] RowsError),
    /// The control table took too long. What was written of the move stands, and the next
    /// turn of anybody goes on from there.
    #[error("control was too slow, and the turn was given up")]
    Slow,
}

/// Takes one event, looks for itself, and decides.
///
/// An alarm that may not mean a move is heard and decides nothing.
///
/// # Errors
/// When the event is foreign or damaged, or a table does not answer. Lambda then
/// delivers the event again, which does no harm.
pub async fn respond<A: Alarms, R: Rows, C: Clock>(
    deps: &Deps<A, R, C>,
    remembered: &mut Remembered,
    event: &Value,
) -> Result<Reply, Failed> {
    let hints = alarm::parse(event)?;
    if !hints.iter().any(|hint| hint.wakes(&deps.config.regions)) {
        tracing::info!(alarms = ?hints, "alarms heard that decide nothing");
        return Ok(Reply { heard: unasked(hints), decisions: Vec::new(), epoch: None, active: None });
    }
    // By the machine's clock, which goes on while the sandbox is frozen.
    let now = deps.clock.now();
    let recent = remembered.last.as_ref().filter(|(at, _)| now >= *at && now.since(*at) < ANSWERS_FOR);
    if let Some((_, decided)) = recent.cloned() {
        return Ok(reply(unasked(hints), decided));
    }
    // Side by side: the verdicts decide, and need not wait for what the alarms say.
    let (heard, verdicts) = futures::join!(listen(&deps.alarms, hints), attend(deps, &mut remembered.memory));
    let verdicts = verdicts?;
    let turn = steer(&deps.config, deps.here, &verdicts, &deps.control, &mut remembered.watch, &deps.clock);
    let turn = timeout(TURN_MAX, turn).await.map_err(|_| Failed::Slow)??;
    let decided = Decided {
        decisions: turn.decisions.iter().map(ToString::to_string).collect(),
        epoch: turn.record.as_ref().map(|r| r.epoch),
        active: turn.record.as_ref().map(|r| r.active),
    };
    tracing::info!(decisions = ?decided.decisions, epoch = decided.epoch, "alarm answered");
    remembered.last = Some((deps.clock.now(), decided.clone()));
    Ok(reply(heard, decided))
}

fn reply(heard: Vec<Heard>, decided: Decided) -> Reply {
    let Decided { decisions, epoch, active } = decided;
    Reply { heard, decisions, epoch, active }
}

/// The alarms as they were told, without asking how they stand now.
fn unasked(hints: Vec<Hint>) -> Vec<Heard> {
    let heard = |Hint { alarm, told }| Heard { alarm, told, now: None };
    hints.into_iter().map(heard).collect()
}

/// How each alarm stands now. An alarm that cannot be read changes nothing: the
/// verdicts decide, not the alarm.
async fn listen<A: Alarms>(alarms: &A, hints: Vec<Hint>) -> Vec<Heard> {
    let mut heard = Vec::with_capacity(hints.len());
    let end = Instant::now() + LISTEN_MAX;
    for Hint { alarm, told } in hints {
        let now = match timeout_at(end, alarms.state(&alarm)).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => {
                tracing::warn!(alarm, %error, "alarm was not read again");
                None
            }
            Err(_) => None,
        };
        heard.push(Heard { alarm, told, now });
    }
    heard
}

/// The verdicts of observers that were seen to be alive: looks until a majority of
/// the others' rows has advanced, or as long as a row may take to go stale.
async fn attend<A, R: Rows, C: Clock>(
    deps: &Deps<A, R, C>,
    memory: &mut Memory,
) -> Result<Verdicts, RowsError> {
    let end = Instant::now() + deps.config.health.stale_after.min(ATTEND_MAX);
    loop {
        let now = deps.clock.now();
        let rows = deps.health.observations().await?;
        let verdicts = weigh(&deps.config, &rows, memory, Trust::Advancing, now);
        if memory.has_settled(&deps.config, now) || Instant::now() >= end {
            return Ok(verdicts);
        }
        sleep(LOOK_EVERY).await;
    }
}
