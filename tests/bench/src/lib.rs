//! Benchmarks of the library's hot paths; each is a file in `benches/`, and `cargo xtask bench` runs them.
