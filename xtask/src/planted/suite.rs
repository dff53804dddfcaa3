//! What is built and run to notice a fault.

use crate::{
    cloud::error::{CloudError, Doing},
    demo::narrator::Narrator,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

/// How long tests with a fault in them may run.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// How often running tests are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The seed of all drawings, so that what one run notices the next one does.
const SEED: &str = "20261122";

/// A package whose tests are built at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// The library's pure rules and its tables in memory.
    Rules,
    /// The prober's flow.
    Prober,
    /// The alarm handler's flow.
    Handler,
    /// The copier's flow.
    Orchestrator,
}

impl Suite {
    /// The package.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Rules => "sealane",
            Self::Prober => "health-prober",
            Self::Handler => "failover-handler",
            Self::Orchestrator => "upload-orchestrator",
        }
    }

    /// What selects its tests: without AWS, which takes the longest to compile.
    const fn selection(self) -> &'static [&'static str] {
        match self {
            Self::Rules => &["--no-default-features", "--features", "memory", "--lib"],
            Self::Prober | Self::Handler | Self::Orchestrator => &["--no-default-features", "--tests"],
        }
    }
}

/// Where the copy is compiled.
#[derive(Debug)]
pub struct Workshop {
    sources: PathBuf,
    build: PathBuf,
}

/// The tests of one package, built.
#[derive(Debug)]
pub struct Built {
    sources: PathBuf,
    log: PathBuf,
    programs: Vec<PathBuf>,
}

impl Workshop {
    /// Compiles `sources` into `build`.
    #[must_use]
    pub fn new(sources: &Path, build: &Path) -> Self {
        Self { sources: sources.to_path_buf(), build: build.to_path_buf() }
    }

    /// Builds the tests of `suite`, quickly rather than well: they run once.
    ///
    /// # Errors
    /// When they do not compile.
    pub fn build(&self, suite: Suite) -> Result<Built, CloudError> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.sources).args([
            "test",
            "--locked",
            "--quiet",
            "--no-run",
            "-p",
            suite.package(),
        ]);
        cargo.args(suite.selection()).arg("--message-format=json-render-diagnostics");
        cargo.env("CARGO_TARGET_DIR", &self.build).env("CARGO_INCREMENTAL", "1");
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("RUSTFLAGS", "-Awarnings");
        let made = cargo.stdin(Stdio::null()).output().doing("running `cargo test --no-run`")?;
        if !made.status.success() {
            let words = String::from_utf8_lossy(&made.stderr).into_owned();
            let what = format!("the tests of {} do not compile: {words}", suite.package());
            return Err(CloudError::failed(what, "a fault has to compile".to_owned()));
        }
        let programs = programs(&String::from_utf8_lossy(&made.stdout));
        Ok(Built { sources: self.sources.clone(), log: self.build.join("tests.log"), programs })
    }
}

impl Built {
    /// The names of all tests.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub fn names(&self) -> Result<Vec<String>, CloudError> {
        let mut names = Vec::new();
        for program in &self.programs {
            let mut list = Command::new(program);
            list.args(["--list", "--format", "terse"]).current_dir(&self.sources);
            let listed = list.output().doing(format!("running `{}`", program.display()))?;
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            names.extend(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned));
        }
        Ok(names)
    }

    /// Runs the tests whose names contain one of `tests`, and says which of them fail.
    ///
    /// # Errors
    /// When they cannot be run.
    pub fn red(&self, tests: &[&str]) -> Result<Vec<String>, CloudError> {
        let mut red = Vec::new();
        for program in &self.programs {
            red.extend(self.red_of(program, tests)?);
        }
        Ok(red)
    }

    fn red_of(&self, program: &Path, tests: &[&str]) -> Result<Vec<String>, CloudError> {
        let log = File::create(&self.log).doing(format!("creating `{}`", self.log.display()))?;
        let mut run = Command::new(program);
        run.args(tests).current_dir(&self.sources).env("RUST_BACKTRACE", "0");
        run.env("PROPTEST_RNG_SEED", SEED).env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        // What fails is all that is asked; the smallest case is not.
        run.env("PROPTEST_MAX_SHRINK_ITERS", "0");
        run.stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let ended = ended(run, program)?;
        let words = std::fs::read(&self.log).doing(format!("reading `{}`", self.log.display()))?;
        failed(&String::from_utf8_lossy(&words), ended).map_err(|what| {
            let what = format!("`{}` {what}", program.display());
            CloudError::failed(what, "plant a fault that a test can fail by".to_owned())
        })
    }
}

/// Runs tests to their end, or to the end of their time: `None`.
fn ended(mut run: Command, program: &Path) -> Result<Option<ExitStatus>, CloudError> {
    let doing = || format!("running `{}`", program.display());
    let clock = Narrator::begin();
    let mut child = run.spawn().doing(doing())?;
    loop {
        if let Some(status) = child.try_wait().doing(doing())? {
            return Ok(Some(status));
        }
        if clock.now_ms() > u64::try_from(ENDS_WITHIN.as_millis()).unwrap_or(u64::MAX) {
            child.kill().and_then(|()| child.wait()).doing(doing())?;
            return Ok(None);
        }
        clock.rest(LOOK_EVERY);
    }
}

/// The tests that failed, by what they printed and how they ended.
///
/// A program that ends without naming a failed test, or not at all, says nothing about the
/// fault: it may have been killed from outside or starved. Why it does not count is the error.
fn failed(words: &str, ended: Option<ExitStatus>) -> Result<Vec<String>, String> {
    let named = words.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut failed: Vec<String> = named.map(str::to_owned).collect();
    failed.sort();
    match ended {
        _ if !failed.is_empty() => Ok(failed),
        Some(status) if status.success() => Ok(failed),
        Some(status) => Err(format!("ended with {status} and named no failed test")),
        None => Err(format!("did not end within {} s and named no failed test", ENDS_WITHIN.as_secs())),
    }
}

/// The test programs among Cargo's messages.
fn programs(messages: &str) -> Vec<PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let tests = parsed.filter(|message| message["profile"]["test"] == true);
    tests.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_names_of_failed_tests_are_read() {
        let words = "running 3 tests\ntest a::b ... ok\ntest z::d ... FAILED\ntest c::d ... FAILED\n";
        let both = Ok(vec!["c::d".to_owned(), "z::d".to_owned()]);
        assert_eq!(failed(words, Some(ExitStatus::from_raw(101 << 8))), both);
        assert_eq!(failed(words, None), both, "what was named before the time was over counts");
        assert_eq!(failed("test a::b ... ok\n", Some(ExitStatus::from_raw(0))), Ok(Vec::new()));
    }

    #[test]
    fn tests_that_abort_or_do_not_end_without_a_name_are_not_red() {
        assert!(failed("", Some(ExitStatus::from_raw(6))).is_err_and(|why| why.contains("signal: 6")));
        assert!(failed("test a::b ... ok\n", None).is_err_and(|why| why.contains("120 s")));
    }

    #[test]
    fn only_tests_are_taken_from_cargos_messages() {
        let messages = r#"
            {"target":{"name":"sealane"},"profile":{"test":true},"executable":"/t/deps/sealane-1"}
            {"target":{"name":"xtask"},"profile":{"test":false},"executable":"/t/xtask"}"#;
        assert_eq!(programs(messages), [PathBuf::from("/t/deps/sealane-1")]);
    }
}
