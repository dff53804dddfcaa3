//! The configuration document as one source sees it: every endpoint is that source's own gate.

use super::region::{ACCOUNT, CONTROL, LocalRegion, PRIMARY, REGIONS};
use crate::gates::{
    board::GateState,
    fault::{CLIENT, GateId, Service},
};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The tenant of callers of a local API that has no authorizer.
pub const OPEN_TENANT: &str = "local";

/// Whom the local API lets in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody, as one tenant: people look at the page without more.
    #[default]
    Open,
    /// Bearers of tokens that the cloud's issuer signed, as a deployment with a JWT authorizer does.
    Tokens,
}

/// The ports of all gates.
#[derive(Debug, Clone, Default)]
pub struct Ports(HashMap<GateId, u16>);

impl Ports {
    /// The ports of `gates`.
    #[must_use]
    pub fn of(gates: &[GateState]) -> Self {
        Self(gates.iter().map(|gate| (gate.id.clone(), gate.port)).collect())
    }

    /// Where `from` reaches `service` of region `to`; `None` if there is no such gate.
    #[must_use]
    pub fn url(&self, from: &str, to: &str, service: Service) -> Option<String> {
        let id = GateId { from: from.to_owned(), to: to.to_owned(), service };
        self.0.get(&id).map(|port| format!("http://127.0.0.1:{port}"))
    }
}

/// The name of a full region's bucket, as the template makes it.
#[must_use]
pub fn bucket(region: &str) -> String {
    format!("sealane-{ACCOUNT}-{region}")
}

/// The document for `from`: a region, or the clients. Intervals and thresholds are the defaults.
#[must_use]
pub fn document(ports: &Ports, from: &str, access: Access) -> Value {
    let open_tenant = (access == Access::Open).then_some(OPEN_TENANT);
    json!({
        "primary_region": PRIMARY,
        "account_id": ACCOUNT,
        "regions": REGIONS.map(|region| entry(ports, from, region)),
        "control_regions": CONTROL,
        "api": { "open_tenant": open_tenant },
        // The gates are plain ports on loopback.
        "security": { "allow_local_endpoints": true },
    })
}

fn entry(ports: &Ports, from: &str, region: LocalRegion) -> Value {
    let url = |service| ports.url(from, region.name, service);
    let endpoints = json!({ "s3": url(Service::S3), "dynamodb": url(Service::DynamoDb), "cloudwatch": url(Service::Other) });
    let mut entry = json!({ "name": region.name, "endpoints": endpoints });
    match region.priority {
        Some(priority) => {
            entry["bucket"] = json!(bucket(region.name));
            entry["priority"] = json!(priority);
            entry["weight"] = json!(region.weight);
            entry["endpoints"]["api"] = json!(url(Service::Api));
            // Only people ask for what rests in a queue, and a function's variables are short.
            if from == CLIENT {
                entry["endpoints"]["sqs"] = json!(url(Service::Other));
            }
        }
        None => entry["role"] = json!("witness"),
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloud::listeners::Listeners, gates::fault::Condition};

    /// One gate for each pair and service, with ports of five digits.
    fn ports() -> Ports {
        let sources: Vec<&str> = std::iter::once(CLIENT).chain(REGIONS.map(|r| r.name)).collect();
        let mut gates = Vec::new();
        for from in sources {
            for to in REGIONS {
                for service in Service::ALL {
                    let id = GateId { from: from.into(), to: to.name.into(), service };
                    let port = 40_000 + u16::try_from(gates.len()).expect("few gates");
                    gates.push(GateState { id, port, condition: Condition::default(), sent: 0, received: 0 });
                }
            }
        }
        Ports::of(&gates)
    }

    #[test]
    fn every_endpoint_of_every_source_is_a_gate_of_its_own() {
        let ports = ports();
        let mut seen = std::collections::HashSet::new();
        for from in [CLIENT, "us-west-2", "us-east-1", "eu-west-1", "us-east-2"] {
            for region in document(&ports, from, Access::Open)["regions"].as_array().expect("a list") {
                let services = region["endpoints"].as_object().expect("a map").iter();
                // SQS is behind the gate of all other services, as CloudWatch is.
                for (service, url) in services.filter(|(service, _)| *service != "sqs") {
                    assert!(url.is_string(), "{from} {service}");
                    assert!(seen.insert(url.to_string()), "{from} {service} shares {url}");
                }
            }
        }
    }

    #[test]
    fn the_document_fits_a_functions_variables() {
        let text = document(&ports(), "us-west-2", Access::Open).to_string();
        assert!(text.len() <= 3500, "{} characters", text.len());
    }

    #[test]
    fn so_does_that_of_a_cloud_that_tells_and_functions_accept_it() {
        let (ports, telling) = (ports(), Listeners { port: 65_535 });
        let mut document = document(&ports, "us-west-2", Access::Open);
        telling.add_to(&mut document, &ports, "us-west-2");
        let text = document.to_string();
        assert!(text.len() <= 3500, "{} characters", text.len());
        assert_eq!(document["notifications"]["targets"][0]["url"], "http://127.0.0.1:65535/hook");
        let with_sns = |region: &&Value| region["endpoints"]["sns"].is_string();
        let regions = document["regions"].as_array().expect("a list");
        assert_eq!(regions.iter().filter(with_sns).count(), 1, "where the topic lies");
    }

    #[test]
    fn the_witness_has_neither_bucket_nor_api() {
        let document = document(&ports(), CLIENT, Access::Open);
        let witness = &document["regions"][3];
        assert_eq!(witness["role"], "witness");
        assert!(witness["bucket"].is_null() && witness["endpoints"]["api"].is_null());
    }
}
