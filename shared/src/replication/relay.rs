//! Who copies from whom: the cheapest tree of copies, or the star from the source.
//!
//! The region that sends pays, so a copy that was sent to a cheap region can feed the others from
//! there. A relay costs time and is one more region that has to be up: unless it saves more
//! than [`SAVING_MIN_PERCENT`], every copy comes straight from the source. Prices that are
//! not known are not guessed; a region without one relays nothing.

use std::{cmp::Reverse, fmt};

use serde::{Serialize, Serializer};

use crate::region::RegionName;

/// Destinations up to which the cheapest tree is found by trying all; beyond that the cheapest link
/// is taken first, and the star if that is cheaper.
pub const EXACT_MAX: usize = 10;

/// Percent of the star's price that a tree with relays has to save at least.
pub const SAVING_MIN_PERCENT: u64 = 5;

/// Millionths of a dollar for each GB: whole numbers, so that every instance sees the same ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Price(pub u64);

impl Price {
    /// The price in dollars; `None` for what is no price.
    pub fn of_usd(usd_per_gb: f64) -> Option<Self> {
        const USD_MAX: f64 = 1e6;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        let price = (0.0..=USD_MAX).contains(&usd_per_gb).then(|| Self((usd_per_gb * 1e6).round() as u64));
        price
    }

    /// The price in dollars.
    #[expect(clippy::cast_precision_loss, reason = "no price comes near 2^53 millionths")]
    pub const fn usd(self) -> f64 {
        self.0 as f64 / 1e6
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.usd())
    }
}

/// One copy: who sends it to whom, and for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The region whose copy is read, which pays.
    pub from: RegionName,
    /// The region that gets its copy.
    pub to: RegionName,
    /// Price of sending it; `None` where it is not known.
    pub usd_per_gb: Option<Price>,
}

/// Why a tree has the shape that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// There is nothing to copy.
    Alone,
    /// There is one copy, and so nobody to send it on to.
    OneCopy,
    /// Relays are switched off.
    RelaysOff,
    /// The price of sending from the source is not known.
    NoPrice,
    /// No relay saves enough.
    NothingSaved,
    /// Relays save enough.
    Cheaper,
}

/// How copies get from their source to where they belong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// Where the object was written.
    pub source: RegionName,
    /// The copies; a region gets its own before it sends any on.
    pub links: Vec<Link>,
    /// Price of all copies; `None` where one is not known.
    pub usd_per_gb: Option<Price>,
    /// Price of all copies if the source sent each; `None` where one is not known.
    pub star_usd_per_gb: Option<Price>,
    /// Why the tree has this shape.
    pub why: Why,
}

impl Tree {
    /// The regions that get a copy.
    pub fn destinations(&self) -> impl Iterator<Item = RegionName> {
        self.links.iter().map(|link| link.to)
    }

    /// The regions between the source and `destination`, first to last; empty if the source sends it.
    pub fn relays_to(&self, destination: RegionName) -> Vec<RegionName> {
        let mut relays = Vec::new();
        let mut at = destination;
        // A tree has no more levels than links.
        for _ in &self.links {
            match self.links.iter().find(|link| link.to == at) {
                Some(link) if link.from != self.source => {
                    at = link.from;
                    relays.push(at);
                }
                Some(_) | None => break,
            }
        }
        relays.reverse();
        relays
    }

    /// Whether `region` sends its own copy on.
    pub fn is_relay(&self, region: RegionName) -> bool {
        region != self.source && self.links.iter().any(|link| link.from == region)
    }

    /// Percent of the star's price that the tree saves, rounded; 0 where a price is not known.
    pub fn saved_percent(&self) -> u64 {
        let (Some(tree), Some(star)) = (self.usd_per_gb, self.star_usd_per_gb) else { return 0 };
        let saved = star.0.saturating_sub(tree.0);
        (saved * 100 + star.0 / 2).checked_div(star.0).unwrap_or(0)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source;
        match self.why {
            Why::Alone => write!(f, "it stays in {source}, where it was written"),
            Why::OneCopy => write!(f, "one copy, straight from {source}"),
            Why::RelaysOff => write!(f, "straight from {source} to each, since `replication.relay` is `off`"),
            Why::NoPrice => write!(
                f,
                "straight from {source} to each, since the price of sending from it is not known \
                 (give it `transfer_out_usd_per_gb`)"
            ),
            Why::NothingSaved => write!(
                f,
                "straight from {source} to each, since no relay saves more than {SAVING_MIN_PERCENT}%"
            ),
            Why::Cheaper => {
                let mut relays: Vec<_> =
                    self.destinations().filter(|r| self.is_relay(*r)).map(|r| r.to_string()).collect();
                relays.dedup();
                let (tree, star) =
                    (self.usd_per_gb.unwrap_or_default(), self.star_usd_per_gb.unwrap_or_default());
                write!(
                    f,
                    "by way of {}, which costs {tree} for each GB where the star from {source} costs {star}: {}% less",
                    relays.join(" and "),
                    self.saved_percent()
                )
            }
        }
    }
}

