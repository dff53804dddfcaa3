use super::*;
use crate::memory::MemoryRows;

/// What a replica does with every call, instead of carrying it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ails {
    /// It never says anything.
    Hangs,
    /// It asks to slow down.
    Throttles,
    /// It carries writes out, and their answers are lost.
    LosesAnswers,
}

/// A replica, and what ails it.
struct Line(MemoryRows, Option<Ails>);

impl Line {
    async fn well(&self) -> Result<&MemoryRows, RowsError> {
        match self.1 {
            None | Some(Ails::LosesAnswers) => Ok(&self.0),
            Some(Ails::Hangs) => std::future::pending().await,
            Some(Ails::Throttles) => {
                Err(RowsError::Throttled { table: "memory".to_owned(), source: "slow down".into() })
            }
        }
    }
}

impl Rows for Line {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        self.well().await?.read(key).await
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        self.well().await?.write(row, when).await?;
        if self.1 != Some(Ails::LosesAnswers) {
            return Ok(());
        }
        let how = crate::ports::Silence::Timeout;
        Err(RowsError::NoAnswer { table: "memory".to_owned(), how, source: "lost".into() })
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.well().await?.list(partition, newest_first, from, limit).await
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        self.well().await?.list_index(partition, up_to, from, limit).await
    }
}

fn row(version: u64) -> Row {
    let index = Some(Key::new("queue", "1"));
    Row { key: Key::new("p", "s"), version, body: "{}".to_owned(), index, expires_s: None }
}

fn two() -> (MemoryRows, Replicas<MemoryRows>) {
    let near = MemoryRows::default();
    (near.clone(), Replicas::new(vec![near.clone(), near.replica()]))
}

/// Two replicas of one table, with what ails each.
fn ailing(near: Option<Ails>, far: Option<Ails>) -> (MemoryRows, Replicas<Line>) {
    let rows = MemoryRows::default();
    (rows.clone(), Replicas::new(vec![Line(rows.replica(), near), Line(rows.replica(), far)]))
}

fn order<R>(table: &Replicas<R>) -> Vec<usize> {
    table.in_order().map(|(number, _)| number).collect()
}

#[tokio::test]
async fn a_silent_replica_is_asked_once_and_then_last() {
    let (near, table) = two();
    near.cut(true);
    table.read(&row(1).key).await.unwrap();
    assert_eq!(order(&table), [1, 0]);
}

#[tokio::test]
async fn every_call_goes_on_through_the_other_replica() {
    let (near, table) = two();
    table.write(&row(1), When::Absent).await.unwrap();
    near.cut(true);
    table.write(&row(2), When::Version(1)).await.unwrap();
    near.cut(false);
    assert_eq!(table.read(&row(1).key).await.unwrap(), Some(row(2)));
    near.cut(true);
    assert_eq!(table.list("p", false, None, 9).await.unwrap().rows, [row(2)]);
    assert_eq!(table.list_index("queue", None, None, 9).await.unwrap().rows, [row(2)]);
}

#[tokio::test]
async fn who_knows_no_replica_that_answers_waits_for_none_that_does_not() {
    let (_, table) = ailing(Some(Ails::Hangs), None);
    assert_eq!(table.read(&row(1).key).await.unwrap(), None);
    assert_eq!(table.list("p", false, None, 9).await.unwrap(), Page::default());
}

#[tokio::test]
async fn while_a_replica_is_known_to_answer_no_other_is_asked() {
    let (near, table) = two();
    table.read(&row(1).key).await.unwrap();
    assert_eq!((table.known(), table.to_read().1), (Some(0), 1), "the nearest, of two that answer at once");
    near.cut(true);
    table.read(&row(1).key).await.unwrap();
    assert_eq!((table.known(), table.to_read().1), (Some(1), 1));
}

#[tokio::test]
async fn who_went_far_comes_back_when_the_nearest_answers_again() {
    let (near, table) = two();
    near.cut(true);
    let read = async || table.read(&row(1).key).await.unwrap();
    for _ in 0..=AWAY_MAX {
        read().await;
        table.write(&row(1), When::Always).await.unwrap();
    }
    assert_eq!(table.known(), Some(1), "it looked, and the nearest was silent");
    near.cut(false);
    for _ in 0..=AWAY_MAX {
        read().await;
    }
    assert_eq!(table.known(), Some(0));
}

#[tokio::test]
async fn what_one_client_learns_of_a_silent_replica_the_other_knows() {
    let (near, table) = two();
    let other = table.through(vec![near.clone(), near.replica()]);
    near.cut(true);
    table.read(&row(1).key).await.unwrap();
    assert_eq!(order(&other), [1, 0]);
}

#[tokio::test]
async fn where_one_is_busy_with_the_row_the_other_writes_it() {
    let (rows, table) = ailing(Some(Ails::Throttles), None);
    table.write(&row(1), When::Absent).await.unwrap();
    assert_eq!(rows.all(), [row(1)]);
    let (_, table) = ailing(Some(Ails::Throttles), Some(Ails::Throttles));
    let nothing = table.write(&row(1), When::Absent).await;
    assert!(matches!(nothing, Err(RowsError::Throttled { .. })), "{nothing:?}");
}

/// The first replica carried it out and fell silent: the second one's refusal may be of that very write.
#[tokio::test]
async fn a_write_that_may_have_taken_effect_is_never_called_refused_for_good() {
    let (rows, table) = ailing(Some(Ails::LosesAnswers), None);
    let again = table.write(&row(1), When::Absent).await;
    assert!(matches!(again, Err(RowsError::Conflict)), "{again:?}");
    assert_eq!(rows.all(), [row(1)]);
    let (_, table) = ailing(Some(Ails::LosesAnswers), Some(Ails::Throttles));
    let open = table.write(&row(1), When::Absent).await;
    assert!(matches!(open, Err(RowsError::NoAnswer { .. })), "{open:?}");
}

#[tokio::test]
async fn without_a_replica_every_call_is_refused() {
    let table = Replicas::<MemoryRows>::new(Vec::new());
    assert!(table.is_empty());
    let refused = table.read(&row(1).key).await.unwrap_err();
    assert!(!refused.is_outage(), "{refused}");
}
