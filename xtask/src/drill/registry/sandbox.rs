//! The functions' processes on this machine: killed, or stopped for a while as a sandbox that freezes.
//!
//! They are told by their program, which lies in the cloud's own folder, and are asked for anew each
//! time. Where there is no `/proc` none is found, and none is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The process of one function in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sandbox {
    process: u32,
    program: PathBuf,
    pub(super) region: String,
    pub(super) function: String,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// It ends at once, in the middle of whatever it does.
    Kill,
    /// It does nothing any more, and does not know.
    Stop,
    /// It goes on as if nothing had been.
    Continue,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Kill => "-KILL",
            Self::Stop => "-STOP",
            Self::Continue => "-CONT",
        }
    }
}

/// Every function's process whose program lies below `scratch`.
pub(super) fn sandboxes(scratch: &Path) -> Vec<Sandbox> {
    let Ok(scratch) = scratch.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|process| sandbox(process, &scratch)).collect()
}

fn sandbox(process: u32, scratch: &Path) -> Option<Sandbox> {
    let program = program(process).filter(|program| program.starts_with(scratch))?;
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let variable = |name: &str| variable(&environment, name);
    let (region, function) = (variable("AWS_REGION")?, variable("AWS_LAMBDA_FUNCTION_NAME")?);
    Some(Sandbox { process, program, region, function })
}

fn program(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// The value of one variable in the bytes of `/proc/PROCESS/environ`.
fn variable(environment: &[u8], name: &str) -> Option<String> {
    let mut pairs = environment.split(|byte| *byte == 0);
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

impl Sandbox {
    /// Sends the signal, unless the process is another one by now; says whether it was sent.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        if program(self.process).as_ref() != Some(&self.program) {
            return false;
        }
        let mut kill = Command::new("kill");
        kill.args([signal.name(), &self.process.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        kill.status().is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = b"AWS_REGION_OLD=a\0AWS_REGION=us-west-2\0X=1=2\0";
        assert_eq!(variable(environment, "AWS_REGION").as_deref(), Some("us-west-2"));
        assert_eq!(variable(environment, "X").as_deref(), Some("1=2"));
        assert_eq!(variable(environment, "REGION"), None);
    }

    #[test]
    fn a_process_of_another_program_is_never_signalled() {
        let other = Sandbox {
            process: std::process::id(),
            program: "/nowhere/bootstrap".into(),
            region: String::new(),
            function: String::new(),
        };
        assert!(!other.signal(Signal::Kill));
        assert!(sandboxes(Path::new("/nowhere")).is_empty());
    }
}
