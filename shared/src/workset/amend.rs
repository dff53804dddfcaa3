//! Changes of what a workset is, as against where it stands.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    class::Priority,
    event::{Act, By, Event},
    name::Text,
    record::Workset,
    register::{Invalid, Problem},
    transition::{Refused, written},
};
use crate::region::RegionName;

/// What a workset shall have from now on; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amendment {
    /// `urgent`, `normal` or `low`. In the queue it takes its new place by age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// What it holds; replaces the whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Where it should run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_region: Option<String>,
    /// Why; kept in the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<1024>>,
    /// The token of the caller's lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
}

/// Why a workset was not amended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unamended {
    /// The new values break rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It is not to be written, or not by this caller.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// `workset` with what `change` says, and the event that records it.
///
/// # Errors
/// [`Unamended`], with every value that breaks a rule, or what the caller can do about it.
pub fn amend(workset: &Workset, change: Amendment, by: &By) -> Result<(Workset, Event), Unamended> {
    let next = written(workset, change.token, None, by)?;
    if workset.state.is_terminal() {
        return Err(Refused::Ended(workset.state).into());
    }
    let mut problems = Vec::new();
    if change.priority.is_none() && change.metadata.is_none() && change.preferred_region.is_none() {
        let problem =
            "nothing is to be changed (send `priority`, `metadata` or `preferred_region`)".to_owned();
        problems.push(Problem { field: "priority", problem });
    }
    let metadata = change.metadata.map(TryInto::try_into).transpose();
    let metadata = metadata.map_err(|e: super::InvalidDocument| {
        problems.push(Problem { field: "metadata", problem: e.to_string() });
    });
    let region = change.preferred_region.map(|name| name.parse::<RegionName>()).transpose();
    let region = region.map_err(|e| {
        problems.push(Problem { field: "preferred_region", problem: e.to_string() });
    });
    let (Ok(metadata), Ok(region), true) = (metadata, region, problems.is_empty()) else {
        return Err(Invalid { problems }.into());
    };
    let next = Workset {
        priority: change.priority.unwrap_or(workset.priority),
        metadata: metadata.or(next.metadata.clone()),
        preferred_region: region.or(workset.preferred_region),
        ..next
    };
    let event = Event::of(Act::Amended, &next, Some(workset), change.reason, by);
    Ok((next, event))
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};
    use serde_json::json;

    use super::*;
    use crate::{
        time::Timestamp,
        workset::{State, register},
    };

    fn by(at_ms: u64) -> By {
        By {
            actor: "ada".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            at: Timestamp::from_millis(at_ms),
            request: String::new(),
            epoch: None,
        }
    }

    fn fresh(state: State) -> Workset {
        let request = json!({"id": "ws-001", "bucket": "my-bucket", "prefix": "p/"});
        let request = serde_json::from_value(request).unwrap();
        Workset { state, ..register(request, "lab".parse().unwrap(), &by(1)).unwrap().0 }
    }

    proptest! {
        /// An amendment changes what it names and leaves state, history and place alone.
        #[test]
        fn only_what_is_named_changes(
            state in select(&State::ALL[..]), priority in option::of(select(&Priority::ALL[..])),
            samples in option::of(1..4_usize), region in option::of("eu-west-[1-3]"),
        ) {
            let old = fresh(state);
            let metadata = samples.map(|n| json!({ "samples": vec!["s"; n] }));
            let change = Amendment { priority, metadata, preferred_region: region.clone(), ..Amendment::default() };
            let empty = change == Amendment::default();
            match amend(&old, change, &by(9)) {
                Err(Unamended::Refused(Refused::Ended(ended))) => prop_assert!(ended == state && state.is_terminal()),
                Err(Unamended::Invalid(_)) => prop_assert!(empty),
                Err(other) => prop_assert!(false, "{}", other),
                Ok((new, event)) => {
                    prop_assert!(!state.is_terminal() && !empty);
                    prop_assert_eq!((new.state, new.version, new.created_at), (state, 2, old.created_at));
                    prop_assert_eq!(new.priority, priority.unwrap_or(old.priority));
                    prop_assert_eq!(new.metadata.map_or(0, |m| m.samples().len()), samples.unwrap_or(0));
                    prop_assert_eq!(new.preferred_region.map(|r| r.to_string()), region);
                    prop_assert_eq!((event.from, event.to, event.version), (Some(state), state, 2));
                }
            }
        }
    }

    #[test]
    fn every_value_that_breaks_a_rule_is_named_at_once() {
        let change = Amendment {
            metadata: Some(json!({"samples": []})),
            preferred_region: Some("mars".to_owned()),
            ..Amendment::default()
        };
        let Err(Unamended::Invalid(invalid)) = amend(&fresh(State::Ready), change, &by(9)) else {
            panic!("it was amended")
        };
        assert_eq!(
            invalid.problems.iter().map(|p| p.field).collect::<Vec<_>>(),
            ["metadata", "preferred_region"]
        );
    }

    #[test]
    fn a_superseded_holder_amends_nothing() {
        let old = Workset { fence: 3, ..fresh(State::Ready) };
        let change = Amendment { priority: Some(Priority::Low), token: Some(2), ..Amendment::default() };
        let refused = amend(&old, change, &by(9)).unwrap_err();
        assert_eq!(refused, Unamended::Refused(Refused::Superseded { presented: 2, fence: 3 }));
    }
}
