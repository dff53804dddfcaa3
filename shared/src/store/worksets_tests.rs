use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    memory::MemoryRows,
    ports::{Page, Silence},
    time::Timestamp,
    workset::{By, Priority, Transition, collisions, register, transition},
};

fn tenant() -> Tenant {
    "lab".parse().unwrap()
}

fn by(region: &str, at_ms: u64) -> By {
    By {
        actor: "ada".parse().unwrap(),
        region: region.parse().unwrap(),
        at: Timestamp::from_millis(at_ms),
        request: format!("{region}-{at_ms}"),
        epoch: None,
    }
}

fn fresh(id: &str, priority: Priority, at_ms: u64) -> Held {
    let request = serde_json::json!({
        "id": id, "bucket": "my-bucket", "prefix": "p/", "priority": priority.as_str(),
    });
    let request = serde_json::from_value(request).unwrap();
    let (workset, last) = register(request, tenant(), &by("us-west-2", at_ms)).unwrap();
    Held { workset, last }
}

fn moved(held: &Held, to: State, region: &str) -> Held {
    let at_ms = held.workset.updated_at.as_millis() + 1;
    let (workset, last) = transition(&held.workset, Transition::to(to), &by(region, at_ms), 7).unwrap();
    Held { workset, last }
}

async fn versions(table: &WorksetTable<impl Rows>, held: &Held) -> Vec<u64> {
    let history = table.history(&tenant(), &held.workset.id, None, 50).await.unwrap().unwrap();
    history.events.iter().map(|e| e.version).collect()
}

/// What happens to the write number `at` (from 0) of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It takes effect, and the answer is lost.
    AnswerLost,
    /// It never arrives, and there is no answer.
    Lost,
    /// It takes effect, and a retry inside the client is then refused.
    RefusedByItself,
}

struct Faulty {
    rows: MemoryRows,
    at: usize,
    fault: Fault,
    writes: AtomicUsize,
}

impl Faulty {
    fn new(rows: &MemoryRows, at: usize, fault: Fault) -> Self {
        Self { rows: rows.replica(), at, fault, writes: AtomicUsize::new(0) }
    }
}

impl Rows for Faulty {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.rows.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        if self.writes.fetch_add(1, Ordering::SeqCst) != self.at {
            return self.rows.write(row, when).await;
        }
        if self.fault != Fault::Lost {
            self.rows.write(row, when).await?;
        }
        if self.fault == Fault::RefusedByItself {
            return Err(RowsError::Conflict);
        }
        let table = "faulty".to_owned();
        Err(RowsError::NoAnswer { table, how: Silence::Timeout, source: "on command".into() })
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&ports::Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&ports::Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.rows.list_index(partition, up_to, from, limit).await
    }
}

