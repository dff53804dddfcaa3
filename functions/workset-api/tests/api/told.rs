//! Writes of which somebody is told: what they cost, and that none is left untold when its writer dies.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::Request};
use futures::FutureExt as _;
use sealane::{
    config::Config,
    failover::Record,
    memory::MemoryRows,
    ports::{Clock as _, Cursor, Key, Page, Row, Rows, RowsError, When},
    region::RegionName,
    store::{ControlTable, HealthTable, LedgerTable, WorksetTable},
    time::Timestamp,
};
use serde_json::{Value, json};
use tower::ServiceExt;
use workset_api::{Deps, router};

use super::world::{DOCUMENT, SharedClock, WEST, called, token};

/// The writes so far, and the one that the function dies at: before it takes effect, or after.
#[derive(Default)]
struct Fate {
    keys: Vec<String>,
    dies: Option<(usize, bool)>,
}

/// A table whose writer may die at a write.
#[derive(Clone, Default)]
struct Deadly {
    rows: MemoryRows,
    fate: Arc<Mutex<Fate>>,
}

impl Rows for Deadly {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let (number, dies) = {
            let mut fate = self.fate.lock().unwrap();
            fate.keys.push(row.key.partition.clone());
            (fate.keys.len() - 1, fate.dies)
        };
        let after = dies.filter(|(at, _)| *at == number).map(|(_, after)| after);
        if after == Some(false) {
            pending::<()>().await;
        }
        let written = self.rows.write(row, when).await;
        if after == Some(true) {
            pending::<()>().await;
        }
        written
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

/// One region whose worksets somebody is told of, or nobody.
struct Place {
    table: Deadly,
    config: Config,
    clock: SharedClock,
    api: Router,
}

impl Place {
    fn new(targets: &str) -> Self {
        Self::of(&format!("notifications: {{targets: {targets}}}"))
    }

    /// A region with this setting.
    fn of(setting: &str) -> Self {
        let document = format!("{}, {setting}}}", DOCUMENT.strip_suffix('}').unwrap());
        let config = Config::read(Some(&document), std::iter::empty()).unwrap();
        let (west, clock, table) =
            (WEST.parse::<RegionName>().unwrap(), SharedClock::default(), Deadly::default());
        let control = ControlTable::new(vec![Deadly::default()]);
        control.swap(None, &Record::first(west, Timestamp::default())).now_or_never().unwrap().unwrap();
        clock.set(Timestamp::from_millis(1_000_000));
        let worksets = WorksetTable::new(table.clone()).telling(config.told_states());
        let api = router(Deps {
            config: config.clone(),
            home: west,
            worksets: BTreeMap::from([(west, worksets)]),
            ledger: BTreeMap::from([(west, LedgerTable::new(Deadly::default()))]),
            health: vec![HealthTable::new(Deadly::default())],
            control,
            clock: clock.clone(),
        });
        Self { table, config, clock, api }
    }

    fn told() -> Self {
        Self::new("[{name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:t'}]")
    }

    /// Makes one call; its status, or `None` if the function died over it.
    fn call(&self, method: &str, target: &str, body: &Value) -> Option<u16> {
        self.clock.set(self.clock.now().after(Duration::from_millis(10)));
        let mut request: Request<_> = called(token("lab"), method, target, &body.to_string());
        if method == "DELETE" {
            request.headers_mut().insert("if-match", self.etag().parse().unwrap());
        }
        let reply = self.api.clone().oneshot(request).now_or_never()?.unwrap();
        Some(reply.status().as_u16())
    }

    fn etag(&self) -> String {
        let read = called(token("lab"), "GET", "/v1/worksets/ws-001", "");
        let reply = self.api.clone().oneshot(read).now_or_never().unwrap().unwrap();
        reply.headers()["etag"].to_str().unwrap().to_owned()
    }

