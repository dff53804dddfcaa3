//! What the library pulls in when nobody asks for adapters.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::process::Command;

/// What begins the name of a crate that the domain must do without.
const FOREIGN: [&str; 6] = ["aws", "hyper", "lambda", "reqwest", "rustls", "tokio"];

#[test]
fn the_pure_library_pulls_in_no_runtime_and_no_sdk() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "sealane", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let crates = String::from_utf8(tree.stdout).unwrap();
    assert!(crates.lines().count() > 5, "{crates}");
    let foreign = |line: &&str| FOREIGN.iter().any(|name| line.starts_with(name));
    assert_eq!(crates.lines().filter(foreign).collect::<Vec<_>>(), Vec::<&str>::new());
}
