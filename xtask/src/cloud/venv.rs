//! The Python packages of the local cloud, in a folder of their own.

use super::{
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
};
use std::{fs, path::Path, process::Command};

/// Installs the pinned packages of the local cloud, unless exactly these are there already.
///
/// # Errors
/// When there is no Python 3, or a package cannot be fetched; the error names the log.
pub fn install(folder: &Folder) -> Result<(), CloudError> {
    install_into(folder, &folder.venv(), &folder.programs().join("requirements.txt"))
}

/// Installs what `list` pins into the virtual environment `place`, unless exactly that is there already.
///
/// # Errors
/// When there is no Python 3, or a package cannot be fetched; the error names the log.
pub fn install_into(folder: &Folder, place: &Path, list: &Path) -> Result<(), CloudError> {
    let wanted = fs::read_to_string(list).doing(format!("reading `{}`", list.display()))?;
    let stamp = place.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    run(folder, Command::new("python3").args(["-m", "venv", "--clear"]).arg(place))?;
    let mut pip = Command::new(place.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "-r"])
        .arg(list);
    run(folder, &mut pip)?;
    write_whole(&stamp, &wanted)
}

fn run(folder: &Folder, command: &mut Command) -> Result<(), CloudError> {
    let log = folder.log("venv")?;
    let errors = log.try_clone().doing("opening the log of the packages")?;
    let program = command.get_program().display().to_string();
    let status = command.stdout(log).stderr(errors).status();
    let status = status.doing(format!("running `{program}` (Python 3.11 or later is needed)"))?;
    if status.success() {
        return Ok(());
    }
    let log = folder.log_path("venv");
    Err(CloudError::failed(format!("`{program}` ended with {status}"), format!("see `{}`", log.display())))
}
