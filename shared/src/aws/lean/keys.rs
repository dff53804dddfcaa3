//! Credentials, and signing with them.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::{Duration, UNIX_EPOCH},
};

use aws_config::SdkConfig;
use aws_sdk_s3::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::{identity::Identity, orchestrator::HttpRequest};
use percent_encoding::utf8_percent_encode;
use tokio::sync::Mutex;

use super::{Fault, Place, place::IN_QUERY};
use crate::time::Timestamp;

/// The service that most requests are signed for.
const S3: &str = "s3";

/// How long before their end credentials are fetched anew.
const RENEW_BEFORE: Duration = Duration::from_secs(120);

/// The credentials of a process, fetched when they are wanted first and when they run out.
pub(in super::super) struct Keys {
    provider: SharedCredentialsProvider,
    clock: SharedTimeSource,
    held: Mutex<Option<Identity>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// The credentials that `sdk` names, if it names any.
    pub(in super::super) fn of(sdk: &SdkConfig) -> Option<Self> {
        let clock = sdk.time_source().unwrap_or_default();
        Some(Self { provider: sdk.credentials_provider()?, clock, held: Mutex::default() })
    }

    /// The present moment on the clock that signatures are dated by.
    pub(super) fn now(&self) -> Timestamp {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(crate::time::millis(since))
    }

    /// Who signs now.
    pub(in super::super) async fn identity(&self) -> Result<Identity, Fault> {
        let soon = self.clock.now() + RENEW_BEFORE;
        let mut held = self.held.lock().await;
        let good = |found: &&Identity| found.expiration().is_none_or(|end| end > soon);
        if let Some(found) = held.as_ref().filter(good) {
            return Ok(found.clone());
        }
        match self.provider.provide_credentials().await {
            Ok(found) => Ok(held.insert(found.into()).clone()),
            // Those at hand are good to their end.
            Err(error) => {
                let good = |found: &&Identity| found.expiration().is_none_or(|end| end > self.clock.now());
                held.as_ref().filter(good).cloned().ok_or_else(|| Fault::NoKeys(error.into()))
            }
        }
    }

    /// Signs `request` with a body as `body` says for `identity`; adds the headers that tell so.
    pub(super) fn sign(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        place: &Place,
        body: SignableBody<'_>,
    ) -> Result<(), Fault> {
        let mut settings = plain();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        self.sign_for(request, identity, (S3, place.region.as_str()), settings, body)
    }

    /// Signs `request` for a service in a region, as `settings` say.
    pub(in super::super) fn sign_for(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        scope: (&str, &str),
        settings: SigningSettings,
        body: SignableBody<'_>,
    ) -> Result<(), Fault> {
        let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body);
        let signable = signable.map_err(|error| unsigned(error.into()))?;
        let (headers, _) = self.signed(signable, identity, scope, settings)?.into_parts();
        for header in headers {
            let (name, value) = (header.name(), header.value().to_owned());
            let added = request.headers_mut().try_insert(name, value);
            added.map_err(|error| unsigned(error.into()))?;
        }
        Ok(())
    }

    /// `url` with a signature for a `PUT` with these headers and a body of any bytes, good for `valid`
    /// or for as long as the credentials are; and for how long that is.
    pub(super) async fn presign(
        &self,
        mut url: String,
        headers: &BTreeMap<String, String>,
        place: &Place,
        valid: Duration,
    ) -> Result<(String, Duration), Fault> {
        let identity = self.identity().await?;
        let left = identity.expiration().map(|end| end.duration_since(self.clock.now()).unwrap_or_default());
        // Signatures count in whole seconds.
        let valid = Duration::from_secs(left.map_or(valid, |left| left.min(valid)).as_secs());
        let mut settings = plain();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(valid);
        let covered = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new("PUT", &*url, covered, SignableBody::UnsignedPayload);
        let signable = signable.map_err(|error| unsigned(error.into()))?;
        let scope = (S3, place.region.as_str());
        let (_, params) = self.signed(signable, &identity, scope, settings)?.into_parts();
        for (name, value) in params {
            // Writing to a string does not fail.
            let _ = write!(url, "&{name}={}", utf8_percent_encode(&value, IN_QUERY));
        }
        Ok((url, valid))
    }

    fn signed(
        &self,
        signable: SignableRequest<'_>,
        identity: &Identity,
        (service, region): (&str, &str),
        settings: SigningSettings,
    ) -> Result<SigningInstructions, Fault> {
        let params = v4::SigningParams::builder()
            .identity(identity)
            .region(region)
            .name(service)
            .time(self.clock.now())
            .settings(settings)
            .build();
        let params = params.map_err(|error| unsigned(error.into()))?.into();
        let signed = sign(signable, &params).map_err(|error| unsigned(error.into()))?;
        Ok(signed.into_parts().0)
    }
}

fn unsigned(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    Fault::Unsigned(error)
}

/// What every signature for S3 has in common.
fn plain() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}
