//! Why a call over the API did not do what was asked.

use sealane::{region::RegionName, workset::Invalid};

use super::api::Lost;
use crate::exit::Exit;

/// Why a call over the API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiFault {
    /// No region has an API, or none that may be asked now.
    #[error(
        "no region's api can be asked (set `endpoints.api` of a region that is up; see `sealane route --needs api --explain`)"
    )]
    Nowhere,
    /// The token cannot be sent.
    #[error("the token holds characters that no header can carry (check `--token` or `SEALANE_TOKEN`)")]
    Token,
    /// The registration is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The API understood, and refused: another region would, too.
    #[error("the api of {region} refused the call with status {status}: {detail}")]
    Refused {
        /// The region.
        region: RegionName,
        /// The HTTP status.
        status: u16,
        /// What the API said.
        detail: String,
    },
    /// The API answered something else than a workset.
    #[error(
        "the api of {region} gave an answer that is not readable (is another service at `endpoints.api`?)"
    )]
    Unreadable {
        /// The region.
        region: RegionName,
        /// What the parser reported.
        #[source]
        source: serde_json::Error,
    },
    /// Nobody answered, and nothing was changed.
    #[error("no region's api answered: {}", told(.0))]
    Silent(Vec<(RegionName, Lost)>),
    /// Nobody could say what became of a write.
    #[error("the write may have happened, and no region could tell: {} (look before you repeat it)", told(.0))]
    Doubtful(Vec<(RegionName, Lost)>),
    /// The workset is not as this command would have left it.
    #[error(
        "the workset was changed by another writer meanwhile: it is `{state}`, version {version} (look, and decide anew)"
    )]
    Changed {
        /// Its state now.
        state: sealane::workset::State,
        /// Its version now.
        version: u64,
    },
}

impl ApiFault {
    /// What the exit code says of it.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Token | Self::Invalid(_) => Exit::Usage,
            Self::Nowhere
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Silent(_)
            | Self::Changed { .. } => Exit::Failed,
            Self::Doubtful(_) => Exit::Unknown,
        }
    }
}

fn told(silences: &[(RegionName, Lost)]) -> String {
    silences.iter().map(|(region, how)| format!("{region} {how}")).collect::<Vec<_>>().join(", ")
}
