//! The clients that are measured, and how each is asked to upload.

use crate::cloud::{
    error::CloudError,
    folder::Folder,
    functions::{CLI, FUNCTIONS, build, program},
    venv,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Files of a folder that every client has under way at once.
const FILES: &str = "16";

/// A client and its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// `sealane`'s own transport.
    Ours,
    /// `aws-sdk-s3-transfer-manager` as it comes.
    TransferManager,
    /// The same, with so few parts in memory that they stay in the processor's cache.
    TransferManagerTuned,
    /// `object_store`, unsigned payload and CRC64NVME, four parts in flight.
    ObjectStore,
    /// `s5cmd` as it comes.
    S5cmd,
    /// `boto3` as it comes, with a CRC32.
    Boto3,
    /// `rclone` as it comes, with parts of 8 MiB.
    Rclone,
}

impl Client {
    /// Everybody else.
    pub const PEERS: [Self; 6] = [
        Self::TransferManager,
        Self::TransferManagerTuned,
        Self::ObjectStore,
        Self::S5cmd,
        Self::Boto3,
        Self::Rclone,
    ];

    /// The name in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::TransferManager => "transfer-manager",
            Self::TransferManagerTuned => "transfer-manager-tuned",
            Self::ObjectStore => "object_store",
            Self::S5cmd => "s5cmd",
            Self::Boto3 => "boto3",
            Self::Rclone => "rclone",
        }
    }

    /// Whether it sends one source to several regions in one process.
    const fn fans_out(self) -> bool {
        match self {
            Self::Ours | Self::TransferManager | Self::TransferManagerTuned | Self::ObjectStore => true,
            Self::S5cmd | Self::Boto3 | Self::Rclone => false,
        }
    }
}

/// One upload to be measured.
#[derive(Debug, Clone)]
pub struct Task {
    /// The file, or the folder whose files are objects of their own.
    pub path: PathBuf,
    /// Where to.
    pub endpoints: Vec<String>,
    /// Copies, where fewer than there are endpoints.
    pub copies: Option<usize>,
    /// Settings of our client, by the variables that it reads.
    pub variables: Vec<(&'static str, &'static str)>,
}

/// What is built in Rust.
const BINARIES: [&str; 4] = ["transfer-sink", "transfer-meter", "transfer-ours", "sealane-bench-peers"];

/// Builds the sink, our client and the Rust peers; says so where these cannot be built.
fn built(folder: &Folder, place: &Path, say: &dyn Fn(&str)) -> Result<BTreeMap<String, PathBuf>, CloudError> {
    let mut binaries = build(folder, &["build", "--locked", "--release", "-p", "sealane-bench-sink"])?;
    // Together with what is deployed, so that what they share is compiled once.
    let packages = FUNCTIONS.iter().copied().chain([CLI.0, "sealane-bench-transfer"]).flat_map(|p| ["-p", p]);
    let ours = ["build", "--locked", "--release", "--bin", "transfer-ours"].into_iter().chain(packages);
    binaries.append(&mut build(folder, &ours.collect::<Vec<_>>())?);
    let manifest = place.join("Cargo.toml").display().to_string();
    match build(folder, &["build", "--locked", "--release", "--manifest-path", &manifest]) {
        Ok(mut peers) => binaries.append(&mut peers),
        Err(error) => say(&format!("the Rust peers are left out: {error}")),
    }
    Ok(binaries)
}

/// The programs of all clients that could be had.
#[derive(Debug)]
pub struct Programs {
    binaries: BTreeMap<String, PathBuf>,
    venv: Option<PathBuf>,
    script: PathBuf,
}

