//! The gates: one TCP proxy for each (source, destination region, service), so that a region, one
//! service of it or one direction can be cut, slowed and healed while everything runs.
//!
//! [`fault`] says what a set of faults means for a gate (pure), [`gate`] carries the bytes of one,
//! [`board`] holds them all, [`control`] is the line protocol on loopback, and [`client`] speaks it.

pub mod board;
pub mod client;
pub mod control;
pub mod fault;
pub mod gate;
