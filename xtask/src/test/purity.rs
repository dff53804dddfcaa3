//! The pure parts stay pure: what they are built from has no AWS, no network and no runtime in it.

use crate::cloud::functions::FUNCTIONS;

/// Crates whose presence would mean I/O, a runtime or AWS.
const IMPURE: [&str; 6] = ["aws", "tokio", "hyper", "reqwest", "lambda", "rustls"];

/// Prefixes of crates that a function's flow does without: it is generic over ports. The types of
/// Lambda's events and requests are plain data, and allowed.
const NO_SDK: [&str; 2] = ["aws-sdk", "aws-config"];

/// One `cargo tree` and what must not be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The package, without its default features.
    pub package: &'static str,
    /// What no crate's name may begin with.
    forbidden: &'static [&'static str],
}

/// Every rule.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let flows = FUNCTIONS.map(|package| Rule { package, forbidden: &NO_SDK });
    std::iter::once(Rule { package: "sealane", forbidden: &IMPURE }).chain(flows).collect()
}

impl Rule {
    /// The arguments of the `cargo tree` that it is about.
    #[must_use]
    pub fn arguments(&self) -> [&'static str; 9] {
        ["tree", "-p", self.package, "--no-default-features", "-e", "normal", "--prefix", "none", "--locked"]
    }

    /// The crates of `tree` that break it.
    #[must_use]
    pub fn broken_by(&self, tree: &str) -> Vec<String> {
        let names = tree.lines().filter_map(|line| line.split_whitespace().next());
        let mut found: Vec<String> = names
            .filter(|name| self.forbidden.iter().any(|prefix| name.starts_with(prefix)))
            .map(str::to_owned)
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_crate_is_named_once_wherever_it_is() {
        let tree = "sealane v0.1.0 (/x)\nserde v1.0.1\ntokio v1.54.1\nbytes v1.0.0\ntokio v1.54.1 (*)\naws-sdk-s3 v1.0.0\n";
        assert_eq!(rules()[0].broken_by(tree), ["aws-sdk-s3", "tokio"]);
    }

    #[test]
    fn a_flow_may_know_lambdas_types_but_no_sdk() {
        let flow = rules()[1];
        assert_eq!(flow.package, "health-prober");
        assert_eq!(flow.broken_by("lambda_http v1.0.0\naws_lambda_events v1.0.0\n"), Vec::<String>::new());
        assert_eq!(flow.broken_by("aws-sdk-dynamodb v1.0.0\n"), ["aws-sdk-dynamodb"]);
    }
}
