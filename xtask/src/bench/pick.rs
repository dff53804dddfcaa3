//! What a pick of one region out of thirty costs: time by criterion, and allocations.

use super::figures::Spread;
use crate::cloud::{
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Most nanoseconds that a pick may take in the median.
pub const PICK_NS_MAX: f64 = 1000.0;

/// What was measured of one way to pick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The strategy, whose turn, and whether sessions stick.
    pub name: String,
    /// Nanoseconds a pick, over all samples. On a machine that does other work too, the
    /// smallest is nearest to what a pick costs, and the median holds the others' work.
    pub pick_ns: Spread,
    /// Allocations of one pick.
    pub allocations: u64,
}

/// What criterion keeps of the samples of one benchmark.
#[derive(Debug, Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Measures all strategies, prints a table and writes `report` as JSON. Returns the bars that are missed.
///
/// # Errors
/// When the benchmark cannot be built or run, or leaves no samples.
pub fn pick(folder: &Folder, report: Option<&Path>, say: &dyn Fn(&str)) -> Result<Vec<String>, CloudError> {
    let kept = target(folder);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["bench", "-p", "sealane-bench", "--bench", "pick"]).current_dir(folder.workspace());
    let ran =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().doing("running `cargo bench`")?;
    if !ran.status.success() {
        let what = format!("`cargo bench` ended with {}", ran.status);
        return Err(CloudError::failed(what, "see what it printed above".to_owned()));
    }
    let figures = figures(&String::from_utf8_lossy(&ran.stdout), &kept.join("criterion/pick"))?;
    say(&format!(
        "{:<28} {:>8} {:>8} {:>8} {:>6}",
        "ns a pick of 30 regions", "min", "median", "max", "alloc"
    ));
    for Figure { name, pick_ns, allocations } in &figures {
        let Spread { min, median, max } = pick_ns;
        say(&format!("{name:<28} {min:>8.0} {median:>8.0} {max:>8.0} {allocations:>6}"));
    }
    let missed: Vec<String> = figures.iter().filter_map(Figure::missed).collect();
    if let Some(path) = report {
        let report = json!({ "ok": missed.is_empty(), "missed": missed, "regions": 30, "picks": figures });
        write_whole(path, &format!("{report:#}\n"))?;
    }
    Ok(missed)
}

/// Where cargo, and so criterion, keeps what it builds.
fn target(folder: &Folder) -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| folder.workspace().join("target"))
}

/// The figures of every case that the benchmark named in what it printed.
fn figures(printed: &str, samples: &Path) -> Result<Vec<Figure>, CloudError> {
    let named = printed.lines().filter_map(allocations);
    let figures = named.map(|(name, allocations)| {
        let path = samples.join(name).join("new/sample.json");
        let text = fs::read_to_string(&path).doing(format!("reading `{}`", path.display()))?;
        let pick_ns = spread(&text).ok_or_else(|| {
            let what = format!("`{}` holds no samples", path.display());
            CloudError::failed(what, "remove it, and run the benchmark again".to_owned())
        })?;
        Ok(Figure { name: name.to_owned(), pick_ns, allocations })
    });
    figures.collect()
}

/// The name and the number of a line `allocations NAME NUMBER`.
fn allocations(line: &str) -> Option<(&str, u64)> {
    let (name, count) = line.strip_prefix("allocations ")?.split_once(' ')?;
    Some((name, count.parse().ok()?))
}

fn spread(sample: &str) -> Option<Spread> {
    let Sample { iters, times } = serde_json::from_str(sample).ok()?;
    Spread::of(times.iter().zip(&iters).map(|(time, iterations)| time / iterations).collect())
}

impl Figure {
    fn missed(&self) -> Option<String> {
        let Self { name, pick_ns, allocations } = self;
        if *allocations > 0 {
            return Some(format!("`{name}` allocates {allocations} times a pick (at most 0)"));
        }
        let slow = pick_ns.median >= PICK_NS_MAX;
        slow.then(|| format!("`{name}` takes {:.0} ns in the median (below {PICK_NS_MAX})", pick_ns.median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64, allocations: u64) -> Figure {
        Figure { name: "x".to_owned(), pick_ns: Spread { min: 1.0, median, max: 9_000.0 }, allocations }
    }

    #[test]
    fn a_pick_that_is_slow_or_allocates_misses_its_bar() {
        assert_eq!(figure(999.0, 0).missed(), None);
        assert!(figure(1000.0, 0).missed().unwrap().contains("1000 ns"));
        assert!(figure(10.0, 1).missed().unwrap().contains("allocates 1 times"));
    }

    #[test]
    fn samples_are_read_as_criterion_writes_them() {
        let sample =
            r#"{"sampling_mode": "Linear", "iters": [1.0, 2.0, 4.0], "times": [90.0, 100.0, 240.0]}"#;
        assert_eq!(spread(sample), Some(Spread { min: 50.0, median: 60.0, max: 90.0 }));
        assert_eq!(spread("{}"), None);
        assert_eq!(allocations("allocations cost_counted_free 0"), Some(("cost_counted_free", 0)));
        assert_eq!(allocations("pick/cost  time: [1 ns]"), None);
    }
}
