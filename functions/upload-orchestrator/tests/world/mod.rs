//! Three regions in memory, each with its orchestrator.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a failed expectation is how a test fails")]

pub mod faults;
pub mod town;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use faults::{Faulty, Script};
use futures::FutureExt as _;
use sealane::{
    checksum::Checksum,
    config::Config,
    memory::{Cloud, ManualClock, MemoryObjects, MemoryRows},
    ports::{Attributes, Clock, Metadata, Objects},
    region::RegionName,
    replication::{Entry, META_REGIONS, META_UPLOAD, ObjectId, Phase, origin_value},
    store::LedgerTable,
    time::Timestamp,
    units::ByteSize,
};
use serde_json::{Value, json};
use upload_orchestrator::{Answer, Deps, Invocation, Policy, Reply, RunError, Sweep, run};

pub const WEST: &str = "us-west-2";
pub const EAST: &str = "us-east-1";
pub const EU: &str = "eu-west-1";
pub const ALL: [&str; 3] = [WEST, EAST, EU];

pub fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

pub fn bucket(region: &str) -> String {
    format!("sealane-000000000000-{region}")
}

#[derive(Debug, Clone)]
pub struct Shared(Arc<ManualClock>);

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

pub type Orchestrator = Deps<Faulty<MemoryObjects>, Faulty<MemoryRows>, Shared>;

pub struct World {
    pub cloud: Cloud,
    pub table: MemoryRows,
    pub script: Arc<Script>,
    pub policy: Policy,
    pub config: Config,
    pub names: Vec<&'static str>,
    clock: Shared,
    requests: AtomicU64,
}

impl World {
    pub fn new() -> Self {
        Self::of(&ALL)
    }

