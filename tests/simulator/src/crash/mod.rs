//! Crash points: a flow, killed at each of its effects.
