//! Protocol models: every interleaving of a few actors, within bounds, is looked at.
//!
//! The models hold the table and the actors; what an actor decides is decided by the
//! code under test. Each model can be given a [`Flaw`](epoch::Flaw), a mistake that the
//! protocol exists to prevent, and must then be seen to break: a checker that finds
//! nothing anywhere proves nothing.

pub mod epoch;
pub mod locks;

use stateright::{Checker, HasDiscoveries, Model};

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Distinct states that were looked at.
    pub states: usize,
    /// Steps between them that were taken.
    pub steps: usize,
    /// The longest shortest way to a state, in steps.
    pub depth: usize,
    /// Rules that some state breaks, with the steps that lead there.
    pub broken: Vec<(&'static str, String)>,
    /// What shall be possible and is not.
    pub impossible: Vec<&'static str>,
}

/// Looks at every state of `model`.
pub fn search<M>(model: M) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + std::fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    conclude(&model.checker().threads(2).spawn_bfs().join())
}

/// Looks at every state of `model`, and at one alone of those with the same `representative`.
pub fn search_alike<M>(model: M, representative: fn(&M::State) -> M::State) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + std::fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    conclude(&model.checker().threads(2).symmetry_fn(representative).spawn_dfs().join())
}

/// Looks at states of `model` until one breaks `rule`.
pub fn falsify<M>(model: M, rule: &'static str) -> Found
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + std::fmt::Debug + Clone + PartialEq + Send + Sync + 'static,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let enough = HasDiscoveries::AnyOf(std::iter::once(rule).collect());
    conclude(&model.checker().finish_when(enough).spawn_bfs().join())
}

fn conclude<M: Model>(checker: &impl Checker<M>) -> Found
where
    M::State: std::hash::Hash + std::fmt::Debug + Clone + PartialEq,
    M::Action: std::fmt::Debug + Clone + PartialEq,
{
    let mut found = Found {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        broken: Vec::new(),
        impossible: Vec::new(),
    };
    for property in checker.model().properties() {
        let path = checker.discovery(property.name);
        match (property.expectation, path) {
            (stateright::Expectation::Sometimes, None) => found.impossible.push(property.name),
            (stateright::Expectation::Sometimes, Some(_)) | (_, None) => {}
            (stateright::Expectation::Always | stateright::Expectation::Eventually, Some(path)) => {
                found.broken.push((property.name, format!("{:?}", path.into_actions())));
            }
        }
    }
    found
}