    /// A world of these regions; the first is the primary.
    pub fn of(names: &[&'static str]) -> Self {
        let regions: Vec<_> =
            names.iter().map(|name| json!({"name": name, "bucket": bucket(name)})).collect();
        let document = json!({"primary_region": names[0], "regions": regions}).to_string();
        Self {
            cloud: Cloud::default(),
            table: MemoryRows::default(),
            script: Arc::default(),
            policy: Policy {
                upload_grace: Duration::ZERO,
                vigil: Duration::ZERO,
                sampled_of: 1,
                inventory_pages: 0,
                ..Policy::default()
            },
            config: Config::read(Some(&document), std::iter::empty()).unwrap(),
            names: names.to_vec(),
            clock: Shared(Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)))),
            requests: AtomicU64::new(0),
        }
    }

    /// A world whose objects over 5 MiB go in parts.
    pub fn of_parts() -> Self {
        let policy = Policy {
            whole_max: ByteSize::mib(5),
            part_target: ByteSize::mib(5),
            parts_at_once: 2,
            ..Self::new().policy
        };
        Self { policy, ..Self::new() }
    }

    /// A world in which sending from the west is dear, so that the east sends its copy on to the third region;
    /// `more` settles the rest of `replication`.
    pub fn relaying(more: &str) -> Self {
        Self::ruled(more).with_price(WEST, 0.14)
    }

    /// A world with these settings of `replication`, in YAML.
    pub fn ruled(replication: &str) -> Self {
        let mut world = Self::new();
        let document = world.config.to_document();
        let document = format!("{}, \"replication\": {replication}}}", document.strip_suffix('}').unwrap());
        world.config = Config::read(Some(&document), std::iter::empty()).unwrap();
        world
    }

    /// This world with another price of sending from one of its regions.
    pub fn with_price(mut self, name: &str, usd_per_gb: f64) -> Self {
        let regions = self.config.regions.iter_mut();
        regions.filter(|r| r.name == region(name)).for_each(|r| r.transfer_out_usd_per_gb = Some(usd_per_gb));
        self
    }

    /// The region from which each copy of what `key` holds in `made_in` was made, by destination.
    pub fn payers(&self, made_in: &str, key: &str) -> Vec<(RegionName, RegionName)> {
        let head = self.objects(made_in).head(key, None).now_or_never().unwrap().unwrap().unwrap();
        let object = ObjectId::of_version(region(made_in), key, head.version_id.as_deref(), "");
        let rows = self.ledger().of_object(&object).now_or_never().unwrap().unwrap();
        rows.iter().map(|row| (row.value.source.region, row.value.destination)).collect()
    }

    pub fn objects(&self, region: &str) -> MemoryObjects {
        self.cloud.bucket(&bucket(region))
    }

    pub fn versions(&self, region: &str, key: &str) -> usize {
        self.objects(region).versions(key)
    }

    pub fn cut(&self, region: &str, cut: bool) {
        self.cloud.cut(&bucket(region), cut);
    }

    pub fn ledger(&self) -> LedgerTable<MemoryRows> {
        LedgerTable::new(self.table.replica())
    }

    pub fn orchestrator(&self, here: &str) -> Orchestrator {
        let script = || Arc::clone(&self.script);
        let door = |name: &&str| (region(name), Faulty { inner: self.objects(name), script: script() });
        Deps {
            config: self.config.clone(),
            here: region(here),
            buckets: self.names.iter().map(door).collect::<BTreeMap<_, _>>(),
            ledger: LedgerTable::new(Faulty { inner: self.table.replica(), script: script() }),
            clock: self.clock.clone(),
            pause: |_| Box::pin(std::future::ready(())),
            policy: self.policy,
        }
    }

    pub fn pass(&self, span: Duration) {
        self.clock.0.set(self.clock.0.now().after(span));
    }

    /// One invocation; `None` if its worker died.
    pub fn invoke(&self, here: &str, event: &Value) -> Option<Result<Reply, RunError>> {
        self.invoke_for(here, event, Duration::from_secs(900))
    }

    /// One invocation with this much time.
    pub fn invoke_for(&self, here: &str, event: &Value, time: Duration) -> Option<Result<Reply, RunError>> {
        let number = self.requests.fetch_add(1, SeqCst);
        let invocation = Invocation {
            owner: format!("request-{number}"),
            seed: number,
            deadline: self.clock.now().after(time),
        };
        // Calls in memory answer at once, so what is pending is dead.
        run(&self.orchestrator(here), &invocation, event).now_or_never()
    }

    /// Lets each read take `span`, and looks that the claim of whoever reads outlasts it.
    pub fn slow_reads(&self, span: Duration) {
        let (clock, ledger) = (self.clock.clone(), self.ledger());
        let hook = move || {
            clock.0.set(clock.0.now().after(span));
            let owed = ledger.owed(region(WEST), 1_000).now_or_never().unwrap().unwrap();
            for row in owed {
                if let Phase::Copying(claim) = &row.value.phase {
                    assert!(claim.expires > clock.0.now(), "the claim lapsed: {}", row.value);
                }
            }
        };
        *self.script.on_read.0.lock().unwrap() = Some(Box::new(hook));
    }

    /// The ids that the queue shall keep.
    pub fn deliver(&self, here: &str, event: &Value) -> Vec<String> {
        let reply = self.invoke(here, event).unwrap().unwrap();
        let Answer::Batch(outcome) = reply.answer else { panic!("{reply:?}") };
        outcome.batch_item_failures.into_iter().map(|item| item.item_identifier).collect()
    }

    pub fn sweep(&self, here: &str) -> Sweep {
        let reply = self.invoke(here, &tick()).unwrap().unwrap();
        let Answer::Sweep(sweep) = reply.answer else { panic!("{reply:?}") };
        sweep
    }

    /// Lets minutes pass and every region sweep, until nothing is owed.
    pub fn settle(&self) {
        for _ in 0..12 {
            self.pass(Duration::from_secs(60));
            let owed: usize = self.names.iter().map(|name| self.sweep(name).owed).sum();
            if owed == 0 {
                return;
            }
        }
        panic!("still owed after 12 sweeps: {:?}", self.owed());
    }

    pub fn owed(&self) -> Vec<Entry> {
        let rows = self
            .names
            .iter()
            .flat_map(|name| self.ledger().owed(region(name), 1_000).now_or_never().unwrap().unwrap());
        rows.map(|row| row.value).collect()
    }

    /// Copies that were given up since a newer version came first.
    pub fn missed(&self) -> Vec<Entry> {
        let rows = ALL
            .iter()
            .flat_map(|name| self.ledger().missed(region(name), 1_000).now_or_never().unwrap().unwrap());
        rows.map(|row| row.value).collect()
    }

    /// The bytes of each version of `key`, the oldest first, delete markers left out.
    pub fn history(&self, here: &str, key: &str) -> Vec<String> {
        let bucket = self.objects(here);
        let page = bucket.list_versions(key, None, 1_000).now_or_never().unwrap().unwrap();
        let own = page.entries.iter().filter(|listed| listed.key == key && !listed.is_marker);
        let read = |id: &str| bucket.read(key, Some(id), 0..u64::MAX).now_or_never().unwrap().unwrap();
        own.rev().map(|listed| String::from_utf8(read(&listed.version_id).to_vec()).unwrap()).collect()
    }

    pub fn put(&self, here: &str, key: &str, body: &[u8], metadata: &[(&str, &str)]) {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let attributes = Attributes {
            content_type: Some("text/plain".to_owned()),
            metadata: metadata.iter().map(text).collect::<Metadata>(),
            ..Attributes::default()
        };
        let body = bytes::Bytes::copy_from_slice(body);
        let sum = Checksum::of(&body);
        self.objects(here).put(key, body, sum, &attributes).now_or_never().unwrap().unwrap();
    }

    pub fn upload(&self, here: &[&str], key: &str, body: &[u8]) {
        let wanted = ALL.join(",");
        for name in here {
            self.put(name, key, body, &[(META_UPLOAD, "u-1"), (META_REGIONS, &wanted)]);
        }
    }

    /// The message about what `key` holds now in `here`.
    pub fn event(&self, here: &str, key: &str) -> Value {
        let head = self.objects(here).head(key, None).now_or_never().unwrap().unwrap().unwrap();
        batch(&[message("m-1", here, key, &head.version_id.unwrap())])
    }

    pub fn body(&self, here: &str, key: &str) -> Vec<u8> {
        let read = self.objects(here).read(key, None, 0..u64::MAX).now_or_never().unwrap();
        read.map(|b| b.to_vec()).unwrap_or_default()
    }
}

/// The mark of a copy that was made under its row's first claim.
pub fn mark(key: &str, from: &str, version: &str, to: &str) -> String {
    origin_value(region(from), version, 1, region(to), key)
}

pub fn message(id: &str, here: &str, key: &str, version: &str) -> Value {
    let object = json!({"key": key, "versionId": version, "sequencer": "01"});
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": here, "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket(here)}, "object": object},
    });
    let body = json!({"Records": [record]}).to_string();
    json!({"messageId": id, "eventSource": "aws:sqs", "body": body})
}

pub fn batch(messages: &[Value]) -> Value {
    json!({ "Records": messages })
}

pub fn tick() -> Value {
    json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

/// Asserts that each region holds this one version and owes nothing.
pub(crate) fn assert_one_copy_everywhere(world: &World, key: &str, body: &[u8]) {
    for name in &world.names {
        assert_eq!(world.versions(name, key), 1, "versions of {key} in {name}");
        assert_eq!(world.body(name, key), body, "{key} in {name}");
    }
    assert_eq!(world.owed(), []);
}
