//! Selection: which regions serve a request, in which order, and why.

mod policy;

pub use policy::{Policy, Strategy};
