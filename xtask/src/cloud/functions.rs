//! The binaries of the four functions, and of the command line program that is built along with them.

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

/// The command line program, by package and binary name.
pub const CLI: (&str, &str) = ("sealane-cli", "sealane");

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
    /// Built before: the path of each, by name.
    Found(BTreeMap<String, PathBuf>),
}

impl Binaries {
    /// The path of each function's binary.
    ///
    /// # Errors
    /// When the build fails or a binary is missing.
    pub fn find(&self, folder: &Folder) -> Result<BTreeMap<String, PathBuf>, CloudError> {
        match self {
            Self::Built { profile } => functions_of(&built(folder, profile)?),
            Self::Found(programs) => functions_of(programs),
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

/// The functions among `programs`.
fn functions_of(programs: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    let wanted = FUNCTIONS.iter().map(|name| Ok(((*name).to_owned(), program(programs, name)?)));
    wanted.collect()
}

/// The path of one program among `programs`.
///
/// # Errors
/// When it is not among them.
pub fn program(programs: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf, CloudError> {
    programs.get(name).cloned().ok_or_else(|| {
        let what = format!("the build made no binary `{name}`");
        CloudError::failed(what, format!("a package of the workspace needs a `[[bin]]` called `{name}`"))
    })
}

/// Builds the functions and the command line program, and returns the path of each by its name.
///
/// Always all of them at once: Cargo chooses the features of what they share by what is built together,
/// so that a part built alone would be compiled anew, and be another binary.
///
/// # Errors
/// When the build fails.
pub fn built(folder: &Folder, profile: &str) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    let packages = FUNCTIONS.iter().copied().chain([CLI.0]).flat_map(|name| ["-p", name]);
    let arguments = ["build", "--locked", "--profile", profile].into_iter().chain(packages);
    build(folder, &arguments.collect::<Vec<_>>())
}

/// Runs Cargo with `arguments` and returns the path of each binary that it built, by name.
///
/// # Errors
/// When the build fails.
pub fn build(folder: &Folder, arguments: &[&str]) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(folder.workspace()).args(arguments);
    command.arg("--message-format=json-render-diagnostics");
    let built = command.stderr(Stdio::inherit()).output().doing("running `cargo build`")?;
    if !built.status.success() {
        let what = format!("`cargo build` ended with {}", built.status);
        return Err(CloudError::failed(what, "the compiler's words are above".to_owned()));
    }
    Ok(executables(&String::from_utf8_lossy(&built.stdout)))
}

/// The binaries and examples among Cargo's messages, by target name. The test of one is none.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let named = parsed.filter_map(|message| {
        let target = &message["target"];
        let is_program = (target["kind"][0] == "bin" || target["kind"][0] == "example")
            && message["profile"]["test"] != true;
        let path = message["executable"].as_str().filter(|_| is_program)?;
        Some((target["name"].as_str()?.to_owned(), PathBuf::from(path)))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_taken_from_cargos_messages() {
        let messages = r#"
            {"target":{"name":"sealane","kind":["lib"]},"profile":{"test":false},"executable":null}
            {"target":{"name":"sealane","kind":["lib"]},"profile":{"test":true},"executable":"/t/deps/sealane-1"}
            {"target":{"name":"health-prober","kind":["bin"]},"profile":{"test":false},"executable":"/t/health-prober"}
            {"target":{"name":"health-prober","kind":["bin"]},"profile":{"test":true},"executable":"/t/deps/health-prober-2"}
            {"reason":"build-finished","success":true}"#;
        let found = executables(messages);
        assert_eq!(found, BTreeMap::from([("health-prober".to_owned(), PathBuf::from("/t/health-prober"))]));
        assert!(
            functions_of(&found).expect_err("three are missing").to_string().contains("upload-orchestrator")
        );
    }

    #[test]
    fn a_missing_binary_is_named() {
        let error = Binaries::From("/nowhere".into()).find(&Folder::of_workspace()).expect_err("none there");
        assert!(error.to_string().contains("`/nowhere/health-prober`"), "{error}");
    }
}