/// What may be copied to where, and for how much.
#[derive(Debug)]
pub struct Market<'a, P> {
    /// Where the object was written.
    pub source: RegionName,
    /// Where it may go, in the order of the configuration.
    pub destinations: &'a [RegionName],
    /// The price of sending from the first to the second; `None`: not known, or not to be sent that way.
    pub price: P,
    /// Whether copies may be sent on at all.
    pub relays: bool,
}

impl<P: Fn(RegionName, RegionName) -> Option<Price>> Market<'_, P> {
    /// The cheapest tree to all destinations.
    pub fn to_all(&self) -> Tree {
        let all = self.destinations.len();
        if all > EXACT_MAX {
            return self.judged(self.greedy());
        }
        let states = self.states();
        self.judged(self.links(&states[states.len() - 1]))
    }

    /// The cheapest tree to `count` of the destinations, or to all if there are fewer; of equally cheap
    /// ones that to the regions that come first.
    pub fn to_cheapest(&self, count: usize) -> Tree {
        if count >= self.destinations.len() {
            return self.to_all();
        }
        if self.destinations.len() > EXACT_MAX {
            let mut nearest: Vec<_> = self.destinations.to_vec();
            nearest.sort_by_key(|to| self.cost(self.source, *to));
            nearest.truncate(count);
            let Self { source, price, relays, .. } = self;
            return Market { source: *source, destinations: &nearest, price, relays: *relays }.to_all();
        }
        let states = self.states();
        let trees = states.iter().enumerate().filter(|(set, _)| set.count_ones() as usize == count);
        let trees = trees.map(|(set, state)| (set, self.judged(self.links(state))));
        let best = trees.min_by_key(|(set, tree)| {
            (tree.usd_per_gb.is_none(), tree.usd_per_gb, Reverse(set.reverse_bits()))
        });
        best.map_or_else(|| self.judged(Vec::new()), |(_, tree)| tree)
    }

    /// For each set of destinations, the cheapest tree that holds just these. Every tree grows leaf by leaf,
    /// so the best of a set is that of the set without one of them and the cheapest link to that one.
    fn states(&self) -> Vec<State> {
        let count = self.destinations.len();
        let row = |parent| (0..count).map(|leaf| self.link_cost(parent, leaf)).collect::<Vec<_>>();
        let (from_source, onward): (_, Vec<_>) = (row(SOURCE), (0..count).map(row).collect());
        let mut states = vec![State::default(); 1 << count];
        for set in 1..states.len() {
            let within = |at: &usize| set >> at & 1 == 1;
            let grown = (0..count).rev().filter(within).flat_map(|leaf| {
                let before = &states[set & !(1 << leaf)];
                let straight = (before.cost + from_source[leaf], before.hops + 1, leaf, SOURCE);
                let inner = (0..count).filter(within).filter(move |at| *at != leaf);
                let relayed = inner
                    .map(|at| (before.cost + onward[at][leaf], before.hops + before.depth[at] + 1, leaf, at));
                std::iter::once(straight).chain(relayed.collect::<Vec<_>>())
            });
            if let Some((cost, hops, leaf, parent)) = grown.min_by_key(|(cost, hops, ..)| (*cost, *hops)) {
                states[set] = states[set & !(1 << leaf)].grown(leaf, parent, cost, hops);
            }
        }
        states
    }

    fn links(&self, state: &State) -> Vec<Link> {
        let mut placed: Vec<_> = (0..self.destinations.len()).filter(|at| state.depth[*at] > 0).collect();
        placed.sort_by_key(|at| state.depth[*at]);
        placed.into_iter().map(|at| self.link(self.region(state.parent[at]), self.destinations[at])).collect()
    }

    /// A tree from the cheapest link on; of equally cheap ones, that to who sends on the cheapest.
    fn greedy(&self) -> Vec<Link> {
        let (mut links, mut open): (Vec<Link>, Vec<_>) = (Vec::new(), self.destinations.to_vec());
        let onward = |from| self.destinations.iter().map(|to| self.cost(from, *to)).min();
        while !open.is_empty() {
            let reached = || std::iter::once(self.source).chain(links.iter().map(|link| link.to));
            let ways = reached().flat_map(|from| open.iter().map(move |to| (from, *to)));
            let best = ways.min_by_key(|(from, to)| (self.cost(*from, *to), onward(*to)));
            let Some((from, to)) = best else { break };
            links.push(self.link(from, to));
            open.retain(|region| *region != to);
        }
        links
    }

    /// The tree of `links`, or the star if they save too little.
    fn judged(&self, links: Vec<Link>) -> Tree {
        let star: Vec<_> = links.iter().map(|link| self.link(self.source, link.to)).collect();
        let (price, star_price) = (total(&links), total(&star));
        let has_relay = links.iter().any(|link| link.from != self.source);
        let saves =
            |price: Price, star: Price| (star.0.saturating_sub(price.0)) * 100 > star.0 * SAVING_MIN_PERCENT;
        let (why, is_tree) = match (links.len(), price, star_price) {
            (0, ..) => (Why::Alone, false),
            (1, ..) => (Why::OneCopy, false),
            (_, _, None) => (Why::NoPrice, false),
            _ if !self.relays => (Why::RelaysOff, false),
            (_, Some(price), Some(star)) if has_relay && saves(price, star) => (Why::Cheaper, true),
            _ => (Why::NothingSaved, false),
        };
        let (links, usd_per_gb) =
            if is_tree { (links, price) } else { (in_order(star, self.destinations), star_price) };
        Tree { source: self.source, links, usd_per_gb, star_usd_per_gb: star_price, why }
    }

    fn link(&self, from: RegionName, to: RegionName) -> Link {
        Link { from, to, usd_per_gb: (self.price)(from, to) }
    }

    fn region(&self, at: usize) -> RegionName {
        self.destinations.get(at).copied().unwrap_or(self.source)
    }

    fn link_cost(&self, parent: usize, leaf: usize) -> u64 {
        self.cost(self.region(parent), self.destinations[leaf])
    }

    /// What a link counts: one without a price is dearer than all that have one, and the source's is
    /// the least of these evils.
    fn cost(&self, from: RegionName, to: RegionName) -> u64 {
        let may_send = from == self.source || self.relays;
        let price = (self.price)(from, to).filter(|_| may_send);
        price.map_or(if from == self.source { NO_PRICE } else { NO_PRICE * 2 }, |price| {
            price.0.min(NO_PRICE - 1)
        })
    }
}

