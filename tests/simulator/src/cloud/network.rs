//! The network between callers and regions: how long, and what goes wrong on the way.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use sealane::region::RegionName;

use crate::dice::Dice;

/// Where a request leaves from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A function in a region.
    Region(RegionName),
    /// A machine outside; its number settles which region is nearest.
    Client(u8),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => write!(f, "{region}"),
            Self::Client(number) => write!(f, "client-{number}"),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Objects.
    S3,
    /// Rows.
    DynamoDb,
    /// Alarms.
    CloudWatch,
    /// The region's own API.
    Api,
}

impl Service {
    /// Its name in the trace and in host names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::DynamoDb => "dynamodb",
            Self::CloudWatch => "monitoring",
            Self::Api => "api",
        }
    }
}

/// What goes wrong with the requests that a fault meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Nothing comes back, and connections are not made: a caller waits for its own limit.
    Cut,
    /// Connections are refused and those that exist are reset: a caller fails at once.
    Refused,
    /// Requests and answers get lost, half of them before they took effect.
    Loss {
        /// Share of the requests, in percent.
        percent: f64,
    },
    /// Requests take longer to arrive.
    Slow {
        /// How much longer.
        by: Duration,
    },
    /// New connections are refused at once, as when a name no longer resolves; those that exist work.
    FreshOnly,
    /// The service refuses, asks to slow down, and does nothing.
    Throttled {
        /// Share of the requests, in percent.
        percent: f64,
    },
    /// Requests take effect and are not answered.
    Ambiguous {
        /// Share of the requests, in percent.
        percent: f64,
    },
}

/// What goes wrong, for whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Callers it meets; `None`: all.
    pub from: Option<Place>,
    /// Regions it meets; `None`: all.
    pub to: Option<RegionName>,
    /// Services it meets; `None`: all.
    pub service: Option<Service>,
    /// What goes wrong.
    pub effect: Effect,
}

impl Fault {
    fn meets(&self, link: &Link) -> bool {
        self.from.is_none_or(|from| from == link.from)
            && self.to.is_none_or(|to| to == link.to)
            && self.service.is_none_or(|service| service == link.service)
    }

    const fn severs(&self) -> bool {
        match self.effect {
            Effect::Cut | Effect::Refused => true,
            Effect::Loss { .. }
            | Effect::Slow { .. }
            | Effect::FreshOnly
            | Effect::Throttled { .. }
            | Effect::Ambiguous { .. } => false,
        }
    }
}

/// Names a fault, so that it can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(u64);

/// One caller's way to one service of one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) from: Place,
    pub(super) to: RegionName,
    pub(super) service: Service,
}

/// What the network makes of a request, settled when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives after this time.
    Arrives { after: Duration, throttled: bool, answered: bool },
    /// It is lost on its way.
    Lost,
    /// The connection is reset.
    Reset,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It stands after this time.
    After(Duration),
    /// It is refused after this time.
    Refused(Duration),
    /// Nothing comes back.
    Silent,
}

/// What must know when faults come and go: called before (`false`) and after (`true`) each change.
type Watcher = Box<dyn Fn(bool) + Send + Sync>;

/// Latencies and faults.
pub struct Network {
    dice: Dice,
    regions: Vec<RegionName>,
    state: Mutex<State>,
    watcher: OnceLock<Watcher>,
}

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<FaultId, Fault>,
    serial: u64,
    ways: BTreeMap<(Place, RegionName), Way>,
}

