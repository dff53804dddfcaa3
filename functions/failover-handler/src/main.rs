//! Wires the failover handler to AWS.

use std::sync::Arc;

use failover_handler::{Deps, Remembered, aws::CloudWatchAlarms, respond};
use lambda_runtime::LambdaEvent;
use sealane::{
    aws::{Aws, Limits, SystemClock},
    edge, lambda,
    store::HealthTable,
};
use serde_json::Value;
use tokio::sync::Mutex;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::init_log();
    let (config, here) = (edge::config()?, edge::home()?);
    let aws = Aws::connect(here.as_str()).await;
    let own = config.region(here).ok_or_else(|| format!("{here} is not in the configuration"))?;
    let deps = Deps {
        alarms: CloudWatchAlarms::new(&aws, own),
        health: HealthTable::new(aws.rows(own, &config.tables.health, "", Limits::CALL)),
        control: aws.control(&config, here, Limits::CALL.once()),
        config,
        here,
        clock: SystemClock,
    };
    // Lambda runs one invocation at a time in a sandbox; the lock only says so to the compiler.
    let shared = Arc::new((deps, Mutex::new(Remembered::of(here))));
    lambda::serve(move |event: LambdaEvent<Value>| {
        let shared = Arc::clone(&shared);
        async move {
            let mut remembered = shared.1.lock().await;
            respond(&shared.0, &mut remembered, &event.payload).await
        }
    })
    .await
}
