//! Whatever call a sandbox dies at: an upload through the API ends as one object, and nothing of it is
//! lost or forgotten. A crash leaves rows and buckets behind and nothing else; the client sends
//! its request again, with its key, to a sandbox that remembers nothing.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::pending,
    sync::{Arc, LazyLock, Mutex},
};

use axum::Router;
use futures::FutureExt as _;
use sealane::{
    checksum::Checksum,
    config::Config,
    failover::Record,
    memory::{Call, Cloud, Hook, Hooked, MemoryRows},
    ports::{Clock as _, Cursor, Key, Objects as _, ObjectsError, Page, Row, Rows, RowsError, Silence, When},
    store::ControlTable,
    time::Timestamp,
};
use serde_json::{Value, json};
use workset_api::router_with_uploads;

use super::world::{DOCUMENT, Reply, SharedClock, WEST, called, deps, sent, token};

const BUCKETS: [&str; 3] = ["bucket-west", "bucket-east", "bucket-eu"];
const BODY: &[u8] = b"nine bytes";

/// What befalls one call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The sandbox dies before the call takes effect.
    CrashBefore,
    /// The sandbox dies after it took effect.
    CrashAfter,
    /// No answer, and no effect.
    SilenceBefore,
    /// No answer, and it took effect.
    SilenceAfter,
}

const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::SilenceBefore, Fault::SilenceAfter];

/// Which calls of all tables and buckets meet which fault.
#[derive(Debug, Clone, Default)]
struct Fate(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    calls: usize,
    faults: BTreeMap<usize, Fault>,
}

impl Fate {
    /// Lets each fault befall the call of its number, counted from now.
    fn plan(&self, faults: &[(usize, Fault)]) {
        *self.0.lock().unwrap() = Plan { calls: 0, faults: faults.iter().copied().collect() };
    }

    /// Planned faults that no call has met.
    fn left(&self) -> usize {
        self.0.lock().unwrap().faults.len()
    }

    fn step(&self) -> Option<Fault> {
        let mut plan = self.0.lock().unwrap();
        let number = plan.calls;
        plan.calls += 1;
        plan.faults.remove(&number)
    }

    async fn meet<T, E>(&self, silence: fn() -> E, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let fault = self.step();
        match fault {
            Some(Fault::CrashBefore) => pending().await,
            Some(Fault::SilenceBefore) => return Err(silence()),
            Some(Fault::CrashAfter | Fault::SilenceAfter) | None => {}
        }
        let answer = call.await;
        match fault {
            Some(Fault::CrashAfter) => pending().await,
            Some(Fault::SilenceAfter) => Err(silence()),
            Some(Fault::CrashBefore | Fault::SilenceBefore) | None => answer,
        }
    }
}

fn silent_bucket() -> ObjectsError {
    let how = Silence::Timeout;
    ObjectsError::NoAnswer { bucket: "any".to_owned(), how, source: "planned".into() }
}

fn silent_table() -> RowsError {
    RowsError::NoAnswer { table: "any".to_owned(), how: Silence::Timeout, source: "planned".into() }
}

impl Hook for Fate {
    async fn around<T: Send>(
        &self,
        _: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        self.meet(silent_bucket, carried_out).await
    }
}

/// A table whose calls meet their fate.
#[derive(Debug, Clone)]
struct Doomed {
    rows: MemoryRows,
    fate: Fate,
}

impl Rows for Doomed {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.fate.meet(silent_table, self.rows.read(key)).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.fate.meet(silent_table, self.rows.write(row, when)).await
    }

    async fn list(&self, p: &str, newest: bool, at: Option<&Cursor>, n: usize) -> Result<Page, RowsError> {
        self.fate.meet(silent_table, self.rows.list(p, newest, at, n)).await
    }

    async fn list_index(
        &self,
        p: &str,
        up_to: Option<&str>,
        at: Option<&Cursor>,
        n: usize,
    ) -> Result<Page, RowsError> {
        self.fate.meet(silent_table, self.rows.list_index(p, up_to, at, n)).await
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Begin,
    Sign,
    Complete,
    Failover,
    Abort,
}

