//! The drill: outages on purpose, and what came of them in figures.
//!
//! Without `--live` it is the binary `drill` of the simulator, which runs thousands of worlds in
//! simulated time; here it is only built, started and compared with itself. [`live`] runs some of the
//! same scenarios with the built functions on the local cloud.

pub mod figures;
pub mod live;
pub mod registry;
pub mod scenario;
pub mod sight;
pub mod stage;

use crate::cloud::{
    error::{CloudError, Doing},
    folder::Folder,
    functions,
};
use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

/// The scenario that has a program of its own: it watches buckets and not who is active.
pub const REPLICATION: &str = "replication";
/// The scenario of uploads that are killed: a program on the ports in memory.
pub const SHIPPING: &str = "shipping";

/// Processes that have to agree on the hash of every seed.
const PROCESSES: usize = 3;

/// What is to be drilled.
#[derive(Debug, Clone)]
pub struct Drill {
    /// How many runs are made, shared out over the scenarios in turn.
    pub seeds: u64,
    /// The scenarios by name; all of them if there is none.
    pub scenarios: Vec<String>,
    /// The one seed to run, to see again what failed.
    pub seed: Option<u64>,
    /// The one schedule of crashes to go through, to see again what it broke.
    pub crash: Option<String>,
    /// Where to write the figures.
    pub report: Option<PathBuf>,
}

impl Drill {
    /// What the simulator's program is told.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--seeds".to_owned(), self.seeds.to_string()];
        for scenario in &self.scenarios {
            arguments.extend(["--scenario".to_owned(), scenario.clone()]);
        }
        if let Some(seed) = self.seed {
            arguments.extend(["--seed".to_owned(), seed.to_string()]);
        }
        if let Some(crash) = &self.crash {
            arguments.extend(["--crash".to_owned(), crash.clone()]);
        }
        if let Some(report) = &self.report {
            arguments.extend(["--report".to_owned(), report.display().to_string()]);
        }
        arguments
    }

    /// What the program that tells the stories of replication is told.
    fn stories(&self) -> Vec<String> {
        match self.seed {
            Some(seed) => vec!["--seed".to_owned(), seed.to_string()],
            None => vec!["--seeds".to_owned(), self.seeds.to_string()],
        }
    }

    /// Builds the simulator and runs it; its exit code is the answer.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub fn simulate(&self, folder: &Folder) -> Result<ExitCode, CloudError> {
        let (name, arguments) = match self.scenarios.as_slice() {
            [only] if only == REPLICATION => ("replication", self.stories()),
            [only] if only == SHIPPING => (SHIPPING, self.stories()),
            _ => ("drill", self.arguments()),
        };
        let program = if name == SHIPPING { shipping(folder)? } else { program(folder, name)? };
        let status = Command::new(program).args(arguments).status().doing(format!("running `{name}`"))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Runs every seed in three processes, and compares the hashes of their traces.
    ///
    /// # Errors
    /// When a process fails or two of them differ; the error names the first line that does.
    pub fn compare(&self, folder: &Folder, say: &dyn Fn(&str)) -> Result<(), CloudError> {
        let program = program(folder, "drill")?;
        let doing = || "running `drill --hashes`";
        let mut running = Vec::new();
        for _ in 0..PROCESSES {
            let mut command = Command::new(&program);
            command.args(self.arguments()).arg("--hashes").stdin(Stdio::null()).stdout(Stdio::piped());
            running.push(command.spawn().doing(doing())?);
        }
        let mut printed = Vec::new();
        for process in running {
            let output = process.wait_with_output().doing(doing())?;
            if !output.status.success() {
                let what = format!("`drill --hashes` ended with {}", output.status);
                return Err(CloudError::failed(what, "its own words are above".to_owned()));
            }
            printed.push(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let lines = agreed(&printed).map_err(|what| {
            CloudError::failed(what, "something is drawn from elsewhere than the seed".to_owned())
        })?;
        say(&format!("{lines} trace hashes are the same in {PROCESSES} processes"));
        Ok(())
    }
}

/// The program that kills uploads, built.
fn shipping(folder: &Folder) -> Result<PathBuf, CloudError> {
    let what = ["-p", "sealane", "--features", "memory,transport", "--example", SHIPPING];
    let arguments: Vec<&str> = ["build", "--locked", "--profile", "drill"].into_iter().chain(what).collect();
    functions::program(&functions::build(folder, &arguments)?, SHIPPING)
}

/// A program of the simulator, built.
///
/// # Errors
/// When it cannot be built.
pub fn program(folder: &Folder, name: &str) -> Result<PathBuf, CloudError> {
    let arguments = ["build", "--locked", "--profile", "drill", "-p", "sealane-simulator", "--bin", name];
    functions::program(&functions::build(folder, &arguments)?, name)
}

/// The number of lines that all texts share, in order; else the first difference in words.
fn agreed(printed: &[String]) -> Result<usize, String> {
    let Some((first, others)) = printed.split_first() else {
        return Ok(0);
    };
    for other in others {
        let differing = first.lines().zip(other.lines()).find(|(one, two)| one != two);
        if let Some((one, two)) = differing {
            return Err(format!("two processes differ: `{one}` and `{two}`"));
        }
        let (one, two) = (first.lines().count(), other.lines().count());
        if one != two {
            return Err(format!("two processes differ: one has {one} hashes and one {two}"));
        }
    }
    match first.lines().count() {
        0 => Err("no process printed a hash".to_owned()),
        lines => Ok(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_asked_for_is_passed_on() {
        let drill = Drill {
            seeds: 100,
            scenarios: vec!["region_loss".into(), "failback".into()],
            seed: Some(7),
            crash: Some("verify: end before:3".into()),
            report: Some("out.json".into()),
        };
        let words = "--seeds 100 --scenario region_loss --scenario failback --seed 7 --crash verify: end before:3 --report out.json";
        assert_eq!(drill.arguments().join(" "), words);
    }

    #[test]
    fn processes_agree_only_when_every_line_does() {
        let text = |lines: &[&str]| lines.join("\n");
        assert_eq!(agreed(&[text(&["1 a", "2 b"]), text(&["1 a", "2 b"])]), Ok(2));
        let differ = agreed(&[text(&["1 a", "2 b"]), text(&["1 a", "2 c"])]).expect_err("differ");
        assert!(differ.contains("`2 b` and `2 c`"), "{differ}");
        assert!(agreed(&[text(&["1 a", "2 b"]), text(&["1 a"])]).is_err());
        assert!(agreed(&[String::new(), String::new()]).is_err(), "nothing compared is nothing proved");
    }
}
