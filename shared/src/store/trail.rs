//! The chained records as they lie in the tables, for whoever verifies them.
//!
//! They are taken as they were read and not as this version understands them: a field that it does
//! not know is part of the record, too.

use serde_json::Value;

use super::{ControlTable, Filter, WorksetTable, control::Listing, decode};
use crate::{
    audit::{self, Entry, Head, Rules, Verified, verify},
    failover::{Moved, Ordered},
    ports::{Key, Row, Rows, RowsError},
    workset::{Event, Tenant, WorksetId, keys},
};

/// Rows asked for at once.
const PAGE: usize = 200;

/// Times that a workset is read again because it was written meanwhile.
const TRIES_MAX: usize = 5;

/// The records of a workset, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trail {
    /// The records. The newest may lie in the workset's row only.
    pub entries: Vec<Entry>,
    /// The workset's row, if it is there.
    pub row: Option<Value>,
}

impl Trail {
    /// What became of it; `kept` is its head as somebody kept it.
    pub fn verified(&self, kept: Option<Head>) -> Verified {
        let newest = self.row.as_ref().and_then(|row| event_of(row.get("last")?.clone()).ok());
        let newest = newest.map(|event| keys::event(event.place()));
        let mut found = verify(&self.entries, Rules::Versions, newest.as_deref(), kept);
        match &self.row {
            None if !self.entries.is_empty() => found.findings.push(audit::Finding::NoRow),
            Some(row) if !is_as_left(row) => found.findings.push(audit::Finding::Content),
            Some(_) | None => {}
        }
        // The row tells of its last write what the history tells of it.
        let own = self.entries.iter().find(|entry| Some(entry.place.as_str()) == newest.as_deref());
        let said = self.row.as_ref().and_then(|row| row.get("last"));
        if own.map(|entry| &entry.raw) != said {
            found.findings.push(audit::Finding::Edited { place: keys::META.to_owned() });
        }
        found
    }
}

/// Whether the row holds what its last write left behind, as far as that write says.
fn is_as_left(row: &Value) -> bool {
    let said = row.pointer("/last/chain/content").and_then(Value::as_str);
    let left = row.get("workset").and_then(|workset| audit::content(workset).ok());
    said.is_none_or(|said| left.is_some_and(|left| left.to_string() == said))
}

fn event_of(raw: Value) -> Result<Event, serde_json::Error> {
    serde_json::from_value(raw)
}

/// An event that lies at `place`.
fn entry(place: String, raw: Value) -> Result<Entry, serde_json::Error> {
    let event = event_of(raw.clone())?;
    let home = keys::event(event.place());
    Ok(Entry { number: event.version, region: Some(event.region), epoch: event.epoch, place, home, raw })
}

impl<R: Rows> WorksetTable<R> {
    /// The records of a workset as they lie in this replica; nothing, if the tenant has no workset
    /// of that id. It is read until nobody wrote it meanwhile.
    ///
    /// # Errors
    /// When the replica does not answer, or a row is no record at all.
    pub async fn trail(&self, tenant: &Tenant, id: &WorksetId) -> Result<Trail, RowsError> {
        let item = keys::item(tenant, id);
        let key = Key::new(item.clone(), keys::META);
        let mut trail = Trail::default();
        for _ in 0..TRIES_MAX {
            let before = self.rows().read(&key).await?;
            trail = traced(self.partition(&item).await?, before.as_ref())?;
            if self.rows().read(&key).await? == before {
                break;
            }
        }
        Ok(trail)
    }

