//! The regions' orchestrators, their queues and their schedules.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use sealane::{
    aws::{DynamoRows, Limits, S3Objects},
    config::Config,
    ports::Clock as _,
    region::RegionName,
    replication::Entry,
    store::LedgerTable,
};
use serde_json::{Value, json};
use tokio::time::sleep;
use upload_orchestrator::{Answer, Deps, Invocation, Policy, run};

use crate::{
    cloud::{Cloud, Effect, Fault, FaultId, Message, Place, SimClock, config},
    dice::Dice,
    lambda::{End, Fate, Kill, Power, run as live},
    trace::Trace,
};

/// The longest that an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Messages of one batch.
const BATCH: usize = 10;
/// How long a message stays hidden whose worker failed or died. Far less than in AWS: a story is short.
const HIDDEN: Duration = Duration::from_secs(45);

/// One region's orchestrator.
struct Home {
    here: RegionName,
    deps: Deps<S3Objects, DynamoRows, SimClock>,
    power: Power,
    at_work: Cell<usize>,
    sweeping: Cell<bool>,
}

struct Inner {
    homes: BTreeMap<RegionName, Home>,
    invocations: Cell<u64>,
    dice: RefCell<Dice>,
    kills: RefCell<Vec<Kill>>,
    deaths: Cell<usize>,
    lost: RefCell<BTreeMap<RegionName, Vec<FaultId>>>,
    workers: Cell<usize>,
}

/// The cloud with its orchestrators; clones are the same stage.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) cloud: Cloud,
    pub(super) config: Config,
    inner: Rc<Inner>,
}

impl Stage {
    /// An empty cloud with an orchestrator in each full region.
    pub(super) fn new(seed: u64, policy: &Policy, trace: &Trace) -> Self {
        let config = config(&Value::Null);
        let dice = Dice::new(seed).fork("replication");
        let cloud = Cloud::traced(dice.fork("cloud").below(u64::MAX), &config, trace.clone());
        let homes = config.full_regions().map(|region| {
            let home = Home {
                here: region.name,
                deps: wired(&cloud, &config, region.name, *policy),
                power: Power::default(),
                at_work: Cell::new(0),
                sweeping: Cell::new(false),
            };
            (region.name, home)
        });
        let inner = Inner {
            homes: homes.collect(),
            invocations: Cell::new(0),
            dice: RefCell::new(dice.fork("workers")),
            kills: RefCell::default(),
            deaths: Cell::new(0),
            lost: RefCell::default(),
            workers: Cell::new(2),
        };
        Self { cloud, config, inner: Rc::new(inner) }
    }

    /// The full regions.
    pub(super) fn regions(&self) -> Vec<RegionName> {
        self.inner.homes.keys().copied().collect()
    }

    /// Lets each region have this many workers at its queue.
    pub(super) fn employ(&self, workers: usize) {
        self.inner.workers.set(workers);
    }

    /// Workers die like this, one after the other, as soon as one lives long enough.
    pub(super) fn doom(&self, kills: Vec<Kill>) {
        *self.inner.kills.borrow_mut() = kills;
    }

    /// How many workers were killed.
    pub(super) fn deaths(&self) -> usize {
        self.inner.deaths.get()
    }

    /// Loses a region: its functions stop and nobody reaches it.
    pub(super) fn lose(&self, region: RegionName) {
        let cut = |from, to| self.cloud.network().add(Fault { from, to, service: None, effect: Effect::Cut });
        let cuts = vec![cut(None, Some(region)), cut(Some(Place::Region(region)), None)];
        self.inner.lost.borrow_mut().entry(region).or_default().extend(cuts);
        self.inner.homes[&region].power.turn(false);
    }

    /// Gives a region back.
    pub(super) fn give_back(&self, region: RegionName) {
        for cut in self.inner.lost.borrow_mut().remove(&region).unwrap_or_default() {
            self.cloud.network().remove(cut);
        }
        self.inner.homes[&region].power.turn(true);
    }

    /// Whether a region is lost at present.
    pub(super) fn is_lost(&self, region: RegionName) -> bool {
        self.inner.lost.borrow().contains_key(&region)
    }

    /// Starts the pollers of the queues and the schedules of the sweeps.
    pub(super) fn start(&self) {
        for region in self.regions() {
            let (poller, sweeper) = (self.clone(), self.clone());
            self.cloud.spawn(format!("{region} poller"), async move { poller.poll(region).await });
            self.cloud.spawn(format!("{region} schedule"), async move { sweeper.schedule(region).await });
        }
    }

