//! What holds for every request, whatever the strategy.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Strategy as _};

use super::{Strategy, capacity::Load, *};
use crate::{
    health::{Answer, Ejections, Passive, PassivePolicy, Seen, View},
    region::{Capability, Capacity, Coordinates, Endpoints, HealthCheck, Region, RegionName, Role, Status},
    time::Timestamp,
};

pub(super) const NEEDS: Capability = Capability::ObjectWrite;
const STATUSES: [Status; 5] =
    [Status::Healthy, Status::Degraded, Status::Unhealthy, Status::Offline, Status::Unknown];

pub(super) fn name(i: usize) -> RegionName {
    format!("xx-region-{:02}", i).parse().unwrap()
}

pub(super) fn region(i: usize) -> Region {
    Region {
        name: name(i),
        role: Role::Full,
        offline: false,
        bucket: Some(format!("bucket-{i}")),
        kms_key: None,
        priority: 1,
        weight: 10,
        coordinates: None,
        residency: Vec::new(),
        capacity: Capacity { max_concurrent_uploads: 8, max_bandwidth_mbps: 800 },
        health_check: HealthCheck::default(),
        endpoints: Endpoints::default(),
        transfer_out_usd_per_gb: Some(0.02),
    }
}

pub(super) fn seen(status: Status, ms: u64) -> Seen {
    Seen { status, latency: Some(Duration::from_millis(ms)) }
}

/// The region of one request on a roster of its own.
pub(super) fn pick(
    request: &Request,
    regions: &[Region],
    view: &View,
    policy: &Policy,
) -> Option<RegionName> {
    Roster::new(regions, view, policy).pick(request)
}

fn roster(world: &World) -> Roster {
    Roster::new(&world.regions, &world.view, &world.policy)
}

/// What a process has seen to which these regions did not answer five times in a row.
pub(super) fn ejections(silent: &[usize]) -> Ejections {
    let (policy, now) = (PassivePolicy::default(), Timestamp::default());
    let calls = silent.iter().flat_map(|i| [*i; 5]);
    let met = |passive: Passive, i| passive.after((name(i), NEEDS), Answer::Silence, 100, &policy, now);
    calls.fold(Passive::default(), met).ejections(now)
}

/// A configuration, what is known of it, and a request.
#[derive(Debug, Clone)]
struct World {
    regions: Vec<Region>,
    view: View,
    request: Request,
    policy: Policy,
}

impl World {
    fn route(&self) -> Route {
        route(&self.request, &self.regions, &self.view, &self.policy)
    }

    fn region(&self, name: RegionName) -> &Region {
        self.regions.iter().find(|region| region.name == name).unwrap()
    }

    fn status(&self, name: RegionName) -> Status {
        self.view.status(name, NEEDS)
    }
}

fn any_coordinates() -> impl proptest::strategy::Strategy<Value = Coordinates> {
    (-90.0..90.0_f64, -180.0..180.0_f64).prop_map(|(latitude, longitude)| Coordinates { latitude, longitude })
}

fn any_region() -> impl proptest::strategy::Strategy<Value = Region> {
    let role = prop_oneof![6 => Just(Role::Full), 1 => Just(Role::Witness)];
    let price = option::of(0.0..0.2_f64);
    (role, 1..4_u32, 0..4_u32, option::of(any_coordinates()), any::<[bool; 2]>(), price).prop_map(
        |(role, priority, weight, coordinates, [eu, hipaa], transfer_out_usd_per_gb)| Region {
            role,
            priority,
            weight,
            coordinates,
            residency: [(eu, "eu"), (hipaa, "hipaa")]
                .iter()
                .filter(|t| t.0)
                .map(|t| t.1.to_owned())
                .collect(),
            transfer_out_usd_per_gb,
            ..region(0)
        },
    )
}

fn any_turn() -> impl proptest::strategy::Strategy<Value = Turn> {
    prop_oneof![
        any::<u64>().prop_map(Turn::Counter),
        any::<u64>().prop_map(Turn::Key),
        (0..8_usize, any::<u64>()).prop_map(|(i, count)| Turn::Region { region: name(i), count }),
    ]
}

