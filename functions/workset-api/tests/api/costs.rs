//! What a call costs: the requests that it makes of the tables, once the sandbox is warm.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use sealane::{
    config::Config,
    failover::Record,
    memory::{Call, Cloud, Hook, Hooked, MemoryRows},
    ports::{Cursor, Key, Objects as _, ObjectsError, Page, Row, Rows, RowsError, When},
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use workset_api::router_with_uploads;

use super::world::{DOCUMENT, SharedClock, WEST, called, deps, token};

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Notes every request: a read or write of a call's record apart from those of worksets and locks.
#[derive(Clone)]
struct Counted {
    rows: MemoryRows,
    log: Log,
    /// Reads under way, and the most there ever were.
    reads: Arc<[AtomicUsize; 2]>,
}

impl Counted {
    fn note(&self, key: &str, what: [&'static str; 2]) {
        self.log.lock().unwrap().push(what[usize::from(key.starts_with("~call#"))]);
    }
}

impl Rows for Counted {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.note(&key.partition, ["read", "call read"]);
        let [now, most] = &*self.reads;
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        now.fetch_sub(1, Ordering::Relaxed);
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.note(&row.key.partition, ["write", "call write"]);
        self.rows.write(row, when).await
    }

    async fn list(
        &self,
        p: &str,
        newest: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.note(p, ["query", "query"]);
        self.rows.list(p, newest, from, limit).await
    }

    async fn list_index(
        &self,
        p: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.note(p, ["query", "query"]);
        self.rows.list_index(p, up_to, from, limit).await
    }
}

/// Notes every request to a bucket.
struct Counting(Log);

impl Hook for Counting {
    async fn around<T: Send>(
        &self,
        _: Call,
        carried_out: impl Future<Output = Result<T, ObjectsError>> + Send,
    ) -> Result<T, ObjectsError> {
        self.0.lock().unwrap().push("store");
        carried_out.await
    }
}

async fn world() -> (Router, Log, Counted) {
    world_on(&Cloud::default()).await
}

async fn world_on(cloud: &Cloud) -> (Router, Log, Counted) {
    let log = Log::default();
    let west: RegionName = WEST.parse().unwrap();
    let reads = Arc::default();
    let table = || Counted { rows: MemoryRows::default(), log: Arc::clone(&log), reads: Arc::clone(&reads) };
    let (control, worksets) = (table(), table());
    let first = Record::first(west, Timestamp::default());
    ControlTable::new(vec![control.clone()]).swap(None, &first).await.unwrap();
    let variables = [("SEALANE_API_CACHE_TTL".to_owned(), "5s".to_owned())];
    let config = Config::read(Some(DOCUMENT), variables.into_iter()).unwrap();
    let bucket = |name: &str| Hooked::new(cloud.bucket(name), Counting(Arc::clone(&log)));
    let buckets = config.full_regions().map(|r| (r.name, bucket(r.bucket.as_deref().unwrap()))).collect();
    let deps = deps(&config, [worksets.clone(), table(), table(), control], &SharedClock::default());
    (router_with_uploads(deps, buckets), log, worksets)
}

/// What a call asks of the tables: how often each, and the reply.
async fn cost(
    router: &Router,
    log: &Log,
    method: &str,
    target: &str,
    body: Value,
) -> (BTreeMap<&'static str, usize>, Value) {
    log.lock().unwrap().clear();
    let reply =
        router.clone().oneshot(called(token("lab"), method, target, &body.to_string())).await.unwrap();
    assert!(reply.status().is_success(), "{method} {target}: {}", reply.status());
    let text = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    let mut counts = BTreeMap::new();
    log.lock().unwrap().iter().for_each(|what| *counts.entry(*what).or_default() += 1);
    (counts, serde_json::from_slice(&text).unwrap())
}

fn new(id: &str) -> Value {
    json!({"id": id, "bucket": "my-bucket", "prefix": "p/"})
}

