//! What else can be done with worksets: each command is one call of the API.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use sealane::{
    region::RegionName,
    workset::{ErrorCategory, Failure, InvalidText, Lease, Priority, State, Text, Transition, WorksetId},
};
use serde_json::{Value, json};

use super::{api::Call, reason, samples};
use crate::fault::Fault;

/// A command that is one call.
#[derive(Debug, Subcommand)]
pub(super) enum Act {
    /// Take the next ready workset, urgent before normal before low, with its lock
    Claim {
        /// Only of this priority
        #[arg(long)]
        priority: Option<Priority>,
        /// How long the lock is held without renewal, such as 30m [default: 1h]
        #[arg(long, value_parser = lease)]
        lease: Option<Lease>,
    },
    /// Take the lock of a workset
    Lock {
        /// Its id
        id: WorksetId,
        /// How long it is held without renewal, such as 30m [default: 1h]
        #[arg(long, value_parser = lease)]
        lease: Option<Lease>,
    },
    /// Show who holds the lock of a workset
    LockStatus {
        /// Its id
        id: WorksetId,
    },
    /// Hold a lock for longer
    Renew {
        /// Its id
        id: WorksetId,
        /// The token of the lock
        #[arg(id = "lock_token", long = "lock-token", value_name = "NUMBER")]
        token: u64,
        /// How long it is held from now on, such as 30m [default: 1h]
        #[arg(long, value_parser = lease)]
        lease: Option<Lease>,
    },
    /// Give a lock back
    Release {
        /// Its id
        id: WorksetId,
        /// The token of the lock
        #[arg(id = "lock_token", long = "lock-token", value_name = "NUMBER")]
        token: u64,
    },
    /// Take the lock from whoever holds it; needs the scope `operate`
    Break {
        /// Its id
        id: WorksetId,
    },
    /// Report how far a run has come
    Progress {
        /// Its id
        id: WorksetId,
        /// The step that it is in
        #[arg(long)]
        step: String,
        /// What a person should know about it
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
        /// The token of the lock
        #[arg(id = "lock_token", long = "lock-token", value_name = "NUMBER")]
        token: Option<u64>,
    },
    /// Retry after an error, or make a workset ready whose delay is over
    Retry(Why),
    /// Call a workset off
    Cancel(Why),
    /// Put a workset away
    Archive(Why),
    /// Take a workset out of the archive, as new
    Restore(Why),
    /// Show the history of a workset, newest first
    History(Paged),
    /// Show writes that met around a failover, and which were kept
    Conflicts(Paged),
    /// Count worksets by state, and name the next one
    Queue {
        /// Read this region's replica and no other
        #[arg(long)]
        region: Option<RegionName>,
    },
}

/// Which workset, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Its id
    id: WorksetId,
    /// Why, for its history
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<Text<1024>>,
    /// The token of the lock, if it is held
    #[arg(id = "lock_token", long = "lock-token", value_name = "NUMBER")]
    token: Option<u64>,
}

/// Which part of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Paged {
    /// Its id
    id: WorksetId,
    /// Where to go on: the `next` of the page before
    #[arg(long)]
    cursor: Option<String>,
}

/// Where a workset is moved, and what is to be said of it.
#[derive(Debug, clap::Args)]
pub(super) struct Next {
    /// Its id
    pub(super) id: WorksetId,
    /// The state that shall follow
    #[arg(long, value_name = "STATE")]
    to: State,
    /// What kind of error it was: transient, resource, configuration, data or permanent
    #[arg(long, requires = "details")]
    category: Option<ErrorCategory>,
    /// What a person needs to mend the error
    #[arg(long, value_name = "TEXT", requires = "category", value_parser = details)]
    details: Option<Text<4096>>,
    /// Where the results lie
    #[arg(long, value_name = "URI", value_parser = uri)]
    results_uri: Option<Text<2048>>,
    #[command(flatten)]
    why: Whys,
}

impl Next {
    /// The move.
    pub(super) fn transition(self) -> Transition {
        let Whys { reason, token } = self.why;
        let error = self.category.zip(self.details).map(|(category, details)| Failure { category, details });
        Transition { reason, token, error, results_uri: self.results_uri, ..Transition::to(self.to) }
    }
}

fn details(text: &str) -> Result<Text<4096>, InvalidText> {
    text.to_owned().try_into()
}

fn uri(text: &str) -> Result<Text<2048>, InvalidText> {
    text.to_owned().try_into()
}

/// What is to be changed of a workset.
#[derive(Debug, clap::Args)]
pub(super) struct Amend {
    /// Its id
    pub(super) id: WorksetId,
    /// urgent, normal or low
    #[arg(long)]
    priority: Option<Priority>,
    /// JSON file with an array of samples, or an object that has `samples`
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// Where it should run
    #[arg(long, value_name = "REGION")]
    preferred_region: Option<RegionName>,
    #[command(flatten)]
    why: Whys,
}

