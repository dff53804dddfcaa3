//! Where the process meets its environment: read in one place, once, at the start.

use std::fs;

use crate::{
    config::{Config, DOCUMENT_VARIABLE, Location, Problems},
    notify::{Channel, webhook::Secrets},
    region::{InvalidRegionName, RegionName},
};

/// The variable that Lambda sets to the function's own region.
const HOME_VARIABLE: &str = "AWS_REGION";

/// The process cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The configuration names a file that cannot be read.
    #[error("configuration file `{path}` cannot be read")]
    File {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration has problems.
    #[error("the configuration is not usable")]
    Config(#[source] Problems),
    /// The process does not know where it runs.
    #[error("`{HOME_VARIABLE}` does not say in which region this runs")]
    Home(#[source] Option<InvalidRegionName>),
}

/// The configuration from the document that `SEALANE_CONFIG` holds or names, under
/// every other `SEALANE_*` variable.
///
/// # Errors
/// When the file cannot be read or the settings have problems, all of them at once.
pub fn config() -> Result<Config, EdgeError> {
    config_from(variable(DOCUMENT_VARIABLE).as_deref(), std::env::vars())
}

/// The configuration from `document`, which is the document itself or a path,
/// under the `SEALANE_*` variables of `environment`.
///
/// # Errors
/// When the file cannot be read or the settings have problems, all of them at once.
pub fn config_from(
    document: Option<&str>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, EdgeError> {
    let document = match document.map(Location::of) {
        None => None,
        Some(Location::Inline(text)) => Some(text.to_owned()),
        Some(Location::File(path)) => Some(
            fs::read_to_string(path).map_err(|source| EdgeError::File { path: path.to_owned(), source })?,
        ),
    };
    Config::read(document.as_deref(), environment).map_err(EdgeError::Config)
}

/// The region that this function runs in.
///
/// # Errors
/// When `AWS_REGION` is missing or is no region name.
pub fn home() -> Result<RegionName, EdgeError> {
    let name = variable(HOME_VARIABLE).ok_or(EdgeError::Home(None))?;
    name.parse().map_err(|error| EdgeError::Home(Some(error)))
}

/// The secrets of the webhooks that are told of what happens, and the variables that hold none.
pub fn secrets(config: &Config) -> (Secrets, Vec<String>) {
    let channels = config.notifications.targets.iter().map(|target| &target.channel);
    let names = channels.filter_map(|channel| match channel {
        Channel::Webhook { secret_env, .. } => Some(secret_env.as_str()),
        Channel::Sns { .. } => None,
    });
    Secrets::read(names, variable)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
