//! The retry budgets of the clients: one each pair of regions.
//!
//! By itself the SDK has one budget for a service in a whole process, whatever the
//! region: a region that is down would use up the repeats of all others. Its token
//! buckets are set to the rules of [`crate::retry`], with two differences that are
//! the SDK's: only a request that succeeds brings its part of a repeat, and a
//! repeat that succeeds costs nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};

use crate::{
    region::RegionName,
    retry::{BURST, REQUESTS_A_RETRY, RETRIES_A_SECOND},
};

/// The budgets from one place to all regions. Clones share them; two made apart share nothing.
#[derive(Debug, Clone)]
pub(super) struct Partitions {
    from: String,
    made: Arc<Mutex<BTreeMap<RegionName, RetryPartition>>>,
}

impl Partitions {
    /// Full budgets for a process in `from`.
    pub(super) fn of(from: &str) -> Self {
        Self { from: from.to_owned(), made: Arc::default() }
    }

    /// The budget that every client of `to` shares.
    pub(super) fn to(&self, to: RegionName) -> RetryPartition {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let partition =
            || RetryPartition::custom(format!("{} to {to}", self.from)).token_bucket(bucket()).build();
        made.entry(to).or_insert_with(partition).clone()
    }
}

/// A repeat costs as many tokens as the requests that bring it, so that each brings one.
#[expect(clippy::cast_precision_loss, reason = "a budget is far below 2^24")]
fn bucket() -> TokenBucket {
    let cost = REQUESTS_A_RETRY;
    TokenBucket::builder()
        .capacity((BURST * cost) as usize)
        .retry_cost(cost)
        .timeout_retry_cost(cost)
        .throttling_retry_cost(cost)
        .success_reward(1.0)
        .refill_rate((RETRIES_A_SECOND * cost) as f32)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_buckets(partition: &RetryPartition) -> String {
        format!("{partition:?}")
    }

    #[test]
    fn clients_of_a_pair_share_a_budget_and_pairs_do_not() {
        let (west, east) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let partitions = Partitions::of("eu-west-1");
        assert_eq!(partitions.to(west), partitions.clone().to(west));
        assert_ne!(partitions.to(west), partitions.to(east));
        assert_eq!(partitions.to(west).to_string(), "eu-west-1 to us-west-2");
        assert_eq!(partitions.made.lock().unwrap().len(), 2, "asked thrice, made twice");
        let other = Partitions::of("eu-west-1");
        assert!(other.made.lock().unwrap().is_empty());
        assert!(token_buckets(&partitions.to(west)).contains("500"), "a hundred repeats at five tokens");
    }
}