#[tokio::test]
async fn of_two_writers_of_one_version_one_wins() {
    let table = WorksetTable::new(MemoryRows::default());
    let first = fresh("ws-001", Priority::Normal, 5);
    table.create(&first).await.unwrap();
    assert!(matches!(table.create(&fresh("ws-001", Priority::Low, 6)).await, Err(WriteError::Lost)));
    let (run, cancel) =
        (moved(&first, State::InProgress, "us-west-2"), moved(&first, State::Canceled, "us-west-2"));
    table.replace(&first, &run).await.unwrap();
    assert!(matches!(table.replace(&first, &cancel).await, Err(WriteError::Lost)));
    let held = table.get(&tenant(), &first.workset.id).await.unwrap().unwrap();
    assert_eq!(held.workset, run.workset);
    assert_eq!(versions(&table, &run).await, [2, 1]);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_read_back() {
    for fault in [Fault::AnswerLost, Fault::RefusedByItself] {
        let rows = MemoryRows::default();
        let first = fresh("ws-001", Priority::Normal, 5);
        WorksetTable::new(Faulty::new(&rows, 0, fault)).create(&first).await.unwrap();
        let run = moved(&first, State::InProgress, "us-west-2");
        // Write 0 keeps the old event, write 1 is the commit.
        WorksetTable::new(Faulty::new(&rows, 1, fault)).replace(&first, &run).await.unwrap();
        let table = WorksetTable::new(rows);
        assert_eq!(versions(&table, &run).await, [2, 1]);
    }
}

#[tokio::test]
async fn a_write_that_may_still_arrive_is_called_unknown() {
    let rows = MemoryRows::default();
    let first = fresh("ws-001", Priority::Normal, 5);
    let lost = WorksetTable::new(Faulty::new(&rows, 0, Fault::Lost)).create(&first).await;
    assert!(matches!(lost, Err(WriteError::Unknown(_))), "{lost:?}");
}

#[tokio::test]
async fn an_outage_before_the_write_is_no_doubt_about_it() {
    let rows = MemoryRows::default();
    let table = WorksetTable::new(rows.clone());
    let first = fresh("ws-001", Priority::Normal, 5);
    table.create(&first).await.unwrap();
    rows.cut(true);
    let refused = table.replace(&first, &moved(&first, State::Canceled, "us-west-2")).await;
    assert!(matches!(refused, Err(WriteError::Failed(_))), "{refused:?}");
}

/// A crash after the commit leaves the event to the next writer, and no reader misses it meanwhile.
#[tokio::test]
async fn a_crash_between_the_two_writes_loses_no_history() {
    let rows = MemoryRows::default();
    let first = fresh("ws-001", Priority::Normal, 5);
    // Write 1 is the event's own row.
    WorksetTable::new(Faulty::new(&rows, 1, Fault::Lost)).create(&first).await.unwrap();
    let table = WorksetTable::new(rows);
    assert_eq!(versions(&table, &first).await, [1]);
    let run = moved(&first, State::InProgress, "us-west-2");
    table.replace(&first, &run).await.unwrap();
    assert_eq!(versions(&table, &run).await, [2, 1]);
}

#[tokio::test]
async fn history_pages_newest_first_and_names_collisions() {
    let rows = MemoryRows::default();
    let table = WorksetTable::new(rows.clone());
    let first = fresh("ws-001", Priority::Normal, 5);
    table.create(&first).await.unwrap();
    let here = moved(&first, State::InProgress, "us-west-2");
    table.replace(&first, &here).await.unwrap();
    // The other region's write of the same version, as replication brings it in.
    let there = moved(&first, State::Canceled, "us-east-1");
    let beyond = moved(&first, State::Canceled, "us-west-9");
    table.keep_event(&there).await.unwrap();
    table.keep_event(&beyond).await.unwrap();

    let id = &first.workset.id;
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = table.history(&tenant(), id, from, 1).await.unwrap().unwrap();
        from = page.events.last().map(Event::place);
        seen.extend(page.events);
        if !page.more {
            break;
        }
    }
    let seen: Vec<Event> = seen.into_iter().map(|event| Event { chain: None, ..event }).collect();
    assert_eq!(seen, [beyond.last, here.last, there.last, first.last]);
    assert_eq!(collisions(&seen)[0].len(), 3);
    assert_eq!(table.history(&"other".parse().unwrap(), id, None, 9).await.unwrap(), None);
}

#[tokio::test]
async fn a_queue_lists_by_priority_then_age_and_pages_without_gaps() {
    let table = WorksetTable::new(MemoryRows::default());
    let wanted = ["ws-urgent", "ws-old", "ws-new", "ws-low"];
    for (id, priority, at_ms) in [
        ("ws-new", Priority::Normal, 9),
        ("ws-low", Priority::Low, 1),
        ("ws-urgent", Priority::Urgent, 7),
        ("ws-old", Priority::Normal, 3),
    ] {
        table.create(&fresh(id, priority, at_ms)).await.unwrap();
    }
    assert_eq!(walk(&table, Some(State::Ready), 3).await, wanted);
    assert_eq!(table.list(&tenant(), of(Some(State::Error)), None, 3).await.unwrap(), Listed::default());
}