    async fn poll(&self, region: RegionName) {
        loop {
            let home = &self.inner.homes[&region];
            while home.power.is_on() && home.at_work.get() < self.inner.workers.get() {
                let messages = self.cloud.receive(region, BATCH);
                if messages.is_empty() {
                    break;
                }
                home.at_work.set(home.at_work.get() + 1);
                let stage = self.clone();
                self.cloud.spawn(format!("{region} worker"), async move {
                    stage.work(region, messages).await;
                    let at_work = &stage.inner.homes[&region].at_work;
                    at_work.set(at_work.get() - 1);
                });
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Hands a batch to a worker, and tells the queue what became of it.
    async fn work(&self, region: RegionName, messages: Vec<Message>) {
        let records: Vec<_> = messages.iter().map(|message| message.record(region)).collect();
        let kept: Option<BTreeSet<String>> = match self.invoke(region, &json!({ "Records": records })).await {
            Some(Answer::Batch(outcome)) => {
                Some(outcome.batch_item_failures.into_iter().map(|item| item.item_identifier).collect())
            }
            Some(Answer::Sweep(_)) | None => None,
        };
        for message in messages {
            if kept.as_ref().is_some_and(|kept| !kept.contains(&message.id)) {
                self.cloud.delete(region, &message.receipt);
            } else {
                self.cloud.requeue(region, &message.receipt, HIDDEN);
            }
        }
    }

    async fn schedule(&self, region: RegionName) {
        let phase = self.inner.dice.borrow_mut().between(Duration::ZERO, Duration::from_secs(60));
        sleep(phase).await;
        loop {
            let (stage, home) = (self.clone(), &self.inner.homes[&region]);
            if home.power.is_on() && !home.sweeping.replace(true) {
                self.cloud.spawn(format!("{region} sweep"), async move {
                    let tick =
                        json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
                    stage.invoke(region, &tick).await;
                    stage.inner.homes[&region].sweeping.set(false);
                });
            }
            sleep(Duration::from_secs(60)).await;
        }
    }

    /// One invocation; `None` when its worker died or failed.
    async fn invoke(&self, region: RegionName, event: &Value) -> Option<Answer> {
        let home = &self.inner.homes[&region];
        let number = self.inner.invocations.replace(self.inner.invocations.get() + 1);
        let invocation = Invocation {
            owner: format!("{}-{number}", home.here),
            seed: self.inner.dice.borrow_mut().below(u64::MAX),
            deadline: home.deps.clock.now().after(TIMEOUT),
        };
        let kill = self.inner.kills.borrow_mut().pop();
        let flow = Box::pin(self.cloud.guard("orchestrator", run(&home.deps, &invocation, event)));
        let ended = live(flow, Fate { kill, freeze: None, timeout: TIMEOUT }, &home.power).await;
        if let (Some(kill), false) = (kill, matches!(ended, End::Killed)) {
            // It was done before its time had come: the next one will be hit.
            self.inner.kills.borrow_mut().push(kill);
        }
        match ended {
            End::Returned(Some(Ok(reply))) => Some(reply.answer),
            End::Returned(_) | End::TimedOut | End::PowerLost => None,
            End::Killed => {
                self.inner.deaths.set(self.inner.deaths.get() + 1);
                self.cloud
                    .trace()
                    .note(self.cloud.now(), format_args!("{region} worker {number} was killed"));
                None
            }
        }
    }

    /// Lets time pass until nothing is queued and nothing is owed; how long that took.
    pub(super) async fn settle(&self, within: Duration) -> Option<Duration> {
        let began = self.cloud.now();
        while self.cloud.now() - began < within {
            sleep(Duration::from_secs(5)).await;
            let queued: usize = self.regions().iter().map(|r| self.cloud.queued(*r)).sum();
            let busy = self.inner.homes.values().any(|home| home.at_work.get() > 0);
            if queued == 0 && !busy && self.owed().is_empty() {
                return Some(self.cloud.now() - began);
            }
        }
        None
    }

    /// What is owed in any replica of the ledger, in words.
    pub(super) fn owed(&self) -> Vec<String> {
        let entries = self.regions().into_iter().flat_map(|region| self.entries(region));
        let owed: BTreeSet<_> = entries.filter(Entry::is_owed).map(|entry| entry.to_string()).collect();
        owed.into_iter().collect()
    }

    /// How many rows the replica of `payer` has of copies that are owed to `destination`.
    pub(super) fn owed_to(&self, payer: RegionName, destination: RegionName) -> usize {
        self.entries(payer).filter(|entry| entry.is_owed() && entry.destination == destination).count()
    }

    /// The keys of the copies to `region` that were given up since a newer version came there first.
    pub(super) fn missed(&self, region: RegionName) -> Vec<String> {
        let entries = self.regions().into_iter().flat_map(|payer| self.entries(payer));
        let missed = entries.filter(|entry| entry.is_missed() && entry.destination == region);
        let keys: BTreeSet<_> = missed.map(|entry| (entry.source.key, entry.object)).collect();
        keys.into_iter().map(|(key, _)| key).collect()
    }

    fn entries(&self, region: RegionName) -> impl Iterator<Item = Entry> {
        // Settled rows are not in the index; most rows need not be read.
        let rows = self.cloud.rows(&self.config.tables.ledger, region).into_iter();
        rows.filter(|row| row.index.is_some()).filter_map(|row| serde_json::from_str(&row.body).ok())
    }
}

/// An orchestrator as its main wires it.
fn wired(
    cloud: &Cloud,
    config: &Config,
    here: RegionName,
    policy: Policy,
) -> Deps<S3Objects, DynamoRows, SimClock> {
    let aws = cloud.aws(Place::Region(here));
    let own = config.region(here).unwrap_or(&config.regions[0]);
    let limits = Limits::data(policy.call_max / 2);
    let buckets = config.full_regions().filter_map(|r| Some((r.name, aws.shipping(r, None, limits)?)));
    Deps {
        config: config.clone(),
        here,
        buckets: buckets.collect(),
        ledger: LedgerTable::new(aws.rows(own, &config.tables.ledger, "by-due", Limits::CALL)),
        clock: cloud.clock(Place::Region(here)),
        pause: |span| Box::pin(sleep(span)),
        policy,
    }
}
