//! The reference page of all settings, in Markdown.

use std::fmt::Write;

use super::settings::{
    Fallback, REGION_SETTINGS, RULE_SETTINGS, SETTINGS, Setting, TARGET_SETTINGS, variable,
};

const INTRODUCTION: &str = "\
<!-- Written by `cargo run -p sealane --example configuration > docs/CONFIGURATION.md`; a test compares. -->

# Configuration

A setting is read from its environment variable, else from the document, else it has its default. The
document is YAML or JSON: `SEALANE_CONFIG` holds it when its text starts with `{`, and otherwise the path
of its file. `sealane.example.yaml` is one to start from.

- Durations are a number with `ms`, `s`, `m` or `h`, or bare seconds; 24 h at most.
- Sizes are a number with `KiB`, `MiB`, `GiB` or `TiB`, or bare bytes.
- A variable for a list takes it in YAML or JSON: `SEALANE_CONTROL_REGIONS='[us-west-2, us-east-1]'`.
- A variable that is empty, and a key without a value, are not set.
- A key or a `SEALANE_` variable that is not listed here is refused, and all problems are reported at once.
";

/// The reference page: every setting with its variable, default and meaning.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Settings\n\n| key | variable | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        row(&mut page, setting, &format!(" `{}` |", setting.variable()));
    }
    for (of, list, settings) in [
        ("region", "regions", REGION_SETTINGS),
        ("rule", "replication.rules", RULE_SETTINGS),
        ("target", "notifications.targets", TARGET_SETTINGS),
    ] {
        let variable = variable(list);
        let _ = write!(
            page,
            "\n## Settings of one {of}\n\nKeys of an entry of `{list}`, which as a whole is `{variable}`.\n\n\
             | key | default | meaning |\n|---|---|---|\n"
        );
        settings.iter().for_each(|setting| row(&mut page, setting, ""));
    }
    page
}

fn row(page: &mut String, setting: &Setting, variable: &str) {
    let default = match setting.fallback {
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Derived(words) => words.to_owned(),
        Fallback::Required => "required".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(page, "| `{}` |{variable} {default} | {} |", setting.key, setting.meaning);
}