    async fn partition(&self, item: &str) -> Result<Vec<Row>, RowsError> {
        let (mut rows, mut from) = (Vec::new(), None);
        loop {
            let page = self.rows().list(item, false, from.as_ref(), PAGE).await?;
            rows.extend(page.rows);
            from = page.next;
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The ids of all worksets of a tenant, in the order of their states.
    ///
    /// # Errors
    /// When the replica does not answer or a row is not readable.
    pub async fn ids(&self, tenant: &Tenant) -> Result<Vec<WorksetId>, RowsError> {
        let (mut ids, mut from) = (Vec::new(), None);
        loop {
            let listed = self.list(tenant, Filter::default(), from.as_ref(), PAGE).await?;
            ids.extend(listed.worksets.into_iter().map(|workset| workset.id));
            from = listed.next;
            if from.is_none() {
                return Ok(ids);
            }
        }
    }
}

/// The trail in the rows of a workset's partition, of which `row` is the workset.
fn traced(rows: Vec<Row>, row: Option<&Row>) -> Result<Trail, RowsError> {
    let row: Option<Value> = row.map(decode).transpose()?;
    let mut entries = Vec::with_capacity(rows.len());
    for event in rows.iter().filter(|row| row.key.sort.starts_with(keys::EVENT_PREFIX)) {
        let read = entry(event.key.sort.clone(), decode(event)?);
        entries.push(read.map_err(|e| super::unreadable(&event.key, e))?);
    }
    // A crash between the two writes of an event leaves it in the workset's row alone.
    let last = row.as_ref().and_then(|row| row.get("last").cloned());
    if let Some(last) = last.and_then(|last| entry(String::new(), last).ok())
        && !entries.iter().any(|entry| entry.place == last.home)
    {
        entries.push(Entry { place: last.home.clone(), ..last });
    }
    Ok(Trail { entries, row })
}

impl<R: Rows> ControlTable<R> {
    /// What operators ordered, as it lies in the table, oldest first.
    ///
    /// # Errors
    /// When no replica answers, or a row is no order at all.
    pub async fn orders_trail(&self) -> Result<Vec<Entry>, RowsError> {
        self.listed(Listing::Orders, |order: &Ordered| order.number).await
    }

    /// The accounts of finished moves as they lie in the table, oldest first.
    ///
    /// # Errors
    /// When no replica answers, or a row is no account at all.
    pub async fn moves_trail(&self) -> Result<Vec<Entry>, RowsError> {
        self.listed(Listing::Moves, |moved: &Moved| moved.epoch).await
    }

    async fn listed<T: serde::de::DeserializeOwned>(
        &self,
        listing: Listing,
        number: impl Fn(&T) -> u64,
    ) -> Result<Vec<Entry>, RowsError> {
        let mut entries = Vec::new();
        for row in self.whole(listing).await? {
            let number = number(&decode(&row)?);
            let (raw, place, home) = (decode(&row)?, row.key.sort.clone(), Listing::place(number));
            entries.push(Entry { number, region: None, epoch: None, place, home, raw });
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        audit::Finding,
        failover::Order,
        memory::MemoryRows,
        ports::When,
        store::Held,
        time::Timestamp,
        workset::{By, State, Transition, register, transition},
    };

    fn names() -> (Tenant, WorksetId) {
        ("lab".parse().unwrap(), "ws-001".parse().unwrap())
    }

    fn by(region: &str, epoch: u64, request: u64) -> By {
        By {
            actor: "ada".parse().unwrap(),
            region: region.parse().unwrap(),
            at: Timestamp::from_millis(request),
            request: format!("request-{request}"),
            epoch: Some(epoch),
        }
    }

    /// A workset with numbers that do not survive printing, moved a few times.
    async fn written(rows: &MemoryRows) -> WorksetTable<MemoryRows> {
        let (table, (tenant, _)) = (WorksetTable::new(rows.clone()), names());
        let request = json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/",
            "metadata": {"samples": ["s"], "depth": 0.1 + 0.2, "z": -0.0, "a": 1e300, "big": u64::MAX}});
        let request = serde_json::from_value(request).unwrap();
        let (workset, last) = register(request, tenant.clone(), &by("us-west-2", 1, 0)).unwrap();
        table.create(&Held { workset, last }).await.unwrap();
        for (n, to) in [(1, State::InProgress), (2, State::Complete), (3, State::Archived), (4, State::Ready)]
        {
            moved(&table, to, &by("us-west-2", 1, n)).await;
        }
        table
    }

    async fn moved(table: &WorksetTable<MemoryRows>, to: State, by: &By) {
        let (tenant, id) = names();
        let old = table.get(&tenant, &id).await.unwrap().unwrap();
        let (workset, last) = transition(&old.workset, Transition::to(to), by, 0).unwrap();
        table.replace(&old, &Held { workset, last }).await.unwrap();
    }

    async fn findings(table: &WorksetTable<MemoryRows>) -> Vec<Finding> {
        let (tenant, id) = names();
        table.trail(&tenant, &id).await.unwrap().verified(None).findings
    }

    async fn meddle(rows: &MemoryRows, sort: &str, change: impl Fn(&mut Value)) {
        let mut row = rows.all().into_iter().find(|row| row.key.sort.starts_with(sort)).unwrap();
        let mut body: Value = serde_json::from_str(&row.body).unwrap();
        change(&mut body);
        row.body = body.to_string();
        rows.write(&row, When::Always).await.unwrap();
    }

    #[tokio::test]
    async fn what_the_table_writes_is_a_whole_chain() {
        let rows = MemoryRows::default();
        let table = written(&rows).await;
        let (tenant, id) = names();
        let found = table.trail(&tenant, &id).await.unwrap().verified(None);
        assert_eq!((found.records, found.unchained, found.head.unwrap().number), (5, 0, 5), "{found:?}");
        assert_eq!(found.findings, []);
        assert_eq!(table.ids(&tenant).await.unwrap(), [id]);
    }

    /// Every row of a workset, and every field in it.
    #[tokio::test]
    async fn whatever_is_changed_in_a_row_is_found() {
        for (sort, pointer) in [
            ("event#00000000000000000001", "/actor"),
            ("event#00000000000000000003", "/at_ms"),
            ("event#00000000000000000005", "/epoch"),
            ("event#00000000000000000002", "/chain/prev"),
            ("meta", "/last/actor"),
            ("meta", "/last/version"),
            ("meta", "/workset/bucket"),
            ("meta", "/workset/metadata/depth"),
        ] {
            let rows = MemoryRows::default();
            let table = written(&rows).await;
            let other = if pointer == "/at_ms" { json!(7_777) } else { json!("x") };
            let other = if ["/epoch", "/last/version"].contains(&pointer) { json!(9) } else { other };
            let other = if pointer == "/chain/prev" { json!("0".repeat(64)) } else { other };
            meddle(&rows, sort, |body| *body.pointer_mut(pointer).unwrap() = other.clone()).await;
            assert!(!findings(&table).await.is_empty(), "{sort} {pointer}");
        }
    }

    /// The function died between the two writes: the workset's row has the event until the next one.
    #[tokio::test]
    async fn an_event_without_a_row_of_its_own_is_part_of_the_chain() {
        let rows = MemoryRows::default();
        let (tenant, id) = names();
        written(&rows).await;
        let left = MemoryRows::default();
        for row in
            rows.all().into_iter().filter(|row| !row.key.sort.starts_with("event#00000000000000000005"))
        {
            left.write(&row, When::Always).await.unwrap();
        }
        let table = WorksetTable::new(left);
        let found = table.trail(&tenant, &id).await.unwrap().verified(None);
        assert_eq!((found.records, found.findings), (5, vec![]));
    }

    #[tokio::test]
    async fn a_row_that_was_put_back_is_found() {
        let rows = MemoryRows::default();
        let table = written(&rows).await;
        let old = rows.all().into_iter().find(|row| row.key.sort == "meta").unwrap();
        moved(&table, State::InProgress, &by("us-west-2", 1, 9)).await;
        rows.write(&old, When::Always).await.unwrap();
        assert!(matches!(&findings(&table).await[..], [Finding::Beyond { .. }]));
    }

    /// Each wrote the next version while it could not see the other, and the table kept one row.
    #[tokio::test]
    async fn what_two_regions_wrote_around_a_failover_is_a_fork() {
        let (west, east) = (MemoryRows::default(), MemoryRows::default());
        let table = written(&west).await;
        for row in west.all() {
            east.write(&row, When::Always).await.unwrap();
        }
        let other = WorksetTable::new(east.clone());
        moved(&table, State::InProgress, &by("us-west-2", 1, 5)).await;
        moved(&other, State::Canceled, &by("us-east-1", 2, 6)).await;
        for row in east.all() {
            west.write(&row, When::Always).await.unwrap();
        }
        let (tenant, id) = names();
        let found = table.trail(&tenant, &id).await.unwrap().verified(None);
        assert_eq!((found.forks.len(), found.findings), (1, vec![]));
    }

    #[tokio::test]
    async fn orders_are_a_chain_and_a_changed_one_is_found() {
        let rows = MemoryRows::default();
        let control = ControlTable::new(vec![rows.clone()]);
        for by in ["ada", "bob", "eve"] {
            let order = Order::Approve { to: "us-east-1".parse().unwrap() };
            control.order(by, "drill", order, Timestamp::default()).await.unwrap();
        }
        let judge = async || verify(&control.orders_trail().await.unwrap(), Rules::List, None, None);
        let whole = judge().await;
        assert_eq!((whole.records, whole.unchained, whole.findings), (3, 0, vec![]));
        meddle(&rows, "0000000002", |body| body["by"] = json!("mallory")).await;
        assert_eq!(judge().await.findings, [Finding::Edited { place: "0000000002".to_owned() }]);
    }
}
