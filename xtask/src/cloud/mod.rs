//! The local cloud: MiniStack for every region in one process, behind gates, with the SAM templates deployed.
//!
//! ```text
//! client ──┐                      ┌── us-west-2 (s3, dynamodb, api, other)
//! us-west-2 ├── a gate for each ──┤── us-east-1
//! us-east-1 │   pair and service  ├── eu-west-1      all of them MiniStack, on loopback
//! ...      ─┘                     └── us-east-2 (witness)
//! ```
//!
//! [`up`] starts it and leaves a [`supervisor`] running; [`Cloud::running`] finds it again from
//! anywhere; everything it writes lies in one [`folder`].

pub mod configuration;
pub mod deployment;
pub mod error;
pub mod folder;
pub mod functions;
pub mod listeners;
pub mod record;
pub mod region;
pub mod supervisor;
pub mod venv;

use crate::gates::client::Gates;
use configuration::Access;
use error::{CloudError, Doing};
use folder::Folder;
use functions::Binaries;
use listeners::Listeners;
use record::{CloudRecord, SupervisorRecord};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How often `up` and `down` look whether the supervisor is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks after which the supervisor counts as stuck: a minute.
const LOOKS_MAX: u32 = 1200;

/// A running local cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// Where its files lie.
    pub folder: Folder,
    /// What `cloud.json` says: regions, addresses, tables, credentials.
    pub record: CloudRecord,
    /// Process id and ports of its supervisor.
    pub supervisor: SupervisorRecord,
}

impl Cloud {
    /// The local cloud of this workspace, if it is up and deployed.
    ///
    /// A record without a supervisor behind it, as after a power cut, counts as none.
    #[must_use]
    pub fn running(folder: &Folder) -> Option<Self> {
        let supervisor = supervisor_there(folder)?;
        let record = CloudRecord::read(&folder.cloud_json())?;
        Some(Self { folder: folder.clone(), record, supervisor })
    }

    /// Whom its API lets in.
    #[must_use]
    pub const fn access(&self) -> Access {
        if self.record.issuer.is_some() { Access::Tokens } else { Access::Open }
    }

    /// The gates, to cut, slow, heal and count.
    #[must_use]
    pub const fn gates(&self) -> Gates {
        Gates::at(self.supervisor.control_port)
    }
}

/// The supervisor that answers at the recorded port, if any.
fn supervisor_there(folder: &Folder) -> Option<SupervisorRecord> {
    let record = SupervisorRecord::read(&folder.supervisor_json())?;
    Gates::at(record.control_port).state().ok().map(|_| record)
}

/// Whether `up` had anything to do.
#[derive(Debug)]
pub enum Up {
    /// It was up before.
    Already(Cloud),
    /// It is up now.
    Started(Cloud),
}

impl Up {
    /// The cloud, however it came up.
    #[must_use]
    pub fn cloud(self) -> Cloud {
        match self {
            Self::Already(cloud) | Self::Started(cloud) => cloud,
        }
    }
}

/// Brings the local cloud up with functions from `binaries`, unless it is up already.
///
/// Its API lets in whom `access` says. `tell` is told each step before it begins. What is half up, from an attempt that failed, is taken down first.
///
/// # Errors
/// When a step fails; the error names it and where its log is. Nothing is left running then.
pub fn up(
    folder: &Folder,
    binaries: &Binaries,
    access: Access,
    tell: &dyn Fn(&str),
) -> Result<Up, CloudError> {
    up_telling(folder, binaries, (access, None), tell)
}

/// As [`up`], with a cloud that tells `listeners` of worksets.
///
/// # Errors
/// As for [`up`].
pub fn up_telling(
    folder: &Folder,
    binaries: &Binaries,
    (access, listeners): (Access, Option<Listeners>),
    tell: &dyn Fn(&str),
) -> Result<Up, CloudError> {
    folder.create()?;
    let _only_one = lock(folder)?;
    if let Some(cloud) = Cloud::running(folder) {
        if cloud.access() != access {
            let what = "a local cloud is up whose API lets in others than are asked for";
            return Err(CloudError::failed(
                what.to_owned(),
                "take it down with `cargo xtask down`".to_owned(),
            ));
        }
        return Ok(Up::Already(cloud));
    }
    down(folder)?;
    tell("preparing Python packages");
    venv::install(folder)?;
    tell("building the functions");
    let functions = binaries.find(folder)?;
    tell("starting MiniStack and the gates");
    let supervisor = start(folder)?;
    tell("deploying the templates to 4 regions");
    let deployed = deployment::deploy(folder, &supervisor, &functions, (access, listeners));
    match deployed {
        Ok(record) => Ok(Up::Started(Cloud { folder: folder.clone(), record, supervisor })),
        Err(error) => {
            down(folder)?;
            Err(error)
        }
    }
}

