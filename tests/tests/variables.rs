//! Each function is given the variables that its code reads, and no others.
//!
//! `xtask/infra/variables.json` is what the template is checked against; this test
//! checks it against the code, so that the two cannot drift apart.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Ways in which code names a table, and the variable that carries the name.
const USES: [(&str, &str); 7] = [
    ("tables.health", "SEALANE_TABLES_HEALTH"),
    ("tables.control", "SEALANE_TABLES_CONTROL"),
    (".control(&config, ", "SEALANE_TABLES_CONTROL"),
    (".control(config, ", "SEALANE_TABLES_CONTROL"),
    ("tables.worksets", "SEALANE_TABLES_WORKSETS"),
    (".worksets(config, ", "SEALANE_TABLES_WORKSETS"),
    ("tables.ledger", "SEALANE_TABLES_LEDGER"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source(function: &str) -> String {
    let folder = root().join("functions").join(function).join("src");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn functions_are_given_what_their_code_reads() {
    let declared = fs::read_to_string(root().join("xtask/infra/variables.json")).unwrap();
    let declared: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&declared).unwrap();
    for (function, variables) in declared {
        let code = source(&function);
        let mut read: BTreeSet<String> =
            USES.iter().filter(|(text, _)| code.contains(text)).map(|(_, name)| (*name).to_owned()).collect();
        assert!(code.contains("edge::config()"), "{function} reads the configuration at its edge");
        read.insert("SEALANE_CONFIG".to_owned());
        assert_eq!(read, variables, "{function}");
    }
}
