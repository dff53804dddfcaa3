//! The queue: what is next, and how much waits.

use serde::{Deserialize, Serialize};

use super::{record::Workset, state::State};

/// The workset to claim next: of those that are ready the most urgent, of
/// these the oldest, of these the first by id, so that every region agrees.
pub fn next_ready<'a>(worksets: impl IntoIterator<Item = &'a Workset>) -> Option<&'a Workset> {
    let ready = worksets.into_iter().filter(|workset| workset.state == State::Ready);
    ready.min_by(|a, b| (a.priority, a.created_at, &a.id).cmp(&(b.priority, b.created_at, &b.id)))
}

/// How many worksets are in each state.
///
/// Serialized, it is an object with every state, zeros included: a dashboard
/// must see the difference between none and not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "std::collections::BTreeMap<State, u64>", into = "std::collections::BTreeMap<State, u64>")]
pub struct Depth([u64; State::ALL.len()]);

impl Depth {
    /// Worksets in `state`.
    pub const fn of(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    /// Counts `more` in `state`, as a page of a query brings them.
    pub const fn add(&mut self, state: State, more: u64) {
        let count = &mut self.0[state as usize];
        *count = count.saturating_add(more);
    }

    /// Worksets in any state.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl FromIterator<State> for Depth {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        let mut depth = Self::default();
        states.into_iter().for_each(|state| depth.add(state, 1));
        depth
    }
}

impl From<std::collections::BTreeMap<State, u64>> for Depth {
    fn from(counts: std::collections::BTreeMap<State, u64>) -> Self {
        let mut depth = Self::default();
        counts.into_iter().for_each(|(state, count)| depth.add(state, count));
        depth
    }
}

impl From<Depth> for std::collections::BTreeMap<State, u64> {
    fn from(depth: Depth) -> Self {
        State::ALL.into_iter().map(|state| (state, depth.of(state))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::json;

    use super::*;
    use crate::{
        time::Timestamp,
        workset::{By, Priority, Registration, keys, register},
    };

    prop_compose! {
        fn workset()(
            state in select(&State::ALL[..]), priority in select(&Priority::ALL[..]),
            created_ms in 0..5_u64, id in "[a-c]{3}",
        ) -> Workset {
            let request: Registration =
                serde_json::from_value(json!({"id": id, "bucket": "my-bucket", "prefix": "p"})).unwrap();
            let by = By {
                actor: "alice".parse().unwrap(),
                region: "us-west-2".parse().unwrap(),
                at: Timestamp::from_millis(created_ms),
                request: String::new(),
                epoch: None,
            };
            let (workset, _) = register(request, "lab".parse().unwrap(), &by).unwrap();
            Workset { state, priority, ..workset }
        }
    }

    proptest! {
        /// The next one is the first of the ready queue in the table's own order.
        #[test]
        fn next_is_the_first_of_the_ready_queue(all in vec(workset(), 0..12)) {
            let key = |w: &Workset| keys::place(w.priority, w.created_at, &w.id);
            let first = all.iter().filter(|w| w.state == State::Ready).map(key).min();
            prop_assert_eq!(next_ready(&all).map(key), first);
        }

        /// Every workset is counted once, under its own state.
        #[test]
        fn depth_counts_each_once(all in vec(select(&State::ALL[..]), 0..40)) {
            let depth: Depth = all.iter().copied().collect();
            prop_assert_eq!(depth.total(), all.len() as u64);
            for state in State::ALL {
                prop_assert_eq!(depth.of(state), all.iter().filter(|s| **s == state).count() as u64);
            }
            let json = serde_json::to_value(depth).unwrap();
            prop_assert_eq!(json.as_object().unwrap().len(), State::ALL.len());
            prop_assert_eq!(serde_json::from_value::<Depth>(json).unwrap(), depth);
        }
    }
}
