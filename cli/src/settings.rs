//! Where the configuration comes from: a file, SEALANE_CONFIG, or ./sealane.yaml.

use std::{env, path::Path};

use sealane::{
    config::{Config, DOCUMENT_VARIABLE},
    edge::{self, EdgeError},
};

/// What is read when nothing else is named.
const FILE: &str = "sealane.yaml";

/// With this variable, the environment alone can be a whole configuration.
const REGIONS_VARIABLE: &str = "SEALANE_REGIONS";

/// The caller's token for the API. It is read by clap and is no part of the configuration.
pub(crate) const TOKEN_VARIABLE: &str = "SEALANE_TOKEN";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// None was named, and none lies here.
    #[error(
        "there is no configuration: `{FILE}` is not in this folder (name one with `--config` or `{DOCUMENT_VARIABLE}`)"
    )]
    Nowhere,
    /// It is not readable, or something in it is wrong.
    #[error(transparent)]
    Edge(#[from] EdgeError),
}

/// This process's variables, without those that are not text.
pub(crate) fn environment() -> Vec<(String, String)> {
    let text = env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    text.collect()
}

/// The configuration in `file`, else where `environment` says, else in the working folder.
pub(crate) fn read(file: Option<&str>, environment: Vec<(String, String)>) -> Result<Config, SettingsError> {
    let variable = |name: &str| environment.iter().find(|(n, v)| n == name && !v.is_empty());
    let named = file.or(variable(DOCUMENT_VARIABLE).map(|(_, text)| text.as_str()));
    let document = named.or(Path::new(FILE).exists().then_some(FILE));
    if document.is_none() && variable(REGIONS_VARIABLE).is_none() {
        return Err(SettingsError::Nowhere);
    }
    let settings = environment.iter().filter(|(name, _)| name != TOKEN_VARIABLE);
    Ok(edge::config_from(document, settings.cloned())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "{primary_region: us-west-2, regions: [{name: us-west-2, bucket: my-bucket}]}";

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_token_is_no_setting() {
        let config = read(None, variables(&[(DOCUMENT_VARIABLE, DOCUMENT), (TOKEN_VARIABLE, "secret")]));
        assert!(config.is_ok());
    }

    #[test]
    fn the_variables_alone_can_say_everything() {
        let regions = ("SEALANE_REGIONS", "[{name: us-west-2, bucket: my-bucket}]");
        let config = read(None, variables(&[regions, ("SEALANE_PRIMARY_REGION", "us-west-2")])).unwrap();
        assert_eq!(config.regions.len(), 1);
    }
}
