//! Tables that race with their writers, or break.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;

use sealane::{
    config::Config,
    failover::Record,
    memory::MemoryRows,
    ports::{Cursor, Key, Page, Row, Rows, RowsError, When},
    region::RegionName,
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
    time::Timestamp,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use workset_api::{Deps, router};

use super::world::{DOCUMENT, SharedClock, WEST, called, token};

/// What is wrong with a table.
#[derive(Clone)]
enum Fault {
    /// Another writer is first, this many times.
    Races(Arc<AtomicUsize>),
    /// Reading panics.
    Panics,
    /// What happens between the decision on a workset and its write.
    Meanwhile(Interlude),
    None,
}

/// Happens once.
type Interlude = Arc<Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;

#[derive(Clone)]
struct Meddled {
    rows: MemoryRows,
    fault: Fault,
}

impl Rows for Meddled {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        assert!(!matches!(self.fault, Fault::Panics), "on command");
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let races = match &self.fault {
            Fault::Races(left) => left,
            Fault::Meanwhile(interlude) => {
                let of_workset = matches!(when, When::Version(_)) && row.key.sort == "meta";
                let first = of_workset.then(|| interlude.lock().unwrap().take()).flatten();
                if let Some(first) = first {
                    first.await;
                }
                return self.rows.write(row, when).await;
            }
            Fault::Panics | Fault::None => return self.rows.write(row, when).await,
        };
        let again = races.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if let (When::Version(held), Ok(_)) = (when, again) {
            let old = self.rows.read(&row.key).await?.unwrap();
            let mut body: Value = serde_json::from_str(&old.body).unwrap();
            body["workset"]["version"] = json!(held + 1);
            body["last"]["version"] = json!(held + 1);
            let other = Row { version: held + 1, body: body.to_string(), ..old };
            self.rows.write(&other, When::Version(held)).await?;
        }
        self.rows.write(row, when).await
    }

    async fn list(
        &self,
        p: &str,
        newest: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list(p, newest, from, limit).await
    }

    async fn list_index(
        &self,
        p: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list_index(p, up_to, from, limit).await
    }
}

/// One region whose worksets can be reached with any fault.
struct Place {
    worksets: MemoryRows,
    control: ControlTable<Meddled>,
    clock: SharedClock,
}

impl Place {
    async fn new() -> Self {
        let west: RegionName = WEST.parse().unwrap();
        let control = ControlTable::new(vec![Meddled { rows: MemoryRows::default(), fault: Fault::None }]);
        control.swap(None, &Record::first(west, Timestamp::default())).await.unwrap();
        let place = Self { worksets: MemoryRows::default(), control, clock: SharedClock::default() };
        let workset = json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/"});
        post(place.api(Fault::None), "/v1/worksets", workset).await;
        place
    }

    fn api(&self, fault: Fault) -> Router {
        let west: RegionName = WEST.parse().unwrap();
        let table = Meddled { rows: self.worksets.clone(), fault };
        let other = || Meddled { rows: MemoryRows::default(), fault: Fault::None };
        router(Deps {
            config: Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(),
            home: west,
            worksets: BTreeMap::from([(west, WorksetTable::new(table))]),
            ledger: BTreeMap::from([(west, LedgerTable::new(other()))]),
            health: vec![HealthTable::new(other())],
            control: self.control.clone(),
            clock: self.clock.clone(),
        })
    }

    /// What becomes of a write under the lock's token when `call` is made on `/lock` of the workset
    /// between its decision and its write.
    async fn overtaken(&self, call: &'static str) -> (u16, Value) {
        let (api, clock) = (self.api(Fault::None), self.clock.clone());
        let meanwhile = async move {
            clock.set(Timestamp::from_millis(60_000));
            let (status, body) = post(api, &format!("/v1/worksets/ws-001/lock{call}"), json!({})).await;
            assert!(status < 300, "{body}");
        };
        let fault = Fault::Meanwhile(Arc::new(Mutex::new(Some(Box::pin(meanwhile)))));
        let begin = json!({"to": "in_progress", "token": 1});
        post(self.api(fault), "/v1/worksets/ws-001/transitions", begin).await
    }
}

async fn post(api: Router, target: &str, body: Value) -> (u16, Value) {
    let reply = api.oneshot(called(token("lab"), "POST", target, &body.to_string())).await.unwrap();
    let status = reply.status().as_u16();
    let body = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Registers a workset, then makes it `in_progress` on a table with `fault`: status and body.
async fn moved(fault: Fault) -> (u16, Value) {
    let place = Place::new().await;
    post(place.api(fault), "/v1/worksets/ws-001/transitions", json!({"to": "in_progress"})).await
}

/// It was let in while its token was good, and is late: the lock has changed hands on its way.
#[tokio::test]
async fn a_write_that_was_let_in_before_the_lock_changed_hands_does_not_land_after() {
    for (call, problem) in [("", "/problems/lock-superseded"), ("/break", "/problems/lock-not-held")] {
        let place = Place::new().await;
        post(place.api(Fault::None), "/v1/worksets/ws-001/lock", json!({"lease_s": 60})).await;
        let (status, body) = place.overtaken(call).await;
        assert_eq!((status, &body["type"]), (409, &json!(problem)), "{body}");
        let next = json!({"to": "in_progress", "token": 2});
        if call.is_empty() {
            let (_, written) = post(place.api(Fault::None), "/v1/worksets/ws-001/transitions", next).await;
            let workset = &written["workset"];
            assert_eq!((&workset["version"], &workset["fence"]), (&json!(3), &json!(2)), "{written}");
        }
    }
}

#[tokio::test]
async fn a_lost_race_is_read_again_and_decided_anew() {
    let (status, body) = moved(Fault::Races(Arc::new(AtomicUsize::new(4)))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["workset"]["state"], "in_progress");
    assert!(body["workset"]["version"].as_u64() > Some(2), "{body}");
}

#[tokio::test]
async fn races_without_end_are_given_up() {
    let (status, body) = moved(Fault::Races(Arc::new(AtomicUsize::new(1_000)))).await;
    assert_eq!((status, &body["type"]), (409, &json!("/problems/contended")));
}

#[tokio::test]
async fn a_panic_is_a_problem_and_tells_nothing() {
    let (status, body) = moved(Fault::Panics).await;
    assert_eq!((status, &body["type"]), (500, &json!("/problems/internal")));
    assert!(body["request_id"].as_str().unwrap().starts_with("request-"));
    assert!(!body.to_string().contains("on command"));
}
