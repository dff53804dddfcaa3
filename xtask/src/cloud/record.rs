//! What is written down about a running cloud: for clients (`cloud.json`) and for the commands (`supervisor.json`).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs, path::Path};

/// The supervisor's process and ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorRecord {
    /// Its process id.
    pub pid: u32,
    /// Where the gates are controlled.
    pub control_port: u16,
    /// Where MiniStack listens, behind all gates.
    pub ministack_port: u16,
}

impl SupervisorRecord {
    /// The record at `path`, if there is a whole one.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        read(path)
    }
}

/// All that a client needs: `cloud.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudRecord {
    /// The full regions, primary first.
    pub regions: Vec<RegionRecord>,
    /// The regions that only observe.
    pub witnesses: Vec<WitnessRecord>,
    /// Table names by what they hold: `health`, `control`, `worksets`, `ledger`.
    pub tables: BTreeMap<String, String>,
    /// The status page, as the primary region serves it.
    pub status_url: String,
    /// What to sign requests with.
    pub credentials: Credentials,
    /// Path of the configuration for the command line program.
    pub config: String,
    /// Who signs the tokens that the API asks for (`ISSUER/token?tenant=lab&scope=read+write`); nobody
    /// where it asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

impl CloudRecord {
    /// The record at `path`, if there is a whole one.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        read(path)
    }

    /// The full region called `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&RegionRecord> {
        self.regions.iter().find(|region| region.name == name)
    }
}

/// A full region as a client reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    /// Its AWS name.
    pub name: String,
    /// One address for S3 and DynamoDB; the gate of S3.
    pub endpoint: String,
    /// The addresses by service.
    pub endpoints: Endpoints,
    /// Its bucket.
    pub bucket: String,
    /// Its HTTP API, without `/v1`.
    pub api_url: String,
}

/// A region that only observes, as a client reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// Its AWS name.
    pub name: String,
    /// The addresses by service.
    pub endpoints: Endpoints,
}

/// Addresses of one region, each through its own gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Objects.
    pub s3: String,
    /// Tables.
    pub dynamodb: String,
    /// Every other service: logs, metrics, queues and so on.
    pub other: String,
}

/// What requests are signed with. The local cloud does not check signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The access key; it names the account.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
