//! What each step of `cargo xtask test` does.

use super::{fuzz::Fuzzer, purity};
use crate::{
    cloud::{
        self, Cloud,
        configuration::Access,
        error::{CloudError, Doing},
        folder::Folder,
        functions::{self, Binaries},
        listeners::{Listeners, SECRET, SECRET_VARIABLE},
        venv,
    },
    demo::{self, Story, narrator::Narrator},
    planted,
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Size of the generated file that the last step ships: several parts, so that it can be cut in the middle.
const GENERATED: u64 = 64 << 20;

/// Seeds of the drill in a run of the tests: two of every scenario, in a minute or two.
const DRILL_SEEDS: &str = "34";

/// The variable that tells the contract tests where the cloud is.
const RECORD: &str = "LOCAL_CLOUD_RECORD";

/// One run of the tests.
#[derive(Debug)]
pub struct Session {
    folder: Folder,
    full: bool,
}

impl Session {
    /// A run in a folder of its own, so that a local cloud that is up is left alone.
    #[must_use]
    pub fn new(full: bool) -> Self {
        Self { folder: Folder::called("local-test"), full }
    }

    /// A clock that starts now.
    #[must_use]
    pub fn narrator(&self) -> Narrator {
        Narrator::begin()
    }

    /// `cargo tree` of the pure parts.
    ///
    /// # Errors
    /// When one is built from what it must not be.
    pub fn purity(&self) -> Result<(), CloudError> {
        for rule in purity::rules() {
            let listed = self.cargo(&rule.arguments()).output().doing("running `cargo tree`")?;
            if !listed.status.success() {
                return Err(failed("cargo tree", &String::from_utf8_lossy(&listed.stderr)));
            }
            let broken = rule.broken_by(&String::from_utf8_lossy(&listed.stdout));
            if !broken.is_empty() {
                let what =
                    format!("`{}` without its features is built from {}", rule.package, broken.join(", "));
                return Err(CloudError::failed(what, "put what needs it behind a feature".to_owned()));
            }
        }
        Ok(())
    }

    /// `cargo test --workspace`.
    ///
    /// # Errors
    /// When a test fails.
    pub fn workspace_tests(&self) -> Result<(), CloudError> {
        self.run(self.cargo(&["test", "--workspace", "--locked"]))
    }

    /// `cargo doc` with warnings as errors.
    ///
    /// # Errors
    /// When there is a warning.
    pub fn documentation(&self) -> Result<(), CloudError> {
        let mut cargo = self.cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
        cargo.env("RUSTDOCFLAGS", "-D warnings");
        self.run(cargo)
    }

    /// Deliberate mistakes in a copy of the sources, each of which has to be noticed.
    ///
    /// With the variable `CI` set, the copies and their builds are removed: nobody builds them again.
    ///
    /// # Errors
    /// When one is not.
    pub fn planted(&self) -> Result<(), CloudError> {
        let narrator = self.narrator();
        planted::run(&[], &|line| narrator.say(line))?;
        match std::env::var_os("CI") {
            Some(_) => {
                std::fs::remove_dir_all(Folder::called("planted").local()).doing("removing the copies")
            }
            None => Ok(()),
        }
    }

    /// The drill with few seeds, as the tests' own build has it: slower to run than `cargo xtask drill`
    /// and with nothing to compile.
    ///
    /// # Errors
    /// When a bar is missed or a rule broken; its words say which, and how to see it again.
    pub fn drill(&self) -> Result<(), CloudError> {
        let mut drill = Command::new(functions::program(&self.programs()?, "drill")?);
        drill.args(["--seeds", DRILL_SEEDS]).current_dir(self.folder.workspace());
        self.run(drill)
    }

    /// The rules of `xtask/local`, with all of its packages.
    ///
    /// # Errors
    /// When one is broken.
    pub fn local_python(&self) -> Result<(), CloudError> {
        self.folder.create()?;
        venv::install(&self.folder)?;
        let mut python = Command::new(self.folder.python());
        python.args(["-B", "-m", "unittest", "-q"]).current_dir(self.folder.programs());
        self.run(python)
    }

    /// `xtask/infra`: the rules' own tests, then the templates.
    ///
    /// # Errors
    /// When one is broken.
    pub fn infrastructure(&self) -> Result<(), CloudError> {
        let workspace = self.folder.workspace();
        let programs = workspace.join("xtask/infra");
        let place = workspace.join("target/infra/venv");
        let list = programs.join("requirements.txt");
        venv::install_into(&self.folder, &place, &list)?;
        let python = place.join("bin/python");
        let mut rules = Command::new(&python);
        rules.args(["-B", "-m", "unittest", "discover", "-q"]).arg(&programs).current_dir(&programs);
        self.run(rules)?;
        let mut check = Command::new(&python);
        check.arg("-B").arg(programs.join("check.py")).current_dir(workspace);
        self.run(check)
    }

    /// Brings the session's cloud up, with functions of the profile that the tests were built with.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn up(&self) -> Result<(), CloudError> {
        self.up_for(Access::Open).map(drop)
    }

    /// A fresh cloud whose API lets in whom `access` says.
    fn up_for(&self, access: Access) -> Result<Cloud, CloudError> {
        cloud::down(&self.folder)?;
        let programs = self.programs()?;
        Ok(cloud::up(&self.folder, &Binaries::Found(programs), access, &|_| {})?.cloud())
    }

    /// A fuzzer against the API of a fresh cloud that asks for tokens.
    ///
    /// # Errors
    /// When a reply is not what the API's document promises, or somebody is let in who should not be.
    pub fn fuzz(&self) -> Result<(), CloudError> {
        let cloud = self.up_for(Access::Tokens)?;
        Fuzzer::install(&self.folder)?.ask(&cloud)
    }

    /// The contract suites, on the adapters and the cloud.
    ///
    /// # Errors
    /// When one is broken.
    pub fn contracts(&self) -> Result<(), CloudError> {
        let up = Cloud::running(&self.folder);
        let up = up.ok_or_else(|| failed("up", "the cloud of the step before is gone"))?;
        self.run(self.tests_on(&up, &["contracts_local_cloud", "dead_letters_local_cloud"]))
    }

    /// Others hear of worksets from the functions: a webhook, which fails at first, and a topic of a fresh cloud.
    ///
    /// # Errors
    /// When somebody does not hear, or hears what is not signed or out of order.
    pub fn notifications(&self) -> Result<(), CloudError> {
        cloud::down(&self.folder)?;
        let binaries = Binaries::Found(self.programs()?);
        let telling = (Access::Open, Some(Listeners::at_a_free_port()?));
        let up = cloud::up_telling(&self.folder, &binaries, telling, &|_| {})?.cloud();
        let mut tests = self.tests_on(&up, &["notifications_local_cloud"]);
        tests.env(SECRET_VARIABLE, SECRET);
        self.run(tests)
    }

    /// The tests of these names, which run on the cloud `up`.
    fn tests_on(&self, up: &Cloud, names: &[&str]) -> Command {
        let keys = &up.record.credentials;
        let mut cargo = self.cargo(&["test", "--workspace", "--locked"]);
        cargo.args(names.iter().flat_map(|name| ["--test", name]));
        cargo.args(["--", "--ignored", "--nocapture"]).env(RECORD, self.folder.cloud_json());
        cargo.env("AWS_ACCESS_KEY_ID", &keys.access_key_id);
        cargo.env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key);
        cargo.env("AWS_EC2_METADATA_DISABLED", "true").env_remove("AWS_PROFILE");
        cargo
    }

    /// The demo's story with a smaller file, on a fresh cloud.
    ///
    /// # Errors
    /// When a claim does not hold.
    pub fn end_to_end(&self) -> Result<(), CloudError> {
        let report = self.folder.local().join("report.json");
        demo::tell(&Story {
            folder: self.folder.clone(),
            input: None,
            generated: GENERATED,
            report: Some(report),
            programs: demo::Programs::Found(self.programs()?),
            failback: self.full,
        })
        .map(drop)
    }

    /// Takes the session's cloud down.
    ///
    /// # Errors
    /// When it does not end.
    pub fn down(&self) -> Result<(), CloudError> {
        cloud::down(&self.folder).map(drop)
    }

    /// The programs as the tests' own build has them: nothing is compiled with other features once more.
    fn programs(&self) -> Result<BTreeMap<String, PathBuf>, CloudError> {
        functions::build(&self.folder, &["build", "--workspace", "--all-targets", "--locked"])
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(self.folder.workspace());
        command
    }

    /// Runs a command whose words go to the terminal.
    fn run(&self, mut command: Command) -> Result<(), CloudError> {
        let name = command.get_program().display().to_string();
        let arguments: Vec<_> =
            command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let status = command.stdin(Stdio::null()).status().doing(format!("running `{name}`"))?;
        if status.success() {
            return Ok(());
        }
        Err(failed(&format!("{name} {}", arguments.join(" ")), &format!("it ended with {status}")))
    }
}

fn failed(command: &str, how: &str) -> CloudError {
    CloudError::failed(format!("`{command}` failed: {how}"), "its own words are above".to_owned())
}
