//! The world of one run: every function in its region, clients, and what a plan does to them.

mod api;
mod functions;
mod log;
mod routers;
mod stage;
mod told;
mod watcher;
mod workers;
mod writers;

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use health_prober::Shift;
use sealane::{
    aws::{DynamoRows, Limits as CallLimits},
    config::Config,
    failover::{Pin, Rule},
    region::RegionName,
    store::ControlTable,
    time::Timestamp,
};
use serde_json::json;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    cloud::{AlarmState, Cloud, Effect, Fault, FaultId, Place},
    dice::Dice,
    lambda::{Fleet, Hazards, Limits, Power, Schedule, alarm::Change, every_minute},
    measure::{Evidence, Extent, Outage, Ruled},
    scenario::{Act, Crowd, Plan, Slot, Timed},
};
use api::Api;
use functions::{Handler, Home, Prober};
use stage::Stage;

/// The prober's settings in the template.
const PROBER: Limits = Limits {
    timeout: Duration::from_secs(900),
    usual: Duration::from_secs(300),
    concurrency: 4,
    retries: 0,
    age_max: Duration::from_secs(60),
};

/// Rows after which a prober is relieved: at times before and at times after the run's end, as if it
/// had been at work before the run began.
const SHIFT_ROWS: RangeInclusive<u64> = 8..=30;

/// The handler's settings in the template, and the retries that reach it at most.
const HANDLER: Limits = Limits {
    timeout: Duration::from_secs(30),
    usual: Duration::from_secs(3),
    concurrency: 4,
    retries: 2,
    age_max: Duration::from_secs(300),
};

/// The API's settings in the template, and what an account allows; whoever waits for an answer repeats the request itself.
const API: Limits = Limits {
    timeout: Duration::from_secs(15),
    usual: Duration::from_millis(100),
    concurrency: 1_000,
    retries: 0,
    age_max: Duration::ZERO,
};

/// Workers that share worksets, in three regions and outside.
const WORKERS: usize = 8;

/// How long before the end clients make their last requests, so that the answers are heard.
const LAST_REQUEST: Duration = Duration::from_secs(6);

/// How long replication goes on after the end, when nothing else does.
const SETTLING: Duration = Duration::from_secs(20);

/// Everything of one region that runs.
struct Site {
    power: Power,
    prober: Fleet<Prober>,
    handler: Fleet<Handler>,
    api: Fleet<Api>,
}

/// The world of one run.
struct World {
    stage: Stage,
    sites: BTreeMap<RegionName, Site>,
    dice: Dice,
    broken: BTreeMap<Slot, (Vec<FaultId>, Option<RegionName>)>,
    lost: BTreeMap<RegionName, Vec<FaultId>>,
}

/// Lives through `plan` on `cloud`, and says what was left behind.
pub async fn live(cloud: &Cloud, config: &Config, plan: &Plan, dice: &Dice) -> Evidence {
    let local = LocalSet::new();
    local.run_until(async { World::new(cloud, config, dice).live(plan).await }).await
}

impl World {
    fn new(cloud: &Cloud, config: &Config, dice: &Dice) -> Self {
        let dice = dice.fork("world");
        let powers: BTreeMap<RegionName, Power> =
            config.regions.iter().map(|r| (r.name, Power::default())).collect();
        let stage = Stage::new(cloud, config, &powers);
        let site = |(here, power): (RegionName, Power)| {
            let home = Home { cloud: cloud.clone(), config: config.clone(), here };
            let span = SHIFT_ROWS.end() - SHIFT_ROWS.start() + 1;
            let rows = SHIFT_ROWS.start() + dice.fork(&format!("shift {here}")).below(span);
            let prober = Prober { home: home.clone(), shift: Shift { rows, ..Shift::default() } };
            let prober = Fleet::new(format!("prober/{here}"), prober, PROBER, cloud, &dice, &power);
            let handler = Handler(home.clone());
            let handler = Fleet::new(format!("handler/{here}"), handler, HANDLER, cloud, &dice, &power);
            let api = Fleet::new(format!("api/{here}"), Api(home), API, cloud, &dice, &power);
            api.endanger(Hazards::OF_REQUESTS);
            (here, Site { power, prober, handler, api })
        };
        let sites = powers.into_iter().map(site).collect();
        Self { stage, sites, dice, broken: BTreeMap::new(), lost: BTreeMap::new() }
    }

