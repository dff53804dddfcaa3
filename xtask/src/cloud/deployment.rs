//! Deploys the templates to the regions, and writes down how to reach what came of it.

use super::{
    configuration::{Access, Ports, document},
    error::{CloudError, Doing},
    folder::{Folder, write_whole},
    listeners::Listeners,
    record::{CloudRecord, Credentials, Endpoints, RegionRecord, SupervisorRecord, WitnessRecord},
    region::{ACCOUNT, LocalRegion, PRIMARY, REGIONS},
};
use crate::gates::{
    client::Gates,
    fault::{CLIENT, Service},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The audience of the issuer's tokens.
const AUDIENCE: &str = "sealane-local";

/// Deploys and writes `cloud.json` and `sealane.yaml`.
///
/// # Errors
/// When a stack cannot be created; the error names the log.
pub fn deploy(
    folder: &Folder,
    supervisor: &SupervisorRecord,
    functions: &BTreeMap<String, PathBuf>,
    (access, listeners): (Access, Option<Listeners>),
) -> Result<CloudRecord, CloudError> {
    let state = Gates::at(supervisor.control_port).state().doing("asking for the ports of the gates")?;
    let ports = Ports::of(&state.gates);
    let endpoint = format!("http://127.0.0.1:{}", supervisor.ministack_port);
    let issuer = (access == Access::Tokens).then(|| format!("{endpoint}/issuer"));
    let plan = json!({
        "endpoint": endpoint,
        "account": ACCOUNT,
        "infra": folder.workspace().join("infra"),
        "work": folder.scratch(),
        "functions": functions,
        "global": { "region": PRIMARY, "parameters": {} },
        "regions": REGIONS.map(|region| json!({ "name": region.name, "parameters": parameters(&ports, region, issuer.as_deref(), listeners) })),
    });
    let outputs = run(folder, &plan)?;
    let record = CloudRecord { issuer, ..record(folder, &ports, &outputs)? };
    // JSON is YAML, too.
    write_whole(&folder.sealane_yaml(), &format!("{:#}\n", told(&ports, CLIENT, access, listeners)))?;
    write_whole(&folder.cloud_json(), &format!("{:#}\n", json!(record)))?;
    Ok(record)
}

/// The configuration of `from`, with those whom it tells.
fn told(ports: &Ports, from: &str, access: Access, listeners: Option<Listeners>) -> Value {
    let mut document = document(ports, from, access);
    if let Some(listeners) = listeners {
        listeners.add_to(&mut document, ports, from);
    }
    document
}

/// The parameters of one region's stack.
fn parameters(
    ports: &Ports,
    region: LocalRegion,
    issuer: Option<&str>,
    listeners: Option<Listeners>,
) -> BTreeMap<String, String> {
    let access = if issuer.is_some() { Access::Tokens } else { Access::Open };
    let role = if region.is_witness() { "witness" } else { "full" };
    let fixed = [
        ("RegionRole", role.to_owned()),
        ("Config", told(ports, region.name, access, listeners).to_string()),
        ("Authorizer", if issuer.is_some() { "JWT" } else { "OPEN" }.to_owned()),
        ("JwtIssuer", issuer.unwrap_or_default().to_owned()),
        ("JwtAudience", AUDIENCE.to_owned()),
        // Nothing speaks TLS here, so no trust roots are read.
        ("TrustStore", String::new()),
    ];
    let others = REGIONS.iter().filter(|other| other.name != region.name).zip(1..);
    let watched = others.map(|(other, position)| (format!("Watched{position}"), other.name.to_owned()));
    let telling = listeners.into_iter().flat_map(Listeners::parameters);
    fixed.into_iter().chain(telling).map(|(key, value)| (key.to_owned(), value)).chain(watched).collect()
}

/// Runs `deploy.py` and returns the outputs of the stacks.
fn run(folder: &Folder, plan: &Value) -> Result<Value, CloudError> {
    let failed = |what: String| {
        let log = folder.log_path("deploy");
        let words = std::fs::read_to_string(&log).unwrap_or_default();
        let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        CloudError::failed(format!("{what}: {last}"), format!("see `{}`", log.display()))
    };
    let mut command = Command::new(folder.python());
    command.arg("-B").arg(folder.programs().join("deploy.py")).current_dir(folder.workspace());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(folder.log("deploy")?);
    let mut child = command.spawn().doing("running `deploy.py`")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(plan.to_string().as_bytes()).doing("sending the plan to `deploy.py`")?;
    }
    let output = child.wait_with_output().doing("waiting for `deploy.py`")?;
    if !output.status.success() {
        return Err(failed(format!("`deploy.py` ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("`deploy.py` answered no JSON ({error})")))
}

/// How to reach everything.
fn record(folder: &Folder, ports: &Ports, outputs: &Value) -> Result<CloudRecord, CloudError> {
    let url = |to: &str, service: Service| {
        let missing = || {
            CloudError::failed(format!("there is no gate to {service} of `{to}`"), "run `up` again".into())
        };
        ports.url(CLIENT, to, service).ok_or_else(missing)
    };
    let endpoints = |to: &str| -> Result<Endpoints, CloudError> {
        let (s3, dynamodb) = (url(to, Service::S3)?, url(to, Service::DynamoDb)?);
        Ok(Endpoints { s3, dynamodb, other: url(to, Service::Other)? })
    };
    let (mut regions, mut witnesses) = (Vec::new(), Vec::new());
    for region in REGIONS {
        let (name, endpoints) = (region.name.to_owned(), endpoints(region.name)?);
        if region.is_witness() {
            witnesses.push(WitnessRecord { name, endpoints });
            continue;
        }
        let bucket = output(outputs, region.name, "BucketName")?;
        let (endpoint, api_url) = (endpoints.s3.clone(), url(region.name, Service::Api)?);
        regions.push(RegionRecord { name, endpoint, endpoints, bucket, api_url });
    }
    let tables = ["health", "control", "worksets", "ledger"];
    Ok(CloudRecord {
        status_url: format!("{}/", url(PRIMARY, Service::Api)?),
        tables: tables.map(|table| (table.to_owned(), format!("sealane-{table}"))).into(),
        credentials: Credentials { access_key_id: ACCOUNT.into(), secret_access_key: "sealane-local".into() },
        config: folder.sealane_yaml().display().to_string(),
        issuer: None,
        regions,
        witnesses,
    })
}

fn output(outputs: &Value, region: &str, key: &str) -> Result<String, CloudError> {
    let found = outputs["regions"][region][key].as_str().map(str::to_owned);
    let what = || format!("the stack in `{region}` has no output `{key}`");
    found.ok_or_else(|| CloudError::failed(what(), "see `infra/template.yaml`".to_owned()))
}