fn any_request() -> impl proptest::strategy::Strategy<Value = Request> {
    let who = || option::of((0..8_usize).prop_map(name));
    let loads = vec((0..8_usize, 0..10_u32, 0..1000_u32), 0..4);
    let shares = vec((0..8_usize, select(vec![10_u8, 25, 50, 100])), 0..4);
    let residency = vec(select(vec!["eu".to_owned(), "hipaa".to_owned()]), 0..2);
    let tried = vec((0..8_usize).prop_map(name), 0..3);
    let session = option::of("[a-z]{1,12}");
    (
        any_turn(),
        option::of(any_coordinates()),
        [who(), who(), who()],
        loads,
        shares,
        residency,
        tried,
        session,
    )
        .prop_map(
            |(turn, client, [data_in, current, held], loads, shares, residency, tried, session)| Request {
                residency,
                tried,
                session,
                turn,
                client,
                data_in,
                current,
                held,
                loads: loads
                    .into_iter()
                    .map(|(i, uploads, bandwidth_mbps)| (name(i), Load { uploads, bandwidth_mbps }))
                    .collect(),
                shares: shares.into_iter().map(|(i, percent)| (name(i), Share::percent(percent))).collect(),
                ..Request::new(NEEDS)
            },
        )
}

fn any_policy() -> impl proptest::strategy::Strategy<Value = Policy> {
    let preferred = vec((0..8_usize).prop_map(name), 0..3);
    (select(Strategy::ALL.to_vec()), any::<bool>(), preferred).prop_map(
        |(strategy, sticky_sessions, preferred_regions)| Policy {
            strategy,
            sticky_sessions,
            preferred_regions,
            ..Policy::default()
        },
    )
}

