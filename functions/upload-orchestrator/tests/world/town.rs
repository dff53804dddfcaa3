//! Worksets whose changes are told, receivers that hear of them or not, and the orchestrators between.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;
use sealane::{
    config::Config,
    failover::{Moved, PastMove, Phase, Reason, Record, StartedBy},
    memory::MemoryRows,
    notify::{TargetName, webhook::Secrets},
    ports::{Address, Clock as _, Post, PostAnswer, PostError, Posts},
    store::{ControlTable, Held, NoticeTable, WorksetTable},
    time::Timestamp,
    workset::{By, Lease, State, Transition, register, transition},
};
use serde_json::{Value, json};
use upload_orchestrator::{Herald, Invocation, Reply, RunError, run_and_tell};

use super::{ALL, World, bucket, faults::Faulty, region, tick};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A target that hears of everything by requests.
pub const LIMS: &str =
    r#"{"name": "lims", "kind": "webhook", "url": "https://lims.example.com/hook", "secret_env": "SECRET"}"#;

/// A target that hears of failures and moves in a topic.
pub const OPS: &str = r#"{"name": "ops", "kind": "sns", "topic_arn": "arn:aws:sns:us-east-1:123456789012:ops",
    "states": ["error"]}"#;

/// What was heard: where, under which id, and what.
pub type Heard = (String, String, String);

/// Who makes the write of this number, at the primary region's API, ten seconds after the one before.
pub fn by(number: u64) -> By {
    By {
        actor: "ada".parse().unwrap(),
        region: region(ALL[0]),
        at: Timestamp::from_millis(number * 10_000),
        request: format!("request-{number}"),
        epoch: Some(1),
    }
}

/// Moves the workset `id` to `state`.
pub fn moved(table: &WorksetTable<MemoryRows>, id: &str, state: State, by: &By) {
    let (tenant, id) = ("lab".parse().unwrap(), id.parse().unwrap());
    let held = table.get(&tenant, &id).now_or_never().unwrap().unwrap().unwrap();
    let mut change = Transition::to(state);
    if state == State::Error {
        let failure = json!({"to": "error", "error": {"category": "transient", "details": "no reads"}});
        change = serde_json::from_value(failure).unwrap();
    }
    let (workset, last) = transition(&held.workset, change, by, 0).unwrap();
    table.replace(&held, &Held { workset, last }).now_or_never().unwrap().unwrap();
}

/// Everybody who is told.
#[derive(Debug, Clone, Default)]
pub struct Receivers {
    heard: Arc<Mutex<Vec<Heard>>>,
    /// The next answers, by a part of the id; otherwise it is 200.
    answers: Arc<Mutex<BTreeMap<String, VecDeque<u16>>>>,
}

impl Receivers {
    /// Answers whatever has `part` in its id with these, one after the other.
    pub fn answer(&self, part: &str, statuses: &[u16]) {
        self.answers.lock().unwrap().insert(part.to_owned(), statuses.iter().copied().collect());
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn status(&self, id: &str) -> u16 {
        let mut answers = self.answers.lock().unwrap();
        let queue = answers.iter_mut().find(|(part, queue)| id.contains(part.as_str()) && !queue.is_empty());
        queue.and_then(|(_, queue)| queue.pop_front()).unwrap_or(200)
    }
}

impl Posts for Receivers {
    async fn post(&self, post: &Post) -> Result<PostAnswer, PostError> {
        let (to, body) = match &post.to {
            Address::Url(url) => {
                let word = |name: &str| post.headers.iter().find(|(n, _)| *n == name).unwrap().1.clone();
                assert!(word("webhook-signature").starts_with("v1,"));
                (url.clone(), post.body.clone())
            }
            Address::Topic(topic) => {
                let message = post.body.split('&').find_map(|field| field.strip_prefix("Message=")).unwrap();
                (topic.as_str().to_owned(), unescaped(message))
            }
        };
        let event: Value = serde_json::from_str(&body).unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        let status = self.status(&id);
        if (200..300).contains(&status) {
            self.heard.lock().unwrap().push((to, id, body));
        }
        Ok(PostAnswer { status, retry_after: None, body: String::new() })
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = (*first == b'%').then(|| std::str::from_utf8(&more[..2]).unwrap());
        bytes.push(hex.map_or(*first, |hex| u8::from_str_radix(hex, 16).unwrap()));
        rest = if hex.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).unwrap()
}

/// A world in which others are told what happens.
pub struct Town {
    pub world: World,
    pub worksets: MemoryRows,
    pub control: MemoryRows,
    pub receivers: Receivers,
    pub secrets: Secrets,
    clockwork: u64,
}

impl Town {
    /// A town whose first region is active and in which these targets, in JSON, are told.
    pub fn telling(targets: &str) -> Self {
        Self::of(targets, "off")
    }

