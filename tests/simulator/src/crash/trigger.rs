//! What starts a flow. A flow is what one sandbox does about one trigger.

use std::{collections::BTreeMap, time::Duration};

use failover_handler::{AlarmState, Alarms, Unanswered};
use health_prober::{Doors, Reach};
use sealane::{
    failover::{Moment, Pin, Record, Watch},
    memory::{Cloud, MemoryObjects},
    ports::{ApiError, Apis, Clock, RowsError},
    region::RegionName,
    steer::steer,
    store::HealthTable,
};
use tokio::time::{sleep, timeout};

use super::{
    door::Door,
    stage::{Down, HERE, Observers, Sandbox, name},
};

/// What starts a flow.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    /// A controller takes this many turns at the wheel, so far apart, while these regions are down.
    Turns { down: Down, turns: u32, every: Duration },
    /// An operator asks for a move.
    Ask { to: RegionName },
    /// An operator approves the move that waits for it.
    Approve { to: RegionName },
    /// An operator rules on a region.
    Pin(Pin),
    /// An operator takes the ruling on a region away.
    Unpin(RegionName),
    /// The schedule starts a prober for a round of one tick.
    Schedule,
    /// An alarm starts the failover handler, while these regions are down.
    Alarm { down: Down },
}

impl Trigger {
    /// Carries the flow out, to its end or to the gate where it is dropped.
    pub(super) async fn fire(self, sandbox: Sandbox) {
        match self {
            Self::Turns { down, turns, every } => turn(sandbox, down, turns, every).await,
            Self::Ask { to } => {
                order(sandbox, |r, m| match &r.proposal {
                    Some(p) if p.to == to && p.approved_by.is_some() => None,
                    Some(_) | None => r.ask(to, "ada", "drill", m),
                })
                .await;
            }
            Self::Approve { to } => order(sandbox, |r, m| r.approve(to, "ada", m).ok()).await,
            Self::Pin(pin) => drop(sandbox.control.pin(&pin).await),
            Self::Unpin(region) => drop(sandbox.control.unpin(region).await),
            Self::Schedule => tick(sandbox).await,
            Self::Alarm { down } => alarm(sandbox, down).await,
        }
    }
}

async fn turn(sandbox: Sandbox, down: Down, turns: u32, every: Duration) {
    let Sandbox { config, control, clock, .. } = sandbox;
    let observers = Observers::of(down);
    let mut watch = Watch::default();
    for number in 0..turns {
        if number > 0 {
            sleep(every).await;
        }
        let turn = steer(&config, name(HERE), observers.verdicts(), &control, &mut watch, &clock).await;
        turn.unwrap_or_else(|error| panic!("every table answers here: {error}"));
    }
}

/// An operator's conditional write of the record, made anew when another writer was first.
async fn order(sandbox: Sandbox, next: impl Fn(&Record, Moment) -> Option<Record>) {
    for _ in 0..5 {
        let Ok(Some(record)) = sandbox.control.record().await else { return };
        let moment = Moment::first_sight(record.version, sandbox.clock.now());
        let Some(next) = next(&record, moment) else { return };
        if !matches!(sandbox.control.swap(Some(&record), &next).await, Err(RowsError::Conflict)) {
            return;
        }
    }
}

/// Buckets and tables that answer at once.
struct Near(Doors<Door, MemoryObjects, Live>);

impl Reach for Near {
    type Rows = Door;
    type Objects = MemoryObjects;
    type Apis = Live;

    fn pooled(&self) -> &Doors<Door, MemoryObjects, Live> {
        &self.0
    }

    fn fresh(&self) -> Doors<Door, MemoryObjects, Live> {
        Doors {
            tables: self.0.tables.clone(),
            data: BTreeMap::new(),
            buckets: self.0.buckets.clone(),
            apis: Live,
        }
    }
}

/// APIs that are all live.
struct Live;

impl Apis for Live {
    async fn live(&self, _: RegionName) -> Result<(), ApiError> {
        Ok(())
    }
}

/// How long an invocation stands by that finds a row which stays as it is.
const ROW_LATE: Duration = Duration::from_secs(22);

async fn tick(sandbox: Sandbox) {
    let Sandbox { config, control, health, clock } = sandbox;
    let cloud = Cloud::default();
    let doors = Doors {
        tables: config.regions.iter().map(|r| (r.name, HealthTable::new(health.clone()))).collect(),
        // Marks are no step of any flow: a lost one is followed by the next, and nothing waits for it.
        data: BTreeMap::new(),
        buckets: config
            .full_regions()
            .map(|r| (r.name, cloud.bucket(r.name.as_str())))
            .collect::<BTreeMap<_, _>>(),
        apis: Live,
    };
    let own = HealthTable::new(health);
    let here = name(HERE);
    let deps = health_prober::Deps {
        config,
        here,
        reach: Near(doors),
        own,
        data: None,
        control,
        clock,
        print: |_| {},
        shift: health_prober::Shift::default(),
    };
    // A row may be that of an invocation at work: the new one waits until it is late.
    let wait =
        if deps.own.observation(here).await.ok().flatten().is_some() { ROW_LATE } else { Duration::ZERO };
    // Then its first tick and the readings that follow: what comes after them is the same again.
    let mut state = health_prober::State::new(here);
    let _ended = timeout(wait + Duration::from_secs(3), health_prober::watch(&deps, &mut state)).await;
}

/// Alarms that nobody can read again.
struct Silent;

impl Alarms for Silent {
    async fn state(&self, alarm: &str) -> Result<Option<AlarmState>, Unanswered> {
        Err(Unanswered { alarm: alarm.to_owned(), source: "no answer".into() })
    }
}

async fn alarm(sandbox: Sandbox, down: Down) {
    let Sandbox { config, control, mut health, clock } = sandbox;
    health.observers = Some(Observers::of(down).going_on(clock));
    let event = include_str!("../../../../events/failover-handler-direct-alarm.json");
    let event = serde_json::from_str(event).unwrap_or_default();
    let health = HealthTable::new(health);
    let deps = failover_handler::Deps { config, here: name(HERE), alarms: Silent, health, control, clock };
    let reply = failover_handler::respond(&deps, &mut Default::default(), &event).await;
    reply.unwrap_or_else(|error| panic!("every table answers here: {error}"));
}
