//! Tables that answer at once: no network, no conditions, nothing but the rows.
//!
//! They speak the service's protocol, so that what is measured includes the client: its
//! signature, its serialization, its retries' bookkeeping.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use sealane::{
    aws::{Connections, Limits},
    endpoint,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What was asked of the tables: reads, writes and queries, those of the records of calls apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) queries: u64,
    pub(crate) of_calls: u64,
}

impl Asked {
    /// What was asked since `before`.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            queries: self.queries - before.queries,
            of_calls: self.of_calls - before.of_calls,
        }
    }
}

/// A table, a partition or index partition, and a sort key.
type Place = (String, String, String);

#[derive(Default)]
struct Rows {
    asked: Asked,
    items: BTreeMap<Place, Box<RawValue>>,
    /// Where each item lies in its index.
    index: BTreeMap<Place, Place>,
    indexed: HashMap<Place, Place>,
}

/// All tables of all regions; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tables(Arc<Mutex<Rows>>);

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// A text attribute.
#[derive(Debug, Clone, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

/// The keys of an item.
#[derive(Debug, Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
    gsi1pk: Option<Text>,
    gsi1sk: Option<Text>,
}

/// What is read of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: String,
    key: Option<Keys>,
    index_name: Option<String>,
    #[serde(default)]
    expression_attribute_values: BTreeMap<String, Text>,
    limit: Option<usize>,
    exclusive_start_key: Option<Keys>,
}

impl Tables {
    /// What was asked so far.
    pub(crate) fn asked(&self) -> Asked {
        self.rows().asked
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to one request, and its status.
    fn answer(&self, request: &HttpRequest) -> Result<String, serde_json::Error> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let mut rows = self.rows();
        match target.rsplit('.').next() {
            Some("GetItem") => rows.get(serde_json::from_slice(body)?),
            // Which version is held goes into a number, which is no text: conditions are not read.
            Some("PutItem") => rows.put(serde_json::from_slice(body)?),
            _ => rows.query(serde_json::from_slice(body)?),
        }
    }
}

/// What is read of a write.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Write<'a> {
    table_name: String,
    #[serde(borrow)]
    item: &'a RawValue,
}

impl Rows {
    fn note(&mut self, partition: &str, count: fn(&mut Asked) -> &mut u64) {
        let asked = &mut self.asked;
        *(if partition.starts_with("~call#") { &mut asked.of_calls } else { count(asked) }) += 1;
    }

    fn get(&mut self, request: Request) -> Result<String, serde_json::Error> {
        let Some(Keys { pk, sk, .. }) = request.key else { return Ok("{}".to_owned()) };
        self.note(&pk.text, |asked| &mut asked.reads);
        let item = self.items.get(&(request.table_name, pk.text, sk.text));
        Ok(item.map_or_else(|| "{}".to_owned(), |item| format!("{{\"Item\":{item}}}")))
    }

    fn put(&mut self, Write { table_name, item }: Write<'_>) -> Result<String, serde_json::Error> {
        let keys: Keys = serde_json::from_str(item.get())?;
        self.note(&keys.pk.text, |asked| &mut asked.writes);
        let place = (table_name.clone(), keys.pk.text, keys.sk.text);
        if let Some(old) = self.indexed.remove(&place) {
            self.index.remove(&old);
        }
        if let (Some(partition), Some(sort)) = (keys.gsi1pk, keys.gsi1sk) {
            let indexed = (table_name, partition.text, sort.text);
            self.index.insert(indexed.clone(), place.clone());
            self.indexed.insert(place.clone(), indexed);
        }
        self.items.insert(place, item.to_owned());
        Ok("{}".to_owned())
    }

    fn query(&mut self, request: Request) -> Result<String, serde_json::Error> {
        let value = |name: &str| request.expression_attribute_values.get(name).map(|v| v.text.clone());
        let (partition, up_to) = (value(":pk").unwrap_or_default(), value(":end"));
        self.note(&partition, |asked| &mut asked.queries);
        let of_index = request.index_name.is_some();
        let after = request.exclusive_start_key.map(|keys| match keys.gsi1sk.filter(|_| of_index) {
            Some(sort) => sort.text,
            None => keys.sk.text,
        });
        let limit = request.limit.unwrap_or(usize::MAX);
        let from = (request.table_name.clone(), partition.clone(), after.clone().unwrap_or_default());
        let is_meant = |(table, pk, sk): &Place| {
            *table == request.table_name && *pk == partition && up_to.as_ref().is_none_or(|end| sk <= end)
        };
        let is_new = |(_, _, sk): &&Place| after.as_ref().is_none_or(|after| sk > after);
        let found: Vec<&Place> = if of_index {
            let hits = self.index.range(from..).take_while(|(at, _)| is_meant(at));
            hits.filter(|(at, _)| is_new(at)).map(|(_, place)| place).take(limit + 1).collect()
        } else {
            let hits = self.items.range(from..).map(|(at, _)| at).take_while(|at| is_meant(at));
            hits.filter(is_new).take(limit + 1).collect()
        };
        let page = &found[..found.len().min(limit)];
        let items: Vec<&str> = page.iter().filter_map(|at| Some(self.items.get(*at)?.get())).collect();
        let last = page.last().filter(|_| found.len() > limit);
        let last = last.map_or_else(String::new, |at| format!(",\"LastEvaluatedKey\":{}", self.key(at)));
        Ok(format!("{{\"Items\":[{}]{last}}}", items.join(",")))
    }

    /// The key of an item as a listing names it, with its place in the index if it has one.
    fn key(&self, place: &Place) -> serde_json::Value {
        let text = |value: &String| serde_json::json!({ "S": value });
        let mut key = serde_json::json!({ "pk": text(&place.1), "sk": text(&place.2) });
        if let Some((_, partition, sort)) = self.indexed.get(place) {
            key["gsi1pk"] = text(partition);
            key["gsi1sk"] = text(sort);
        }
        key
    }
}

impl HttpConnector for Tables {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = match self.answer(&request) {
            Ok(body) => (200, body),
            Err(error) => (400, error.to_string()),
        };
        let status = StatusCode::try_from(status).unwrap_or_else(|_| unreachable!("both are statuses"));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

impl HttpClient for Tables {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Connections for Tables {
    fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    fn connector(&self, _: Limits, _: &endpoint::Policy) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
