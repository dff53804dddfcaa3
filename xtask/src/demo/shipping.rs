//! The upload: the `sealane` program in a process of its own, watched through the gates that it uses.

use crate::{
    cloud::{
        Cloud,
        error::{CloudError, Doing},
        region::PRIMARY,
    },
    gates::{
        client::Gates,
        fault::{CLIENT, GateId, Service},
    },
};
use sealane::upload::Receipt;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

/// A running upload.
#[derive(Debug)]
pub struct Shipping {
    child: Child,
    receipt: PathBuf,
    log: PathBuf,
    gates: Gates,
    carried_before: u64,
}

impl Shipping {
    /// Starts `sealane upload SOURCE --copies 3 --json`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(cloud: &Cloud, sealane: &Path, source: &Path, key: &str) -> Result<Self, CloudError> {
        let folder = &cloud.folder;
        let (receipt, log) = (folder.local().join("receipt.json"), folder.log_path("upload"));
        let out = fs::File::create(&receipt).doing(format!("creating `{}`", receipt.display()))?;
        let mut command = Command::new(sealane);
        command.arg("upload").arg(source).args(["--key", key, "--copies", "3", "--json"]);
        command.arg("--config").arg(&cloud.record.config);
        let keys = &cloud.record.credentials;
        command.env("AWS_ACCESS_KEY_ID", &keys.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "SEALANE_CONFIG"]
        {
            command.env_remove(other);
        }
        command.stdin(Stdio::null()).stdout(out).stderr(folder.log("upload")?);
        let gates = cloud.gates();
        let carried_before = carried(gates)?;
        let child = command.spawn().doing("starting `sealane upload`")?;
        Ok(Self { child, receipt, log, gates, carried_before })
    }

    /// Bytes that the primary region's gate has carried for this upload.
    ///
    /// # Errors
    /// When the gates do not answer.
    pub fn carried(&self) -> Result<u64, CloudError> {
        Ok(carried(self.gates)?.saturating_sub(self.carried_before))
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// When the process cannot be looked at.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, CloudError> {
        self.child.try_wait().doing("watching `sealane upload`")
    }

    /// The receipt of an upload that has ended.
    ///
    /// # Errors
    /// When there is none; the error has the program's own words.
    pub fn receipt(&self, status: ExitStatus) -> Result<Receipt, CloudError> {
        let text =
            fs::read_to_string(&self.receipt).doing(format!("reading `{}`", self.receipt.display()))?;
        serde_json::from_str(&text).map_err(|error| {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let last = said
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .map_or(error.to_string(), str::to_owned);
            let what = format!("`sealane upload` left no receipt ({status}): {last}");
            CloudError::failed(what, format!("see `{}`", self.log.display()))
        })
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        // Fails if it has ended, which is how it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn carried(gates: Gates) -> Result<u64, CloudError> {
    let ours = |id: &GateId| id.from == CLIENT && id.to == PRIMARY && id.service == Service::S3;
    Ok(gates.bytes(ours).doing("asking the gates what they carried")?.0)
}