#[tokio::test]
async fn a_list_of_one_priority_has_all_of_it_and_nothing_else_whatever_the_page() {
    let table = WorksetTable::new(MemoryRows::default());
    for n in 0..9_u64 {
        let priority = Priority::ALL[usize::try_from(n % 3).unwrap()];
        let first = fresh(&format!("ws-{n:03}"), priority, n);
        table.create(&first).await.unwrap();
        if n == 4 {
            table.replace(&first, &moved(&first, State::Canceled, "us-west-2")).await.unwrap();
        }
    }
    for limit in 1..5 {
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let filter = Filter { state: None, priority: Some(Priority::Normal) };
            let page = table.list(&tenant(), filter, from.as_ref(), limit).await.unwrap();
            seen.extend(page.worksets.iter().map(|w| w.id.to_string()));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["ws-001", "ws-007", "ws-004"], "pages of {limit}");
    }
}

/// Replication may undo a region's write and let that region write the version once more.
#[tokio::test]
async fn a_version_that_one_region_wrote_twice_keeps_both_events() {
    let table = WorksetTable::new(MemoryRows::default());
    let first = fresh("ws-001", Priority::Normal, 5);
    table.create(&first).await.unwrap();
    table.keep_event(&moved(&first, State::Canceled, "us-west-2")).await.unwrap();
    let mut again = moved(&first, State::InProgress, "us-west-2");
    again.last.request = "another".to_owned();
    table.replace(&first, &again).await.unwrap();
    assert_eq!(versions(&table, &again).await, [2, 2, 1]);
}

#[tokio::test]
async fn a_list_of_all_states_has_each_workset_once_whatever_the_page() {
    let table = WorksetTable::new(MemoryRows::default());
    for n in 0..7_u64 {
        let first = fresh(&format!("ws-{n:03}"), Priority::Normal, n);
        table.create(&first).await.unwrap();
        let to = [State::InProgress, State::Canceled][usize::try_from(n % 2).unwrap()];
        if n > 2 {
            table.replace(&first, &moved(&first, to, "us-west-2")).await.unwrap();
        }
    }
    let other = WorksetTable::new(MemoryRows::default());
    other.create(&fresh("ws-999", Priority::Normal, 1)).await.unwrap();
    for limit in 1..9 {
        let seen = walk(&table, None, limit).await;
        // Ready first, then in progress, then canceled.
        assert_eq!(seen, ["ws-000", "ws-001", "ws-002", "ws-004", "ws-006", "ws-003", "ws-005"]);
    }
}

#[tokio::test]
async fn a_page_ends_before_a_reply_outgrows_lambda() {
    let table = WorksetTable::new(MemoryRows::default());
    for n in 0..30 {
        let mut big = fresh(&format!("ws-{n:03}"), Priority::Normal, n);
        let metadata = serde_json::json!({"samples": ["s".repeat(60_000)]});
        big.workset.metadata = Some(metadata.try_into().unwrap());
        table.create(&big).await.unwrap();
    }
    let page = table.list(&tenant(), Filter::default(), None, 100).await.unwrap();
    assert!((15..25).contains(&page.worksets.len()), "{}", page.worksets.len());
    assert_eq!(walk(&table, None, 100).await.len(), 30);
}

fn of(state: Option<State>) -> Filter {
    Filter { state, priority: None }
}

/// The ids of all worksets, read page by page.
async fn walk(table: &WorksetTable<MemoryRows>, state: Option<State>, limit: usize) -> Vec<String> {
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = table.list(&tenant(), of(state), from.as_ref(), limit).await.unwrap();
        assert!(page.worksets.len() <= limit);
        seen.extend(page.worksets.iter().map(|w| w.id.to_string()));
        from = page.next;
        if from.is_none() {
            return seen;
        }
    }
}
