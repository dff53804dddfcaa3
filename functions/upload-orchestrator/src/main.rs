//! The upload orchestrator on Lambda: wires the flow to AWS.

use lambda_runtime::LambdaEvent;
use sealane::{
    aws::{Aws, DynamoRows, HttpPosts, Limits, SystemClock},
    checksum::Checksum,
    config::Config,
    edge, lambda,
    region::Region,
    store::{LedgerTable, NoticeTable, WorksetTable},
    time::Timestamp,
};
use serde_json::Value;
use upload_orchestrator::{Deps, Herald, Invocation, NoBucket, Policy, TRY_MAX, run_and_tell};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::init_log();
    let (config, here) = (edge::config()?, edge::home()?);
    let aws = Aws::connect(here.as_str()).await;
    let policy = Policy::default();
    let home = config.region(here).ok_or(NoBucket(here))?;
    let ledger = LedgerTable::new(aws.rows(home, &config.tables.ledger, "by-due", Limits::CALL));
    // Two attempts within the longest wait for a call.
    let limits = Limits::data(policy.call_max / 2);
    let owner = config.account_id.as_deref();
    let bucket = |r: &Region| Some((r.name, aws.shipping(r, owner, limits)?));
    let buckets = config.full_regions().filter_map(bucket).collect();
    let herald = herald(&aws, &config, home);
    let deps = Deps {
        config,
        here,
        buckets,
        ledger,
        clock: SystemClock,
        pause: |span| Box::pin(tokio::time::sleep(span)),
        policy,
    };
    lambda::serve(|event: LambdaEvent<Value>| {
        let (deps, herald) = (&deps, &herald);
        async move {
            let context = event.context;
            let invocation = Invocation {
                seed: Checksum::of(context.request_id.as_bytes()).as_u64(),
                owner: context.request_id,
                deadline: Timestamp::from_millis(context.deadline),
            };
            let reply = Box::pin(run_and_tell(deps, herald, &invocation, &event.payload)).await?;
            lambda::print_metrics(&reply.metrics);
            Ok::<_, upload_orchestrator::RunError>(reply.answer)
        }
    })
    .await
}

/// What telling others works with. A secret that is missing is told of once here: copies are made without it.
fn herald(aws: &Aws, config: &Config, home: &Region) -> Herald<DynamoRows, HttpPosts> {
    let (secrets, missing) = edge::secrets(config);
    for variable in missing {
        tracing::error!(variable, "a variable holds no secret of a webhook");
    }
    let own = (home.name, home.name);
    let rows = || aws.worksets(config, own, "by-state", Limits::CALL);
    Herald {
        worksets: WorksetTable::through(rows()).telling(config.told_states()),
        notices: NoticeTable::through(rows()),
        control: aws.control(config, home.name, Limits::CALL),
        posts: aws.posts(config, Limits { attempt: TRY_MAX, ..Limits::CALL }.once()),
        secrets,
    }
}
