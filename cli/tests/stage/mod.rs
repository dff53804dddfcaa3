//! Two regions with a store each on loopback, and the program as a process.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use super::store::Store;

pub(crate) const PART: usize = 5 << 20;

/// Two regions with a store each, and a folder to work in.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) stores: [Store; 2],
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (folder, stores) = (tempfile::tempdir().unwrap(), [Store::open(), Store::open()]);
        // Nobody answers for the tables, so that the settings alone decide, at once.
        let config = format!(
            "primary_region: us-west-2\nregions:\n  \
             - {{name: us-west-2, bucket: bucket-a, kms_key: alias/a, endpoints: {{dynamodb: 'http://127.0.0.1:1', s3: '{}'}}}}\n  \
             - {{name: us-east-1, bucket: bucket-b, kms_key: alias/b, endpoints: {{dynamodb: 'http://127.0.0.1:1', s3: '{}'}}}}\n  \
             - {{name: us-east-2, role: witness, endpoints: {{dynamodb: 'http://127.0.0.1:1'}}}}\nsecurity: {{allow_local_endpoints: true}}\ncontrol_regions: [us-west-2, us-east-1]\n\
             upload: {{copies: 2, part_size: 5MiB, concurrency: 2, failover_delay: 0s}}\nload_balancing: {{strategy: priority}}\n",
            stores[0].url, stores[1].url
        );
        fs::write(folder.path().join("sealane.yaml"), config).unwrap();
        Self { folder, stores }
    }

    /// Adds rules on where objects go.
    pub(crate) fn rules(&self, rules: &str) {
        let path = self.path("sealane.yaml");
        let config = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{config}replication: {{rules: {rules}}}\n")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of this size whose bytes differ from part to part.
    pub(crate) fn file(&self, name: &str, size: usize) -> PathBuf {
        let noise: Vec<u8> = (0..size).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0]).collect();
        fs::write(self.path(name), noise).unwrap();
        self.path(name)
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealane"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env_clear();
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `arguments`, which have to end with `code`; standard output and standard error.
    pub(crate) fn ends(&self, arguments: &str, code: i32) -> (String, String) {
        told(&self.run(arguments), arguments, code)
    }

    /// Starts an upload that hangs after `parts` parts in all.
    pub(crate) fn hanging(&self, arguments: &str, parts: usize) -> Child {
        for store in &self.stores {
            store.state().stalls_after = Some(parts);
        }
        let child = self.command(arguments).spawn().unwrap();
        for store in &self.stores {
            store.wait(|state| state.arrived.len() >= parts);
        }
        child
    }

    pub(crate) fn go_on(&self) {
        for store in &self.stores {
            store.state().stalls_after = None;
        }
    }

    pub(crate) fn assert_holds(&self, key: &str, file: &Path) {
        for store in &self.stores {
            let state = store.state();
            assert!(state.objects[key].body == fs::read(file).unwrap());
            assert!(state.open.is_empty(), "nothing is left unfinished");
        }
    }
}

pub(crate) fn told(output: &Output, arguments: &str, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stdout}{stderr}");
    (stdout, stderr)
}

pub(crate) fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}
