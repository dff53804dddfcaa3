//! Where the files of a local cloud lie: all in `target/local` of the workspace, or in a folder beside it.

use super::error::{CloudError, Doing};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The workspace and its `target/local`.
///
/// Two clouds run side by side when their folders differ; they share only the Python packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    workspace: PathBuf,
    local: PathBuf,
}

impl Folder {
    /// The folder of the workspace that this program was built in.
    #[must_use]
    pub fn of_workspace() -> Self {
        Self::called("local")
    }

    /// A folder of another name in `target` of that workspace, for a cloud of its own.
    #[must_use]
    pub fn called(name: &str) -> Self {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = xtask.parent().unwrap_or(xtask).to_path_buf();
        Self { local: workspace.join("target").join(name), workspace }
    }

    /// Its name in `target`.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        self.local.file_name().unwrap_or_default()
    }

    /// The root of the workspace.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// `target/local`.
    #[must_use]
    pub fn local(&self) -> &Path {
        &self.local
    }

    /// The Python programs of the local cloud.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.workspace.join("xtask/local")
    }

    /// The virtual environment of those programs, the same for every cloud of the workspace.
    #[must_use]
    pub fn venv(&self) -> PathBuf {
        self.workspace.join("target/local/venv")
    }

    /// Its interpreter.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }

    /// Unpacked function code and other files that go with the cloud.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.local.join("scratch")
    }

    /// What any client needs to join in.
    #[must_use]
    pub fn cloud_json(&self) -> PathBuf {
        self.local.join("cloud.json")
    }

    /// The configuration for the command line program.
    #[must_use]
    pub fn sealane_yaml(&self) -> PathBuf {
        self.local.join("sealane.yaml")
    }

    /// Process id and ports of the supervisor.
    #[must_use]
    pub fn supervisor_json(&self) -> PathBuf {
        self.local.join("supervisor.json")
    }

    /// Locked while the cloud is brought up.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.local.join("up.lock")
    }

    /// The log of one program.
    #[must_use]
    pub fn log_path(&self, program: &str) -> PathBuf {
        self.local.join("logs").join(format!("{program}.log"))
    }

    /// The log of one program, emptied and open for writing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn log(&self, program: &str) -> Result<File, CloudError> {
        let path = self.log_path(program);
        File::create(&path).doing(format!("creating `{}`", path.display()))
    }

    /// Creates what is not there yet.
    ///
    /// # Errors
    /// When a folder cannot be created.
    pub fn create(&self) -> Result<(), CloudError> {
        for path in [self.local.join("logs"), self.scratch()] {
            fs::create_dir_all(&path).doing(format!("creating `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Removes what only holds while the cloud is up.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn forget_running(&self) -> Result<(), CloudError> {
        for path in [self.cloud_json(), self.sealane_yaml(), self.supervisor_json()] {
            absent_is_fine(fs::remove_file(&path)).doing(format!("removing `{}`", path.display()))?;
        }
        let scratch = self.scratch();
        absent_is_fine(fs::remove_dir_all(&scratch)).doing(format!("removing `{}`", scratch.display()))?;
        self.create()
    }
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes a file so that a reader sees the old text or the new, never a part.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, text: &str) -> Result<(), CloudError> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .doing(format!("writing `{}`", path.display()))
}
