//! Who a local cloud tells of worksets, if it shall tell anybody: a webhook at a port of this machine, a topic
//! of the cloud itself, and the buckets, which show worksets by sentinels.

use super::{
    configuration::Ports,
    error::{CloudError, Doing},
    region::{ACCOUNT, PRIMARY},
};
use crate::gates::fault::Service;
use serde_json::{Value, json};
use std::net::TcpListener;

/// What signs the requests: no secret at all, since nothing leaves this machine.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The variable of the orchestrator that holds it.
pub const SECRET_VARIABLE: &str = "WEBHOOK_SECRET_1";

/// The topic, in the primary region. Nobody makes it: what is told to it waits until somebody does.
const TOPIC: &str = "sealane-told";

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// The port on loopback at which the webhook listens.
    pub port: u16,
}

impl Listeners {
    /// A webhook at a port that nobody has now.
    ///
    /// # Errors
    /// When there is none.
    pub fn at_a_free_port() -> Result<Self, CloudError> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        Ok(Self { port: free.doing("looking for a free port")?.port() })
    }

    /// Adds them to the configuration of `from`.
    pub fn add_to(self, document: &mut Value, ports: &Ports, from: &str) {
        let url = format!("http://127.0.0.1:{}/hook", self.port);
        document["notifications"] = json!({ "targets": [
            { "name": "hook", "kind": "webhook", "url": url, "secret_env": SECRET_VARIABLE },
            { "name": "topic", "kind": "sns", "topic_arn": topic_arn() },
        ]});
        document["worksets"] = json!({ "sentinels": "own" });
        let regions = document["regions"].as_array_mut().into_iter().flatten();
        for region in regions.filter(|region| region["name"] == PRIMARY) {
            region["endpoints"]["sns"] = json!(ports.url(from, PRIMARY, Service::Other));
        }
    }

    /// The parameters of a region's stack that go with them.
    #[must_use]
    pub fn parameters(self) -> [(&'static str, String); 2] {
        [("WebhookSecret1", SECRET.to_owned()), ("NotifyTopicArns", topic_arn())]
    }
}

fn topic_arn() -> String {
    format!("arn:aws:sns:{PRIMARY}:{ACCOUNT}:{TOPIC}")
}
