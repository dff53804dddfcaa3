//! What a command line names, looked up in the configuration.

use sealane::{
    config::Config,
    region::{Capability, Region, RegionName},
    time::{InvalidDuration, parse_duration},
};
use std::time::Duration;

/// The name is not one of a configured region of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`, given as `{argument}`, is not a configured region{that} (want one of {known})")]
pub(crate) struct UnknownRegion {
    name: String,
    argument: &'static str,
    that: &'static str,
    known: String,
}

/// The text names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a capability (want `object_read`, `object_write`, `table_read`, `table_write` or `api`)"
)]
pub(crate) struct UnknownCapability(String);

/// The text is no time for which something can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTerm {
    /// It is not a duration at all.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// It outlasts what a ruling may hold for.
    #[error("`{0}` is too long (want at most 30 days, as in `720h`; it can be renewed)")]
    TooLong(String),
    /// It is over at once.
    #[error("`{0}` is no time at all (want more than 0, as in `1h`)")]
    Zero(String),
}

/// The configured region `name`.
pub(crate) fn region(
    config: &Config,
    argument: &'static str,
    name: &str,
) -> Result<RegionName, UnknownRegion> {
    find(&config.regions, argument, name, "", |_| true)
}

/// The configured region `name`, which has to hold data.
pub(crate) fn full_region(
    config: &Config,
    argument: &'static str,
    name: &str,
) -> Result<RegionName, UnknownRegion> {
    find(&config.regions, argument, name, " that holds data", Region::is_full)
}

/// The configured region `name`, which has to have a replica of the worksets.
pub(crate) fn worksets_region(
    config: &Config,
    argument: &'static str,
    name: &str,
) -> Result<RegionName, UnknownRegion> {
    let with: Vec<RegionName> = config.workset_regions().map(|region| region.name).collect();
    find(&config.regions, argument, name, " with a replica of the worksets", |r| with.contains(&r.name))
}

/// Each of `names`, which have to hold data.
pub(crate) fn full_regions(
    config: &Config,
    argument: &'static str,
    names: &[String],
) -> Result<Vec<RegionName>, UnknownRegion> {
    names.iter().map(|name| full_region(config, argument, name)).collect()
}

fn find(
    regions: &[Region],
    argument: &'static str,
    name: &str,
    that: &'static str,
    fits: impl Fn(&Region) -> bool,
) -> Result<RegionName, UnknownRegion> {
    let fitting = || regions.iter().filter(|r| fits(r)).map(|r| r.name);
    let unknown = || {
        let known: Vec<_> = fitting().map(|known| format!("`{known}`")).collect();
        UnknownRegion { name: name.to_owned(), argument, that, known: known.join(", ") }
    };
    fitting().find(|known| known.as_str() == name).ok_or_else(unknown)
}

/// Reads the name of a capability.
pub(crate) fn capability(text: &str) -> Result<Capability, UnknownCapability> {
    let named = Capability::ALL.into_iter().find(|capability| capability.as_str() == text);
    named.ok_or_else(|| UnknownCapability(text.to_owned()))
}

/// Longest time for which a ruling may hold: a forgotten one must end.
const TERM_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a duration that is not zero and at most [`TERM_MAX`].
pub(crate) fn term(text: &str) -> Result<Duration, InvalidTerm> {
    match parse_duration(text)? {
        span if span.is_zero() => Err(InvalidTerm::Zero(text.to_owned())),
        span if span > TERM_MAX => Err(InvalidTerm::TooLong(text.to_owned())),
        span => Ok(span),
    }
}

/// The text says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want a word at least, since it is kept in the record")]
pub(crate) struct Blank;

/// Reads a text that says something.
pub(crate) fn words(text: &str) -> Result<String, Blank> {
    let said = text.trim();
    if said.is_empty() { Err(Blank) } else { Ok(said.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let document = "{primary_region: us-west-2, health: {voters_min: 1}, regions: [{name: us-west-2, bucket: my-bucket}, \
            {name: us-east-2, role: witness}]}";
        Config::read(Some(document), std::iter::empty()).unwrap()
    }

    #[test]
    fn an_unknown_region_is_answered_with_the_configured_ones() {
        let error = region(&config(), "--tried", "mars").unwrap_err().to_string();
        assert_eq!(
            error,
            "`mars`, given as `--tried`, is not a configured region (want one of `us-west-2`, `us-east-2`)"
        );
    }

    #[test]
    fn a_witness_is_no_place_for_data() {
        assert!(region(&config(), "--tried", "us-east-2").is_ok());
        let error = full_region(&config(), "--prefer", "us-east-2").unwrap_err().to_string();
        assert!(error.contains("that holds data (want one of `us-west-2`)"), "{error}");
    }

    #[test]
    fn strong_worksets_are_read_where_they_have_a_replica() {
        let document = "{primary_region: us-west-2, worksets: {consistency: strong}, regions: [{name: us-west-2, bucket: bucket-a}, \
            {name: us-east-1, bucket: bucket-b}, {name: eu-west-1, bucket: bucket-c}]}";
        let config = Config::read(Some(document), std::iter::empty()).unwrap();
        assert!(worksets_region(&config, "--region", "us-east-1").is_ok());
        let error = worksets_region(&config, "--region", "eu-west-1").unwrap_err().to_string();
        let wanted = "with a replica of the worksets (want one of `us-west-2`, `us-east-1`)";
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn a_term_of_nothing_is_refused() {
        assert_eq!(term("1h"), Ok(Duration::from_secs(3600)));
        assert!(matches!(term("0s"), Err(InvalidTerm::Zero(_))));
        assert!(matches!(term("soon"), Err(InvalidTerm::Duration(_))));
        assert_eq!(term("720h"), Ok(TERM_MAX));
        assert!(matches!(term("721h"), Err(InvalidTerm::TooLong(_))));
    }

    #[test]
    fn a_blank_is_no_name_and_no_reason() {
        assert_eq!(words(" "), Err(Blank));
        assert_eq!(words(" ada "), Ok("ada".to_owned()));
    }
}
