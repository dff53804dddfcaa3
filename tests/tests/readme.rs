//! What the documents name exists: commands, options, files, tests and alarms.
#![allow(clippy::unwrap_used, reason = "a failed expectation is how a test fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "docs/API.md",
    "docs/OPERATIONS.md",
    "docs/LOCAL_CLOUD.md",
    "docs/CONFIGURATION.md",
    "docs/DRILL.md",
    "docs/SHIPPING.md",
    "docs/NOTIFICATIONS.md",
    "docs/SENTINELS.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"))
}

/// The text of every Rust file below `folder`.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// The names of the subcommands that `sources` declare, as they are typed.
fn subcommands(sources: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for declared in sources.split("Subcommand)]").skip(1) {
        let body = declared.lines().skip_while(|line| !line.contains("enum ")).skip(1);
        for line in body.take_while(|line| *line != "}") {
            // Variants are indented by one step, their fields by two.
            let Some(name) = line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase))
            else {
                continue;
            };
            names.insert(kebab(name.split(|c: char| !c.is_alphanumeric()).next().unwrap()));
        }
    }
    names
}

fn kebab(name: &str) -> String {
    let dash = |(i, c): (usize, char)| {
        let dashed = c.is_uppercase() && i > 0;
        dashed.then_some('-').into_iter().chain(c.to_lowercase())
    };
    name.chars().enumerate().flat_map(dash).collect()
}

/// What follows each `start` in code of `text`, up to the end of that piece of code.
fn commands(text: &str, start: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let typed = line.split('#').next().unwrap().trim();
        if let Some(rest) = typed.strip_prefix(start) {
            found.push(rest.to_owned());
        }
        let code = line.split('`').skip(1).step_by(2);
        found.extend(code.filter_map(|code| code.strip_prefix(start)).map(str::to_owned));
    }
    found
}

/// The commands of `program` in all documents, with the subcommands and options that they name.
fn assert_commands_exist(start: &str, folder: &str) {
    let sources = sources(&root().join(folder));
    let known = subcommands(&sources);
    let mut seen = 0;
    for name in DOCUMENTS {
        for command in commands(&document(name), start) {
            let mut words = command.split_whitespace();
            let first = words.next().unwrap_or_default();
            if !first.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            seen += 1;
            assert!(known.contains(first), "`{name}` names `{start}{first}`, and there are {known:?}");
            for option in words.filter_map(|word| word.trim_start_matches('[').strip_prefix("--")) {
                let option =
                    option.split('=').next().unwrap().trim_end_matches(|c: char| !c.is_alphanumeric());
                let field = format!("{}:", option.replace('-', "_"));
                let renamed = format!("long = \"{option}\"");
                let exists = option == "help" || sources.contains(&field) || sources.contains(&renamed);
                assert!(exists, "`{name}` names `--{option}` of `{start}{first}`");
            }
        }
    }
    assert!(seen > 4, "only {seen} commands `{start}` were found in the documents");
}

#[test]
fn every_chore_that_is_named_exists() {
    assert_commands_exist("cargo xtask ", "xtask/src");
}

#[test]
fn every_command_that_is_named_exists() {
    assert_commands_exist("sealane ", "cli/src");
}

#[test]
fn every_link_leads_somewhere() {
    for name in DOCUMENTS {
        let text = document(name);
        let folder = root().join(name).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap().split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "`{name}` links to `{target}`, which is not there");
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let sources = sources(&root());
    let text = document("ARCHITECTURE.md");
    let section = text.split("## Invariants").nth(1).unwrap().split("\n## ").next().unwrap();
    // Each rule begins with its number and bold words, and ends with its tests.
    let lists = section.split("Test").skip(1).map(|rest| rest.split(". **").next().unwrap());
    let named: BTreeSet<_> = lists.flat_map(|list| list.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 20, "only {} tests are named", named.len());
    for test in named {
        assert!(sources.contains(&format!("fn {test}(")), "`ARCHITECTURE.md` names the test `{test}`");
    }
}

#[test]
fn every_alarm_is_explained() {
    let (template, text) = (document("infra/template.yaml"), document("docs/OPERATIONS.md"));
    let names = template.lines().filter_map(|line| line.trim().strip_prefix("AlarmName: !Sub ${Prefix}-"));
    let names: BTreeSet<_> = names.map(|name| name.split("-${").next().unwrap()).collect();
    assert!(names.len() > 8, "{names:?}");
    for alarm in names {
        assert!(
            text.contains(&format!("| `{alarm}` |")),
            "`docs/OPERATIONS.md` has no row for alarm `{alarm}`"
        );
    }
}
