//! What the surviving regions say: turned into the few sentences that are news.

use sealane::{
    failover::{Phase, Record},
    region::Status,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The reply of `GET /v1/regions`, as far as the demo reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Regions {
    /// Every region.
    pub regions: Vec<Region>,
}

/// How one region stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
}

/// How one capability stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Capability {
    /// Which one.
    pub capability: String,
    /// How it stands.
    pub status: Status,
    /// Why, in words.
    #[serde(default)]
    pub verdict: String,
}

impl Region {
    /// Whether all that it can do is known to work.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let up = |status| match status {
            Status::Healthy | Status::Degraded => true,
            Status::Unhealthy | Status::Offline | Status::Unknown => false,
        };
        !self.capabilities.is_empty() && self.capabilities.iter().all(|one| up(one.status))
    }

    /// The first capability that is known not to work.
    #[must_use]
    pub fn down(&self) -> Option<&Capability> {
        self.capabilities.iter().find(|one| one.status == Status::Unhealthy)
    }
}

impl Regions {
    /// The regions that are not known to be up.
    #[must_use]
    pub fn waiting(&self) -> Vec<&str> {
        self.regions.iter().filter(|region| !region.is_up()).map(|region| region.name.as_str()).collect()
    }

    /// The region called `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }
}

/// What was seen last, so that only changes are told.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    up: BTreeMap<String, bool>,
    record: Option<(u64, String, String)>,
}

impl Watch {
    /// What is new about the regions.
    pub fn regions(&mut self, seen: &Regions) -> Vec<String> {
        let mut news = Vec::new();
        for region in &seen.regions {
            let up = region.is_up();
            let before = self.up.insert(region.name.clone(), up);
            match (before, region.down()) {
                (Some(false) | None, _) if up => news.push(format!("{} is judged up", region.name)),
                (Some(true), Some(down)) => {
                    let why =
                        if down.verdict.is_empty() { String::new() } else { format!(": {}", down.verdict) };
                    news.push(format!("{} is judged down for {}{why}", region.name, down.capability));
                }
                (Some(true), None) if !up => news.push(format!("nobody can judge {} any more", region.name)),
                _ => {}
            }
        }
        news
    }

    /// What is new about the record of the active region.
    pub fn record(&mut self, seen: &Record) -> Option<String> {
        let (active, phase) = (seen.active.to_string(), phase(seen.phase));
        let now = (seen.epoch, active.clone(), phase.clone());
        let before = self.record.replace(now.clone());
        if before.as_ref() == Some(&now) {
            return None;
        }
        let moved = before.is_some_and(|(epoch, _, _)| epoch != seen.epoch);
        let why = if moved { format!(" because {}", seen.reason) } else { String::new() };
        Some(format!("epoch {}: {active} is active, {phase}{why}", seen.epoch))
    }
}

/// A phase as people say it.
fn phase(phase: Phase) -> String {
    match phase {
        Phase::Steady => "steady".to_owned(),
        Phase::Returning { to, share } => format!("{}% of the traffic returns to {to}", share.percent()),
        Phase::Draining { to } => format!("draining before the move to {to}"),
        Phase::Switching { to } => format!("switching to {to}"),
        Phase::Verifying { from } => format!("being looked at after the move from {from}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealane::time::Timestamp;
    use serde_json::json;

    fn seen(status: &str) -> Regions {
        let capability = json!({"capability": "object_write", "status": status, "verdict": "3 of 3 votes"});
        serde_json::from_value(json!({"regions": [{"name": "us-west-2", "capabilities": [capability]}]}))
            .expect("regions")
    }

    #[test]
    fn only_changes_are_news() {
        let mut watch = Watch::default();
        assert_eq!(watch.regions(&seen("healthy")), ["us-west-2 is judged up"]);
        assert!(watch.regions(&seen("degraded")).is_empty());
        assert_eq!(
            watch.regions(&seen("unhealthy")),
            ["us-west-2 is judged down for object_write: 3 of 3 votes"]
        );
        assert!(watch.regions(&seen("unhealthy")).is_empty());
        assert_eq!(watch.regions(&seen("healthy")), ["us-west-2 is judged up"]);
    }

    #[test]
    fn an_unknown_region_is_never_up() {
        assert_eq!(seen("unknown").waiting(), ["us-west-2"]);
        assert_eq!(seen("unknown").regions[0].down(), None);
    }

    #[test]
    fn a_new_epoch_is_told_with_its_reason() {
        let mut watch = Watch::default();
        let first = Record::first("us-west-2".parse().expect("a name"), Timestamp::default());
        assert_eq!(watch.record(&first).as_deref(), Some("epoch 1: us-west-2 is active, steady"));
        assert_eq!(watch.record(&Record { version: 2, ..first.clone() }), None);
        let next = Record { epoch: 2, active: "us-east-1".parse().expect("a name"), ..first };
        let told = watch.record(&next).expect("news");
        assert_eq!(told, "epoch 2: us-east-1 is active, steady because work began here");
    }
}
