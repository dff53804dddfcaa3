//! The sink in a process of its own.
//!
//! Prints the ports of its regions as one line of JSON, and then takes orders, one a line:
//! `reset`, `counts`, `throttle REGION BYTES_A_SECOND`, `refuse REGION AFTER_BYTES`,
//! `silence REGION AFTER_BYTES`, `copies REGION MILLISECONDS` (how long the copy of a part takes), `link REGION DELAY_MS BUSY_EVERY`
//! (every so manieth part is asked to slow down). Each is answered with one line. It ends when its input does.

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use sealane_bench_sink::{Counts, Fault, Link, Region, Trouble, open};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[derive(Debug, Parser)]
struct Args {
    /// Regions
    #[arg(long, default_value_t = 3)]
    regions: usize,
    /// File that the certificate is written to
    #[arg(long)]
    certificate: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let regions: Vec<Arc<Region>> = (0..args.regions).map(|_| Arc::default()).collect();
    let ports = open(&regions, &args.certificate).await?;
    say(&serde_json::to_string(&ports)?);
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        let answer = match obey(&regions, &order) {
            Ok(Some(counts)) => serde_json::to_string(&counts)?,
            Ok(None) => json!({}).to_string(),
            Err(error) => json!({ "error": error.to_string() }).to_string(),
        };
        say(&answer);
    }
    Ok(())
}

fn obey(regions: &[Arc<Region>], order: &str) -> Result<Option<Vec<Counts>>, Box<dyn Error>> {
    let words: Vec<&str> = order.split_whitespace().collect();
    let (verb, region, number) = match words[..] {
        ["reset"] => {
            regions.iter().for_each(|region| region.reset());
            return Ok(None);
        }
        ["counts"] => return Ok(Some(regions.iter().map(|region| region.counts()).collect())),
        ["link", region, delay_ms, busy_every] => {
            let link =
                Link { delay: Duration::from_millis(delay_ms.parse()?), busy_every: busy_every.parse()? };
            regions.get(region.parse::<usize>()?).ok_or("there is no such region")?.link(link);
            return Ok(None);
        }
        [verb, region, number] => (verb, region.parse::<usize>()?, number),
        _ => return Err(format!("`{order}` is no order").into()),
    };
    let region = regions.get(region).ok_or("there is no such region")?;
    if verb == "copies" {
        region.copies_take(Duration::from_millis(number.parse()?));
        return Ok(None);
    }
    let (trouble, after) = match verb {
        "throttle" => (Trouble::Throttle(number.parse()?), 0),
        "refuse" => (Trouble::Refuse, number.parse()?),
        "silence" => (Trouble::Silence, number.parse()?),
        _ => return Err(format!("`{order}` is no order").into()),
    };
    region.fail(Fault { trouble, after });
    Ok(None)
}

#[expect(clippy::print_stdout, reason = "whoever started this reads its ports and counts here")]
fn say(line: &str) {
    println!("{line}");
}
