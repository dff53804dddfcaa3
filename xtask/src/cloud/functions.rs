//! The binaries of the four functions.

use super::{
    error::{CloudError, Doing},
    folder::Folder,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The functions, by crate and binary name.
pub const FUNCTIONS: [&str; 4] = ["health-prober", "upload-orchestrator", "workset-api", "failover-handler"];

/// Where the binaries come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binaries {
    /// Built now, with this Cargo profile.
    Built {
        /// `release`, `dev`, or any profile of the workspace.
        profile: String,
    },
    /// Taken from a folder that holds one file for each function.
    From(PathBuf),
}

impl Binaries {
    /// The path of each function's binary.
    ///
    /// # Errors
    /// When the build fails or a binary is missing.
    pub fn find(&self, folder: &Folder) -> Result<BTreeMap<String, PathBuf>, CloudError> {
        match self {
            Self::Built { profile } => built(folder, profile, &FUNCTIONS.map(|name| (name, name))),
            Self::From(place) => FUNCTIONS.iter().map(|name| in_place(place, name)).collect(),
        }
    }
}

fn in_place(place: &Path, name: &str) -> Result<(String, PathBuf), CloudError> {
    let path = place.join(name);
    if path.is_file() {
        return Ok((name.to_owned(), path));
    }
    let what = format!("there is no binary `{}`", path.display());
    Err(CloudError::failed(what, "the folder needs one for each function".to_owned()))
}

/// Builds programs, each given as package and binary, and returns the path of each by its binary's name.
///
/// # Errors
/// When the build fails or a package has no such binary.
pub fn built(
    folder: &Folder,
    profile: &str,
    programs: &[(&str, &str)],
) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(folder.workspace()).args(["build", "--profile", profile]);
    command.arg("--message-format=json-render-diagnostics");
    command.args(programs.iter().flat_map(|(package, _)| ["-p", package]));
    let built = command.stderr(Stdio::inherit()).output().doing("running `cargo build`")?;
    if !built.status.success() {
        let what = format!("`cargo build` ended with {}", built.status);
        return Err(CloudError::failed(what, "the compiler's words are above".to_owned()));
    }
    let mut found = executables(&String::from_utf8_lossy(&built.stdout));
    let wanted = programs.iter().map(|(package, name)| match found.remove(*name) {
        Some(path) => Ok(((*name).to_owned(), path)),
        None => {
            let what = format!("`{package}` was built without a binary `{name}`");
            Err(CloudError::failed(what, format!("it needs a `[[bin]]` called `{name}`")))
        }
    });
    wanted.collect()
}

/// The binaries among Cargo's messages, by target name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let named = parsed.filter_map(|message| {
        let name = message["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_binaries_are_taken_from_cargos_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"sealane"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"health-prober"},"executable":"/t/release/health-prober"}
            {"reason":"build-finished","success":true}"#;
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["health-prober"], PathBuf::from("/t/release/health-prober"));
    }

    #[test]
    fn a_missing_binary_is_named() {
        let error = Binaries::From("/nowhere".into()).find(&Folder::of_workspace()).expect_err("none there");
        assert!(error.to_string().contains("`/nowhere/health-prober`"), "{error}");
    }
}