/// Above every price, and far from overflowing in a sum.
const NO_PRICE: u64 = 1 << 50;

/// The place of the source among the regions: none of the destinations'.
const SOURCE: usize = usize::MAX;

/// A tree to some of the destinations.
#[derive(Debug, Clone, Copy)]
struct State {
    cost: u64,
    /// Links between the source and each destination, summed up: of equally cheap trees the flattest.
    hops: u64,
    /// Links between the source and the destination; 0: not in the tree.
    depth: [u64; EXACT_MAX],
    parent: [usize; EXACT_MAX],
}

impl Default for State {
    fn default() -> Self {
        Self { cost: 0, hops: 0, depth: [0; EXACT_MAX], parent: [SOURCE; EXACT_MAX] }
    }
}

impl State {
    const fn grown(mut self, leaf: usize, parent: usize, cost: u64, hops: u64) -> Self {
        self.depth[leaf] = if parent == SOURCE { 1 } else { self.depth[parent] + 1 };
        self.parent[leaf] = parent;
        self.cost = cost;
        self.hops = hops;
        self
    }
}

fn total(links: &[Link]) -> Option<Price> {
    links.iter().try_fold(Price::default(), |sum, link| Some(sum.and(link.usd_per_gb?)))
}

fn in_order(mut links: Vec<Link>, order: &[RegionName]) -> Vec<Link> {
    links.sort_by_key(|link| order.iter().position(|region| *region == link.to));
    links
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
