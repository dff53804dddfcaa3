//! What the copy of a large object in parts costs whoever asks for it.
//!
//! The client that the orchestrator copies with asks a sink that does nothing but wait as a store does
//! while it moves a part. So the figures are those of the client: its processor time for each part, its
//! memory, and how close it keeps to the time in which the sink could be done.

use crate::{
    bench::transfer::{
        report::{Metered, Run, median},
        sink::{REGIONS, Sink},
    },
    cloud::{
        error::{CloudError, Doing},
        folder::Folder,
        functions::{CLI, FUNCTIONS, build, program},
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Parts that each region copies.
const PARTS: u32 = 4096;
/// Parts in flight to each region.
const AT_ONCE: u32 = 256;
/// How long the sink takes for a part, in milliseconds.
const TAKES_MS: u32 = 50;
/// Runs, of whose figures the medians count.
const RUNS: usize = 5;

/// The most processor time for a part, in microseconds.
const CPU_US_MAX: f64 = 70.0;
/// The most wall time, as a multiple of what the sink alone takes.
const WALL_MAX: f64 = 1.2;
/// The most memory, in MiB.
const RSS_MIB_MAX: f64 = 32.0;

/// What is built.
const BINARIES: [&str; 3] = ["transfer-sink", "transfer-meter", "replication-parts"];

/// The medians of all runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    cpu_us_per_part: f64,
    wall_ratio_to_ideal: f64,
    rss_mib: f64,
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let middle = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect()).unwrap_or_default();
        let parts = f64::from(PARTS) * REGIONS as f64;
        let ideal_s = f64::from(PARTS / AT_ONCE * TAKES_MS) / 1000.0;
        Self {
            cpu_us_per_part: middle(|run| run.cpu_s) * 1e6 / parts,
            wall_ratio_to_ideal: middle(|run| run.wall_s) / ideal_s,
            rss_mib: middle(|run| run.rss_mib),
        }
    }

    fn json(self) -> Value {
        let Self { cpu_us_per_part, wall_ratio_to_ideal, rss_mib } = self;
        json!({ "cpu_us_per_part": cpu_us_per_part, "wall_ratio_to_ideal": wall_ratio_to_ideal, "rss_mib": rss_mib })
    }

    fn missed(self) -> Vec<String> {
        let bars = [
            ("cpu_us_per_part", self.cpu_us_per_part, CPU_US_MAX),
            ("wall_ratio_to_ideal", self.wall_ratio_to_ideal, WALL_MAX),
            ("rss_mib", self.rss_mib, RSS_MIB_MAX),
        ];
        let over = bars.into_iter().filter(|(_, found, most)| found > most);
        over.map(|(name, found, most)| format!("parts: {name} is {found:.2}, above {most}")).collect()
    }
}

/// Measures; the figures, and the bars that they miss.
///
/// # Errors
/// When the programs cannot be built, or a part was not copied.
pub fn measure(
    folder: &Folder,
    from: Option<&Path>,
    say: &dyn Fn(&str),
) -> Result<(Value, Vec<String>), CloudError> {
    folder.create()?;
    let programs = programs(folder, from)?;
    let place = folder.workspace().join("target/bench-replication");
    fs::create_dir_all(&place).doing("making a folder for the sink")?;
    let mut sink = Sink::start(&program(&programs, "transfer-sink")?, &place.join("sink.pem"))?;
    say(&format!(
        "{PARTS} parts into each of {REGIONS} regions, {AT_ONCE} in flight to each, {TAKES_MS} ms each"
    ));
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let run = once(&mut sink, &programs)?;
        say(&format!("  {:.3} s of processor, {:.3} s, {:.1} MiB", run.cpu_s, run.wall_s, run.rss_mib));
        runs.push(run);
    }
    let figures = Figures::of(&runs);
    say(&format!(
        "{:.1} us of processor a part (at most {CPU_US_MAX}), {:.2} times the ideal wall time (at most {WALL_MAX}), \
         {:.1} MiB (at most {RSS_MIB_MAX})",
        figures.cpu_us_per_part, figures.wall_ratio_to_ideal, figures.rss_mib
    ));
    Ok((figures.json(), figures.missed()))
}

fn programs(folder: &Folder, from: Option<&Path>) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    if let Some(from) = from {
        return Ok(BINARIES.map(|name| (name.to_owned(), from.join(name))).into());
    }
    let mut binaries = build(folder, &["build", "--locked", "--release", "-p", "sealane-bench-sink"])?;
    // Together with what is deployed, so that what they share is compiled once.
    let packages = FUNCTIONS.iter().copied().chain([CLI.0, "sealane-bench-parts"]).flat_map(|p| ["-p", p]);
    let ours = ["build", "--locked", "--release", "--bin", "replication-parts"].into_iter().chain(packages);
    binaries.append(&mut build(folder, &ours.collect::<Vec<_>>())?);
    Ok(binaries)
}

fn once(sink: &mut Sink, programs: &BTreeMap<String, PathBuf>) -> Result<Run, CloudError> {
    sink.order("reset")?;
    for region in 0..REGIONS {
        sink.order(&format!("copies {region} {TAKES_MS}"))?;
    }
    let mut command = Command::new(program(programs, "transfer-meter")?);
    command.arg(program(programs, "replication-parts")?);
    command.args(["--parts", &PARTS.to_string(), "--at-once", &AT_ONCE.to_string()]);
    command.args(sink.endpoints(REGIONS, false).iter().flat_map(|url| ["--endpoint", url]));
    command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "us-east-1");
    let ran = command.stdin(Stdio::null()).output().doing("running `replication-parts`")?;
    let metered: Option<Metered> = serde_json::from_slice(&ran.stdout).ok();
    let counts = sink.counts()?;
    let whole = counts.iter().all(|region| region.parts == PARTS as usize);
    let run = metered.filter(|metered| metered.ok && whole).map(|m| Run::of(&m, &counts, |_| true));
    run.ok_or_else(|| {
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        CloudError::failed(
            format!("not every part was copied: {said}"),
            "run `replication-parts` by hand".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_s: f64, wall_s: f64, rss_mib: f64) -> Run {
        let (requests, connections, last_byte_s, first_byte_ms) = (0, 0, 0.0, None);
        Run { cpu_s, wall_s, rss_mib, requests, connections, last_byte_s, first_byte_ms }
    }

    #[test]
    fn figures_are_medians_and_a_bar_that_is_missed_is_named() {
        let good = Figures::of(&[run(9.0, 9.0, 90.0), run(0.49152, 0.8, 30.0), run(0.1, 0.1, 1.0)]);
        assert!((good.cpu_us_per_part - 40.0).abs() < 1e-9 && (good.wall_ratio_to_ideal - 1.0).abs() < 1e-9);
        assert_eq!(good.missed(), [""; 0]);
        let bad = Figures { rss_mib: 33.0, ..good };
        assert_eq!(bad.missed(), ["parts: rss_mib is 33.00, above 32"]);
    }
}