/// Takes the local cloud down and returns when it is gone; says whether there was one.
///
/// # Errors
/// When the supervisor does not end.
pub fn down(folder: &Folder) -> Result<bool, CloudError> {
    let found = supervisor_there(folder);
    if let Some(record) = &found {
        let gates = Gates::at(record.control_port);
        gates.down().doing("asking the supervisor to end")?;
        wait_until("the supervisor does not end", folder, || Ok(gates.state().is_err().then_some(())))?;
    }
    folder.forget_running()?;
    Ok(found.is_some())
}

/// A lock that is held while `up` works, so that two at once do not start two clouds.
fn lock(folder: &Folder) -> Result<File, CloudError> {
    let path = folder.lock();
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
    let file = file.doing(format!("opening `{}`", path.display()))?;
    file.lock().doing(format!("locking `{}`", path.display()))?;
    Ok(file)
}

/// Starts the supervisor in a process of its own, which outlives this one.
fn start(folder: &Folder) -> Result<SupervisorRecord, CloudError> {
    use std::os::unix::process::CommandExt;
    let log = folder.log("supervisor")?;
    let errors = log.try_clone().doing("opening the supervisor's log")?;
    let program = this_program(&std::env::current_exe().doing("finding this program")?);
    let mut command = Command::new(program);
    command
        .arg("supervise")
        .arg("--folder")
        .arg(folder.name())
        .current_dir(folder.workspace())
        .process_group(0);
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut child = command.spawn().doing("starting the supervisor")?;
    wait_until("the supervisor does not answer", folder, || {
        ended(&mut child, folder)?;
        Ok(supervisor_there(folder))
    })
}

/// Where this program lies. Linux marks a program that was built anew while it runs as deleted; the
/// new one lies in its place.
fn this_program(current: &Path) -> PathBuf {
    let shown = current.to_string_lossy();
    PathBuf::from(shown.strip_suffix(" (deleted)").unwrap_or(&shown))
}

fn ended(child: &mut Child, folder: &Folder) -> Result<(), CloudError> {
    match child.try_wait().doing("watching the supervisor")? {
        None => Ok(()),
        Some(status) => Err(CloudError::failed(
            format!("the supervisor ended with {status}"),
            format!("see `{}`", folder.log_path("supervisor").display()),
        )),
    }
}

/// Looks until `look` finds something.
#[expect(clippy::disallowed_methods, reason = "another process is watched, and it offers nothing to wait on")]
fn wait_until<T>(
    otherwise: &str,
    folder: &Folder,
    mut look: impl FnMut() -> Result<Option<T>, CloudError>,
) -> Result<T, CloudError> {
    for _ in 0..LOOKS_MAX {
        if let Some(found) = look()? {
            return Ok(found);
        }
        thread::sleep(LOOK_EVERY);
    }
    let log = folder.log_path("supervisor");
    Err(CloudError::failed(otherwise.to_owned(), format!("see `{}`", log.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_built_anew_is_found_in_its_place() {
        assert_eq!(this_program(Path::new("/t/debug/xtask (deleted)")), Path::new("/t/debug/xtask"));
        assert_eq!(this_program(Path::new("/t/debug/xtask")), Path::new("/t/debug/xtask"));
    }

    /// The rules of the Python programs that need nothing but Python.
    #[test]
    fn the_python_programs_keep_their_rules() {
        let programs = Folder::of_workspace().programs();
        let mut python = Command::new("python3");
        let tested =
            python.args(["-B", "-m", "unittest", "-q"]).current_dir(programs).output().expect("python3");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    }
}