    /// Partitions that were written to since the last time.
    fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.table.fate.lock().unwrap().keys)
    }

    /// The versions that the outbox holds, once who tells has looked after calls that did not end.
    fn outbox(&self) -> Vec<u64> {
        let table = WorksetTable::new(self.table.rows.clone()).telling(self.config.told_states());
        let now = self.clock.now().after(Duration::from_secs(180));
        table.mend(now, 100).now_or_never().unwrap().unwrap();
        let waiting = table.untold(None, 100).now_or_never().unwrap().unwrap();
        let mut versions: Vec<u64> = waiting.events.iter().map(|one| one.event.version).collect();
        versions.sort_unstable();
        versions
    }

    /// The version that the workset's row holds; 0 if there is none.
    fn version(&self) -> u64 {
        let key = Key::new("lab#ws-001", "meta");
        let row = self.table.rows.read(&key).now_or_never().unwrap().unwrap();
        row.map_or(0, |row| row.version)
    }
}

/// The life of a workset, each step of which changes its state.
fn life() -> Vec<(&'static str, &'static str, Value)> {
    let moves = "/v1/worksets/ws-001/transitions";
    vec![
        ("POST", "/v1/worksets", json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/"})),
        ("POST", moves, json!({"to": "in_progress"})),
        ("POST", moves, json!({"to": "complete"})),
        ("POST", "/v1/worksets/ws-001/archive", json!({})),
        ("DELETE", "/v1/worksets/ws-001", Value::Null),
    ]
}

/// Whatever write a function dies at, and however late its call is sent again or never: each version that
/// the workset came to is told of, and none that it did not come to.
#[test]
fn a_writer_that_dies_at_any_write_leaves_nothing_untold() {
    let mut deaths = 0;
    for step in 0..life().len() {
        for (at, after) in (0..9).flat_map(|at| [(at, false), (at, true)]) {
            let place = Place::told();
            for (method, target, body) in &life()[..step] {
                assert!(place.call(method, target, body).unwrap() < 300);
            }
            place.written();
            place.table.fate.lock().unwrap().dies = Some((at, after));
            let (method, target, body) = &life()[step];
            let status = place.call(method, target, body);
            place.table.fate.lock().unwrap().dies = None;
            deaths += usize::from(status.is_none());
            let versions: Vec<u64> = (1..=place.version()).collect();
            assert_eq!(place.outbox(), versions, "{method} {target}, write {at}, {status:?}");
        }
    }
    assert!(deaths > 40, "{deaths}");
}

/// What is to be shown in a bucket goes into the outbox, though nobody else is told.
#[test]
fn what_sentinels_are_to_show_is_in_the_outbox() {
    for (setting, versions) in [("own", vec![1, 2, 3, 4, 5]), ("off", vec![])] {
        let place = Place::of(&format!("worksets: {{sentinels: {setting}}}"));
        for (method, target, body) in life() {
            assert!(place.call(method, target, &body).unwrap() < 300, "{method} {target}");
        }
        assert_eq!(place.outbox(), versions, "{setting}");
    }
}

/// Telling others costs a call no request, but for `DELETE`, which keeps no record of its call otherwise.
#[test]
fn being_told_of_costs_a_call_nothing() {
    let (quiet, told) = (Place::new("[]"), Place::told());
    for (method, target, body) in life() {
        let count = |place: &Place| {
            place.written();
            assert!(place.call(method, target, &body).unwrap() < 300, "{method} {target}");
            let keys = place.written();
            let calls = keys.iter().filter(|key| key.starts_with("~call#")).count();
            (keys.len() - calls, calls)
        };
        let ((writes, calls), with) = (count(&quiet), count(&told));
        let more = if method == "DELETE" { 2 } else { 0 };
        assert_eq!(with, (writes, calls + more), "{method} {target}");
        assert!(target != "/v1/worksets" || writes == 2);
    }
    assert_eq!(told.outbox(), [1, 2, 3, 4, 5]);
    assert!(quiet.table.rows.all().iter().all(|row| row.key.sort == "meta" || row.index.is_none()));
    let ended = told.table.rows.all();
    let calls = ended.iter().filter(|row| row.key.partition.starts_with("~call#"));
    assert!(calls.clone().count() == 5 && calls.clone().all(|row| row.index.is_none()), "no call stays open");
}