const VERBS: [Verb; 5] = [Verb::Begin, Verb::Sign, Verb::Complete, Verb::Failover, Verb::Abort];
/// What may follow a call of which its client has heard nothing.
const ENDS: [Verb; 3] = [Verb::Complete, Verb::Failover, Verb::Abort];

/// Tables and buckets, which outlive every sandbox.
struct Scene {
    config: Config,
    tables: [MemoryRows; 4],
    cloud: Cloud,
    clock: SharedClock,
    fate: Fate,
    /// The sandbox that is alive.
    router: RefCell<Option<Router>>,
}

impl Scene {
    fn new() -> Self {
        static CONFIG: LazyLock<Config> =
            LazyLock::new(|| Config::read(Some(DOCUMENT), std::iter::empty()).unwrap());
        let config = CONFIG.clone();
        let (cloud, clock, fate) = (Cloud::default(), SharedClock::default(), Fate::default());
        let tables = <[MemoryRows; 4]>::default();
        let [.., control] = &tables;
        let first = Record::first(WEST.parse().unwrap(), Timestamp::default());
        let control = ControlTable::new(vec![control.clone()]);
        control.swap(None, &first).now_or_never().unwrap().unwrap();
        Self { config, tables, cloud, clock, fate, router: RefCell::default() }
    }

    /// A new sandbox.
    fn sandbox(&self) -> Router {
        let doomed = |rows: &MemoryRows| Doomed { rows: rows.clone(), fate: self.fate.clone() };
        let bucket = |name: &str| Hooked::new(self.cloud.bucket(name), self.fate.clone());
        let full = self.config.full_regions();
        let buckets = full.map(|r| (r.name, bucket(r.bucket.as_deref().unwrap()))).collect();
        router_with_uploads(deps(&self.config, self.tables.each_ref().map(doomed), &self.clock), buckets)
    }

    /// Sends it once; `None` if the sandbox died at it.
    fn once(&self, (method, target, body): &(&str, String, Value), key: &str) -> Option<Reply> {
        let mut request = called(token("lab"), method, target, &body.to_string());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        let router = self.router.take().unwrap_or_else(|| self.sandbox());
        let reply = sent(router.clone(), request).now_or_never();
        *self.router.borrow_mut() = reply.is_some().then_some(router);
        reply
    }

    /// Sends it until it is answered, as a client does: whoever is told to wait does so.
    fn insist(&self, ask: &(&str, String, Value), key: &str) -> Reply {
        for tries in 0.. {
            match self.once(ask, key) {
                Some(reply) if reply.header("retry-after").is_empty() || tries > 4 => return reply,
                Some(_) | None => self.pass(),
            }
        }
        unreachable!("a sandbox dies as often as was planned");
    }

    /// So much time that a call whose sandbox died may be taken over.
    fn pass(&self) {
        self.clock.set(Timestamp::from_millis(self.clock.now().as_millis() + 31_000));
    }

    /// Begun, and its part put.
    fn prepared(&self) -> Value {
        let offer = self.insist(&ask(Verb::Begin, &Value::Null), "k0").json();
        self.put(&offer);
        offer
    }

    fn put(&self, offer: &Value) {
        for part in offer["parts"].as_array().unwrap() {
            let headers: BTreeMap<String, String> = serde_json::from_value(part["headers"].clone()).unwrap();
            let bucket = self.cloud.bucket(offer["upload"]["bucket"].as_str().unwrap());
            let put = bucket.put_signed(part["url"].as_str().unwrap(), &headers, BODY.into());
            put.now_or_never().unwrap().unwrap();
        }
    }

    fn shown(&self, id: &Value) -> Value {
        let reply = self.insist(&("GET", path(id), Value::Null), "-");
        reply.json()["upload"].clone()
    }

