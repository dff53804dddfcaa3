//! How often a tenant may ask.
//!
//! Each sandbox has a bucket a tenant that fills at `api.rate_limit` and holds
//! `api.rate_burst`. A sandbox answers one request at a time, so a tenant gets the rate
//! once for every sandbox that it keeps busy; what it may have of those is the
//! function's and the gateway's own limit. No table is asked: a limit that adds
//! requests to the tables would harm what it protects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sealane::{config::Api, time::Timestamp, workset::Tenant};

use crate::problem::{Kind, Problem};

/// Tenants that are remembered; beyond that, those whose bucket is full are forgotten.
const TENANTS_MAX: usize = 1_000;

/// What the limit said of a request, for the headers of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// Requests left.
    left: u64,
    /// Until the bucket is full again.
    full_in: Duration,
}

/// Where a request keeps what the limit said of it.
pub(crate) type Slip = Arc<OnceLock<Told>>;

/// The buckets of this sandbox: when each will be full again.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<BTreeMap<Tenant, Timestamp>>);

impl Buckets {
    /// Takes one request of `tenant` out of its bucket.
    ///
    /// # Errors
    /// When the bucket is empty.
    pub(crate) fn take(&self, tenant: &Tenant, policy: &Api, now: Timestamp) -> Result<Told, Problem> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= TENANTS_MAX {
            buckets.retain(|_, full_at| *full_at > now);
        }
        let (full_at, told) = taken(buckets.get(tenant).copied(), policy, now).map_err(|wait| {
            let detail =
                format!("`{tenant}` sends more than {} requests a second (slow down)", policy.rate_limit);
            Problem::new(Kind::RateLimited, detail).after(wait)
        })?;
        buckets.insert(tenant.clone(), full_at);
        Ok(told)
    }
}

/// When the bucket will be full after one request more, or how long that request has to wait.
fn taken(full_at: Option<Timestamp>, policy: &Api, now: Timestamp) -> Result<(Timestamp, Told), Duration> {
    let (rate, burst) = (u64::from(policy.rate_limit.max(1)), u64::from(policy.rate_burst.max(1)));
    // In thousandths of a request, so that a millisecond of any rate counts.
    let missing = full_at.map_or(0, |at| at.as_millis().saturating_sub(now.as_millis())).saturating_mul(rate);
    let held = (burst * 1_000).saturating_sub(missing);
    if held < 1_000 {
        return Err(Duration::from_millis((1_000 - held).div_ceil(rate)));
    }
    let full_in = Duration::from_millis((missing + 1_000).div_ceil(rate));
    Ok((now.after(full_in), Told { left: (held - 1_000) / 1_000, full_in }))
}

/// The headers of draft-ietf-httpapi-ratelimit-headers.
pub(crate) fn headers(told: Option<&Told>, policy: &Api, headers: &mut HeaderMap) {
    let span_s = u64::from(policy.rate_burst).div_ceil(u64::from(policy.rate_limit.max(1))).max(1);
    let (left, reset_s) = told.map_or((0, 1), |told| (told.left, told.full_in.as_secs() + 1));
    let values = [
        (
            HeaderName::from_static("ratelimit-policy"),
            format!("\"tenant\";q={};w={span_s}", policy.rate_burst),
        ),
        (HeaderName::from_static("ratelimit"), format!("\"tenant\";r={left};t={reset_s}")),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn policy(rate_limit: u32, rate_burst: u32) -> Api {
        Api { open_tenant: None, cache_ttl: Duration::ZERO, rate_limit, rate_burst }
    }

    proptest! {
        /// However requests are spread, no more than the burst and what the rate brings are answered,
        /// and whoever waits as told is answered.
        #[test]
        fn a_bucket_gives_the_burst_and_the_rate_and_no_more(
            gaps in vec(0..400_u64, 1..200), rate in 1..60_u32, burst in 1..40_u32,
        ) {
            let (policy, tenant) = (policy(rate, burst), "lab".parse().unwrap());
            let (buckets, mut now, mut given) = (Buckets::default(), Timestamp::from_millis(5), 0_u64);
            let start = now;
            for gap in gaps {
                now = now.after(Duration::from_millis(gap));
                match buckets.take(&tenant, &policy, now) {
                    Ok(_) => given += 1,
                    Err(problem) => {
                        prop_assert_eq!(problem.kind(), Kind::RateLimited);
                        now = now.after(Duration::from_millis(1_000_u64.div_ceil(u64::from(rate))));
                        prop_assert!(buckets.take(&tenant, &policy, now).is_ok());
                        given += 1;
                    }
                }
                let passed_ms = u64::try_from(now.since(start).as_millis()).unwrap();
                prop_assert!(given <= u64::from(burst) + passed_ms * u64::from(rate) / 1_000);
            }
        }
    }

    #[test]
    fn one_tenant_does_not_spend_what_another_has() {
        let (buckets, policy, now) = (Buckets::default(), policy(1, 1), Timestamp::from_millis(0));
        let [lab, other]: [Tenant; 2] = ["lab", "other"].map(|name| name.parse().unwrap());
        assert!(buckets.take(&lab, &policy, now).is_ok() && buckets.take(&lab, &policy, now).is_err());
        assert!(buckets.take(&other, &policy, now).is_ok());
    }
}
