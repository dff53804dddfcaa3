//! All gates of the local cloud, and the faults in force.

use super::{
    fault::{CLIENT, Condition, Fault, GateId, Service, condition, healed},
    gate::Gate,
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};
use tokio::sync::Mutex;

/// Where a destination region is reached behind its gates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Name of the region.
    pub region: String,
    /// Port of every service but the HTTP API.
    pub port: u16,
    /// Port that leads to the region's HTTP API.
    pub api_port: u16,
}

/// One gate as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateState {
    /// Which gate.
    #[serde(flatten)]
    pub id: GateId,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// How it behaves now.
    pub condition: Condition,
    /// Bytes carried from the source to the destination.
    pub sent: u64,
    /// Bytes carried back.
    pub received: u64,
}

/// Every gate, open from the start.
#[derive(Debug)]
pub struct Board {
    gates: Vec<Gate>,
    faults: Mutex<Vec<Fault>>,
}

impl Board {
    /// Opens a gate from every destination region and from the client to each destination, for each service.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub fn open(destinations: &[Destination]) -> io::Result<Self> {
        let sources = std::iter::once(CLIENT).chain(destinations.iter().map(|d| d.region.as_str()));
        let mut gates = Vec::new();
        for from in sources {
            for to in destinations {
                for service in Service::ALL {
                    let port = if service == Service::Api { to.api_port } else { to.port };
                    let id = GateId { from: from.to_owned(), to: to.region.clone(), service };
                    gates.push(Gate::open(id, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?);
                }
            }
        }
        Ok(Self { gates, faults: Mutex::default() })
    }

    /// Adds a fault; one that says the same about the same gates is not added twice.
    pub async fn add(&self, fault: Fault) {
        let mut faults = self.faults.lock().await;
        if !faults.contains(&fault) {
            faults.push(fault);
        }
        self.apply(&faults).await;
    }

    /// Takes back the faults of `region`, or all of them.
    pub async fn heal(&self, region: Option<&str>) {
        let mut faults = self.faults.lock().await;
        *faults = healed(std::mem::take(&mut *faults), region);
        self.apply(&faults).await;
    }

    /// The faults in force, oldest first.
    pub async fn faults(&self) -> Vec<Fault> {
        self.faults.lock().await.clone()
    }

    /// Every gate as it is now.
    pub fn states(&self) -> Vec<GateState> {
        let state = |gate: &Gate| GateState {
            id: gate.id.clone(),
            port: gate.port,
            condition: gate.condition(),
            sent: gate.carried().sent(),
            received: gate.carried().received(),
        };
        self.gates.iter().map(state).collect()
    }

    async fn apply(&self, faults: &[Fault]) {
        for gate in &self.gates {
            gate.set(condition(&gate.id, faults)).await;
        }
    }
}