    /// Every part that the upload lacks is put, and it is completed; what is past that is given up.
    fn finish(&self, id: &Value) {
        let offer = self.insist(&("POST", path(id) + ":sign", json!({"from": 1})), "-").json();
        if offer["upload"]["state"] == "open" && self.put_fits(&offer) {
            self.put(&offer);
        }
        let done = self.insist(&("POST", path(id) + ":complete", json!({})), "last");
        if done.status.as_u16() != 200 {
            done.problem(409, "upload-ended");
            self.insist(&("DELETE", path(id), Value::Null), "-");
        }
    }

    /// Whether the store still has the upload that the offer is for.
    fn put_fits(&self, offer: &Value) -> bool {
        let bucket = self.cloud.bucket(offer["upload"]["bucket"].as_str().unwrap());
        let open = bucket.uploads("").now_or_never().unwrap().unwrap();
        let url = offer["parts"][0]["url"].as_str().unwrap();
        open.iter().any(|open| url.contains(&format!("uploadId={}&", open.upload)))
    }

    /// Versions in each bucket.
    fn versions(&self) -> [usize; 3] {
        BUCKETS.map(|name| self.cloud.bucket(name).versions("lab/a"))
    }

    /// Bodies of the rows that hold uploads.
    fn tickets(&self) -> Vec<Value> {
        let rows = self.tables[0].all().into_iter().filter(|row| row.key.sort == "upload");
        rows.map(|row| serde_json::from_str(&row.body).unwrap()).collect()
    }

    /// What must hold once all is quiet: no upload in a store that nothing owns. Owned is what a row says is
    /// still to be freed. One whose name was lost with its sandbox has no owner but the bucket's lifecycle rule:
    /// it is empty for ever, since nobody was ever told of it, and each fault leaves one at most.
    fn nothing_is_forgotten(&self, faults: usize) {
        let tickets = self.tickets();
        let legs = tickets.iter().flat_map(|ticket| ticket["legs"].as_array().unwrap());
        let owned: Vec<_> =
            legs.filter(|leg| leg["freed"] == false).map(|leg| leg["upload"].clone()).collect();
        let mut unheard = 0;
        for name in BUCKETS {
            let bucket = self.cloud.bucket(name);
            for open in bucket.uploads("").now_or_never().unwrap().unwrap() {
                if !owned.contains(&json!(open.upload)) {
                    let parts = bucket.parts(&open.key, &open.upload).now_or_never().unwrap().unwrap();
                    assert_eq!(parts, [], "parts that nothing owns");
                    unheard += 1;
                }
            }
        }
        assert!(unheard <= faults, "{unheard} uploads that nothing owns after {faults} faults");
    }
}

fn path(id: &Value) -> String {
    format!("/v1/uploads/{}", id.as_str().unwrap())
}

/// The request of `verb` for the upload that `offer` is of.
fn ask(verb: Verb, offer: &Value) -> (&'static str, String, Value) {
    let upload = &offer["upload"];
    let act = |verb: &str, body| ("POST", format!("{}:{verb}", path(&upload["id"])), body);
    match verb {
        Verb::Begin => {
            let part = json!({"size_bytes": BODY.len(), "crc64nvme": Checksum::of(BODY)});
            let body = json!({"key": "a", "size_bytes": BODY.len(), "parts": [part], "copies": 3});
            ("POST", "/v1/uploads".to_owned(), body)
        }
        Verb::Sign => act("sign", json!({"from": 1})),
        Verb::Complete => act("complete", json!({})),
        Verb::Failover => act("failover", json!({"from": upload["region"]})),
        Verb::Abort => ("DELETE", path(&upload["id"]), Value::Null),
    }
}

