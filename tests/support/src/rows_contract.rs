//! What every [`Rows`] must do. Run on memory and on DynamoDB of the local cloud.

use sealane::ports::{Cursor, Key, Page, Row, Rows, RowsError, When};

/// Runs every rule, each in a partition of its own below `scope`.
///
/// An index may follow its rows late: `settled` waits for as long as that takes.
pub async fn keeps(rows: &impl Rows, scope: &str, settled: impl AsyncFn()) {
    a_write_is_read_back(rows, &format!("{scope}-read")).await;
    an_absent_row_is_made_once(rows, &format!("{scope}-absent")).await;
    one_writer_of_a_version_wins(rows, &format!("{scope}-version")).await;
    pages_lose_and_double_nothing(rows, &format!("{scope}-pages")).await;
    the_index_follows_the_row(rows, &format!("{scope}-index"), settled).await;
}

fn row(partition: &str, sort: &str, version: u64, body: &str) -> Row {
    Row { key: Key::new(partition, sort), version, body: body.to_owned(), index: None, expires_s: None }
}

async fn a_write_is_read_back(rows: &impl Rows, partition: &str) {
    let first = row(partition, "a", 1, r#"{"text":"ünïcode"}"#);
    assert_eq!(rows.read(&first.key).await.unwrap(), None);
    rows.write(&first, When::Always).await.unwrap();
    assert_eq!(rows.read(&first.key).await.unwrap(), Some(first));
    // A row that ends, long after this test.
    let ending = Row { expires_s: Some(32_503_680_000), ..row(partition, "b", 1, "{}") };
    rows.write(&ending, When::Always).await.unwrap();
    assert_eq!(rows.read(&ending.key).await.unwrap(), Some(ending));
}

async fn an_absent_row_is_made_once(rows: &impl Rows, partition: &str) {
    let first = row(partition, "a", 1, "{}");
    rows.write(&first, When::Absent).await.unwrap();
    let second = rows.write(&Row { version: 2, ..first.clone() }, When::Absent).await;
    assert!(matches!(second, Err(RowsError::Conflict)), "{second:?}");
    assert_eq!(rows.read(&first.key).await.unwrap(), Some(first));
}

async fn one_writer_of_a_version_wins(rows: &impl Rows, partition: &str) {
    let first = row(partition, "a", 1, "{}");
    rows.write(&first, When::Absent).await.unwrap();
    let winner = Row { version: 2, body: r#"{"won":true}"#.to_owned(), ..first.clone() };
    rows.write(&winner, When::Version(1)).await.unwrap();
    let late = rows.write(&Row { version: 2, ..first.clone() }, When::Version(1)).await;
    assert!(matches!(late, Err(RowsError::Conflict)), "{late:?}");
    let nowhere = rows.write(&row(partition, "none", 2, "{}"), When::Version(1)).await;
    assert!(matches!(nowhere, Err(RowsError::Conflict)), "{nowhere:?}");
    assert_eq!(rows.read(&first.key).await.unwrap(), Some(winner));
}

async fn pages_lose_and_double_nothing(rows: &impl Rows, partition: &str) {
    let sorts: Vec<String> = (0..7).map(|n| format!("{n:02}")).collect();
    for sort in &sorts {
        rows.write(&row(partition, sort, 1, "{}"), When::Absent).await.unwrap();
    }
    for newest_first in [false, true] {
        let mut expected = sorts.clone();
        if newest_first {
            expected.reverse();
        }
        let found = drain(async |from| rows.list(partition, newest_first, from, 3).await.unwrap()).await;
        assert_eq!(found, expected);
    }
}

async fn the_index_follows_the_row(rows: &impl Rows, partition: &str, settled: impl AsyncFn()) {
    let due = |sort: &str, at: &str| Row {
        index: Some(Key::new(format!("{partition}#owed"), at)),
        ..row(partition, sort, 1, "{}")
    };
    for (sort, at) in [("c", "003"), ("a", "001"), ("b", "002"), ("d", "001")] {
        rows.write(&due(sort, at), When::Absent).await.unwrap();
    }
    rows.write(&Row { index: None, ..due("b", "002") }, When::Version(1)).await.unwrap();
    settled().await;
    let index = format!("{partition}#owed");
    let mut found = drain(async |from| rows.list_index(&index, Some("002"), from, 1).await.unwrap()).await;
    // Rows with one index sort key come in any order.
    found.sort();
    assert_eq!(found, ["a", "d"]);
    let all = drain(async |from| rows.list_index(&index, None, from, 2).await.unwrap()).await;
    assert_eq!(all.last().map(String::as_str), Some("c"));
    assert_eq!(all.len(), 3);
}

/// The sort keys of every page, in order.
async fn drain(list: impl AsyncFn(Option<&Cursor>) -> Page) -> Vec<String> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = list(from.as_ref()).await;
        found.extend(page.rows.into_iter().map(|r| r.key.sort));
        match page.next {
            Some(next) => from = Some(next),
            None => return found,
        }
    }
}
