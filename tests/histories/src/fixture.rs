//! What tests are made of.

use sealane::{
    time::Timestamp,
    workset::{Event, State},
};

/// A write that says no more than what it must.
pub(crate) fn event(version: u64, from: Option<State>, to: State, request: &str) -> Event {
    Event {
        version,
        from,
        to,
        at: Timestamp::default(),
        region: "us-west-2".parse().unwrap(),
        after: None,
        reason: None,
        actor: "ada".parse().unwrap(),
        request: request.to_owned(),
        act: None,
        epoch: None,
        fence: None,
        chain: None,
    }
}