/// One pair's latency, with a stream of its own.
#[derive(Debug)]
struct Way {
    one_way: Duration,
    dice: Dice,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Network {
    pub(super) fn new(dice: &Dice, regions: Vec<RegionName>) -> Self {
        let (state, watcher) = (Mutex::default(), OnceLock::new());
        Self { dice: dice.fork("network"), regions, state, watcher }
    }

    /// Who is told before and after each change; only the first is kept.
    pub(super) fn watch(&self, watcher: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.watcher.set(Box::new(watcher));
    }

    /// Brings a fault about.
    pub fn add(&self, fault: Fault) -> FaultId {
        self.change(|state| {
            state.serial += 1;
            let id = FaultId(state.serial);
            state.faults.insert(id, fault);
            id
        })
    }

    /// Mends a fault; fine if it is gone.
    pub fn remove(&self, fault: FaultId) {
        self.change(|state| state.faults.remove(&fault));
    }

    /// Mends everything.
    pub fn clear(&self) {
        self.change(|state| state.faults.clear());
    }

    /// What is wrong at present.
    pub fn faults(&self) -> Vec<(FaultId, Fault)> {
        self.state().faults.iter().map(|(id, fault)| (*id, *fault)).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let tell = |after| self.watcher.get().inspect(|watcher| watcher(after));
        tell(false);
        let done = change(&mut self.state());
        tell(true);
        done
    }

    /// Whether two regions' sides of `service` reach each other, for what the service itself sends.
    pub(super) fn linked(&self, a: RegionName, b: RegionName, service: Service) -> bool {
        let state = self.state();
        let open = |from, to| {
            let link = Link { from: Place::Region(from), to, service };
            !state.faults.values().any(|fault| fault.severs() && fault.meets(&link))
        };
        open(a, b) && open(b, a)
    }

    /// Whether nothing gets through at present.
    pub(super) fn severed(&self, link: &Link) -> bool {
        let state = self.state();
        state.faults.values().any(|fault| fault.severs() && fault.meets(link))
    }

    /// What becomes of a new connection.
    pub(super) fn open(&self, link: &Link) -> Opening {
        let round_trip = self.one_way(link) + self.one_way(link);
        let state = self.state();
        let mut opening = Opening::After(round_trip * 2);
        for fault in state.faults.values().filter(|fault| fault.meets(link)) {
            match fault.effect {
                Effect::Cut => return Opening::Silent,
                Effect::Refused => opening = Opening::Refused(round_trip),
                Effect::FreshOnly => opening = Opening::Refused(Duration::from_millis(1)),
                Effect::Loss { .. }
                | Effect::Slow { .. }
                | Effect::Throttled { .. }
                | Effect::Ambiguous { .. } => {}
            }
        }
        opening
    }

    /// What becomes of a request.
    pub(super) fn send(&self, link: &Link) -> Fate {
        let mut after = self.one_way(link);
        let mut state = self.state();
        let State { faults, ways, .. } = &mut *state;
        let (mut lost, mut reset, mut throttled, mut answered) = (false, false, false, true);
        let mut faults = faults.values().filter(|fault| fault.meets(link)).peekable();
        if faults.peek().is_none() {
            return Fate::Arrives { after, throttled, answered };
        }
        let Some(Way { dice, .. }) = ways.get_mut(&(link.from, link.to)) else { return Fate::Lost };
        for fault in faults {
            match fault.effect {
                Effect::Cut => lost = true,
                Effect::Refused => reset = true,
                Effect::Loss { percent } => {
                    let (hit, before) = (dice.chance(percent), dice.chance(50.0));
                    lost |= hit && before;
                    answered &= !hit || before;
                }
                Effect::Slow { by } => after += by,
                Effect::FreshOnly => {}
                Effect::Throttled { percent } => throttled |= dice.chance(percent),
                Effect::Ambiguous { percent } => answered &= !dice.chance(percent),
            }
        }
        match (lost, reset) {
            (true, _) => Fate::Lost,
            (false, true) => Fate::Reset,
            (false, false) => Fate::Arrives { after, throttled, answered },
        }
    }

    /// How long one message takes this time.
    pub(super) fn one_way(&self, link: &Link) -> Duration {
        let mut state = self.state();
        let way = state.ways.entry((link.from, link.to)).or_insert_with(|| Way {
            one_way: self.usual(link.from, link.to) / 2,
            dice: self.dice.fork(&format!("{} {}", link.from, link.to)),
        });
        let jitter = way.one_way / 10;
        let tail = if way.dice.chance(1.0) { way.one_way } else { Duration::ZERO };
        way.one_way + way.dice.between(Duration::ZERO, jitter) + tail
    }

    /// The usual round trip between a place and a region.
    pub(super) fn usual(&self, from: Place, to: RegionName) -> Duration {
        let last_mile = Duration::from_millis(20);
        match from {
            Place::Region(from) => round_trip(from, to),
            Place::Client(number) => {
                let near = self.regions.get(usize::from(number) % self.regions.len().max(1));
                last_mile + near.map_or(Duration::ZERO, |near| round_trip(*near, to))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Round trips between regions in milliseconds: the long-term means that are published.
const ROUND_TRIPS_MS: [(&str, &str, u64); 6] = [
    ("us-east-1", "us-west-2", 87),
    ("eu-west-1", "us-east-1", 80),
    ("eu-west-1", "us-west-2", 137),
    ("us-east-1", "us-east-2", 12),
    ("us-east-2", "us-west-2", 60),
    ("eu-west-1", "us-east-2", 90),
];

/// The usual round trip between two regions; 150 ms where none is known.
fn round_trip(a: RegionName, b: RegionName) -> Duration {
    if a == b {
        return Duration::from_millis(1);
    }
    let (a, b) = (a.min(b), a.max(b));
    let known = ROUND_TRIPS_MS.iter().find(|(x, y, _)| (*x, *y) == (a.as_str(), b.as_str()));
    Duration::from_millis(known.map_or(150, |(_, _, ms)| *ms))
}
