//! Every planted fault, by what it is about.
//!
//! A fault is as small as it can be and still be the mistake that it is named after. It names the
//! tests that are to notice it, at the lowest level that can.

mod copies;
mod failover;
mod health;
mod notices;
mod route;
mod store;

use super::Planted;

/// All of them.
#[must_use]
pub fn all() -> Vec<Planted> {
    let lists: [&[Planted]; 6] = [
        &failover::FAULTS,
        &health::FAULTS,
        &route::FAULTS,
        &store::FAULTS,
        &copies::FAULTS,
        &notices::FAULTS,
    ];
    lists.concat()
}
