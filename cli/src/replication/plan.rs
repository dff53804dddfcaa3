//! `sealane replication plan`: where objects go by the configuration, who copies from whom, and what that costs.
//!
//! Nothing is asked of any region: what is shown follows from the configuration alone, and is
//! what the orchestrators go by.

use std::fmt;

use sealane::{
    config::Config,
    region::{Region, RegionName},
    replication::{Placement, Price, Rule, Why},
    units::ByteSize,
    upload::StorageClass,
};
use serde::Serialize;

use crate::{fault::Fault, named, table::Table};

/// What is planned.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Scope {
    /// Only objects that are written in this region
    #[arg(long, value_name = "REGION")]
    from: Option<String>,
    /// Only objects whose key begins with this
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// The size to show the price of
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    size: ByteSize,
}

/// Where objects go.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Plan {
    /// Whether objects are copied at all.
    enabled: bool,
    size: ByteSize,
    ways: Vec<Way>,
}

/// Where the objects of one region go that one rule fits.
#[derive(Debug, PartialEq, Serialize)]
struct Way {
    from: RegionName,
    /// What their keys begin with, and their bucket; `None`: what no rule fits.
    which: Option<String>,
    #[serde(flatten)]
    placement: Placement,
    /// The choice in words.
    words: String,
    copies: Vec<Copy>,
    /// Dollars for the transfer of all copies; `None` where a price is not known.
    usd: Option<f64>,
    /// The same if the source sent each.
    star_usd: Option<f64>,
}

/// One copy.
#[derive(Debug, PartialEq, Serialize)]
struct Copy {
    to: RegionName,
    /// The region whose copy is read.
    via: RegionName,
    /// Its storage class; `None`: that of the object.
    storage_class: Option<StorageClass>,
    usd_per_gb: Option<Price>,
    usd: Option<f64>,
}

/// Where objects go by `config`.
pub(super) fn plan(config: &Config, scope: &Scope) -> Result<Plan, Fault> {
    let from = scope.from.as_deref().map(|name| named::full_region(config, "--from", name)).transpose()?;
    let sources = config.full_regions().filter(|region| from.is_none_or(|from| from == region.name));
    let ways = sources.flat_map(|source| {
        rules(config, source, &scope.prefix).into_iter().map(|rule| way(config, source, rule, scope.size))
    });
    let ways = if config.enabled { ways.collect() } else { Vec::new() };
    Ok(Plan { enabled: config.enabled, size: scope.size, ways })
}

/// The rules that objects of `source` below `prefix` can meet, and `None` if some meet none.
fn rules<'a>(config: &'a Config, source: &Region, prefix: &str) -> Vec<Option<(usize, &'a Rule)>> {
    let bucket = source.bucket.as_deref().unwrap_or_default();
    let mut met = Vec::new();
    for (place, rule) in config.replication.rules.iter().enumerate() {
        if rule.fits(bucket, prefix) {
            met.push(Some((place, rule)));
            return met;
        }
        if rule.is_of(bucket) && rule.prefix.starts_with(prefix) {
            met.push(Some((place, rule)));
        }
    }
    met.push(None);
    met
}

fn way(config: &Config, source: &Region, rule: Option<(usize, &Rule)>, size: ByteSize) -> Way {
    let placement = config.replication.placement_by(rule, source, None, &config.regions);
    let rule = rule.map(|(_, rule)| rule);
    let copies = placement.tree.links.iter().map(|link| Copy {
        to: link.to,
        via: link.from,
        storage_class: rule.and_then(|rule| rule.class.of(link.to)),
        usd_per_gb: link.usd_per_gb,
        usd: usd(link.usd_per_gb, size),
    });
    Way {
        from: source.name,
        which: rule.map(ToString::to_string),
        words: words(&placement),
        copies: copies.collect(),
        usd: usd(placement.tree.usd_per_gb, size),
        star_usd: usd(placement.tree.star_usd_per_gb, size),
        placement,
    }
}

/// Dollars for `size` at this price; what S3 bills as a GB has 2^30 bytes.
#[expect(clippy::cast_precision_loss, reason = "a cent is far above the loss")]
fn usd(price: Option<Price>, size: ByteSize) -> Option<f64> {
    price.map(|price| price.usd() * size.0 as f64 / ByteSize::gib(1).0 as f64)
}

fn words(placement: &Placement) -> String {
    let mut words = placement.tree.to_string();
    if !placement.barred.is_empty() {
        let barred: Vec<_> = placement.barred.iter().map(ToString::to_string).collect();
        words.push_str(&format!("; never to {}, for want of the residency", barred.join(", ")));
    }
    if placement.lacking > 0 {
        words.push_str(&format!(
            "; {} fewer than the rule wants, as there are no more regions",
            placement.lacking
        ));
    }
    words
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.enabled {
            return f.write_str("nothing is copied, since `enabled` is `false`");
        }
        for (place, way) in self.ways.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            way.show(f, self.size)?;
        }
        Ok(())
    }
}

