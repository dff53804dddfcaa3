//! DynamoDB's protocol, as far as the adapter speaks it.
//!
//! What it does not speak is refused and shows in the trace; nothing is guessed.

use std::time::Duration;

use bytes::Bytes;
use sealane::{
    ports::{Key, Row, When},
    region::RegionName,
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Cloud,
    answer::Answer,
    lock,
    network::{Link, Place, Service},
    rows::{Consistency, Listing, STALE_MAX, Table},
    serve::Served,
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    #[serde(rename = "N")]
    number: String,
}

/// A row's key, with its index key where an index is listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyItem {
    pk: Text,
    sk: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    gsi1pk: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gsi1sk: Option<Text>,
}

/// The one shape that all tables' rows have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    pk: Text,
    sk: Text,
    v: Number,
    body: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    gsi1pk: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gsi1sk: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem {
    table_name: String,
    key: KeyItem,
    consistent_read: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldValue {
    #[serde(rename = ":held")]
    held: Number,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutItem {
    table_name: String,
    item: Item,
    condition_expression: Option<String>,
    expression_attribute_values: Option<HeldValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryValues {
    #[serde(rename = ":pk")]
    partition: Text,
    #[serde(rename = ":end")]
    end: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: String,
    expression_attribute_values: QueryValues,
    scan_index_forward: Option<bool>,
    consistent_read: Option<bool>,
    limit: Option<u32>,
    exclusive_start_key: Option<KeyItem>,
}

/// What a request asks for.
#[derive(Debug)]
enum Call {
    Get(GetItem),
    Put(PutItem, When),
    Query(Query),
}

/// A refusal: the exception's name and what is wrong.
#[derive(Debug)]
struct Refusal(&'static str, String);

impl Refusal {
    fn invalid(what: impl ToString) -> Self {
        Self("ValidationException", what.to_string())
    }

    fn answer(&self) -> Answer {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{}", self.0);
        let body = serde_json::json!({"__type": kind, "message": self.1});
        Answer { status: 400, ..Answer::ok(body.to_string()) }
            .with("content-type", "application/x-amz-json-1.0")
    }
}

/// The version of the interface that requests name.
const TARGET: &str = "DynamoDB_20120810.";

impl Call {
    fn read(request: &http::Request<Bytes>) -> Result<Self, Refusal> {
        let target = request.headers().get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body = request.body();
        match target.strip_prefix(TARGET) {
            Some("GetItem") => Ok(Self::Get(parsed(body)?)),
            Some("PutItem") => {
                let put: PutItem = parsed(body)?;
                let when = condition(&put)?;
                Ok(Self::Put(put, when))
            }
            Some("Query") => Ok(Self::Query(parsed(body)?)),
            _ => Err(Refusal("UnknownOperationException", format!("`{target}` is not simulated"))),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "get",
            Self::Put(..) => "put",
            Self::Query(_) => "query",
        }
    }

    fn table(&self) -> &str {
        match self {
            Self::Get(get) => &get.table_name,
            Self::Put(put, _) => &put.table_name,
            Self::Query(query) => &query.table_name,
        }
    }

    /// Whether it is a read that may be answered from an older view.
    fn is_eventual(&self) -> bool {
        match self {
            Self::Get(get) => get.consistent_read != Some(true),
            Self::Query(query) => query.consistent_read != Some(true),
            Self::Put(..) => false,
        }
    }

    /// What is shown in the trace.
    fn shown(&self) -> String {
        match self {
            Self::Get(get) => format!("{}/{}/{}", get.table_name, get.key.pk.text, get.key.sk.text),
            Self::Put(put, _) => {
                let Item { pk, sk, v, body, .. } = &put.item;
                let hash = rapidhash::v3::rapidhash_v3(body.text.as_bytes());
                format!("{}/{}/{}@{} {hash:016x}", put.table_name, pk.text, sk.text, v.number)
            }
            Self::Query(query) => {
                format!("{}/{}", query.table_name, query.expression_attribute_values.partition.text)
            }
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::invalid)
}

fn condition(put: &PutItem) -> Result<When, Refusal> {
    match (put.condition_expression.as_deref(), &put.expression_attribute_values) {
        (None, None) => Ok(When::Always),
        (Some("attribute_not_exists(pk)"), None) => Ok(When::Absent),
        (Some("v = :held"), Some(values)) => {
            values.held.number.parse().map(When::Version).map_err(Refusal::invalid)
        }
        (other, _) => {
            Err(Refusal::invalid(format!("condition {other:?} is not simulated, or its values are missing")))
        }
    }
}

impl KeyItem {
    fn key(&self) -> Key {
        Key::new(self.pk.text.as_str(), self.sk.text.as_str())
    }

    fn index(&self) -> Option<Key> {
        let (pk, sk) = (self.gsi1pk.as_ref()?, self.gsi1sk.as_ref()?);
        Some(Key::new(pk.text.as_str(), sk.text.as_str()))
    }

    fn of(row: &Row, indexed: bool) -> Self {
        let text = |text: &String| Text { text: text.clone() };
        let index = row.index.as_ref().filter(|_| indexed);
        Self {
            pk: text(&row.key.partition),
            sk: text(&row.key.sort),
            gsi1pk: index.map(|key| text(&key.partition)),
            gsi1sk: index.map(|key| text(&key.sort)),
        }
    }
}

/// Largest item, in bytes.
const ITEM_BYTES_MAX: usize = 400 << 10;

impl Item {
    fn row(self) -> Result<Row, Refusal> {
        if self.body.text.len() + self.pk.text.len() + self.sk.text.len() > ITEM_BYTES_MAX {
            return Err(Refusal::invalid("item size has exceeded the maximum allowed size"));
        }
        if self.pk.text.is_empty() || self.sk.text.is_empty() {
            return Err(Refusal::invalid("a key attribute is empty"));
        }
        let index = match (self.gsi1pk, self.gsi1sk) {
            (Some(pk), Some(sk)) => Some(Key::new(pk.text, sk.text)),
            (None, None) => None,
            (_, _) => return Err(Refusal::invalid("half an index key is not simulated")),
        };
        let version = self.v.number.parse().map_err(Refusal::invalid)?;
        let expires_s = self.ttl.map(|ttl| ttl.number.parse().map_err(Refusal::invalid)).transpose()?;
        Ok(Row { key: Key::new(self.pk.text, self.sk.text), version, body: self.body.text, index, expires_s })
    }

    fn of(row: &Row) -> Self {
        let KeyItem { pk, sk, gsi1pk, gsi1sk } = KeyItem::of(row, true);
        let (v, body) = (Number { number: row.version.to_string() }, Text { text: row.body.clone() });
        let ttl = row.expires_s.map(|expires_s| Number { number: expires_s.to_string() });
        Self { pk, sk, v, body, gsi1pk, gsi1sk, ttl }
    }
}

/// The same within one region, whose copies follow each other closely.
const LOCAL_STALE_MAX: Duration = Duration::from_millis(100);

/// One request to one table, at its replica.
struct Arrival {
    region: RegionName,
    from: Place,
    at: Duration,
    now: Duration,
    strong: bool,
}

impl Cloud {
    pub(super) async fn serve_dynamodb(&self, link: &Link, request: &http::Request<Bytes>) -> Served {
        let call = match Call::read(request) {
            Ok(call) => call,
            Err(refusal) => {
                let (result, answer) = (format!("{} {}", refusal.0, refusal.1), Some(refusal.answer()));
                return Served { operation: "call", key: String::new(), result, answer };
            }
        };
        let (operation, key) = (call.name(), call.shown());
        let found = self.table(call.table(), |table| (table.has(link.to), table.consistency.clone()));
        let (result, answer) = match found {
            Some((true, Consistency::Eventual)) => self.apply(link, call, self.now(), false),
            // The replica answers such a read by itself, with whatever it knows.
            Some((true, Consistency::Strong { .. })) if call.is_eventual() => {
                self.apply(link, call, self.now(), true)
            }
            Some((true, Consistency::Strong { members })) => self.agree(link, call, &members).await,
            Some((false, _)) | None => {
                let refusal =
                    Refusal("ResourceNotFoundException", format!("no table for {key} in {}", link.to));
                (refusal.0.to_owned(), Some(refusal.answer()))
            }
        };
        Served { operation, key, result, answer }
    }

    /// A call that a majority of the members must take part in: applied when the first of the
    /// others has heard of it, answered when its word is back.
    async fn agree(&self, link: &Link, call: Call, members: &[RegionName]) -> (String, Option<Answer>) {
        let at = self.now();
        let way =
            |peer: &RegionName| Link { from: Place::Region(link.to), to: *peer, service: Service::DynamoDb };
        let in_touch = || {
            let others = members.iter().filter(|peer| **peer != link.to);
            let linked = |peer: &&RegionName| self.network().linked(link.to, **peer, Service::DynamoDb);
            let reached: Vec<RegionName> = others.filter(linked).copied().collect();
            ((reached.len() + 1) * 2 > members.len()).then_some(reached)
        };
        let Some(reached) = in_touch() else { return ("no quorum".to_owned(), None) };
        let ways = || reached.iter().map(|peer| self.network().one_way(&way(peer))).min().unwrap_or_default();
        sleep(ways()).await;
        if in_touch().is_none() {
            return ("quorum lost before".to_owned(), None);
        }
        let (result, answer) = self.apply(link, call, at, true);
        sleep(ways()).await;
        if in_touch().is_none() {
            return (format!("{result}, quorum lost after"), None);
        }
        (result, answer)
    }

    fn apply(&self, link: &Link, call: Call, at: Duration, strong: bool) -> (String, Option<Answer>) {
        let arrival = Arrival { region: link.to, from: link.from, at, now: self.now(), strong };
        let name = call.table().to_owned();
        let then = call.is_eventual().then(|| {
            let age =
                lock(&self.0.dice).between(Duration::ZERO, if strong { STALE_MAX } else { LOCAL_STALE_MAX });
            self.now().saturating_sub(age)
        });
        let done = self.table(&name, |table| {
            let old = then.map(|then| table.stale(link.to, then));
            match call {
                Call::Get(get) => arrival.get(old.as_ref().unwrap_or(table), &get),
                Call::Put(put, when) => arrival.put(table, put, when),
                Call::Query(query) => arrival.query(old.as_ref().unwrap_or(table), &query),
            }
        });
        let done = done.unwrap_or(Err(Refusal("ResourceNotFoundException", name)));
        match done {
            Ok((result, body)) => {
                let answer = Answer::ok(body).with("content-type", "application/x-amz-json-1.0");
                (result, Some(answer))
            }
            Err(refusal) if refusal.0 == "ValidationException" => {
                (format!("{} {}", refusal.0, refusal.1), Some(refusal.answer()))
            }
            Err(refusal) => (refusal.0.to_owned(), Some(refusal.answer())),
        }
    }
}

/// A word for the trace and a body.
type Done = Result<(String, Vec<u8>), Refusal>;

fn body(answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(Refusal::invalid)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Got {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    items: Vec<Item>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<KeyItem>,
}

impl Arrival {
    fn get(&self, table: &Table, get: &GetItem) -> Done {
        if get.key.gsi1pk.is_some() || get.key.gsi1sk.is_some() {
            return Err(Refusal::invalid("the key has attributes that the schema does not"));
        }
        let row = table.get(self.region, &get.key.key());
        let result = row.map_or_else(|| "none".to_owned(), |row| format!("v{}", row.version));
        Ok((result, body(&Got { item: row.map(|row| Item::of(row)) })?))
    }

    fn put(&self, table: &mut Table, put: PutItem, when: When) -> Done {
        let row = put.item.row()?;
        let held = table.get(self.region, &row.key).map(|row| row.version);
        if self.strong
            && table.stamp(self.region, &row.key).is_some_and(|(t, by)| t >= self.at && by != self.region)
        {
            let what = "another region writes the same item".to_owned();
            return Err(Refusal("ReplicatedWriteConflictException", what));
        }
        let holds = match when {
            When::Always => true,
            When::Absent => held.is_none(),
            When::Version(version) => held == Some(version),
        };
        if !holds {
            return Err(Refusal(
                "ConditionalCheckFailedException",
                "the conditional request failed".to_owned(),
            ));
        }
        table.put(self.region, self.from, row, self.now);
        Ok(("written".to_owned(), b"{}".to_vec()))
    }

    fn query(&self, table: &Table, query: &Query) -> Done {
        let values = &query.expression_attribute_values;
        let indexed = query.index_name.is_some();
        match (query.key_condition_expression.as_str(), indexed, values.end.is_some()) {
            ("pk = :pk", false, false)
            | ("gsi1pk = :pk", true, false)
            | ("gsi1pk = :pk AND gsi1sk <= :end", true, true) => {}
            (other, _, _) => {
                return Err(Refusal::invalid(format!(
                    "key condition `{other}` is not simulated, or its values differ"
                )));
            }
        }
        if indexed && query.index_name.as_deref() != table.index {
            return Err(Refusal::invalid(format!(
                "the table does not have the specified index: {:?}",
                query.index_name
            )));
        }
        if indexed && (query.consistent_read == Some(true) || query.scan_index_forward == Some(false)) {
            return Err(Refusal::invalid("consistent or backward reads of an index are not supported"));
        }
        let listing = Listing {
            partition: &values.partition.text,
            up_to: values.end.as_ref().map(|end| end.text.as_str()),
            after: query.exclusive_start_key.as_ref().map(|key| (key.index(), key.key())),
            forward: query.scan_index_forward.unwrap_or(true),
            limit: query.limit.map_or(usize::MAX, |n| n as usize),
        };
        if listing.limit == 0 {
            return Err(Refusal::invalid("limit must be at least 1"));
        }
        let (rows, more) =
            if indexed { table.list_index(self.region, &listing) } else { table.list(self.region, &listing) };
        let last = rows.last().filter(|_| more).map(|row| KeyItem::of(row, indexed));
        let items: Vec<Item> = rows.iter().map(|row| Item::of(row)).collect();
        let count = items.len();
        let found = Found { items, count, scanned_count: count, last_evaluated_key: last };
        Ok((format!("{count} rows"), body(&found)?))
    }
}

#[cfg(test)]
#[path = "dynamodb_tests.rs"]
mod tests;