#[derive(Debug, clap::Args)]
struct Whys {
    /// Why, for its history
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<Text<1024>>,
    /// The token of the lock, if it is held
    #[arg(id = "lock_token", long = "lock-token", value_name = "NUMBER")]
    token: Option<u64>,
}

impl Amend {
    /// The body of the call.
    pub(super) fn body(self) -> Result<Value, Fault> {
        let metadata = self.samples.map(samples).transpose()?;
        let priority = self.priority.map(Priority::as_str);
        let Whys { reason, token } = self.why;
        Ok(sparse([
            ("priority", json!(priority)),
            ("metadata", json!(metadata)),
            ("preferred_region", json!(self.preferred_region)),
            ("reason", json!(reason)),
            ("token", json!(token)),
        ]))
    }
}

impl Act {
    /// Whether it changes something.
    pub(super) const fn writes(&self) -> bool {
        match self {
            Self::LockStatus { .. } | Self::History(_) | Self::Conflicts(_) | Self::Queue { .. } => false,
            Self::Claim { .. }
            | Self::Lock { .. }
            | Self::Renew { .. }
            | Self::Release { .. }
            | Self::Break { .. }
            | Self::Progress { .. }
            | Self::Retry(_)
            | Self::Cancel(_)
            | Self::Archive(_)
            | Self::Restore(_) => true,
        }
    }

    /// The call that does it.
    pub(super) fn call(self) -> Call {
        let seconds = |lease: Option<Lease>| json!(lease.map(|lease| lease.get().as_secs()));
        match self {
            Self::Claim { priority, lease } => {
                let priority = json!(priority.map(Priority::as_str));
                let body = sparse([("priority", priority), ("lease_s", seconds(lease))]);
                Call::post("/v1/worksets:claim".to_owned(), body)
            }
            Self::Lock { id, lease } => Call::of(&id, "lock", sparse([("lease_s", seconds(lease))])),
            Self::Renew { id, token, lease } => {
                Call::of(&id, "lock/renew", sparse([("token", json!(token)), ("lease_s", seconds(lease))]))
            }
            Self::Release { id, token } => Call::of(&id, "lock/release", json!({ "token": token })),
            Self::Break { id } => Call::of(&id, "lock/break", json!({})),
            Self::Progress { id, step, message, token } => {
                let progress = sparse([("step", json!(step)), ("message", json!(message))]);
                Call::of(&id, "progress", sparse([("progress", progress), ("token", json!(token))]))
            }
            Self::Retry(why) => why.call("retry"),
            Self::Cancel(why) => why.call("cancel"),
            Self::Archive(why) => why.call("archive"),
            Self::Restore(why) => why.call("restore"),
            Self::LockStatus { id } => Call::part(&id, "lock", None),
            Self::History(Paged { id, cursor }) => Call::part(&id, "events", cursor.as_deref()),
            Self::Conflicts(Paged { id, cursor }) => Call::part(&id, "conflicts", cursor.as_deref()),
            Self::Queue { region } => Call::queue(region),
        }
    }
}

impl Why {
    fn call(self, verb: &str) -> Call {
        let body = sparse([("reason", json!(self.reason)), ("token", json!(self.token))]);
        Call::of(&self.id, verb, body)
    }
}

/// An object of those fields that have a value.
fn sparse<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn lease(text: &str) -> Result<Lease, String> {
    let span: Duration = sealane::time::parse_duration(text).map_err(|e| e.to_string())?;
    Lease::try_from(span).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> WorksetId {
        "ws-001".parse().unwrap()
    }

    #[test]
    fn what_was_not_given_is_not_sent() {
        let call = Act::Renew { id: id(), token: 3, lease: None }.call();
        assert_eq!(call.path, "/v1/worksets/ws-001/lock/renew");
        assert_eq!(call.write.unwrap().body, json!({"token": 3}));
        let lease = lease("30m").unwrap();
        let call = Act::Claim { priority: Some(Priority::Urgent), lease: Some(lease) }.call();
        assert_eq!(call.write.unwrap().body, json!({"priority": "urgent", "lease_s": 1_800}));
    }

    #[test]
    fn reads_send_nothing_and_cursors_are_escaped() {
        let call = Act::History(Paged { id: id(), cursor: Some("3.us-west-2.0a&b".to_owned()) }).call();
        assert_eq!(call.path, "/v1/worksets/ws-001/events?cursor=3%2Eus%2Dwest%2D2%2E0a%26b");
        assert!(call.write.is_none());
    }

    #[test]
    fn a_lease_has_the_bounds_of_the_api() {
        assert!(lease("1s").is_ok() && lease("24h").is_ok());
        assert!(lease("25h").is_err() && lease("0s").is_err() && lease("soon").is_err());
    }
}
