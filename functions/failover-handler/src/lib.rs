//! The failover handler: a CloudWatch alarm wakes it, and it looks for itself.
//!
//! The event is a hint. The handler reads how the alarm stands now, waits until
//! enough observers were seen to be alive, and takes the same turn at the wheel as
//! the prober's tick, so doubled, late, reordered and stale events do no harm.

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
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub use alarm::{AlarmError, AlarmState, Hint};

/// Time between two looks at the observers' rows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    /// How it stands now; `None`: there is no such alarm, or CloudWatch did not say.
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
}

/// Takes one event, looks for itself, and decides.
///
/// # Errors
/// When the event is foreign or damaged, or a table does not answer.
pub async fn respond<A: Alarms, R: Rows, C: Clock>(
    deps: &Deps<A, R, C>,
    memory: &mut (Memory, Watch),
    event: &Value,
) -> Result<Reply, Failed> {
    let heard = listen(&deps.alarms, alarm::parse(event)?).await;
    let verdicts = attend(deps, &mut memory.0).await?;
    let turn = steer(&deps.config, deps.here, &verdicts, &deps.control, &mut memory.1, &deps.clock).await?;
    let reply = Reply {
        heard,
        decisions: turn.decisions.iter().map(ToString::to_string).collect(),
        epoch: turn.record.as_ref().map(|r| r.epoch),
        active: turn.record.as_ref().map(|r| r.active),
    };
    tracing::info!(decisions = ?reply.decisions, epoch = reply.epoch, "alarm answered");
    Ok(reply)
}

/// How each alarm stands now. An alarm that cannot be read changes nothing: the
/// verdicts decide, not the alarm.
async fn listen<A: Alarms>(alarms: &A, hints: Vec<Hint>) -> Vec<Heard> {
    let mut heard = Vec::with_capacity(hints.len());
    for Hint { alarm, told } in hints {
        let now = alarms.state(&alarm).await.unwrap_or_else(|error| {
            tracing::warn!(alarm, %error, "alarm was not read again");
            None
        });
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
    let end = Instant::now() + deps.config.health.stale_after;
    loop {
        let now = deps.clock.now();
        let rows = deps.health.observations().await?;
        let verdicts = weigh(&deps.config, &rows, memory, Trust::Advancing, now);
        let observers = deps.config.regions.len();
        let alive =
            rows.iter().filter(|row| memory.is_fresh(row.observer(), &deps.config.health, now)).count();
        if 2 * alive > observers || Instant::now() >= end {
            return Ok(verdicts);
        }
        sleep(LOOK_EVERY).await;
    }
}
