//! The functions as their mains wire them, on the simulated cloud.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
};

use failover_handler::{Remembered, aws::CloudWatchAlarms};
use health_prober::{Shift, aws::AwsReach};
use sealane::{
    aws::{DynamoRows, Limits as CallLimits},
    config::Config,
    region::{Region, RegionName},
    store::{HealthTable, MarksTable},
};
use serde_json::Value;

use crate::{
    cloud::{Cloud, Place, SimClock},
    lambda::Function,
};

thread_local! {
    /// Metric lines that a flow has printed and nobody has taken yet. The flows print
    /// through a plain function, which can carry nothing of its own.
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn print(lines: &[String]) {
    PRINTED.with_borrow_mut(|printed| printed.extend_from_slice(lines));
}

/// Runs a flow of `here` and gives the metrics of that region each line as it is printed.
async fn with_metrics<T>(cloud: &Cloud, here: RegionName, flow: impl Future<Output = T>) -> T {
    let mut flow = pin!(flow);
    poll_fn(|cx| {
        // What another flow printed before it panicked, or in another run, is not this one's.
        drop(PRINTED.take());
        let polled = flow.as_mut().poll(cx);
        let lines = PRINTED.take();
        if !lines.is_empty() {
            cloud.emit(here, &lines);
        }
        polled
    })
    .await
}

/// A function of one region.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) cloud: Cloud,
    pub(super) config: Config,
    pub(super) here: RegionName,
}

impl Home {
    fn place(&self) -> Place {
        Place::Region(self.here)
    }

    /// The region's own settings; every function of the simulation has a region that is configured.
    fn own(&self) -> &Region {
        self.config.region(self.here).unwrap_or(&self.config.regions[0])
    }
}

/// The health prober of one region.
#[derive(Debug)]
pub(super) struct Prober {
    pub(super) home: Home,
    pub(super) shift: Shift,
}

type ProberDeps = health_prober::Deps<AwsReach, DynamoRows, SimClock>;

impl Function for Prober {
    type Sandbox = (ProberDeps, health_prober::State);
    type Answer = ();

    fn start(&self) -> Self::Sandbox {
        let Home { cloud, config, here } = &self.home;
        let aws = cloud.aws(self.home.place());
        let deps = health_prober::Deps {
            own: HealthTable::new(aws.rows(self.home.own(), &config.tables.health, "", CallLimits::CALL)),
            data: self.home.own().is_full().then(|| {
                MarksTable::new(aws.rows(self.home.own(), &config.tables.worksets, "", CallLimits::CALL))
            }),
            control: aws.control(config, *here, CallLimits::CALL.once()),
            reach: AwsReach::new(aws, config),
            config: config.clone(),
            here: *here,
            clock: cloud.clock(self.home.place()),
            print,
            shift: self.shift,
        };
        (deps, health_prober::State::new(*here))
    }

    async fn invoke<'a>(&'a self, sandbox: &'a mut Self::Sandbox, _event: &'a Value) -> Result<(), String> {
        let (deps, state) = sandbox;
        let watch = Box::pin(health_prober::watch(deps, state));
        with_metrics(&self.home.cloud, self.home.here, watch).await;
        Ok(())
    }
}

/// The failover handler of one region.
#[derive(Debug)]
pub(super) struct Handler(pub(super) Home);

type HandlerDeps = failover_handler::Deps<CloudWatchAlarms, DynamoRows, SimClock>;

impl Function for Handler {
    type Sandbox = (HandlerDeps, Remembered);
    type Answer = ();

    fn start(&self) -> Self::Sandbox {
        let Home { cloud, config, here } = &self.0;
        let aws = cloud.aws(self.0.place());
        let own = self.0.own();
        let deps = failover_handler::Deps {
            alarms: CloudWatchAlarms::new(&aws, own),
            health: HealthTable::new(aws.rows(own, &config.tables.health, "", CallLimits::CALL)),
            control: aws.control(config, *here, CallLimits::CALL.once()),
            config: config.clone(),
            here: *here,
            clock: cloud.clock(self.0.place()),
        };
        (deps, Remembered::of(*here))
    }

    async fn invoke<'a>(&'a self, sandbox: &'a mut Self::Sandbox, event: &'a Value) -> Result<(), String> {
        let (deps, remembered) = sandbox;
        let reply = Box::pin(failover_handler::respond(deps, remembered, event)).await;
        reply.map(drop).map_err(|error| error.to_string())
    }
}
