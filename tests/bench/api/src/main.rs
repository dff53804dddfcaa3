//! What the API's handlers cost by themselves: the real router and the real table adapter against
//! tables that answer at once.
//!
//! Prints one JSON document: for each call the time in microseconds (p50, p99), what it asked of the
//! tables, and for a long list the most memory that was held at once.

mod calls;
mod tables;

use std::{collections::BTreeMap, io::Write as _, time::Instant};

use axum::{Router, body::to_bytes};
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    calls::{get, post, router},
    tables::{Asked, Tables},
};

/// Rounds, each of which makes every call once.
const ROUNDS: usize = 3_000;

/// Rounds before the first that counts.
const WARM_UP: usize = 200;

/// Worksets in the lists whose memory is compared.
const LISTED: [usize; 2] = [1_000, 10_000];

type Failed = Box<dyn std::error::Error>;

/// What was measured of one call.
#[derive(Debug, Default)]
struct Measured {
    took_us: Vec<f64>,
    asked: Asked,
}

/// What one call costs.
#[derive(Debug, Serialize)]
struct Cost {
    p50_us: f64,
    p99_us: f64,
    reads: u64,
    writes: u64,
    queries: u64,
    /// Reads and writes of the record by which the call takes effect once.
    of_record: u64,
}

impl Measured {
    fn cost(mut self) -> Cost {
        self.took_us.sort_by(f64::total_cmp);
        let rank = |percent: usize| (self.took_us.len() * percent).div_ceil(100).saturating_sub(1);
        let at = |percent| self.took_us.get(rank(percent)).map_or(0.0, |us| (us * 10.0).round() / 10.0);
        let Asked { reads, writes, queries, of_calls } = self.asked;
        Cost { p50_us: at(50), p99_us: at(99), reads, writes, queries, of_record: of_calls }
    }
}

/// A bench of one API and its tables.
struct Bench {
    router: Router,
    tables: Tables,
    measured: BTreeMap<&'static str, Measured>,
}

impl Bench {
    async fn new() -> Result<Self, Failed> {
        let tables = Tables::default();
        Ok(Self { router: router(&tables).await?, tables, measured: BTreeMap::new() })
    }

    /// Makes one call, and notes under `name` what it took.
    async fn call(&mut self, name: &'static str, request: http::Request) -> Result<Value, Failed> {
        let before = self.tables.asked();
        let began = now();
        let reply = self.router.clone().oneshot(request).await?;
        let status = reply.status();
        let body = to_bytes(reply.into_body(), usize::MAX).await?;
        let took = began.elapsed();
        if !status.is_success() {
            return Err(format!("`{name}` answered {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let measured = self.measured.entry(name).or_default();
        measured.took_us.push(took.as_secs_f64() * 1e6);
        measured.asked = self.tables.asked().since(before);
        Ok(serde_json::from_slice(&body)?)
    }

    /// A workset's way from its registration to its end, and a page of a list.
    async fn round(&mut self, number: usize) -> Result<(), Failed> {
        let id = format!("run-{number:06}");
        self.call("register", post("/v1/worksets", &registration(&id))?).await?;
        self.call("get", get(&format!("/v1/worksets/{id}"))?).await?;
        self.call("list", get("/v1/worksets?state=complete&limit=20")?).await?;
        let claimed = self.call("claim", post("/v1/worksets:claim", &json!({}))?).await?;
        let (id, token) = (claimed["workset"]["id"].as_str().unwrap_or(&id), &claimed["lock"]["token"]);
        for to in ["in_progress", "complete"] {
            let path = format!("/v1/worksets/{id}/transitions");
            self.call("move", post(&path, &json!({ "to": to, "token": token }))?).await?;
        }
        self.call("release", post(&format!("/v1/worksets/{id}/lock/release"), &json!({ "token": token }))?)
            .await?;
        Ok(())
    }
}

mod http {
    pub(super) type Request = axum::http::Request<axum::body::Body>;
}

fn registration(id: &str) -> Value {
    json!({ "id": id, "bucket": "my-bucket", "prefix": "runs/", "metadata": { "samples": ["a", "b"] } })
}

/// The present moment, which nothing but this measurement asks for.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// An API with so many worksets.
async fn listed(total: usize) -> Result<Bench, Failed> {
    let mut bench = Bench::new().await?;
    for number in 0..total {
        bench.call("register", post("/v1/worksets", &registration(&format!("run-{number:06}")))?).await?;
    }
    Ok(bench)
}

/// Pages through everything, a hundred at a time, and counts.
async fn paged(bench: &mut Bench) -> Result<usize, Failed> {
    let (mut path, mut seen) = ("/v1/worksets?limit=100".to_owned(), 0);
    loop {
        let page = bench.call("page", get(&path)?).await?;
        seen += page["worksets"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/worksets?limit=100&cursor={next}"),
            None => return Ok(seen),
        }
    }
}

/// The most bytes that were held at once while a list of `total` worksets was paged through, by the client
/// of the tables and the tables' own answer as well.
fn memory(runtime: &tokio::runtime::Runtime, total: usize) -> Result<u64, Failed> {
    let mut bench = runtime.block_on(listed(total))?;
    runtime.block_on(paged(&mut bench))?;
    bench.measured.clear();
    let mut seen = Ok(0);
    let held = allocation_counter::measure(|| seen = runtime.block_on(paged(&mut bench)));
    match seen? {
        seen if seen == total => Ok(held.bytes_max),
        seen => Err(format!("of {total} worksets {seen} were listed").into()),
    }
}

fn main() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut bench = runtime.block_on(Bench::new())?;
    runtime.block_on(async {
        for number in 0..WARM_UP {
            bench.round(number).await?;
        }
        bench.measured.clear();
        for number in WARM_UP..WARM_UP + ROUNDS {
            bench.round(number).await?;
        }
        Ok::<(), Failed>(())
    })?;
    let costs: BTreeMap<_, _> = bench.measured.into_iter().map(|(name, m)| (name, m.cost())).collect();
    let mut bytes = BTreeMap::new();
    for total in LISTED {
        bytes.insert(total.to_string(), memory(&runtime, total)?);
    }
    let report = json!({ "rounds": ROUNDS, "calls": costs, "list_bytes_max": bytes });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
