//! What replication costs, and how soon a region that comes back holds what is owed to it.
//!
//! The figures are those of the simulator: the real orchestrators and the real clients on a cloud in memory.

use crate::{
    cloud::{
        error::{CloudError, Doing},
        folder::Folder,
    },
    drill,
};
use std::{
    path::Path,
    process::{Command, ExitCode},
};

/// Numbers of objects whose cost is measured.
const OBJECTS: [&str; 3] = ["100", "1000", "10000"];
/// Copies that are owed to a region that comes back.
const OWED: &str = "10000";

/// Measures, prints and writes `report` as JSON; the exit code says whether every bar is met.
///
/// # Errors
/// When the simulator cannot be built or started.
pub fn replication(folder: &Folder, report: Option<&Path>) -> Result<ExitCode, CloudError> {
    let program = drill::program(folder, "replication")?;
    let status = Command::new(program).args(arguments(report)).status().doing("running `replication`")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the simulator's program is told.
fn arguments(report: Option<&Path>) -> Vec<String> {
    let mut arguments = vec!["--heal".to_owned(), OWED.to_owned()];
    arguments.extend(OBJECTS.iter().flat_map(|objects| ["--grow".to_owned(), (*objects).to_owned()]));
    if let Some(report) = report {
        arguments.extend(["--report".to_owned(), report.display().to_string()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_asked_for_is_passed_on() {
        let words = "--heal 10000 --grow 100 --grow 1000 --grow 10000 --report out.json";
        assert_eq!(arguments(Some(Path::new("out.json"))).join(" "), words);
    }
}
