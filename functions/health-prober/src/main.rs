//! Wires the health prober to AWS.

use std::sync::Arc;

use health_prober::{Deps, Shift, State, aws::AwsReach, watch};
use lambda_runtime::LambdaEvent;
use sealane::{
    aws::{Aws, Limits, SystemClock},
    edge, lambda,
    store::{HealthTable, MarksTable},
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
        own: HealthTable::new(aws.rows(own, &config.tables.health, "", Limits::CALL)),
        data: own
            .is_full()
            .then(|| MarksTable::new(aws.rows(own, &config.tables.worksets, "", Limits::CALL))),
        control: aws.control(&config, here, Limits::CALL.once()),
        reach: AwsReach::new(aws, &config),
        config,
        here,
        clock: SystemClock,
        print: lambda::print_metrics,
        shift: Shift::default(),
    };
    // Lambda runs one invocation at a time in a sandbox; the lock only says so to the compiler.
    let shared = Arc::new((deps, Mutex::new(State::new(here))));
    lambda::serve(move |_: LambdaEvent<Value>| {
        let shared = Arc::clone(&shared);
        async move {
            let mut state = shared.1.lock().await;
            Ok::<_, std::convert::Infallible>(watch(&shared.0, &mut state).await)
        }
    })
    .await
}
