//! One replica of a DynamoDB table.
//!
//! Every table has the same shape: `pk`, `sk`, a version `v`, the `body` as JSON,
//! `gsi1pk`/`gsi1sk` while the row belongs in the index, and `ttl` if it ends.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};

use super::errors::{Failure, classify};
use crate::{
    ports::{Cursor, Key, Page, Row, Rows, RowsError, When},
    region::RegionName,
};

type Item = HashMap<String, AttributeValue>;

/// The attribute that DynamoDB's time to live reads, where the table has it switched on.
const EXPIRES: &str = "ttl";

/// One region's replica of a table.
#[derive(Debug, Clone)]
pub struct DynamoRows {
    client: Client,
    table: String,
    index: &'static str,
    region: RegionName,
}

impl DynamoRows {
    pub(super) fn new(client: Client, region: RegionName, table: &str, index: &'static str) -> Self {
        Self { client, table: table.to_owned(), index, region }
    }

    fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> RowsError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let table = format!("{} in {}", self.table, self.region);
        match classify(&error) {
            Failure::Condition => RowsError::Conflict,
            Failure::Throttled => RowsError::Throttled { table, source: error.into() },
            Failure::NoAnswer(how) => RowsError::NoAnswer { table, how, source: error.into() },
            Failure::Missing | Failure::Refused => RowsError::Refused { table, source: error.into() },
        }
    }

    fn page(items: Option<Vec<Item>>, last: Option<Item>) -> Result<Page, RowsError> {
        let rows = items.unwrap_or_default().into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(Page { rows, next: last.map(cursor).transpose()? })
    }
}

impl Rows for DynamoRows {
    async fn read(&self, key: &Key) -> Result<Option<Row>, RowsError> {
        let get =
            self.client.get_item().table_name(&self.table).set_key(Some(key_item(key))).consistent_read(true);
        let reply = get.send().await.map_err(|e| self.failed(e))?;
        reply.item.map(row).transpose()
    }

    async fn write(&self, row: &Row, when: When) -> Result<(), RowsError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item(row)));
        let put = match when {
            When::Always => put,
            When::Absent => put.condition_expression("attribute_not_exists(pk)"),
            When::Version(version) => put
                .condition_expression("v = :held")
                .expression_attribute_values(":held", AttributeValue::N(version.to_string())),
        };
        put.send().await.map(drop).map_err(|e| self.failed(e))
    }

    async fn list(
        &self,
        partition: &str,
        newest_first: bool,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .scan_index_forward(!newest_first)
            .consistent_read(true)
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .set_exclusive_start_key(from.map(cursor_item));
        let reply = query.send().await.map_err(|e| self.failed(e))?;
        Self::page(reply.items, reply.last_evaluated_key)
    }

    async fn list_index(
        &self,
        partition: &str,
        up_to: Option<&str>,
        from: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page, RowsError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(self.index)
            .expression_attribute_values(":pk", text(partition))
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .set_exclusive_start_key(from.map(cursor_item));
        let query = match up_to {
            None => query.key_condition_expression("gsi1pk = :pk"),
            Some(end) => query
                .key_condition_expression("gsi1pk = :pk AND gsi1sk <= :end")
                .expression_attribute_values(":end", text(end)),
        };
        let reply = query.send().await.map_err(|e| self.failed(e))?;
        Self::page(reply.items, reply.last_evaluated_key)
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key_item(key: &Key) -> Item {
    HashMap::from([("pk".to_owned(), text(&key.partition)), ("sk".to_owned(), text(&key.sort))])
}

fn item(row: &Row) -> Item {
    let mut item = key_item(&row.key);
    item.insert("v".to_owned(), AttributeValue::N(row.version.to_string()));
    item.insert("body".to_owned(), text(&row.body));
    if let Some(index) = &row.index {
        item.insert("gsi1pk".to_owned(), text(&index.partition));
        item.insert("gsi1sk".to_owned(), text(&index.sort));
    }
    if let Some(expires_s) = row.expires_s {
        item.insert(EXPIRES.to_owned(), AttributeValue::N(expires_s.to_string()));
    }
    item
}

fn cursor_item(cursor: &Cursor) -> Item {
    let mut item = key_item(&cursor.key);
    if let Some(index) = &cursor.index {
        item.insert("gsi1pk".to_owned(), text(&index.partition));
        item.insert("gsi1sk".to_owned(), text(&index.sort));
    }
    item
}

fn row(mut item: Item) -> Result<Row, RowsError> {
    let key = Key::new(take(&mut item, "pk")?, take(&mut item, "sk")?);
    let unreadable = || RowsError::Unreadable {
        key: format!("{} {}", key.partition, key.sort),
        source: "no version `v`".into(),
    };
    let number = |name: &str| item.get(name).and_then(|v| v.as_n().ok()?.parse().ok());
    let (version, expires_s) = (number("v").ok_or_else(unreadable)?, number(EXPIRES));
    let body = take(&mut item, "body")?;
    let index = item.contains_key("gsi1pk").then(|| index_key(&mut item)).transpose()?;
    Ok(Row { key, version, body, index, expires_s })
}

fn cursor(mut item: Item) -> Result<Cursor, RowsError> {
    let key = Key::new(take(&mut item, "pk")?, take(&mut item, "sk")?);
    let index = item.contains_key("gsi1pk").then(|| index_key(&mut item)).transpose()?;
    Ok(Cursor { key, index })
}

fn index_key(item: &mut Item) -> Result<Key, RowsError> {
    Ok(Key::new(take(item, "gsi1pk")?, take(item, "gsi1sk")?))
}

/// The key of an item as far as it has one: never its body, which is not for logs.
fn name_of(item: &Item) -> String {
    let word = |name: &str| item.get(name).and_then(|v| v.as_s().ok()).map_or("?", String::as_str);
    format!("{} {}", word("pk"), word("sk"))
}

fn take(item: &mut Item, name: &str) -> Result<String, RowsError> {
    match item.remove(name) {
        Some(AttributeValue::S(value)) => Ok(value),
        _ => Err(RowsError::Unreadable {
            key: name_of(item),
            source: format!("no text attribute `{name}`").into(),
        }),
    }
}
