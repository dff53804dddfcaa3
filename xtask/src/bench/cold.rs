//! One function, started over and over.

use super::{
    figures::{Figures, Spread},
    runtime_api::{Did, RuntimeApi},
};
use crate::cloud::error::{CloudError, Doing};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Processes started for each function.
const RUNS: usize = 20;

/// How long a function may take to its next step; a prober loops for a minute in one invocation.
const STEP_WITHIN: Duration = Duration::from_secs(90);

/// How long an invocation that lasts is watched for its memory: the first round of its work.
const ROUND: Duration = Duration::from_secs(3);

/// A function to measure, and what it is given.
#[derive(Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// Its binary.
    pub binary: PathBuf,
    /// The event of both invocations.
    pub event: String,
    /// Whether an invocation lasts by design, so that it is not timed.
    pub lasts: bool,
    /// Its variables.
    pub variables: Vec<(&'static str, String)>,
}

/// What one process showed.
#[derive(Debug, Clone, Copy)]
struct Run {
    first_poll_ms: f64,
    first_ms: Option<f64>,
    warm_ms: Option<f64>,
    peak_kib: u64,
}

impl Subject {
    /// Starts it 20 times.
    ///
    /// # Errors
    /// When it cannot be started, or fails.
    pub fn measure(&self, python: &Path, scratch: &Path) -> Result<Figures, CloudError> {
        // The memory of an invocation that lasts is looked at in the first run alone.
        let runs = (0..RUNS).map(|run| self.run(run == 0)).collect::<Result<Vec<_>, _>>()?;
        let first_poll_ms = Spread::of(runs.iter().map(|run| run.first_poll_ms).collect());
        Ok(Figures {
            function: self.name.to_owned(),
            first_poll_ms: first_poll_ms.ok_or_else(|| self.failed("it was never started"))?,
            first_invocation_ms: Spread::of(runs.iter().filter_map(|run| run.first_ms).collect()),
            warm_invocation_ms: Spread::of(runs.iter().filter_map(|run| run.warm_ms).collect()),
            peak_kib: runs.iter().map(|run| run.peak_kib).max().unwrap_or_default(),
            binary_bytes: bytes(&self.binary)?,
            zip_bytes: self.zip(python, scratch)?,
            instructions: self.instructions(scratch)?,
        })
    }

    /// One process, from its start to its second answer.
    fn run(&self, first: bool) -> Result<Run, CloudError> {
        let api = RuntimeApi::open().doing("opening the runtime API")?;
        let began = now();
        let mut running = Running(self.command(&self.binary, &api.address).spawn().doing(self.starting())?);
        let first_poll_ms = ms(began, self.wait(&api, &Did::Poll)?);
        let (mut first_ms, mut warm_ms) = (None, None);
        if !self.lasts {
            first_ms = Some(self.invoke(&api)?);
            warm_ms = Some(self.invoke(&api)?);
        } else if first {
            api.give(&self.event);
            rest(ROUND);
        }
        let peak_kib = running.peak_kib()?;
        Ok(Run { first_poll_ms, first_ms, warm_ms, peak_kib })
    }

    /// Gives the event to the function, which asks for work; milliseconds until its answer.
    fn invoke(&self, api: &RuntimeApi) -> Result<f64, CloudError> {
        let given = now();
        api.give(&self.event);
        let took = ms(given, self.wait(api, &Did::Answer)?);
        self.wait(api, &Did::Poll)?;
        Ok(took)
    }

    fn wait(&self, api: &RuntimeApi, wanted: &Did) -> Result<Instant, CloudError> {
        match api.step(STEP_WITHIN).doing(format!("watching `{}`", self.name))? {
            (at, did) if did == *wanted => Ok(at),
            (_, did) => Err(self.failed(&format!("it did {did:?} and was to do {wanted:?}"))),
        }
    }

    fn command(&self, program: &Path, api: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("AWS_LAMBDA_RUNTIME_API", api);
        command.envs(self.variables.iter().map(|(name, value)| (name, value.as_str())));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The size of the zip, packed as for a deployment.
    fn zip(&self, python: &Path, scratch: &Path) -> Result<u64, CloudError> {
        const PACK: &str = "import sys, zipfile\n\
            with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as z: z.write(sys.argv[1], 'bootstrap')";
        let path = scratch.join(format!("{}.zip", self.name));
        let packed = Command::new(python).args(["-c", PACK]).arg(&self.binary).arg(&path).status();
        if !packed.doing("running Python to pack the function")?.success() {
            return Err(self.failed("it could not be packed"));
        }
        bytes(&path)
    }

    /// Instructions until the first poll, as `callgrind` counts them; `None` without valgrind.
    fn instructions(&self, scratch: &Path) -> Result<Option<u64>, CloudError> {
        if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let api = RuntimeApi::open().doing("opening the runtime API")?;
        let log = scratch.join(format!("{}.callgrind.log", self.name));
        let mut command = self.command(Path::new("valgrind"), &api.address);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(format!("--log-file={}", log.display())).arg(&self.binary);
        let mut running = Running(command.spawn().doing("starting valgrind")?);
        self.wait(&api, &Did::Poll)?;
        running.terminate()?;
        let text = fs::read_to_string(&log).doing(format!("reading `{}`", log.display()))?;
        Ok(collected(&text))
    }

    fn starting(&self) -> String {
        format!("starting `{}`", self.binary.display())
    }

    fn failed(&self, what: &str) -> CloudError {
        let remedy = "start it by hand with the same event to see its log".to_owned();
        CloudError::failed(format!("`{}` was not measured: {what}", self.name), remedy)
    }
}

/// A process that is killed when its measurement ends.
struct Running(Child);

impl Running {
    fn peak_kib(&mut self) -> Result<u64, CloudError> {
        let path = format!("/proc/{}/status", self.0.id());
        let text = fs::read_to_string(&path).doing(format!("reading `{path}`"))?;
        high_water(&text).ok_or_else(|| {
            CloudError::failed(format!("`{path}` has no `VmHWM`"), "measure on Linux".to_owned())
        })
    }

    /// Ends the process as Lambda does, so that it may still write what it has counted.
    fn terminate(&mut self) -> Result<(), CloudError> {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().doing("ending valgrind")?;
        self.0.wait().map(drop).doing("ending valgrind")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `VmHWM` of a process's status, in KiB.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The count in callgrind's log, as in `==1== Collected : 12345`.
fn collected(log: &str) -> Option<u64> {
    let (_, after) = log.rsplit_once("Collected :")?;
    after.split_whitespace().next()?.parse().ok()
}

fn bytes(path: &Path) -> Result<u64, CloudError> {
    Ok(fs::metadata(path).doing(format!("reading `{}`", path.display()))?.len())
}

fn ms(from: Instant, to: Instant) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a function's memory is looked at while it works")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_instructions_are_read_from_what_the_system_prints() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12_345));
        assert_eq!(high_water("Name:\tx\n"), None);
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 98765\n==7== \n"), Some(98_765));
        assert_eq!(collected("==7== nothing\n"), None);
    }
}