    async fn live(mut self, plan: &Plan) -> Evidence {
        let began = Instant::now();
        self.open(plan);
        for Timed { at, act } in &plan.acts {
            sleep_until(began + *at).await;
            self.stage.note(format_args!("act {act:?}"));
            self.act(act).await;
        }
        sleep_until(began + plan.ends.saturating_sub(LAST_REQUEST)).await;
        self.stage.end_requests();
        sleep_until(began + plan.ends).await;
        let ended = self.stage.cloud.now();
        self.stage.close();
        self.sites.values().for_each(|site| site.power.turn(false));
        sleep(SETTLING).await;
        self.stage.evidence(plan.since, ended)
    }

    /// Starts everything that runs by itself.
    fn open(&self, plan: &Plan) {
        for (here, site) in &self.sites {
            let mut dice = self.dice.fork(&format!("schedule {here}"));
            if let Some(double) = plan.doubles {
                site.prober.endanger(Hazards { double, ..Hazards::USUAL });
                site.handler.endanger(Hazards { double, ..Hazards::USUAL });
            }
            let (prober, schedule) = (site.prober.clone(), Schedule::drawn(&mut dice));
            self.spawn(format!("schedule/{here}"), async move {
                every_minute(&prober, schedule, &mut dice, &json!({"source": "aws.events"})).await;
            });
            let dice = self.dice.fork(&format!("alarms {here}"));
            let alarms = deliver_alarms(self.stage.clone(), *here, site.handler.clone(), dice);
            self.spawn(format!("alarms/{here}"), alarms);
        }
        let full: Vec<RegionName> = self.stage.config.full_regions().map(|r| r.name).collect();
        full.iter().for_each(|here| self.serve(*here));
        let clients = full.into_iter().map(Place::Region).chain([Place::Client(0)]);
        match plan.crowd {
            Crowd::Routers => {
                for (number, place) in (0_u32..).zip(clients) {
                    let late = Duration::from_secs(5) + Duration::from_millis(61) * number;
                    self.spawn(format!("router/{place}"), routers::ask(self.stage.clone(), place, late));
                    self.spawn(
                        format!("writer/{place}"),
                        writers::write(self.stage.clone(), place, late * 2),
                    );
                }
            }
            Crowd::Workers => {
                for (number, place) in clients.cycle().take(WORKERS).enumerate() {
                    let dice = self.dice.fork(&format!("worker {number}"));
                    let work = workers::work(self.stage.clone(), number, place, dice);
                    self.spawn(format!("worker/{number}"), work);
                }
            }
        }
        if let Some(watched) = &plan.watched {
            self.spawn("watcher", watcher::watch(self.stage.clone(), watched.clone(), plan.since));
        }
    }

    fn spawn(&self, who: impl Into<String>, actor: impl Future<Output = ()> + 'static) {
        self.stage.cloud.spawn(who, actor);
    }

