//! The checks between settings and the list of regions.

use super::{Api, Consistency, known, regions::Listed, sections::copies_key, values::Group};
use crate::{
    failover::{self, Mode},
    health,
    region::{Region, RegionName},
    time::Human,
    upload,
};

/// Where work belongs, which has to be a region that can take it.
pub(super) fn primary(group: &mut Group, listed: &Listed) -> Option<RegionName> {
    let want = "want the name of a region of the list, such as `us-west-2`";
    let Some(name) = group.take("primary_region", want, |value| value.as_str()?.parse().ok()) else {
        group.refuse("primary_region", want);
        return None;
    };
    match listed.find(name) {
        None if listed.complete => {
            let names: Vec<_> = listed.full().map(|r| r.name.to_string()).collect();
            let remedy = format!("it is not in `regions`, add it or choose one of `{}`", names.join("`, `"));
            group.refuse("primary_region", remedy);
        }
        Some(region) if !region.is_full() => {
            group.refuse("primary_region", "it is a witness, which holds no data, choose a full region");
        }
        Some(region) if region.offline => {
            group.refuse("primary_region", "its `status` is `offline`, choose another or bring it back");
        }
        Some(_) | None => {}
    }
    Some(name)
}

/// The regions whose replica of the control table can be asked.
pub(super) fn control_regions(
    group: &mut Group,
    listed: &Listed,
    primary: Option<RegionName>,
) -> Vec<RegionName> {
    let key = "control_regions";
    let want = "want a list of region names, such as `[us-west-2, us-east-1]`";
    let Some(names) = group.list(key, want, |name| name.parse().ok()) else {
        return primary.map(|primary| control_default(listed, primary)).unwrap_or_default();
    };
    if names.is_empty() {
        group.refuse(key, "want at least one region, or no failover is ever decided");
    }
    refuse_strangers(group, key, listed, &names, |_| true);
    if names.len() > known::STRONG_REPLICAS_MAX {
        group.refuse(key, "want at most 3 regions: a strongly consistent table has no more replicas");
    }
    // A store that is not AWS's has rules of its own.
    let of_aws: Vec<RegionName> = names.iter().copied().filter(|n| known::of(*n).is_some()).collect();
    if let [first, rest @ ..] = of_aws.as_slice()
        && let Some(other) =
            rest.iter().find(|n| !known::strong_set(*first).is_some_and(|s| s.contains(&n.as_str())))
    {
        let remedy = match known::strong_set(*first) {
            Some(set) => format!(
                "`{first}` and `{other}` are not in one set of strongly consistent replicas (MRSC), want regions of `{}`",
                set.join("`, `")
            ),
            None => format!(
                "`{first}` is in no set of strongly consistent replicas (MRSC), so it cannot be with `{other}`"
            ),
        };
        group.refuse(key, remedy);
    }
    names
}

/// A strong worksets table has its replicas where the control table has them, so there they have to fit.
pub(super) fn strong_worksets(
    group: &mut Group,
    consistency: Consistency,
    control_regions: &[RegionName],
    primary: Option<RegionName>,
) {
    let key = "worksets.consistency";
    match consistency {
        Consistency::Eventual => {}
        Consistency::Strong if control_regions.len() < 2 => {
            let remedy = "want two or three `control_regions` for its replicas, in one set of strongly consistent \
                          replicas (MRSC), or `eventual`";
            group.refuse_pair(key, "control_regions", remedy.to_owned());
        }
        Consistency::Strong => {
            if let Some(primary) = primary.filter(|primary| !control_regions.contains(primary)) {
                let remedy = format!(
                    "want the primary region (`{primary}`) among `control_regions`, since the replicas lie there, \
                     or `eventual`"
                );
                group.refuse_pair(key, "control_regions", remedy);
            }
        }
    }
}

/// The primary, and the full regions that can hold a strongly consistent replica beside it.
fn control_default(listed: &Listed, primary: RegionName) -> Vec<RegionName> {
    let set = known::strong_set(primary).unwrap_or_default();
    let others = listed.full().map(|r| r.name).filter(|n| *n != primary && set.contains(&n.as_str()));
    std::iter::once(primary).chain(others).take(known::STRONG_REPLICAS_MAX).collect()
}

/// Refuses names that are doubled, not in the list, or not `fit`.
pub(super) fn refuse_strangers(
    group: &mut Group,
    key: &str,
    listed: &Listed,
    names: &[RegionName],
    fit: impl Fn(&Region) -> bool,
) {
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            group.refuse(key, format!("`{name}` is in it twice, remove one"));
        }
        match listed.find(*name) {
            None if listed.complete => {
                group.refuse(key, format!("`{name}` is not in `regions`, add it there or remove it here"));
            }
            Some(region) if !fit(region) => {
                group.refuse(key, format!("`{name}` is a witness, which is never routed to, remove it"));
            }
            Some(_) | None => {}
        }
    }
}

/// A planned move outlasts what an API may remember of the time before it.
pub(super) fn drain(group: &mut Group, failover: &failover::Policy, api: &Api) {
    let drains = match failover.mode {
        Mode::Graceful | Mode::Manual => true,
        Mode::Immediate => false,
    };
    if drains && failover.drain_timeout < api.settle() {
        let remedy = format!(
            "want at least `{}`, `api.cache_ttl` and the longest write, or the region changes while \
             an API still takes writes by the record it remembers",
            Human(api.settle())
        );
        group.refuse_pair("failover.drain_timeout", "api.cache_ttl", remedy);
    }
}

/// Settings that count regions, against the regions there are.
pub(super) fn counts(
    group: &mut Group,
    listed: &Listed,
    health: &health::Policy,
    upload: &upload::Policy,
    enabled: bool,
) {
    let full = listed.full().count();
    if !listed.complete {
        return;
    }
    if full > 0 && listed.full().all(|r| r.weight == 0) {
        group.refuse("regions", "every `weight` is 0, give at least one full region a share");
    }
    if upload.copies > full {
        let remedy = format!("want at most one copy in each of the full regions (`{full}`)");
        group.refuse_pair(copies_key(group), "upload.min_copies", remedy);
    }
    let others = listed.regions.len() - 1;
    // A lone region is watched by nobody, and has nowhere to move.
    if enabled && others > 0 && health.voters_min > others {
        let remedy = format!(
            "want at most `{others}`, the regions that watch each one, or add a witness: no verdict has that many votes"
        );
        group.refuse("health.voters_min", remedy);
    }
    let watched = listed.regions.iter().filter(|r| r.health_check.enabled);
    if let Some(slowest) = watched.map(|r| r.health_check.interval).max()
        && health.stale_after < slowest
    {
        let remedy = format!(
            "want at least the longest `health_check.interval` (`{}`), or observations are stale before the next one",
            Human(slowest)
        );
        group.refuse_pair("failover.detection_interval", "health_check.interval", remedy);
    }
}

impl Listed {
    fn full(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().filter(|r| r.is_full())
    }
}