    /// As [`telling`](Self::telling), where buckets show as `sentinels` says how worksets stand.
    pub fn of(targets: &str, sentinels: &str) -> Self {
        let mut world = World::new();
        let regions: Vec<_> = ALL.iter().map(|name| json!({"name": name, "bucket": bucket(name)})).collect();
        let document = format!(
            r#"{{"primary_region": "{}", "regions": {}, "worksets": {{"sentinels": "{sentinels}"}},
                "notifications": {{"targets": {targets}, "attempts_max": 4}}}}"#,
            ALL[0],
            Value::from(regions)
        );
        world.config = Config::read(Some(&document), std::iter::empty()).unwrap();
        let (secrets, _) = Secrets::read(["SECRET"].into_iter(), |_| Some(SECRET.to_owned()));
        let town = Self {
            world,
            worksets: MemoryRows::default(),
            control: MemoryRows::default(),
            receivers: Receivers::default(),
            secrets,
            clockwork: 0,
        };
        town.swap(None, &Record::first(region(ALL[0]), Timestamp::default()));
        town
    }

    pub fn table(&self) -> WorksetTable<MemoryRows> {
        let states = self.world.config.told_states();
        WorksetTable::new(self.worksets.replica()).telling(states)
    }

    pub fn notices(&self) -> NoticeTable<MemoryRows> {
        NoticeTable::new(self.worksets.replica())
    }

    fn by(&mut self) -> By {
        self.clockwork += 1;
        by(self.clockwork)
    }

    /// Registers a workset and moves it through these states.
    pub fn walk(&mut self, id: &str, states: &[State]) {
        self.register(id, "my-bucket", "p/");
        for state in states {
            self.moves(id, *state);
        }
    }

    /// Registers a workset whose data lies there.
    pub fn register(&mut self, id: &str, bucket: &str, prefix: &str) {
        let request = json!({"id": id, "bucket": bucket, "prefix": prefix});
        let request = serde_json::from_value(request).unwrap();
        let (workset, last) = register(request, "lab".parse().unwrap(), &self.by()).unwrap();
        self.table().create(&Held { workset, last }).now_or_never().unwrap().unwrap();
    }

    /// Moves a workset to another state.
    pub fn moves(&mut self, id: &str, state: State) {
        let by = self.by();
        moved(&self.table(), id, state, &by);
    }

    fn swap(&self, old: Option<&Record>, new: &Record) {
        ControlTable::new(vec![self.control.clone()]).swap(old, new).now_or_never().unwrap().unwrap();
    }

    /// Makes the region `to` active; the move has ended if `is_over`.
    pub fn switch(&self, to: &str, is_over: bool) {
        let control = ControlTable::new(vec![self.control.clone()]);
        let old = control.record().now_or_never().unwrap().unwrap().unwrap();
        let (from, to, epoch) = (old.active, region(to), old.epoch + 1);
        let at = Timestamp::from_millis(epoch);
        let past = PastMove { epoch, at, age: Duration::ZERO, from, to, automatic: true, failback: false };
        let reason = Reason::Failback { region: to };
        let phase = if is_over { Phase::Steady } else { Phase::Verifying { from } };
        let moves = old.moves.iter().copied().chain([past]).collect();
        let version = old.version + 1;
        let new = Record { version, epoch, active: to, reason: reason.clone(), phase, moves, ..old.clone() };
        self.swap(Some(&old), &new);
        if is_over {
            self.end(&new, from);
        }
    }

    /// Keeps the account of the move that made the record so.
    pub fn end(&self, record: &Record, from: sealane::region::RegionName) {
        let moved = Moved {
            epoch: record.epoch,
            from,
            to: record.active,
            reason: record.reason.clone(),
            started_by: StartedBy::Automation,
            lag_ms: None,
            loss_max_ms: None,
            saw: Vec::new(),
            steps: Vec::new(),
            verified: true,
            ended: Timestamp::from_millis(record.epoch),
            chain: None,
        };
        ControlTable::new(vec![self.control.clone()]).log(&moved).now_or_never().unwrap().unwrap();
    }

    pub fn record(&self) -> Record {
        ControlTable::new(vec![self.control.clone()]).record().now_or_never().unwrap().unwrap().unwrap()
    }

    /// Has somebody take the lock of a workset for an hour.
    pub fn lock(&self, id: &str) {
        let control = ControlTable::new(vec![self.control.clone()]);
        let (tenant, id) = ("lab".parse().unwrap(), id.parse().unwrap());
        let row = control.lock(&tenant, &id).now_or_never().unwrap().unwrap();
        let now = self.world.orchestrator(ALL[0]).clock.now();
        let slot = row.slot.acquire(State::Ready, "ada".parse().unwrap(), Lease::default(), now).unwrap();
        control.swap_lock(&tenant, &id, &row, slot, ("w", now)).now_or_never().unwrap().unwrap();
    }

    /// The orchestrator of `here` at its tick, apart from this town: it goes by the same tables and buckets.
    pub fn other(&self, here: &str) -> impl FnOnce() -> bool + Send + 'static {
        let (deps, herald) = (self.world.orchestrator(here), self.herald());
        let deadline = deps.clock.now().after(Duration::from_secs(900));
        let invocation = Invocation { owner: "other".to_owned(), seed: 7, deadline };
        move || run_and_tell(&deps, &herald, &invocation, &tick()).now_or_never().is_some()
    }

    fn herald(&self) -> Herald<Faulty<MemoryRows>, Faulty<Receivers>> {
        let faulty =
            |rows: &MemoryRows| Faulty { inner: rows.replica(), script: Arc::clone(&self.world.script) };
        let states = self.world.config.told_states();
        Herald {
            worksets: WorksetTable::new(faulty(&self.worksets)).telling(states),
            notices: NoticeTable::new(faulty(&self.worksets)),
            control: ControlTable::new(vec![faulty(&self.control)]),
            posts: Faulty { inner: self.receivers.clone(), script: Arc::clone(&self.world.script) },
            secrets: self.secrets.clone(),
        }
    }

    /// One tick in `here`; `None` if its worker died.
    pub fn try_tick(&self, here: &str) -> Option<Result<Reply, RunError>> {
        let deps = self.world.orchestrator(here);
        let deadline = deps.clock.now().after(Duration::from_secs(900));
        let invocation = Invocation { owner: "request".to_owned(), seed: self.clockwork, deadline };
        run_and_tell(&deps, &self.herald(), &invocation, &tick()).now_or_never()
    }

    /// One tick a minute later; what it says of the notices.
    pub fn tick(&self, here: &str) -> Option<Value> {
        self.world.pass(Duration::from_secs(60));
        let reply = self.try_tick(here).unwrap().unwrap();
        let lines: Vec<Value> =
            reply.metrics.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.into_iter().find(|line| line.get("NotificationsTold").is_some())
    }

    /// The ids of what waits for `target` and of what is parked.
    pub fn left(&self, target: &str) -> (Vec<String>, Vec<String>) {
        let target: TargetName = target.parse().unwrap();
        let ids =
            |lined: sealane::store::Lined| lined.rows.into_iter().map(|row| row.value.notice.id).collect();
        let waiting = self.notices().waiting(&target, 1_000).now_or_never().unwrap().unwrap();
        let parked = self.notices().parked(&target, 1_000).now_or_never().unwrap().unwrap();
        (ids(waiting), ids(parked))
    }

    /// What `url` or topic heard, without what it heard twice, each as `<workset> <version>` or its id.
    pub fn heard(&self, to: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        for (at, id, _) in self.receivers.heard() {
            let parts: Vec<&str> = id.split(':').collect();
            let short = if parts[0] == "workset" { format!("{} {}", parts[2], parts[3]) } else { id.clone() };
            if at.contains(to) && !seen.contains(&short) {
                seen.push(short);
            }
        }
        seen
    }
}
