//! Where uploads note what a later run needs: `--state-folder`, the configuration, or the user's own folder.

use std::path::{Path, PathBuf};

use sealane::{config::Config, transport::Journals};

use crate::settings::environment;

/// The journals of this user's uploads.
pub(crate) fn journals(flag: Option<&Path>, config: &Config) -> Journals {
    let named = flag.or(config.state_folder.as_deref()).map(Path::to_owned);
    Journals::new(named.unwrap_or_else(|| own_folder(&environment())))
}

/// The user's own folder for state, as the XDG base directories have it; the working folder
/// for a user that has none.
fn own_folder(environment: &[(String, String)]) -> PathBuf {
    let variable = |name| environment.iter().find(|(n, v)| n == name && v.starts_with('/'));
    let xdg = variable("XDG_STATE_HOME").map(|(_, folder)| PathBuf::from(folder));
    let home = variable("HOME").map(|(_, folder)| Path::new(folder).join(".local/state"));
    xdg.or(home).unwrap_or_else(|| PathBuf::from(".")).join("sealane/uploads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_folder_is_where_other_programs_keep_state() {
        let folder = |pairs: &[(&str, &str)]| {
            own_folder(&pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>())
        };
        let home = ("HOME", "/home/ada");
        assert_eq!(folder(&[home, ("XDG_STATE_HOME", "/s")]), Path::new("/s/sealane/uploads"));
        // A relative one is to be ignored, by the same specification.
        let relative = folder(&[home, ("XDG_STATE_HOME", "s")]);
        assert_eq!(relative, Path::new("/home/ada/.local/state/sealane/uploads"));
        assert_eq!(folder(&[]), Path::new("./sealane/uploads"));
    }
}
