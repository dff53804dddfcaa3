//! The states of a workset and the moves between them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::class::{UnknownName, find};

/// Where a workset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits to be claimed.
    Ready,
    /// A worker runs it.
    InProgress,
    /// The run succeeded.
    Complete,
    /// The run failed; what follows is open.
    Error,
    /// The failure was accepted.
    Ignored,
    /// Waits out its delay before it is ready again.
    Retrying,
    /// Given up.
    Failed,
    /// Called off. Nothing follows.
    Canceled,
    /// Put away; may come back.
    Archived,
    /// Gone, but for its history. Nothing follows.
    Deleted,
}

/// A move that the state machine does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct IllegalMove {
    /// The state as it is.
    pub from: State,
    /// The state that was asked for.
    pub to: State,
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a workset in `{}` cannot become `{}`", self.from, self.to)?;
        if self.from.is_terminal() {
            return write!(f, " (nothing follows `{}`; register a new workset)", self.from);
        }
        let legal: Vec<_> = self.from.legal_moves().iter().map(|s| format!("`{s}`")).collect();
        write!(f, " (it may become {})", legal.join(", "))
    }
}

impl State {
    /// Every state, in the order in which it is shown.
    pub const ALL: [Self; 10] = [
        Self::Ready,
        Self::InProgress,
        Self::Complete,
        Self::Error,
        Self::Ignored,
        Self::Retrying,
        Self::Failed,
        Self::Canceled,
        Self::Archived,
        Self::Deleted,
    ];

    /// The states that may follow this one.
    pub const fn legal_moves(self) -> &'static [Self] {
        match self {
            Self::Ready => &[Self::InProgress, Self::Canceled],
            Self::InProgress => &[Self::Complete, Self::Error, Self::Canceled],
            Self::Error => &[Self::Retrying, Self::Failed, Self::Ignored, Self::Archived],
            Self::Retrying => &[Self::Ready, Self::Canceled],
            Self::Complete | Self::Failed | Self::Ignored => &[Self::Archived],
            Self::Archived => &[Self::Ready, Self::Deleted],
            Self::Canceled | Self::Deleted => &[],
        }
    }

    /// Refuses `to` unless it may follow.
    pub fn may_become(self, to: Self) -> Result<(), IllegalMove> {
        if self.legal_moves().contains(&to) { Ok(()) } else { Err(IllegalMove { from: self, to }) }
    }

    /// Whether nothing follows.
    pub const fn is_terminal(self) -> bool {
        self.legal_moves().is_empty()
    }

    /// Whether a lock may be taken: the work has not begun.
    pub const fn is_lockable(self) -> bool {
        match self {
            Self::Ready | Self::Retrying => true,
            Self::InProgress
            | Self::Complete
            | Self::Error
            | Self::Ignored
            | Self::Failed
            | Self::Canceled
            | Self::Archived
            | Self::Deleted => false,
        }
    }

    /// The name used in rows, requests and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::InProgress => "in_progress",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Ignored => "ignored",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        find("workset state", text, &Self::ALL, Self::as_str)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The legal moves again, as the contract writes them.
    const CONTRACT: &str = "ready -> in_progress | canceled; in_progress -> complete | error | canceled; \
        error -> retrying | failed | ignored | archived; retrying -> ready | canceled; \
        complete -> archived; failed -> archived; ignored -> archived; archived -> ready | deleted";

    #[test]
    fn the_moves_are_those_of_the_contract() {
        let legal: BTreeSet<(State, State)> = CONTRACT
            .split("; ")
            .filter_map(|rule| rule.split_once(" -> "))
            .flat_map(|(from, tos)| {
                tos.split(" | ").map(move |to| (from.parse().unwrap(), to.parse().unwrap()))
            })
            .collect();
        for from in State::ALL {
            for to in State::ALL {
                assert_eq!(from.may_become(to).is_ok(), legal.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn every_state_is_reachable_from_ready() {
        let mut seen = BTreeSet::from([State::Ready]);
        let mut open = vec![State::Ready];
        while let Some(state) = open.pop() {
            open.extend(state.legal_moves().iter().copied().filter(|next| seen.insert(*next)));
        }
        assert_eq!(seen.len(), State::ALL.len());
    }

    #[test]
    fn only_canceled_and_deleted_are_terminal() {
        let terminal: Vec<_> = State::ALL.into_iter().filter(|s| s.is_terminal()).collect();
        assert_eq!(terminal, [State::Canceled, State::Deleted]);
    }

    #[test]
    fn a_refusal_names_the_legal_moves() {
        let refused = State::Ready.may_become(State::Complete).unwrap_err().to_string();
        assert_eq!(
            refused,
            "a workset in `ready` cannot become `complete` (it may become `in_progress`, `canceled`)"
        );
        let ended = State::Deleted.may_become(State::Ready).unwrap_err().to_string();
        assert!(ended.ends_with("(nothing follows `deleted`; register a new workset)"), "{ended}");
    }

    #[test]
    fn rows_and_texts_use_one_name() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
