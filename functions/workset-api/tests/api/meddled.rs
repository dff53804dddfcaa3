//! Tables that race with their writers, or break.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    None,
}

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

/// Registers a workset, then makes it `in_progress` on a table with `fault`: status and body.
async fn moved(fault: Fault) -> (u16, Value) {
    let worksets = MemoryRows::default();
    let west: RegionName = WEST.parse().unwrap();
    let control = ControlTable::new(vec![Meddled { rows: MemoryRows::default(), fault: Fault::None }]);
    control.swap(None, &Record::first(west, Timestamp::default())).await.unwrap();
    let api = |fault| {
        let table = Meddled { rows: worksets.clone(), fault };
        let other = || Meddled { rows: MemoryRows::default(), fault: Fault::None };
        router(Deps {
            config: Config::read(Some(DOCUMENT), std::iter::empty()).unwrap(),
            home: west,
            worksets: BTreeMap::from([(west, WorksetTable::new(table))]),
            ledger: BTreeMap::from([(west, LedgerTable::new(other()))]),
            health: vec![HealthTable::new(other())],
            control: control.clone(),
            clock: SharedClock::default(),
        })
    };
    let token = || token("lab");
    let workset = r#"{"id": "ws-001", "bucket": "my-bucket", "prefix": "p/"}"#;
    api(Fault::None).oneshot(called(token(), "POST", "/v1/worksets", workset)).await.unwrap();
    let change = called(token(), "POST", "/v1/worksets/ws-001/transitions", r#"{"to": "in_progress"}"#);
    let reply = api(fault).oneshot(change).await.unwrap();
    let status = reply.status().as_u16();
    let body = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
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
