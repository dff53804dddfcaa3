//! Where a bucket is reached.

use std::fmt::Write as _;

use aws_config::SdkConfig;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_types::service_config::ServiceConfigKey;
use futures::FutureExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::region::{Region, RegionName};

/// What a key must have escaped: everything but unreserved characters and slashes.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// What the value of a query must have escaped.
pub(super) const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URL of a bucket, and the region that requests to it are signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Place {
    base: String,
    pub(super) region: RegionName,
}

impl Place {
    /// Where `bucket` lies, by the SDK's own rules; `None` for buckets that are not signed for as
    /// others are (access points, directory buckets), and where the SDK would refuse.
    pub(in super::super) fn of(region: &Region, bucket: &str, sdk: &SdkConfig) -> Option<Self> {
        if bucket.contains([':', '/']) || bucket.ends_with("-s3") {
            return None;
        }
        // An endpoint that was set for all of AWS, or for S3 in its environment or profile, is the SDK's affair.
        if region.endpoints.s3.is_none() && (sdk.endpoint_url().is_some() || has_own_endpoint(sdk)) {
            return None;
        }
        let params = Params::builder()
            .bucket(bucket)
            .region(region.name.as_str())
            .set_endpoint(region.endpoints.s3.clone())
            .force_path_style(region.endpoints.s3.is_some())
            .set_use_fips(sdk.use_fips())
            .set_use_dual_stack(sdk.use_dual_stack());
        let params = params.build().ok()?;
        let found = DefaultResolver::new().resolve_endpoint(&params).now_or_never()?.ok()?;
        Some(Self { base: found.url().trim_end_matches('/').to_owned(), region: region.name })
    }

    /// The URL of `key`; `part`: of a part of the multipart upload with this name.
    pub(super) fn url(&self, key: &str, part: Option<(&str, u32)>) -> String {
        let mut url = format!("{}/{}", self.base, utf8_percent_encode(key, IN_PATH));
        if let Some((upload, number)) = part {
            let upload = utf8_percent_encode(upload, IN_QUERY);
            // Writing to a string does not fail.
            let _ = write!(url, "?partNumber={number}&uploadId={upload}");
        }
        url
    }
}

impl Place {
    /// The URL of `key` with a query, if there is one.
    pub(in super::super) fn asked(&self, key: &str, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{query}", self.url(key, None))
    }

    /// The URL of the bucket itself with a query. A bucket that is named in the path has no slash behind it.
    pub(in super::super) fn of_bucket(&self, query: &str) -> String {
        let in_path = self.base.split('/').count() > 3;
        format!("{}{}?{query}", self.base, if in_path { "" } else { "/" })
    }
}

/// Whether the environment or the profile names an endpoint for S3 alone.
fn has_own_endpoint(sdk: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let found = |key| sdk.service_config().and_then(|settings| settings.load_config(key));
    key.build().ok().and_then(found).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn place(bucket: &str, s3: Option<&str>) -> Option<Place> {
        let endpoints = s3.map_or(String::new(), |url| format!(r#", "endpoints": {{"s3": "{url}"}}"#));
        let document = format!(
            r#"{{"primary_region": "eu-west-1", "control_regions": ["eu-west-1"], "security": {{"allow_local_endpoints": true}},
               "upload": {{"copies": 1}}, "regions": [{{"name": "eu-west-1", "bucket": "any-bucket"{endpoints}}}]}}"#
        );
        let config = Config::read(Some(&document), std::iter::empty()).unwrap();
        Place::of(&config.regions[0], bucket, &SdkConfig::builder().build())
    }

    #[test]
    fn a_bucket_is_looked_for_where_the_sdk_would() {
        let url = |bucket, s3| place(bucket, s3).map(|place: Place| place.url("a/b c+ü", None));
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(url("plain", None), of("https://plain.s3.eu-west-1.amazonaws.com/a/b%20c%2B%C3%BC"));
        assert_eq!(
            url("with.dots", None),
            of("https://s3.eu-west-1.amazonaws.com/with.dots/a/b%20c%2B%C3%BC")
        );
        let own = Some("http://127.0.0.1:9000");
        assert_eq!(url("plain", own), of("http://127.0.0.1:9000/plain/a/b%20c%2B%C3%BC"));
        assert_eq!(url("arn:aws:s3:eu-west-1:1:accesspoint/a", None), None);
        assert_eq!(url("fast--euw1-az1--x-s3", None), None);
    }

    #[test]
    fn a_bucket_is_asked_itself_wherever_it_is_named() {
        let url = |s3| place("plain", s3).map(|place: Place| place.of_bucket("versions")).unwrap();
        assert_eq!(url(None), "https://plain.s3.eu-west-1.amazonaws.com/?versions");
        assert_eq!(url(Some("http://127.0.0.1:9000")), "http://127.0.0.1:9000/plain?versions");
    }

    #[test]
    fn the_name_of_an_upload_is_escaped() {
        let place = place("plain", Some("http://127.0.0.1:9000")).unwrap();
        assert!(place.url("k", Some(("a+b/c=", 7))).ends_with("/plain/k?partNumber=7&uploadId=a%2Bb%2Fc%3D"));
    }
}