impl Programs {
    /// Builds and installs the clients, pinned; says what cannot be had. `from`: a folder with
    /// what would be built.
    ///
    /// # Errors
    /// When our own cannot be built.
    pub fn install(folder: &Folder, from: Option<&Path>, say: &dyn Fn(&str)) -> Result<Self, CloudError> {
        let place = folder.workspace().join("tests/bench/peers");
        let binaries = match from {
            Some(from) => BINARIES.map(|name| (name.to_owned(), from.join(name))).into(),
            None => built(folder, &place, say)?,
        };
        let venv = folder.workspace().join("target/bench-peers");
        let venv = match venv::install_into(folder, &venv, &place.join("requirements.txt")) {
            Ok(()) => Some(venv.join("bin")),
            Err(error) => {
                say(&format!("the Python and Go peers are left out: {error}"));
                None
            }
        };
        Ok(Self { binaries, venv, script: place.join("boto3_upload.py") })
    }

    /// The program `name` of our own.
    ///
    /// # Errors
    /// When it was not built.
    pub fn own(&self, name: &str) -> Result<PathBuf, CloudError> {
        program(&self.binaries, name)
    }

    /// The meter on `client` at `task`; `None` if the client cannot be had or cannot do that.
    #[must_use]
    pub fn command(&self, client: Client, task: &Task, certificate: &Path) -> Option<Command> {
        if task.endpoints.len() > 1 && !client.fans_out() {
            return None;
        }
        let words = self.words(client, task)?;
        let mut command = Command::new(self.binaries.get("transfer-meter")?);
        command.args(words);
        let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "bench"));
        command.envs(keys).env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_EC2_METADATA_DISABLED", "true").envs(task.variables.iter().copied());
        command.env("SSL_CERT_FILE", certificate).env("AWS_CA_BUNDLE", certificate);
        Some(command)
    }

    fn words(&self, client: Client, task: &Task) -> Option<Vec<OsString>> {
        let word = |text: &str| OsString::from(text);
        let tool = |name: &str| Some(self.venv.as_ref()?.join(name).into_os_string());
        let built = |name: &str| self.binaries.get(name).map(|path| path.clone().into_os_string());
        let endpoint = task.endpoints.first()?;
        let folder = task.path.is_dir();
        let spread = || task.endpoints.iter().flat_map(|url| [word("--endpoint"), word(url)]);
        let path = || [word("--path"), task.path.clone().into_os_string(), word("--files"), word(FILES)];
        let peer = |which: &str, more: &[&str]| {
            let words =
                [built("sealane-bench-peers")?, word(which)].into_iter().chain(spread()).chain(path());
            Some(words.chain(more.iter().map(|w| word(w))).collect::<Vec<_>>())
        };
        Some(match client {
            Client::Ours => {
                let copies = task.copies.map(|n| [word("--copies"), word(&n.to_string())]);
                let small = folder.then(|| word("--unvalidated"));
                let words = std::iter::once(built("transfer-ours")?).chain(spread()).chain(path());
                words.chain(copies.into_iter().flatten()).chain(small).collect()
            }
            Client::TransferManager => peer("transfer-manager", &[])?,
            Client::TransferManagerTuned => {
                peer("transfer-manager", &["--concurrency", "4", "--memory", "64"])?
            }
            Client::ObjectStore => peer("object-store", &[])?,
            Client::S5cmd => {
                let from = if folder { task.path.join("*") } else { task.path.clone() };
                let verb = [word("--endpoint-url"), word(endpoint), word("cp"), from.into_os_string()];
                std::iter::once(tool("s5cmd")?).chain(verb).chain([word("s3://bench/")]).collect()
            }
            Client::Boto3 => {
                let words = [tool("python")?, self.script.clone().into_os_string(), word(endpoint)];
                words.into_iter().chain([task.path.clone().into_os_string(), word(FILES)]).collect()
            }
            Client::Rclone => {
                let fixed = ["copy", "--config", "/dev/null", "--s3-provider", "Other", "--s3-env-auth"];
                let more = ["--s3-no-check-bucket", "--s3-chunk-size", "8Mi", "--s3-endpoint"];
                let words = std::iter::once(tool("rclone")?).chain(fixed.into_iter().chain(more).map(word));
                words.chain([word(endpoint), task.path.clone().into_os_string(), word(":s3:bench")]).collect()
            }
        })
    }
}
