//! The APIs of the regions, asked whether they live.

use super::Silence;
use crate::region::RegionName;

/// The APIs of the regions.
#[trait_variant::make(Send)]
pub trait Apis: Sync {
    /// Whether the API of `region` answers `GET /v1/live` and names that region.
    async fn live(&self, region: RegionName) -> Result<(), ApiError>;
}

/// Why an API does not count as live.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There was no answer.
    #[error("the api of {region} did not answer ({how})")]
    NoAnswer {
        /// The region.
        region: RegionName,
        /// What came instead.
        how: Silence,
    },
    /// It answered, but not with its own name: another host, an error page, a stale route.
    #[error("the api of {region} answered with status {status} and not with its own name")]
    WrongAnswer {
        /// The region.
        region: RegionName,
        /// The status of the answer.
        status: u16,
    },
    /// The region has no API endpoint in the configuration; set `endpoints.api`.
    #[error("{region} has no api endpoint; set `endpoints.api` of that region")]
    NoEndpoint {
        /// The region.
        region: RegionName,
    },
}
