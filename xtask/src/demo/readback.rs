//! Objects and rows, read back by `readback.py`: a client of its own that knows nothing of Sealane's code.

use crate::cloud::{
    Cloud,
    error::{CloudError, Doing},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The running program. It ends when this is dropped.
#[derive(Debug)]
pub struct Readback {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What the regions hold of one object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Copies {
    /// The copies that are there.
    pub copies: Vec<Found>,
    /// The regions without one.
    pub missing: Vec<String>,
    /// Whether all copies equal one another byte for byte.
    pub equal: bool,
    /// What is in them.
    pub archive: Archive,
}

/// One copy as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// Where it is.
    pub region: String,
    /// Its size.
    pub bytes: u64,
    /// The checksum of its bytes, base64.
    pub crc64nvme: String,
    /// Its user metadata.
    pub metadata: BTreeMap<String, String>,
}

/// What an archive holds, held against its source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Archive {
    /// Files in it.
    pub files: u64,
    /// Every difference from the source, in words.
    pub differences: Vec<String>,
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row<T> {
    /// Its sort key.
    pub sk: String,
    /// What it holds.
    pub body: T,
    /// Whether the index lists it.
    pub indexed: bool,
}

impl Readback {
    /// Starts the program on a running cloud.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(cloud: &Cloud) -> Result<Self, CloudError> {
        let folder = &cloud.folder;
        let mut command = Command::new(folder.python());
        command.arg("-B").arg(folder.programs().join("readback.py"));
        command.arg(folder.cloud_json()).arg(folder.scratch());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(folder.log("readback")?);
        let mut child = command.spawn().doing("starting `readback.py`")?;
        let requests = child.stdin.take();
        let answers = child.stdout.take().ok_or_else(|| failed("it has no standard output"))?;
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    /// Downloads the object `key` from each region and compares: with one another, and with `source`.
    ///
    /// # Errors
    /// When a region does not answer.
    pub fn copies(&mut self, key: &str, regions: &[&str], source: &Path) -> Result<Copies, CloudError> {
        self.ask(&json!({ "do": "copies", "key": key, "regions": regions, "source": source }))
    }

    /// One row of a table, by the name of what it holds, as `region`'s replica has it.
    ///
    /// # Errors
    /// When the region does not answer, or the row is not of that shape.
    pub fn row<T: DeserializeOwned>(
        &mut self,
        region: &str,
        table: &str,
        key: (&str, &str),
    ) -> Result<Option<T>, CloudError> {
        let request = json!({ "do": "row", "region": region, "table": table, "pk": key.0, "sk": key.1 });
        let mut answer: Value = self.ask(&request)?;
        if answer["found"] != true {
            return Ok(None);
        }
        let body = serde_json::from_value(answer["body"].take());
        body.map(Some).map_err(|error| failed(&format!("row {} {} of `{table}`: {error}", key.0, key.1)))
    }

    /// The rows of one partition, in the order of their sort keys.
    ///
    /// # Errors
    /// When the region does not answer, or a row is not of that shape.
    pub fn rows<T: DeserializeOwned>(
        &mut self,
        region: &str,
        table: &str,
        pk: &str,
    ) -> Result<Vec<Row<T>>, CloudError> {
        let mut answer: Value =
            self.ask(&json!({ "do": "rows", "region": region, "table": table, "pk": pk }))?;
        serde_json::from_value(answer["rows"].take())
            .map_err(|error| failed(&format!("rows {pk} of `{table}`: {error}")))
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> Result<T, CloudError> {
        let requests = self.requests.as_mut().ok_or_else(|| failed("it has no standard input"))?;
        writeln!(requests, "{request}").doing("asking `readback.py`")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).doing("reading the answer of `readback.py`")?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| failed(&error.to_string()))?;
        if let Some(error) = answer["error"].as_str() {
            return Err(failed(error));
        }
        serde_json::from_value(answer).map_err(|error| failed(&error.to_string()))
    }
}

impl Drop for Readback {
    fn drop(&mut self) {
        // It ends with its input; waiting leaves no dead process behind.
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

fn failed(what: &str) -> CloudError {
    CloudError::failed(format!("reading back failed: {what}"), "see the log `readback`".to_owned())
}