    /// Puts the region's API behind its gateway, if it has one.
    fn serve(&self, region: RegionName) {
        if let Some(site) = self.sites.get(&region).filter(|_| self.stage.is_full(region)) {
            let gateway = api::gateway(&self.stage.cloud, region, &site.api);
            self.stage.cloud.install_api(region, gateway);
        }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Lose(region) => self.lose(*region),
            Act::Restore(region) => self.restore(*region),
            Act::Break { slot, faults, outage } => {
                let ids = faults.iter().map(|fault| self.stage.cloud.network().add(*fault)).collect();
                self.broken.insert(*slot, (ids, outage.map(|(region, _)| region)));
                if let Some((region, extent)) = outage {
                    self.begins(*region, *extent);
                }
            }
            Act::Mend(slot) => {
                let (ids, region) = self.broken.remove(slot).unwrap_or_default();
                ids.into_iter().for_each(|id| self.stage.cloud.network().remove(id));
                region.into_iter().for_each(|region| self.is_over(region));
            }
            Act::Replicate(from, to, lag) => self.stage.cloud.set_lag(*from, *to, *lag),
            Act::Skew(place, by_ms) => self.stage.cloud.skew(*place, *by_ms),
            Act::Rule(region, rule) => self.rule(*region, *rule).await,
            Act::Unrule(region) => self.unrule(*region).await,
            Act::Alarm(change) => self.tell(change),
            Act::Event(region, event) => {
                if let Some(site) = self.sites.get(region) {
                    site.handler.send(event.clone());
                }
            }
            Act::Probe(region) => {
                if let Some(site) = self.sites.get(region) {
                    site.prober.send(json!({"source": "aws.events"}));
                }
            }
        }
    }

    fn lose(&mut self, region: RegionName) {
        let (into, from) = (Some(region), Some(Place::Region(region)));
        let faults = [
            Fault { from: None, to: into, service: None, effect: Effect::Cut },
            Fault { from, to: None, service: None, effect: Effect::Cut },
        ];
        let network = self.stage.cloud.network();
        self.lost.insert(region, faults.into_iter().map(|fault| network.add(fault)).collect());
        self.stage.cloud.remove_api(region);
        if let Some(site) = self.sites.get(&region) {
            site.power.turn(false);
        }
        self.begins(region, Extent::Region);
    }

    fn restore(&mut self, region: RegionName) {
        for id in self.lost.remove(&region).unwrap_or_default() {
            self.stage.cloud.network().remove(id);
        }
        if let Some(site) = self.sites.get(&region) {
            site.power.turn(true);
        }
        self.serve(region);
        self.is_over(region);
    }

    /// The control table as operators reach it.
    fn operators_table(&self) -> ControlTable<DynamoRows> {
        let config = &self.stage.config;
        let aws = self.stage.cloud.aws(Place::Client(1));
        aws.control(config, config.primary_region, CallLimits::CALL.once())
    }

    /// An operator's pin, written as the command line writes it, from a machine outside.
    async fn rule(&self, region: RegionName, rule: Rule) {
        let pin = Pin {
            region,
            rule,
            owner: "ada".to_owned(),
            reason: "drill".to_owned(),
            expires: Timestamp::from_millis(u64::MAX),
        };
        let control = self.operators_table();
        for _ in 0..3 {
            if control.pin(&pin).await.is_ok() {
                let at = self.stage.cloud.now();
                return self.stage.log.rulings.borrow_mut().push(Ruled { at, region, pin: Some(pin) });
            }
        }
    }

    /// Takes the pin back, from the same machine, and once more until that is answered. It may be
    /// gone from the first attempt on.
    async fn unrule(&self, region: RegionName) {
        let control = self.operators_table();
        let at = self.stage.cloud.now();
        self.stage.log.rulings.borrow_mut().push(Ruled { at, region, pin: None });
        for _ in 0..5 {
            if control.unpin(region).await.is_ok() {
                return;
            }
        }
    }

    /// Both ways on which an alarm's change of state reaches the handler.
    fn tell(&self, change: &Change) {
        if let Some(site) = self.sites.get(&change.observer) {
            site.handler.send(change.sns());
            site.handler.send(change.eventbridge());
        }
    }

    fn begins(&self, region: RegionName, extent: Extent) {
        let from = self.stage.cloud.now();
        self.stage.log.truth.borrow_mut().outages.push(Outage { region, extent, from, until: None });
    }

    fn is_over(&self, region: RegionName) {
        let now = self.stage.cloud.now();
        for outage in &mut self.stage.log.truth.borrow_mut().outages {
            if outage.region == region && outage.until.is_none() {
                outage.until = Some(now);
            }
        }
    }
}

/// Time between two looks for changes of alarms.
const ALARMS_EVERY: Duration = Duration::from_secs(1);

/// Takes each change of state of the region's alarms to its handler, by both ways, each
/// with a delay of its own, so that they come in any order. That an alarm has data at all
/// is no news in a system that has run for long, and is left out.
async fn deliver_alarms(stage: Stage, here: RegionName, handler: Fleet<Handler>, mut dice: Dice) {
    let ms = Duration::from_millis;
    while stage.is_open() {
        sleep(ALARMS_EVERY).await;
        let told = stage.cloud.alarms(here).into_iter().filter(|t| t.from != AlarmState::InsufficientData);
        for transition in told {
            let change = Change {
                observer: here,
                about: transition.about,
                alarm: transition.alarm,
                old: transition.from.as_str(),
                new: transition.to.as_str(),
            };
            let ways = [(change.sns(), ms(70), ms(900)), (change.eventbridge(), ms(150), ms(1_500))];
            for (event, median, p99) in ways {
                let (handler, wait) = (handler.clone(), dice.wait(median, p99));
                stage.cloud.spawn("sns", async move {
                    sleep(wait).await;
                    handler.send(event);
                });
            }
        }
    }
}
