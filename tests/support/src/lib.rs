//! What tests share: the contracts that every adapter and every fake must keep.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

pub mod objects_contract;
pub mod rows_contract;