fn any_world() -> impl proptest::strategy::Strategy<Value = World> {
    let health = vec(option::of((select(STATUSES.to_vec()), option::of(0..200_u64))), 8);
    let panic = prop_oneof![4 => Just(false), 1 => Just(true)];
    (vec(any_region(), 1..8), health, panic, any_request(), any_policy()).prop_map(
        |(mut regions, health, panic, request, policy)| {
            let mut view = View::default();
            view.panic = panic;
            for (i, known) in health.into_iter().enumerate() {
                if let Some((status, ms)) = known {
                    view.set(name(i), NEEDS, Seen { status, latency: ms.map(Duration::from_millis) });
                }
            }
            regions.iter_mut().enumerate().for_each(|(i, region)| region.name = name(i));
            World { regions, view, request, policy }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// The hot path and the explained one never disagree.
    #[test]
    fn pick_is_the_head_of_the_route(world in any_world()) {
        let picked = pick(&world.request, &world.regions, &world.view, &world.policy);
        prop_assert_eq!(picked, world.route().ranked.first().copied());
    }

    /// A region that did not answer this process goes behind every other of its kind, and stays on the list.
    #[test]
    fn an_ejected_region_is_the_last_of_its_kind_and_no_less(mut world in any_world(), silent in vec(0..8_usize, 0..4)) {
        world.request.held = None;
        world.request.shares.clear();
        let ejections = ejections(&silent);
        let shunning = roster(&world).shunning(&ejections);
        let (plain, route) = (world.route().ranked, shunning.route(&world.request));
        prop_assert_eq!(shunning.pick(&world.request), route.ranked.first().copied());
        let is = |name: &RegionName| ejections.of(*name, NEEDS).is_some();
        let ejected: Vec<_> = route.ranked.iter().map(is).collect();
        prop_assert!(ejected.is_sorted(), "{}", route);
        let sorted = |mut names: Vec<RegionName>| { names.sort(); names };
        prop_assert_eq!(sorted(route.ranked.clone()), sorted(plain));
        let told = route.choices.iter().filter(|choice| choice.ejected.is_some()).count();
        prop_assert_eq!(route.to_string().matches("ejected here: 5 requests in a row unanswered; again in 30 s").count(), told);
    }

    /// A ranked region has every demanded tag, holds data and was not tried, whatever else is so.
    #[test]
    fn residency_role_and_tries_are_never_violated(world in any_world()) {
        for ranked in world.route().ranked {
            let region = world.region(ranked);
            prop_assert!(world.request.residency.iter().all(|tag| region.residency.contains(tag)));
            prop_assert_eq!(region.role, Role::Full);
            prop_assert!(!world.request.tried.contains(&ranked));
        }
    }

    /// A region that is down is used only in a panic, and a drained one not even then.
    #[test]
    fn down_is_never_chosen_but_in_a_panic(world in any_world()) {
        let route = world.route();
        for ranked in &route.ranked {
            prop_assert_ne!(world.status(*ranked), Status::Offline);
            prop_assert!(world.view.panic || world.status(*ranked) != Status::Unhealthy);
        }
        prop_assert_eq!(route.basis == Basis::Panic, world.view.panic);
    }

    /// Unknown is never mixed with up: it is used when nothing that is up is left, and the route says so.
    #[test]
    fn unknown_is_a_last_resort(mut world in any_world()) {
        world.request.held = None;
        world.view.panic = false;
        let route = world.route();
        let unknown = |name: &RegionName| world.status(*name) == Status::Unknown;
        if route.ranked.iter().any(unknown) {
            prop_assert!(route.ranked.iter().all(unknown));
            prop_assert!(matches!(route.basis, Basis::LastResort | Basis::Static));
        }
    }

    /// Whatever the strategy, the preference or the session: healthy before degraded.
    #[test]
    fn degraded_ranks_behind_healthy(mut world in any_world()) {
        world.request.held = None;
        world.request.shares.clear();
        world.view.panic = false;
        let statuses: Vec<_> = world.route().ranked.iter().map(|name| world.status(*name)).collect();
        prop_assert!(statuses.is_sorted(), "{statuses:?}");
    }

    /// The order in which regions are listed changes nothing.
    #[test]
    fn the_order_of_the_list_does_not_matter((world, shuffled) in any_world().prop_flat_map(|world| {
        let regions = Just(world.regions.clone()).prop_shuffle();
        (Just(world), regions)
    })) {
        let other = World { regions: shuffled, ..world.clone() };
        prop_assert_eq!(world.route(), other.route());
    }

    /// No region without room is chosen, but the one where the work is already.
    #[test]
    fn a_full_region_gets_nothing_new(world in any_world()) {
        for ranked in world.route().ranked {
            let load = world.request.loads.get(&ranked).copied().unwrap_or_default();
            let full = load.uploads >= 8 || load.bandwidth_mbps >= 800;
            prop_assert!(!full || world.request.held == Some(ranked));
        }
    }

    /// Work in progress stays unless its region is down, drained, tried or forbidden.
    #[test]
    fn a_held_region_is_kept_while_it_is_not_down(world in any_world()) {
        let Some(held) = world.request.held.filter(|held| world.regions.iter().any(|r| r.name == *held)) else {
            return Ok(());
        };
        let mut plain = world.clone();
        plain.request.held = None;
        let allowed = !world.request.tried.contains(&held)
            && world.region(held).role == Role::Full
            && world.request.residency.iter().all(|tag| world.region(held).residency.contains(tag));
        let standing = world.status(held);
        let down = standing == Status::Offline || (standing == Status::Unhealthy && !world.view.panic);
        prop_assert_eq!(world.route().ranked.first() == Some(&held), allowed && !down
            || plain.route().ranked.first() == Some(&held));
    }

    /// Each region is kept or dropped exactly once, in the text and in the JSON as well.
    #[test]
    fn every_region_is_explained_once(world in any_world()) {
        let route = world.route();
        let mut explained = BTreeMap::new();
        for choice in &route.choices {
            *explained.entry(choice.region).or_insert(0) += 1;
        }
        prop_assert_eq!(explained, world.regions.iter().map(|region| (region.name, 1)).collect());
        let kept: Vec<_> = route.choices.iter().filter(|c| matches!(c.outcome, Outcome::Kept { .. })).collect();
        prop_assert_eq!(kept.iter().map(|c| c.region).collect::<Vec<_>>(), route.ranked.clone());
        let text = route.to_string();
        let json = serde_json::to_value(&route).unwrap();
        prop_assert_eq!(json["choices"].as_array().unwrap().len(), world.regions.len());
        prop_assert!(world.regions.iter().all(|region| text.contains(region.name.as_str())));
    }

    /// Among sessions, only those of the lost region move, and exactly those return.
    #[test]
    fn only_the_lost_regions_sessions_move(sessions in vec("[a-z0-9]{8}", 1..60), lost in 0..5_usize) {
        let regions: Vec<_> = (0..5).map(region).collect();
        let policy = Policy { sticky_sessions: true, ..Policy::default() };
        let mut up = View::default();
        (0..5).for_each(|i| up.set(name(i), NEEDS, seen(Status::Healthy, 10)));
        let mut down = up.clone();
        down.set(name(lost), NEEDS, seen(Status::Unhealthy, 10));
        for (n, session) in sessions.into_iter().enumerate() {
            let turn = Turn::Counter(n as u64);
            let request = Request { session: Some(session), turn, ..Request::new(NEEDS) };
            let (before, during) = (pick(&request, &regions, &up, &policy), pick(&request, &regions, &down, &policy));
            prop_assert_eq!(before != during, before == Some(name(lost)));
        }
    }
}
