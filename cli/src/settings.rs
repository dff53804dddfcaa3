//! Where the configuration comes from: a file, SEALANE_CONFIG, or ./sealane.yaml.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use sealane::config::{Config, DOCUMENT_VARIABLE, Location, Problems};

/// What is read when nothing else is named.
const FILE: &str = "sealane.yaml";

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
    /// The file cannot be read.
    #[error("the configuration `{}` cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system reported.
        #[source]
        source: io::Error,
    },
    /// It is there, and something in it is wrong.
    #[error("{}", on_one_line(.0))]
    Problems(Problems),
}

fn on_one_line(problems: &Problems) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    format!("the configuration does not fit: {}", all.join("; "))
}

/// This process's variables, without those that are not text.
pub(crate) fn environment() -> Vec<(String, String)> {
    let text = env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    text.collect()
}

/// The configuration in `file`, else where `environment` says, else in the working folder.
pub(crate) fn read(
    file: Option<&Path>,
    environment: Vec<(String, String)>,
) -> Result<Config, SettingsError> {
    let variable = |name: &str| environment.iter().find(|(n, v)| n == name && !v.is_empty());
    let document = match (file, variable(DOCUMENT_VARIABLE).map(|(_, text)| Location::of(text))) {
        (Some(file), _) => Some(contents(file)?),
        (None, Some(Location::Inline(text))) => Some(text.to_owned()),
        (None, Some(Location::File(path))) => Some(contents(Path::new(path))?),
        (None, None) if Path::new(FILE).exists() => Some(contents(Path::new(FILE))?),
        // The variables alone can say everything.
        (None, None) if variable("SEALANE_REGIONS").is_some() => None,
        (None, None) => return Err(SettingsError::Nowhere),
    };
    let settings = environment.into_iter().filter(|(name, _)| name != TOKEN_VARIABLE);
    Config::read(document.as_deref(), settings).map_err(SettingsError::Problems)
}

fn contents(file: &Path) -> Result<String, SettingsError> {
    fs::read_to_string(file)
        .map_err(|source| SettingsError::Unreadable { file: file.to_owned(), source })
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

    #[test]
    fn all_problems_stand_on_one_line() {
        let environment = variables(&[(DOCUMENT_VARIABLE, "{\"a\": 1, \"b\": 2}")]);
        let error = read(None, environment).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("`b`") && !error.contains('\n'), "{error}");
    }
}
