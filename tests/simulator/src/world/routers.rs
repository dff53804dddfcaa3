//! Clients that want a region: for an object they ask the nearest API that answers, and which
//! region takes the writes they work out as the library does, on an outlook that is at most
//! `api.cache_ttl` old.

use std::{cell::Cell, rc::Rc, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::future::join;
use sealane::{
    aws::{Aws, DynamoRows, Limits},
    checksum::Checksum,
    outlook::{Memory, Outlook, outlook},
    ports::{Attributes, Clock as _, Objects as _},
    region::RegionName,
    store::{ControlTable, HealthTable},
    time::Timestamp,
};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{interval, sleep},
};

use super::{Stage, writers::nearest};
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

/// How long a client waits for one API.
const PATIENCE: Limits =
    Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(2), attempts: 1 };

/// How often a client goes round the APIs before it gives up, and how long it rests in between: an
/// API that throttles one request takes the next, as every kept client's retries count on.
const ROUNDS: usize = 2;
const REST: Duration = Duration::from_millis(100);

/// The last look, and what is remembered for the next.
type Last = (Memory, Option<(Timestamp, Rc<Outlook>)>);

/// What a client's router works with.
struct Router {
    stage: Stage,
    place: Place,
    here: RegionName,
    aws: Aws,
    /// Plain requests to the APIs, and the APIs in the order in which they are asked.
    connector: SharedHttpConnector,
    apis: Vec<String>,
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
        if !router.stage.is_on(place) || !router.stage.is_asked() {
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
        let endpoint = |name: RegionName| config.region(name)?.endpoints.api.clone();
        Self {
            connector: cloud.connector(place, PATIENCE),
            apis: nearest(&stage, place).into_iter().filter_map(endpoint).collect(),
            health: health.map(HealthTable::new).collect(),
            control: aws.control(config, here, LIMITS),
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
        join(self.turn_primary(primary), self.turn_object(object, count)).await;
    }

    async fn turn_primary(&self, asked: usize) {
        let outlook = self.outlook().await;
        let takes = outlook.takes_writes(self.clock.now(), self.stage.config.api.cache_ttl);
        self.stage.log.sent(asked, takes.ok());
    }

    async fn turn_object(&self, asked: usize, count: u64) {
        let to = self.route_object().await;
        self.stage.log.sent(asked, to);
        let sent = to.as_ref().map_or("nowhere", RegionName::as_str);
        self.stage.note(format_args!("{} sends an object to {sent}", self.place));
        if let Some(to) = to.filter(|_| count.is_multiple_of(PUT_ONE_IN)) {
            self.put(to, count).await;
        }
    }

    /// The region for one more object.
    async fn route_object(&self) -> Option<RegionName> {
        for round in 0..ROUNDS {
            if round > 0 {
                sleep(REST).await;
            }
            if let Some(told) = self.first_answer().await {
                return told.ranked.first().copied();
            }
        }
        None
    }

    /// What the first API says that answers.
    async fn first_answer(&self) -> Option<Told> {
        for api in &self.apis {
            let Some(request) = asking(api) else { continue };
            let Ok(answer) = self.connector.call(request).await else { continue };
            let body = answer.body().bytes().filter(|_| answer.status().is_success());
            if let Some(told) = body.and_then(|body| serde_json::from_slice::<Told>(body).ok()) {
                return Some(told);
            }
        }
        None
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

/// What is read of a route.
#[derive(Deserialize)]
struct Told {
    ranked: Vec<RegionName>,
}

fn asking(api: &str) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(format!("{api}/v1/route?needs=object_write")).ok()?;
    Some(request)
}
