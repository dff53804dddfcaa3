//! What a replica tells of the writes of worksets, to whoever reads their histories.

use std::{collections::BTreeSet, sync::Arc};

use sealane::{
    ports::Row,
    store::Held,
    workset::{
        Event,
        keys::{EVENT_PREFIX, META},
    },
};

/// Every event of every workset among `rows`, with the workset's id.
///
/// A workset's row carries the event of its last write, which gets a row of its own only
/// afterwards: where that was not to be, a reader finds it there.
pub(super) fn events(rows: &[Arc<Row>]) -> Vec<(String, Event)> {
    let mut events: Vec<(String, Event)> = rows.iter().filter_map(|row| kept(row)).collect();
    let known: BTreeSet<(String, _)> = events.iter().map(|(id, event)| (id.clone(), event.place())).collect();
    let last = rows.iter().filter_map(|row| carried(row));
    events.extend(last.filter(|(id, event)| !known.contains(&(id.clone(), event.place()))));
    events
}

fn kept(row: &Row) -> Option<(String, Event)> {
    let (_, id) = row.key.partition.split_once('#')?;
    let is_event = row.key.sort.starts_with(EVENT_PREFIX);
    Some((id.to_owned(), is_event.then(|| serde_json::from_str(&row.body).ok()).flatten()?))
}

fn carried(row: &Row) -> Option<(String, Event)> {
    let (_, id) = row.key.partition.split_once('#')?;
    let held: Held = (row.key.sort == META).then(|| serde_json::from_str(&row.body).ok()).flatten()?;
    Some((id.to_owned(), held.last))
}

#[cfg(test)]
mod tests {
    use sealane::{
        memory::MemoryRows,
        store::WorksetTable,
        time::Timestamp,
        workset::{By, register},
    };
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_event_that_has_no_row_yet_is_told_and_one_that_has_is_told_once() {
        let by = By {
            actor: "ada".parse().unwrap(),
            region: "us-west-2".parse().unwrap(),
            epoch: Some(1),
            request: "w6-9".to_owned(),
            at: Timestamp::from_millis(1_000),
        };
        let request = json!({"id": "run-1", "bucket": "my-bucket", "prefix": "p/"});
        let request = serde_json::from_value(request).unwrap();
        let (workset, last) = register(request, "lab".parse().unwrap(), &by).unwrap();
        let table = MemoryRows::default();
        WorksetTable::new(table.clone()).create(&Held { workset, last }).await.unwrap();
        let rows: Vec<Arc<Row>> = table.all().into_iter().map(Arc::new).collect();
        let told = |rows: &[Arc<Row>]| -> Vec<String> {
            events(rows).into_iter().map(|(id, event)| format!("{id} {}", event.request)).collect()
        };
        assert_eq!(told(&rows), ["run-1 w6-9"]);
        let without: Vec<_> = rows.iter().filter(|row| row.key.sort == META).cloned().collect();
        assert_eq!(told(&without), ["run-1 w6-9"]);
    }
}
