//! How many SDK calls a second of CPU carries: `cargo run --profile drill -p sealane-simulator --example rate`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and fails loudly")]

use std::{fs, time::Duration};

use bytes::Bytes;
use sealane::{
    aws::Limits,
    checksum::Checksum,
    ports::{Attributes, Key, Objects as _, Row, Rows as _, When},
};
use serde_json::json;
use simulator::cloud::{self, Cloud, Place};

/// Calls of each kind.
const CALLS: u64 = 20_000;

/// Time that this process has been on a CPU.
fn on_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

async fn measure(what: &str, mut call: impl AsyncFnMut(u64)) {
    let before = on_cpu();
    for n in 0..CALLS {
        call(n).await;
    }
    let spent = on_cpu() - before;
    let each_us = spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(CALLS).unwrap());
    println!("{what:<16} {:>8.0} calls a CPU-second, {each_us:.1} us each", 1e6 / each_us);
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let cloud = Cloud::new(1, &cloud::config(&json!({})));
    let region = cloud.configuration().regions[0].clone();
    let aws = cloud.aws(Place::Region(region.name));
    let rows = aws.rows(&region, "sealane-health", "", Limits::CALL);
    let bucket = aws.objects(&region, None, Limits::CALL).unwrap();
    let row = |n: u64| Row {
        key: Key::new("observation", format!("{}", n % 50)),
        version: n,
        body: format!(r#"{{"region":"us-west-2","filler":"{}"}}"#, "x".repeat(300)),
        index: None,
        expires_s: None,
    };
    let only = std::env::args().nth(1);
    let wanted = |what: &str| only.as_deref().is_none_or(|only| what.starts_with(only));
    if wanted("put") {
        measure("put row", async |n| rows.write(&row(n), When::Always).await.unwrap()).await;
    }
    if wanted("get") {
        measure("get row", async |n| drop(rows.read(&row(n).key).await.unwrap())).await;
    }
    if wanted("list") {
        measure("list 20 rows", async |_| drop(rows.list("observation", false, None, 20).await.unwrap()))
            .await;
    }
    let body = Bytes::from(vec![7; 1024]);
    let (sum, none) = (Checksum::of(&body), Attributes::default());
    if wanted("object") {
        measure("object put", async |n| {
            bucket.put(&format!("{}", n % 50), body.clone(), sum, &none).await.unwrap();
        })
        .await;
        measure("object get", async |n| {
            drop(bucket.read(&format!("{}", n % 50), None, 0..1024).await.unwrap())
        })
        .await;
    }
    if wanted("clients") {
        measure("new client", async |_| drop(aws.rows(&region, "sealane-health", "", Limits::CALL))).await;
    }
    println!("trace {:016x}", cloud.trace().hash());
}