/// The request of `verb` meets `faults` and is sent until it is answered; then the upload is brought to
/// its end. Gives the faults that no call was left for.
fn repeated(verb: Verb, faults: &[(usize, Fault)]) -> usize {
    let scene = Scene::new();
    let offer = if verb == Verb::Begin { Value::Null } else { scene.prepared() };
    let before = scene.tickets();
    scene.fate.plan(faults);
    let request = ask(verb, &offer);
    let reply = scene.insist(&request, "k1");
    let left = scene.fate.left();
    scene.fate.plan(&[]);
    assert!(reply.status.is_success(), "{}", reply.text);
    let told = reply.json();
    let again = scene.insist(&request, "k1").json();
    assert_eq!(again["upload"]["id"], told["upload"]["id"]);
    assert_eq!(scene.tickets().len(), 1, "one key begins one upload");
    let id = &told["upload"]["id"];
    match verb {
        Verb::Begin => scene.put(&told),
        Verb::Sign => assert_eq!(scene.tickets(), before, "signing changes nothing"),
        Verb::Complete => assert_eq!(told["upload"]["receipt"], again["upload"]["receipt"]),
        Verb::Failover => {
            assert_eq!(again["upload"]["region"], told["upload"]["region"], "one move");
            assert_eq!(told["upload"]["tried"], json!([offer["upload"]["region"]]));
            scene.put(&told);
        }
        Verb::Abort => assert_eq!(told["upload"]["state"], "aborted"),
    }
    let completes = verb != Verb::Abort;
    if completes {
        let done = scene.insist(&ask(Verb::Complete, &told), "k2");
        assert_eq!(done.status.as_u16(), 200, "{}", done.text);
    }
    assert_eq!(scene.versions().iter().sum::<usize>(), usize::from(completes), "{:?}", scene.versions());
    assert_eq!(scene.shown(id)["state"], if completes { "completed" } else { "aborted" });
    scene.nothing_is_forgotten(faults.len());
    left
}

#[test]
fn a_request_that_is_sent_again_after_any_crash_takes_effect_once() {
    for verb in VERBS {
        for fault in FAULTS {
            let calls = (0..).find(|at| repeated(verb, &[(*at, fault)]) > 0).unwrap();
            assert!(calls > 2, "{verb:?} makes {calls} calls");
        }
    }
}

#[test]
fn two_crashes_do_no_more_harm_than_one() {
    let twice =
        |verb, first, second| repeated(verb, &[(first, Fault::CrashAfter), (second, Fault::CrashAfter)]);
    for verb in [Verb::Begin, Verb::Complete] {
        for first in 0.. {
            let last = (first + 1..).find(|second| twice(verb, first, *second) > 0).unwrap();
            if last == first + 1 {
                break;
            }
        }
    }
}

/// A client that has heard nothing may ask for something else instead.
#[test]
fn whatever_is_asked_for_after_a_crash_what_is_there_is_told_and_what_is_not_is_not() {
    let after = [&[Verb::Complete][..], &[Verb::Failover], &[Verb::Abort], &[Verb::Failover, Verb::Abort]];
    for (verb, next) in after.into_iter().flat_map(|next| ENDS.map(|verb| (verb, next))) {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            for at in 0.. {
                let scene = Scene::new();
                let offer = scene.prepared();
                scene.fate.plan(&[(at, fault)]);
                scene.once(&ask(verb, &offer), "k1");
                let left = scene.fate.left();
                scene.fate.plan(&[]);
                scene.pass();
                let id = &offer["upload"]["id"];
                for (n, verb) in next.iter().enumerate() {
                    let upload = json!({"upload": scene.shown(id)});
                    scene.insist(&ask(*verb, &upload), &format!("n{n}"));
                }
                scene.finish(id);
                let (state, versions) = (scene.shown(id)["state"].clone(), scene.versions());
                let story = format!("{verb:?} {fault:?} at {at}, then {next:?}: {state} {versions:?}");
                // An upload that is completed unheard, and again elsewhere, is one object to replication.
                assert!(versions.iter().all(|n| *n <= 1), "{story}");
                assert_eq!(versions == [0; 3], state == "aborted", "{story}");
                scene.nothing_is_forgotten(1);
                if left > 0 {
                    break;
                }
            }
        }
    }
}
