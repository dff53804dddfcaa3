//! Shipping: how many copies, where, and in what pieces.

mod policy;

pub use policy::Policy;
