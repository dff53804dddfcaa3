//! What is told: one event in the shape of CloudEvents 1.0.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    failover::{Moved, PastMove, Reason},
    time::Timestamp,
    workset::{Event, State, Tenant, WorksetId, keys},
};

/// What happened, as the `type` of the event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A workset reached another state.
    #[serde(rename = "sealane.workset.state")]
    WorksetState,
    /// Another region is active.
    #[serde(rename = "sealane.failover.switched")]
    FailoverSwitched,
    /// The move has ended: the new region was seen working, or not in time.
    #[serde(rename = "sealane.failover.ended")]
    FailoverEnded,
}

impl What {
    /// The name in events, attributes and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorksetState => "sealane.workset.state",
            Self::FailoverSwitched => "sealane.failover.switched",
            Self::FailoverEnded => "sealane.failover.ended",
        }
    }
}

/// One thing to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What no other notice is called, and this one always, however often it is told. No dot is in it.
    pub id: String,
    /// What it is about: notices of one line are told one after the other.
    pub line: String,
    /// Its place in the line, in the order of text.
    pub order: String,
    /// What happened.
    pub what: What,
    /// The state that a workset reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The event, as every try sends it.
    pub body: String,
}

/// The line of all moves of the active region.
const FAILOVERS: &str = "failovers";

/// What the line of a workset begins with.
const WORKSET: &str = "workset#";

/// What the lines of notices that are told once more begin with.
const AGAIN: &str = "again#";

impl Notice {
    /// The notice of a write that changed a workset's state.
    pub fn of_event(tenant: &Tenant, id: &WorksetId, event: &Event) -> Self {
        let place = event.place();
        let (version, region, mark) = (place.version, place.region, place.mark);
        let name = format!("workset:{tenant}:{id}:{version}:{region}:{mark:08x}");
        let data = json!({
            "tenant": tenant, "id": id, "version": version, "act": event.act, "from": event.from, "to": event.to,
            "actor": event.actor, "reason": event.reason, "region": region, "epoch": event.epoch,
            "at_ms": event.at,
        });
        let envelope = Envelope { what: What::WorksetState, source: "/sealane/worksets", at: event.at };
        let subject = format!("{tenant}/{id}");
        Self {
            body: envelope.body(&name, &subject, data),
            id: name,
            line: format!("{WORKSET}{}", keys::item(tenant, id)),
            order: format!("{version:020}#{region}#{mark:08x}"),
            what: What::WorksetState,
            state: Some(event.to),
        }
    }

    /// The notice that another region is active; `reason`: why, where the record still says so.
    pub fn of_switch(moved: &PastMove, reason: Option<&Reason>) -> Self {
        let data = json!({
            "epoch": moved.epoch, "from": moved.from, "to": moved.to, "automatic": moved.automatic,
            "failback": moved.failback, "reason": reason, "cause": reason.map(ToString::to_string),
            "at_ms": moved.at,
        });
        Self::of_failover(What::FailoverSwitched, moved.epoch, moved.at, data)
    }

    /// The notice of a move that has ended.
    pub fn of_end(moved: &Moved) -> Self {
        let phases = moved.steps.iter().map(|step| {
            json!({"phase": step.phase.as_str(), "at_ms": step.at, "took_ms": crate::time::millis(step.took)})
        });
        let data = json!({
            "epoch": moved.epoch, "from": moved.from, "to": moved.to, "reason": moved.reason,
            "cause": moved.reason.to_string(), "started_by": moved.started_by, "verified": moved.verified,
            "lag_ms": moved.lag_ms, "loss_max_ms": moved.loss_max_ms, "phases": phases.collect::<Vec<_>>(),
            "at_ms": moved.ended,
        });
        Self::of_failover(What::FailoverEnded, moved.epoch, moved.ended, data)
    }

    /// This notice of a workset once more at `due`, in a line of its own, so that what comes meanwhile does not wait for it.
    #[must_use]
    pub fn again(&self, due: Timestamp) -> Self {
        let (id, line) = (self.first_id(), self.line.split_once(WORKSET).map_or("", |(_, item)| item));
        let due = due.as_millis();
        Self {
            id: format!("{id}:again:{due}"),
            line: format!("{AGAIN}{due}#{WORKSET}{line}"),
            ..self.clone()
        }
    }

    /// Whether [`again`](Self::again) made it.
    pub fn is_again(&self) -> bool {
        self.line.starts_with(AGAIN)
    }

    fn first_id(&self) -> &str {
        self.id.split_once(":again:").map_or(&self.id, |(id, _)| id)
    }

    /// The workset that it is about, and the version that it came to; `None` for one about a move.
    pub fn workset(&self) -> Option<(Tenant, WorksetId, u64)> {
        let (_, item) = self.line.split_once(WORKSET)?;
        let (tenant, id) = keys::parse_item(item)?;
        Some((tenant, id, self.order.split('#').next()?.parse().ok()?))
    }

    fn of_failover(what: What, epoch: u64, at: Timestamp, data: Value) -> Self {
        let (step, word) = match what {
            What::FailoverEnded => (1, "ended"),
            What::FailoverSwitched | What::WorksetState => (0, "switched"),
        };
        let name = format!("failover:{epoch}:{word}");
        let envelope = Envelope { what, source: "/sealane/failovers", at };
        Self {
            body: envelope.body(&name, &format!("epoch/{epoch}"), data),
            id: name,
            line: FAILOVERS.to_owned(),
            order: format!("{epoch:020}#{step}"),
            what,
            state: None,
        }
    }
}

