//! xtask
pub mod gates;
fn main() {}