impl Way {
    fn show(&self, f: &mut fmt::Formatter<'_>, size: ByteSize) -> fmt::Result {
        match (&self.which, self.placement.rule) {
            (Some(which), Some(place)) => write!(f, "{}, rule {place} ({which}): ", self.from)?,
            _ => write!(f, "{}, no rule: ", self.from)?,
        }
        writeln!(f, "{}", self.words)?;
        if self.copies.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(["  to", "copied from", "class", "a GB", &size.to_string()]);
        for copy in &self.copies {
            table.row(vec![
                format!("  {}", copy.to),
                copy.via.to_string(),
                copy.storage_class.map_or_else(|| "as the object".to_owned(), |class| class.to_string()),
                copy.usd_per_gb.map_or_else(unknown, |price| price.to_string()),
                shown(copy.usd),
            ]);
        }
        write!(f, "{table}")?;
        if self.placement.tree.why == Why::Cheaper {
            writeln!(f, "  all: {}; as a star: {}", shown(self.usd), shown(self.star_usd))?;
        } else {
            writeln!(f, "  all: {}", shown(self.usd))?;
        }
        Ok(())
    }
}

fn shown(usd: Option<f64>) -> String {
    usd.map_or_else(unknown, |usd| format!("${usd:.4}"))
}

fn unknown() -> String {
    "not known".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(replication: &str) -> Config {
        let document = format!(
            "{{primary_region: us-west-2, replication: {replication}, regions: [{{name: us-west-2, bucket: bucket-a}}, \
             {{name: us-east-1, bucket: bucket-b}}, {{name: eu-west-1, bucket: bucket-c}}, {{name: sa-east-1, bucket: bucket-d}}]}}"
        );
        Config::read(Some(&document), std::iter::empty()).unwrap()
    }

    fn planned(replication: &str, from: Option<&str>, prefix: &str) -> Plan {
        let scope =
            Scope { from: from.map(str::to_owned), prefix: prefix.to_owned(), size: ByteSize::gib(10) };
        plan(&config(replication), &scope).unwrap()
    }

    #[test]
    fn a_dear_region_is_shown_with_its_relay_and_what_that_saves() {
        assert_eq!(
            planned("{}", Some("sa-east-1"), "").to_string(),
            "sa-east-1, no rule: by way of us-west-2, which costs $0.178 for each GB where the star from sa-east-1 \
             costs $0.414: 57% less\n\
             \x20 to         copied from  class          a GB    10 GiB\n\
             \x20 us-west-2  sa-east-1    as the object  $0.138  $1.3800\n\
             \x20 us-east-1  us-west-2    as the object  $0.02   $0.2000\n\
             \x20 eu-west-1  us-west-2    as the object  $0.02   $0.2000\n\
             \x20 all: $1.7800; as a star: $4.1400\n"
        );
    }

    #[test]
    fn every_rule_that_objects_can_meet_is_shown_and_no_other() {
        let rules = "{rules: [{prefix: raw/tmp/, copies: 1}, {prefix: raw/, regions: [us-east-1], storage_class: GLACIER_IR}, \
                     {bucket: bucket-c, copies: 2}]}";
        let shown = |from, prefix| {
            let plan = planned(rules, Some(from), prefix);
            plan.ways.iter().map(|way| way.placement.rule).collect::<Vec<_>>()
        };
        assert_eq!(shown("us-west-2", ""), [Some(0), Some(1), None]);
        assert_eq!(shown("eu-west-1", ""), [Some(0), Some(1), Some(2)]);
        assert_eq!(shown("us-west-2", "raw/"), [Some(0), Some(1)]);
        assert_eq!(shown("us-west-2", "raw/tmp/x"), [Some(0)]);
        assert_eq!(shown("us-west-2", "s"), [None]);
        let text = planned(rules, Some("us-west-2"), "raw/").to_string();
        assert!(
            text.starts_with("us-west-2, rule 0 (`raw/tmp/`): it stays in us-west-2, where it was written\n")
        );
        assert!(text.contains("rule 1 (`raw/`): one copy, straight from us-west-2\n"), "{text}");
        assert!(text.contains("GLACIER_IR"), "{text}");
    }

    #[test]
    fn what_residency_bars_is_said() {
        let text = planned("{rules: [{residency: [eu], copies: 2}]}", Some("eu-west-1"), "").to_string();
        assert_eq!(
            text,
            "eu-west-1, rule 0 (any key): it stays in eu-west-1, where it was written; never to us-west-2, us-east-1, \
             sa-east-1, for want of the residency; 1 fewer than the rule wants, as there are no more regions\n"
        );
    }

    #[test]
    fn every_source_is_planned_and_none_when_the_rest_is_switched_off() {
        assert_eq!(planned("{}", None, "").ways.len(), 4);
        let mut off = config("{}");
        off.enabled = false;
        let scope = Scope { from: None, prefix: String::new(), size: ByteSize(1) };
        let plan = plan(&off, &scope).unwrap();
        assert_eq!(plan.to_string(), "nothing is copied, since `enabled` is `false`");
        let text = serde_json::to_value(planned("{}", Some("us-west-2"), "")).unwrap();
        assert_eq!(text["ways"][0]["tree"]["why"], "nothing_saved");
        assert_eq!(text["ways"][0]["copies"][0]["via"], "us-west-2");
    }
}