/// What every event has around its data.
struct Envelope {
    what: What,
    source: &'static str,
    at: Timestamp,
}

impl Envelope {
    fn body(&self, id: &str, subject: &str, mut data: Value) -> String {
        // What is not known is left out, as in every reply of the API.
        if let Some(fields) = data.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        json!({
            "specversion": "1.0", "id": id, "source": self.source, "type": self.what.as_str(), "subject": subject,
            "time": self.at.rfc3339(), "datacontenttype": "application/json", "data": data,
        })
        .to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        failover::{Phase, StartedBy, Step},
        workset::{By, Registration, register},
    };
    use std::time::Duration;

    /// The documents' page of notices.
    const PAGE: &str = include_str!("../../../docs/NOTIFICATIONS.md");

    pub(crate) fn event() -> (Tenant, WorksetId, Event) {
        let request = r#"{"id": "ws-0042", "bucket": "my-bucket", "prefix": "run-0042/"}"#;
        let request: Registration = serde_json::from_str(request).unwrap();
        let by = By {
            actor: "ada".parse().unwrap(),
            region: "us-west-2".parse().unwrap(),
            at: Timestamp::from_millis(1_795_166_130_512),
            request: "/v1/worksets 7f0d".to_owned(),
            epoch: Some(7),
        };
        let (workset, event) = register(request, "lab".parse().unwrap(), &by).unwrap();
        (workset.tenant, workset.id, event)
    }

    fn moved() -> Moved {
        let (west, east) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let at = |ms: u64| Timestamp::from_millis(1_795_166_130_512 + ms);
        let step = |phase, from, took_ms| Step { phase, at: at(from), took: Duration::from_millis(took_ms) };
        Moved {
            epoch: 8,
            from: west,
            to: east,
            reason: Reason::Down { region: west, capability: crate::region::Capability::TableWrite },
            started_by: StartedBy::Automation,
            lag_ms: Some(420),
            loss_max_ms: Some(1_900),
            saw: Vec::new(),
            steps: vec![
                step(Phase::Switching { to: east }, 0, 85),
                step(Phase::Verifying { from: west }, 85, 6_210),
            ],
            verified: true,
            ended: at(6_295),
            chain: None,
        }
    }

    /// The samples of the documents, in their order.
    fn samples() -> Vec<Value> {
        let blocks = PAGE.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn the_documents_show_what_is_sent() {
        let (tenant, id, event) = event();
        let past = PastMove {
            epoch: 8,
            at: Timestamp::from_millis(1_795_166_130_597),
            age: Duration::ZERO,
            from: moved().from,
            to: moved().to,
            automatic: true,
            failback: false,
        };
        let sent = [
            Notice::of_event(&tenant, &id, &event),
            Notice::of_switch(&past, Some(&moved().reason)),
            Notice::of_end(&moved()),
        ];
        let sent: Vec<Value> =
            sent.iter().map(|notice| serde_json::from_str(&notice.body).unwrap()).collect();
        assert_eq!(samples(), sent, "{}", serde_json::to_string_pretty(&sent).unwrap());
    }

    #[test]
    fn an_event_has_what_cloud_events_demand_and_an_id_without_dots() {
        let (tenant, id, event) = event();
        for notice in [Notice::of_event(&tenant, &id, &event), Notice::of_end(&moved())] {
            let body: Value = serde_json::from_str(&notice.body).unwrap();
            for field in ["specversion", "id", "source", "type"] {
                assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
            }
            assert_eq!(body["id"], notice.id);
            assert!(notice.id.bytes().all(|b| b.is_ascii_graphic() && b != b'.'), "{}", notice.id);
        }
    }

    #[test]
    fn what_is_told_once_more_waits_in_a_line_of_its_own() {
        let (tenant, id, event) = event();
        let first = Notice::of_event(&tenant, &id, &event);
        let due = |ms| Timestamp::from_millis(ms);
        let (again, once_more) = (first.again(due(7)), first.again(due(7)).again(due(9)));
        assert!(!first.is_again() && again.is_again() && once_more.is_again());
        for notice in [&first, &again, &once_more] {
            assert_eq!(notice.workset(), Some((tenant.clone(), id.clone(), event.version)));
        }
        assert_eq!(
            (&*again.id, &*once_more.id),
            (&*format!("{}:again:7", first.id), &*format!("{}:again:9", first.id))
        );
        assert!(again.line != first.line && again.line != once_more.line);
        assert_eq!(once_more, first.again(due(9)));
        assert_eq!(Notice::of_end(&moved()).workset(), None);
    }

    #[test]
    fn a_line_is_in_the_order_of_its_versions_and_epochs() {
        let (tenant, id, event) = event();
        let order = |version| Notice::of_event(&tenant, &id, &Event { version, ..event.clone() }).order;
        assert!(order(2) < order(10) && order(10) < order(u64::MAX));
        let end = |epoch| Notice::of_end(&Moved { epoch, ..moved() }).order;
        assert!(end(9) < end(10));
    }
}
