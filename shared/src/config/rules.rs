//! The rules on where objects go: each on its own, then against the regions, then one against another.

use serde_norway::Value;

use super::{checks::refuse_strangers, regions::Listed, settings::RULE_SETTINGS, values::Group};
use crate::{
    region::{Region, RegionName},
    replication::{Goes, Rule, Rules},
    upload::{Classes, StorageClass},
};

/// Most rules: what is more does not fit the variables of a function.
const RULES_MAX: usize = 50;

/// The names of ways to relay, as `replication::Relaying` has them.
const RELAYS: [&str; 2] = ["off", "cost"];

/// Reads `replication`.
pub(super) fn replication(group: &mut Group, listed: &Listed) -> Rules {
    Rules {
        relay: group.choice("replication.relay", &RELAYS).unwrap_or_default(),
        rules: rules(group, listed),
    }
}

fn rules(group: &mut Group, listed: &Listed) -> Vec<Rule> {
    let key = "replication.rules";
    let Some(entry) = group.entries.get(key).cloned() else { return Vec::new() };
    let Some(items) = entry.value.as_sequence() else {
        group.refuse(key, "want a list of rules, such as `[{prefix: raw/, copies: 2}]`");
        return Vec::new();
    };
    if items.len() > RULES_MAX {
        group.refuse(key, format!("want at most {RULES_MAX} rules"));
        return Vec::new();
    }
    let (mut rules, before): (Vec<Rule>, _) = (Vec::new(), group.problems.len());
    for (place, item) in items.iter().enumerate() {
        let at = format!("{key}[{place}]");
        let words = [at.as_str(), &format!("{at}."), "{prefix: raw/, copies: 2}"];
        let are_sound = group.problems.len() == before;
        let read = group.item(item, words, RULE_SETTINGS, entry.variable.as_deref(), |entry| {
            let rule = rule(entry, listed);
            // What was not read as it was meant hides nothing.
            if are_sound {
                refuse_hidden(entry, &rules, &rule);
            }
            Some(rule)
        });
        rules.extend(read);
    }
    rules
}

fn rule(entry: &mut Group, listed: &Listed) -> Rule {
    let residency = residency(entry, listed);
    Rule {
        bucket: bucket(entry, listed),
        prefix: entry.text("prefix", WANT_PREFIX, is_prefix).unwrap_or_default(),
        goes: goes(entry, listed, &residency),
        class: class(entry, listed),
        residency,
    }
}

const WANT_PREFIX: &str =
    "want what keys begin with, such as `raw/`: at most 1,024 bytes, no control characters, no `/` in front";

fn is_prefix(text: &str) -> bool {
    text.len() <= 1_024 && !text.chars().any(char::is_control) && !text.starts_with('/')
}

fn bucket(entry: &mut Group, listed: &Listed) -> Option<String> {
    let bucket = entry.text("bucket", "want the name of a bucket of `regions`", |_| true)?;
    let mut known = listed.regions.iter().filter_map(|region| region.bucket.as_deref());
    if listed.complete && !known.any(|known| known == bucket) {
        let known: Vec<_> = listed.regions.iter().filter_map(|region| region.bucket.as_deref()).collect();
        entry.refuse("bucket", format!("no region has it, want one of `{}`", known.join("`, `")));
    }
    Some(bucket)
}

fn residency(entry: &mut Group, listed: &Listed) -> Vec<String> {
    let want = "want a list of residency tags, such as `[eu]`";
    let tags = entry.list("residency", want, |tag| Some(tag.to_owned())).unwrap_or_default();
    let fits = |region: &&Region| region.is_full() && tags.iter().all(|tag| region.residency.contains(tag));
    if listed.complete && !listed.regions.iter().any(|region| fits(&region)) {
        entry.refuse("residency", "no full region has all of these tags, so no copy could be sent anywhere");
    }
    tags
}

fn goes(entry: &mut Group, listed: &Listed, residency: &[String]) -> Goes {
    let admits = |region: &Region| residency.iter().all(|tag| region.residency.contains(tag));
    let full = || listed.regions.iter().filter(|region| region.is_full());
    let copies = entry.count("copies", 1..=u32::MAX).map(|copies| copies as usize);
    let want = "want a list of region names, such as `[us-west-2, eu-west-1]`";
    let regions = entry.list("regions", want, |name| name.parse().ok());
    if let Some(names) = &regions {
        named(entry, listed, names, &admits);
    }
    match (copies, regions) {
        (Some(_), Some(_)) => {
            entry.refuse("regions", "want `regions` or `copies`, not both");
            Goes::Everywhere
        }
        (Some(copies), None) => {
            // What is written outside of the residency has its copies inside.
            let outside = usize::from(full().any(|region| !admits(region)));
            let most = full().filter(|region| admits(region)).count() + outside;
            if listed.complete && copies > most {
                entry.refuse(
                    "copies",
                    format!("want at most `{most}`, one in each full region that `residency` admits"),
                );
            }
            Goes::Copies(copies)
        }
        (None, Some(regions)) => Goes::Regions(regions),
        (None, None) => Goes::Everywhere,
    }
}

fn named(entry: &mut Group, listed: &Listed, names: &[RegionName], admits: &impl Fn(&Region) -> bool) {
    if names.is_empty() {
        entry.refuse("regions", "want at least one, or `copies: 1` to keep objects where they are");
    }
    refuse_strangers(entry, "regions", listed, names, |region| region.is_full());
    let barred = names.iter().find(|name| listed.find(**name).is_some_and(|region| !admits(region)));
    if let Some(barred) = barred {
        entry.refuse("regions", format!("`{barred}` lacks a tag of `residency`, remove one of the two"));
    }
}

const WANT_CLASS: &str = "want a storage class, such as `STANDARD_IA`, or a map from region to class";

fn class(entry: &mut Group, listed: &Listed) -> Classes {
    let one = |value: &Value| value.as_str()?.parse::<StorageClass>().ok();
    let read = entry.take("storage_class", WANT_CLASS, |value| match value.as_mapping() {
        None => one(value).map(Classes::All),
        Some(map) => {
            let pair = |(name, class): (&Value, &Value)| Some((name.as_str()?.parse().ok()?, one(class)?));
            map.iter().map(pair).collect::<Option<_>>().map(Classes::Each)
        }
    });
    if let Some(Classes::Each(classes)) = &read {
        let names: Vec<_> = classes.keys().copied().collect();
        refuse_strangers(entry, "storage_class", listed, &names, Region::is_full);
    }
    read.unwrap_or(Classes::AsSource)
}

/// A rule that takes nothing, since an earlier one takes all that it means, is a mistake.
fn refuse_hidden(entry: &mut Group, earlier: &[Rule], rule: &Rule) {
    if let Some(place) = earlier.iter().position(|first| first.covers(rule)) {
        let remedy = format!("rule {place} takes all of this before, put this one in front of it");
        entry.refuse("prefix", remedy);
    }
}
