//! Clients that ask for a region, as the API answers them: on an outlook that is at most
//! `api.cache_ttl` old.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use sealane::{
    aws::{Aws, DynamoRows, Limits},
    checksum::Checksum,
    config::Config,
    failover::{Phase, Record},
    outlook::{Memory, Outlook, outlook},
    ports::{Attributes, Clock as _, Objects as _},
    region::{Capability, RegionName},
    route::{Request, Roster, Share, Turn},
    store::{ControlTable, HealthTable},
    time::Timestamp,
};
use tokio::{
    sync::Mutex,
    time::{interval, sleep},
};

use super::Stage;
use crate::{
    cloud::{Place, SimClock},
    measure::{Asked, Wanted},
};

/// Time between two requests of a client, each for both things that can be wanted.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// One put in so many requests is really made.
const PUT_ONE_IN: u64 = 16;

/// As the API's main has it.
const LIMITS: Limits =
    Limits { connect: Duration::from_millis(800), attempt: Duration::from_secs(1), attempts: 2 };

/// The last look, and what is remembered for the next.
type Last = (Memory, Option<(Timestamp, Rc<Outlook>)>);

/// What a client's router works with.
struct Router {
    stage: Stage,
    place: Place,
    here: RegionName,
    aws: Aws,
    clock: SimClock,
    health: Vec<HealthTable<DynamoRows>>,
    control: ControlTable<DynamoRows>,
    last: Mutex<Last>,
    count: Cell<u64>,
}

/// Asks from `place` at a steady rate, until the stage closes.
pub(super) async fn ask(stage: Stage, place: Place, late: Duration) {
    let router = Rc::new(Router::new(stage, place));
    sleep(late).await;
    let mut ticks = interval(ASK_EVERY);
    while router.stage.is_open() {
        ticks.tick().await;
        if !router.stage.is_on(place) {
            continue;
        }
        let router = Rc::clone(&router);
        let cloud = router.stage.cloud.clone();
        cloud.spawn(format!("router/{place}"), async move { router.turn().await });
    }
}

impl Router {
    fn new(stage: Stage, place: Place) -> Self {
        let (cloud, config) = (&stage.cloud, &stage.config);
        let here = match place {
            Place::Region(region) => region,
            Place::Client(_) => config.primary_region,
        };
        let aws = cloud.aws(place);
        let rows = |name: RegionName, table: &str| {
            config.region(name).map(|region| aws.rows(region, table, "", LIMITS))
        };
        let mut near_first: Vec<RegionName> = config.regions.iter().map(|r| r.name).collect();
        near_first.sort_by_key(|name| *name != here);
        let health = near_first.into_iter().filter_map(|name| rows(name, &config.tables.health));
        let control = config.control_regions.iter().filter_map(|name| rows(*name, &config.tables.control));
        Self {
            health: health.map(HealthTable::new).collect(),
            control: ControlTable::new(control.collect()),
            clock: cloud.clock(place),
            aws,
            last: Mutex::default(),
            count: Cell::new(0),
            here,
            place,
            stage,
        }
    }

    /// Two requests, for a region to put an object into and for the one that takes writes.
    async fn turn(&self) {
        let count = self.count.replace(self.count.get() + 1);
        let at = self.stage.cloud.now();
        let asks = |wanted| self.stage.log.asks(Asked { at, by: self.place, wanted, sent_to: None });
        let (object, primary) = (asks(Wanted::ObjectWrite), asks(Wanted::Primary));
        let outlook = self.outlook().await;
        let to = route_object(&self.stage.config, &outlook, count);
        self.stage.log.sent(object, to);
        self.stage.log.sent(primary, takes_writes(&self.stage.config, &outlook));
        if let Some(to) = to.filter(|_| count.is_multiple_of(PUT_ONE_IN)) {
            self.put(to, count).await;
        }
    }

    /// The last look, or a new one when that is older than it may be.
    async fn outlook(&self) -> Rc<Outlook> {
        let mut last = self.last.lock().await;
        let (memory, looked) = &mut *last;
        let (config, now) = (&self.stage.config, self.clock.now());
        if let Some((at, held)) = looked
            && now.since(*at) < config.api.cache_ttl
        {
            return Rc::clone(held);
        }
        let seen = Rc::new(outlook(config, self.here, &self.health, &self.control, memory, now).await);
        *looked = Some((now, Rc::clone(&seen)));
        seen
    }

    /// A small upload, so that where requests are sent is where bytes go.
    async fn put(&self, to: RegionName, count: u64) {
        let Some(region) = self.stage.config.region(to) else { return };
        let Some(bucket) = self.aws.objects(region, None, Limits::CALL) else { return };
        let body = Bytes::from_static(b"a small object");
        let checksum = Checksum::of(&body);
        let key = format!("drill/{}/{count}", self.place);
        // Whether it worked is in the trace.
        let _ = bucket.put(&key, body, checksum, &Attributes::default()).await;
    }
}

/// The region for one more object, as `GET /v1/route` finds it.
fn route_object(config: &Config, outlook: &Outlook, count: u64) -> Option<RegionName> {
    let shift = outlook.record.as_ref().and_then(Record::shift);
    let shares = shift.map(|(region, percent)| (region, Share::percent(percent)));
    let request = Request {
        turn: Turn::Counter(count),
        shares: shares.into_iter().collect(),
        ..Request::new(Capability::ObjectWrite)
    };
    Roster::new(&config.regions, &outlook.view, &config.load_balancing).pick(&request)
}

/// The region that takes the writes, as the API finds it: nobody while writes are about
/// to move, or while the record could not be read for too long.
fn takes_writes(config: &Config, outlook: &Outlook) -> Option<RegionName> {
    let fresh = outlook.record_age.is_some_and(|age| age <= config.api.cache_ttl);
    let record = outlook.record.as_ref().filter(|_| fresh)?;
    match record.phase {
        Phase::Steady | Phase::Returning { .. } | Phase::Verifying { .. } => Some(record.active),
        Phase::Draining { .. } | Phase::Switching { .. } => None,
    }
}