/// The record of a call is one read and two writes more; that is what taking effect once costs.
#[tokio::test]
async fn a_call_makes_no_more_requests_than_it_needs() {
    let (router, log, _) = world().await;
    let of = |method, target, body| cost(&router, &log, method, target, body);
    of("GET", "/v1/worksets", Value::Null).await;
    let kept = [("call read", 1), ("call write", 2)];
    let with = |more: &[(&'static str, usize)]| {
        kept.into_iter().chain(more.iter().copied()).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(of("POST", "/v1/worksets", new("ws-001")).await.0, with(&[("write", 2)]), "register");
    assert_eq!(of("GET", "/v1/worksets/ws-001", Value::Null).await.0, BTreeMap::from([("read", 1)]), "get");
    assert_eq!(
        of("GET", "/v1/worksets?state=ready", Value::Null).await.0,
        BTreeMap::from([("query", 1)]),
        "list"
    );
    let claimed = of("POST", "/v1/worksets:claim", json!({})).await;
    assert_eq!(claimed.0, with(&[("query", 1), ("write", 1), ("read", 1)]), "claim");
    let begin = json!({"to": "in_progress", "token": claimed.1["lock"]["token"]});
    let moved = of("POST", "/v1/worksets/ws-001/transitions", begin).await.0;
    assert_eq!(
        moved,
        with(&[("read", 2), ("write", 3)]),
        "workset and lock; the last event, the row, its event"
    );
}

#[tokio::test]
async fn an_upload_makes_no_more_requests_than_it_needs() {
    let cloud = Cloud::default();
    let (router, log, _) = world_on(&cloud).await;
    let of = |method, target: String, body| {
        let (router, log) = (router.clone(), Arc::clone(&log));
        async move { cost(&router, &log, method, &target, body).await }
    };
    of("GET", "/v1/regions".to_owned(), Value::Null).await;
    let part = json!({"size_bytes": 9, "crc64nvme": "rosUhgp5mIg="});
    let ask = json!({"key": "a", "size_bytes": 9, "parts": [part]});
    let (begun, offer) = of("POST", "/v1/uploads".to_owned(), ask).await;
    let with = |store| {
        BTreeMap::from([("call read", 1), ("call write", 2), ("read", 1), ("write", 1), ("store", store)])
    };
    assert_eq!(begun, with(1));
    let bucket = cloud.bucket(offer["upload"]["bucket"].as_str().unwrap());
    let [open] = bucket.uploads("lab/a").await.unwrap().try_into().unwrap();
    let bytes = "123456789";
    bucket.put_part("lab/a", &open.upload, 1, bytes.into(), "rosUhgp5mIg=".parse().unwrap()).await.unwrap();
    let target = format!("/v1/uploads/{}:complete", offer["upload"]["id"].as_str().unwrap());
    assert_eq!(of("POST", target, json!({})).await.0, with(3), "list, join, look");
}

/// A lock that had a holder before costs the writes that end that one's.
#[tokio::test]
async fn a_claim_behind_many_locks_reads_them_at_once() {
    let (router, log, table) = world().await;
    let of = |method, target, body| cost(&router, &log, method, target, body);
    for n in 1..=9 {
        of("POST", "/v1/worksets", new(&format!("ws-{n:03}"))).await;
        of("POST", "/v1/worksets:claim", json!({})).await;
    }
    of("POST", "/v1/worksets/ws-009/lock/release", json!({"token": 1})).await;
    table.reads[1].store(0, Ordering::Relaxed);
    let (counts, claimed) = of("POST", "/v1/worksets:claim", json!({})).await;
    assert_eq!((&claimed["workset"]["id"], &claimed["lock"]["token"]), (&json!("ws-009"), &json!(2)));
    assert_eq!(table.reads[1].load(Ordering::Relaxed), 9);
    let wanted = [("call read", 1), ("call write", 3), ("query", 1), ("read", 11), ("write", 5)];
    assert_eq!(
        counts,
        BTreeMap::from(wanted),
        "a lock that is not free, looked at again; the locks and the workset; the last event, the row, its event"
    );
}

#[tokio::test]
async fn a_repetition_costs_one_read() {
    let (router, log, _) = world().await;
    for wanted in [None, Some(BTreeMap::from([("call read", 1)]))] {
        log.lock().unwrap().clear();
        let mut request = called(token("lab"), "POST", "/v1/worksets", &new("ws-001").to_string());
        request.headers_mut().insert("idempotency-key", "k1".parse().unwrap());
        assert_eq!(router.clone().oneshot(request).await.unwrap().status().as_u16(), 201);
        let mut counts = BTreeMap::<_, usize>::new();
        log.lock().unwrap().iter().for_each(|what| *counts.entry(*what).or_default() += 1);
        if let Some(wanted) = wanted {
            assert_eq!(counts, wanted);
        }
    }
}

/// A page asks for what it shows and one row more, however many there are behind it.
#[tokio::test]
async fn a_page_of_ten_thousand_costs_what_a_page_costs() {
    let (router, log, table) = world().await;
    for n in 0..10_000_u32 {
        let id = format!("ws-{n:05}");
        let row = json!({"workset": {
            "tenant": "lab", "id": id, "bucket": "my-bucket", "prefix": "p/", "state": "ready", "priority": "normal",
            "type": "ruo", "created_ms": n, "updated_ms": n, "version": 1, "written_in": WEST,
        }, "last": {"version": 1, "to": "ready", "at_ms": n, "region": WEST, "actor": "ada", "request": ""}});
        let key = Key::new(format!("lab#{id}"), "meta");
        let index = Some(Key::new("lab#ready", format!("1#{n:013}#{id}")));
        let row = Row { key, version: 1, body: row.to_string(), index, expires_s: None };
        table.rows.write(&row, When::Absent).await.unwrap();
    }
    let (mut cursor, mut seen, mut queries) = (String::new(), 0, 0);
    // The first, the second, and one after a jump far into the list.
    for step in 0..3 {
        let target = format!("/v1/worksets?state=ready&limit=100{cursor}");
        let (counts, page) = cost(&router, &log, "GET", &target, Value::Null).await;
        queries += counts["query"].min(2);
        seen += page["worksets"].as_array().unwrap().len();
        assert!(page.to_string().len() < 64 << 10);
        cursor = format!("&cursor={}", page["next"].as_str().unwrap());
        if step == 1 {
            let far = sealane::workset::Cursor {
                state: sealane::workset::State::Ready,
                priority: sealane::workset::Priority::Normal,
                created_at: Timestamp::from_millis(9_000),
                id: "ws-09000".parse().unwrap(),
            };
            cursor = format!("&cursor={far}");
        }
    }
    assert_eq!(seen, 300);
    assert!(queries <= 6, "{queries}");
}
