//! Selection: which regions serve a request, in which order, and why.
//!
//! [`route`] answers with every region and its reason; [`pick`] gives the same
//! first region without allocating. Both are total and depend on their
//! arguments alone: not on a clock, a counter of their own, or the order in
//! which regions are listed.
//!
//! The order of the rules is fixed, and what a rule took away no later rule
//! brings back:
//!
//! 1. **Filters.** A witness, a region without the residency tags that the
//!    request demands, one already tried, one drained, one that is down for the
//!    needed capability, one of weight 0 under a weighted strategy, one at
//!    capacity: dropped.
//! 2. **Health.** Degraded ranks behind healthy, whatever the strategy. A region
//!    outside its [`Share`] is used only when no other region that is up is
//!    left. **Unknown health is a last resort**: such a region is used only when
//!    the filters leave nothing that is up; the route then says so. With no data
//!    anywhere that is all of them, and the route is static. In a panic
//!    ([`View::panics`](crate::health::View::panics)) health is not read at all,
//!    but a drained region stays out.
//! 3. **Strategy**, then [`Policy::preferred_regions`], then the session's own
//!    region: each goes before the last, among regions of the same health.
//! 4. **A held region** ([`Request::held`]) goes first while it is not down, so
//!    that no upload moves in the middle. It already has its place, so weight,
//!    capacity and share do not apply to it, and unknown health is no reason
//!    to leave it.
//!
//! Ties break on the region's name, so that every sandbox agrees.

pub mod capacity;
mod explain;
pub mod geo;
mod policy;
mod rank;
mod request;
mod select;
mod slate;
pub mod smooth;
pub mod sticky;

pub use capacity::{Load, Utilization};
pub use explain::{Basis, Choice, Lead, Measure, Note, Outcome, Reason, Route};
pub use policy::{Policy, Strategy, UnknownStrategy};
pub use request::{Request, Share, Turn};
pub use select::{pick, route};
pub use slate::REGIONS_MAX;
pub use smooth::SmoothWeighted;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod strategies;
