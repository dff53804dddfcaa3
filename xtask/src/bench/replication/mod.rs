//! What replication costs, and how soon a region that comes back holds what is owed to it.
//!
//! Three cases, each with its own stage: `cost` runs the real orchestrators and the real clients on the
//! simulator's cloud in memory, [`parts`] the client of copies in parts against a sink that only waits, and
//! [`live`] the built functions on the local cloud.

pub mod live;
pub mod parts;

use crate::{
    cloud::{
        error::{CloudError, Doing},
        folder::{Folder, write_whole},
        functions::Binaries,
    },
    drill,
};
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Numbers of objects whose cost is measured.
const OBJECTS: [&str; 3] = ["100", "1000", "10000"];
/// Copies that are owed to a region that comes back.
const OWED: &str = "10000";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Requests for each object, and how soon a region is paid, on the simulator.
    Cost,
    /// Processor time, wall time and memory of copies in parts.
    Parts,
    /// Objects under way while a region is cut off, on the local cloud.
    Live,
}

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Only this case; may be given more than once. `live` is measured only if it is named
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// Writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Takes the sink, the meter and `replication-parts` from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Objects of 64 KiB that the live case puts
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    live_objects: u32,
    /// MiB of the one large object that the live case puts in parts; 0: none
    #[arg(long, value_name = "MIB", default_value_t = 1_024)]
    live_size: u32,
    /// Takes the functions of the live case from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
}

impl Bench {
    /// Measures, prints and writes the report. Returns the bars that are missed.
    ///
    /// # Errors
    /// When something cannot be built, started or read.
    pub fn run(&self, folder: &Folder, say: &dyn Fn(&str)) -> Result<Vec<String>, CloudError> {
        let cases = if self.cases.is_empty() { &[Case::Cost, Case::Parts][..] } else { &self.cases };
        let (mut figures, mut missed) = (Map::new(), Vec::new());
        for case in cases {
            let (found, short) = match case {
                Case::Cost => cost(folder)?,
                Case::Parts => named("parts", parts::measure(folder, self.programs.as_deref(), say)?),
                Case::Live => named("live", live::measure(folder, &self.functions(), self.load(), say)?),
            };
            figures.extend(found);
            missed.extend(short);
            if let Some(path) = &self.report {
                write_whole(path, &format!("{:#}\n", Value::Object(figures.clone())))?;
            }
        }
        Ok(missed)
    }

    const fn load(&self) -> live::Load {
        live::Load { objects: self.live_objects, large_bytes: (self.live_size as u64) << 20 }
    }

    fn functions(&self) -> Binaries {
        let built = || Binaries::Built { profile: "release".to_owned() };
        self.functions.clone().map_or_else(built, Binaries::From)
    }
}

/// Figures and the bars that they miss.
type Found = (Map<String, Value>, Vec<String>);

/// The figures of a case under its name.
fn named(name: &str, (figures, missed): (Value, Vec<String>)) -> Found {
    ([(name.to_owned(), figures)].into_iter().collect(), missed)
}

/// The simulator's figures; its program prints them, and which bars are missed.
fn cost(folder: &Folder) -> Result<Found, CloudError> {
    let program = drill::program(folder, "replication")?;
    let report = folder.workspace().join("target/replication.json");
    let status = Command::new(program).args(arguments(&report)).status().doing("running `replication`")?;
    let text = fs::read_to_string(&report).doing(format!("reading `{}`", report.display()))?;
    let figures =
        serde_json::from_str(&text).map_err(io::Error::from).doing("reading the simulator's figures")?;
    let missed = (!status.success()).then(|| "the simulator missed what it says above".to_owned());
    Ok((figures, missed.into_iter().collect()))
}

/// What the simulator's program is told.
fn arguments(report: &Path) -> Vec<String> {
    let mut arguments = vec!["--heal".to_owned(), OWED.to_owned()];
    arguments.extend(OBJECTS.iter().flat_map(|objects| ["--grow".to_owned(), (*objects).to_owned()]));
    arguments.extend(["--report".to_owned(), report.display().to_string()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_asked_for_is_passed_on() {
        let words = "--heal 10000 --grow 100 --grow 1000 --grow 10000 --report out.json";
        assert_eq!(arguments(Path::new("out.json")).join(" "), words);
    }
}
