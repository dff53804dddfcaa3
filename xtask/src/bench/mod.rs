//! Benchmarks of the functions: how fast they start, how much they hold, how large they are; and of a [`pick`].
//!
//! Each function's release binary runs against a [`runtime_api`] and a [`backend`] that holds no more than
//! the record of the active region, both of this process and on loopback. So the times are those of the function, not of a network.

pub mod api;
pub mod backend;
pub mod cold;
pub mod figures;
pub mod http;
pub mod pick;
pub mod replication;
pub mod runtime_api;
pub mod transfer;

use crate::{
    cloud::{
        configuration::{Access, Ports, document},
        error::{CloudError, Doing},
        folder::{Folder, write_whole},
        functions::Binaries,
        region::{PRIMARY, REGIONS},
        venv,
    },
    gates::{
        board::GateState,
        fault::{Condition, GateId, Service},
    },
};
use cold::Subject;
use figures::{Figures, bars, heading};
use serde_json::json;
use std::{fs, path::Path};

/// The event that each function is invoked with, from `events/`.
const EVENTS: [(&str, &str); 4] = [
    ("health-prober", "health-prober-schedule.json"),
    ("upload-orchestrator", "upload-orchestrator-sweep-schedule.json"),
    ("workset-api", "workset-api-live.json"),
    ("failover-handler", "failover-handler-sns-alarm.json"),
];

/// The functions whose invocations last by design: a prober's for its minute, and the failover
/// handler's until the observers have shown that they are alive.
const LASTING: [&str; 2] = ["health-prober", "failover-handler"];

/// Measures all functions, prints a table and writes `report` as JSON. Returns the bars that are missed.
///
/// # Errors
/// When a function cannot be built or measured.
pub fn cold(
    folder: &Folder,
    binaries: &Binaries,
    report: Option<&Path>,
    say: &dyn Fn(&str),
) -> Result<Vec<String>, CloudError> {
    folder.create()?;
    venv::install(folder)?;
    let binaries = binaries.find(folder)?;
    let port = backend::open().doing("opening the backend")?;
    let config = document(&everywhere(port), PRIMARY, Access::Open).to_string();
    let mut all = Vec::new();
    say(&format!("\n{}", heading()));
    for (name, event) in EVENTS {
        let path = folder.workspace().join("events").join(event);
        let event = fs::read_to_string(&path).doing(format!("reading `{}`", path.display()))?;
        let subject = Subject {
            name,
            binary: binaries.get(name).cloned().unwrap_or_default(),
            event,
            lasts: LASTING.contains(&name),
            variables: variables(&config),
        };
        let figures = subject.measure(&folder.python(), &folder.scratch())?;
        say(&figures.row());
        all.push(figures);
    }
    say(&bars());
    let missed: Vec<String> = all.iter().flat_map(Figures::missed).collect();
    if let Some(path) = report {
        let report = json!({ "ok": missed.is_empty(), "missed": missed, "functions": all });
        write_whole(path, &format!("{report:#}\n"))?;
    }
    Ok(missed)
}

/// The variables of a function on Lambda, with credentials that nobody checks.
fn variables(config: &str) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_REGION", PRIMARY),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("SEALANE_CONFIG", config),
    ];
    fixed.map(|(name, value)| (name, value.to_owned())).into()
}

/// Ports of gates that all lead to the one backend.
fn everywhere(port: u16) -> Ports {
    let to = |region: &str, service| GateId { from: PRIMARY.to_owned(), to: region.to_owned(), service };
    let ids = REGIONS.iter().flat_map(|region| Service::ALL.map(|service| to(region.name, service)));
    let gate = |id| GateState { id, port, condition: Condition::default(), sent: 0, received: 0 };
    Ports::of(&ids.map(gate).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::functions::FUNCTIONS;

    #[test]
    fn every_function_is_measured_with_an_event_that_exists() {
        assert_eq!(EVENTS.map(|(name, _)| name), FUNCTIONS);
        for (_, event) in EVENTS {
            assert!(Folder::of_workspace().workspace().join("events").join(event).is_file(), "{event}");
        }
    }
}
