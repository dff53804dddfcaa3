//! The cheapest tree against all trees, and the figures that the documentation names.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::config::known;

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn numbered(i: usize) -> RegionName {
    region(&format!("us-west-{i}"))
}

/// What AWS takes between two of its regions.
fn list_price(from: RegionName, to: RegionName) -> Option<Price> {
    known::transfer_usd_per_gb(from, known::of(from)?.transfer_out_usd_per_gb, to).and_then(Price::of_usd)
}

fn at_list_prices(source: &str, destinations: &[&str], relays: bool) -> Tree {
    let destinations: Vec<_> = destinations.iter().map(|name| region(name)).collect();
    Market { source: region(source), destinations: &destinations, price: list_price, relays }.to_all()
}

const THREE: [&str; 3] = ["us-west-2", "us-east-1", "eu-west-1"];

#[test]
fn a_relay_saves_53_percent_from_sydney_and_57_from_sao_paulo() {
    for (source, percent, star, tree) in
        [("ap-southeast-2", 53, 294_000, 138_000), ("sa-east-1", 57, 414_000, 178_000)]
    {
        let found = at_list_prices(source, &THREE, true);
        assert_eq!((found.saved_percent(), found.why), (percent, Why::Cheaper));
        assert_eq!((found.star_usd_per_gb, found.usd_per_gb), (Some(Price(star)), Some(Price(tree))));
        assert_eq!(found.relays_to(region("us-west-2")), []);
        assert_eq!(found.relays_to(region("eu-west-1")), [region("us-west-2")]);
    }
    assert_eq!(
        at_list_prices("sa-east-1", &THREE, true).to_string(),
        "by way of us-west-2, which costs $0.178 for each GB where the star from sa-east-1 costs $0.414: 57% less"
    );
}

#[test]
fn a_relay_saves_nothing_among_the_three_regions_of_the_default() {
    for source in THREE {
        let others: Vec<_> = THREE.into_iter().filter(|name| *name != source).collect();
        let tree = at_list_prices(source, &others, true);
        assert_eq!((tree.why, tree.saved_percent()), (Why::NothingSaved, 0));
        assert!(tree.links.iter().all(|link| link.from == region(source)));
    }
}

#[test]
fn a_pair_of_regions_with_a_price_of_its_own_is_used() {
    let tree = at_list_prices("ap-southeast-2", &["us-east-1", "us-east-2"], true);
    assert_eq!(tree.usd_per_gb, Some(Price(108_000)));
    assert_eq!(tree.relays_to(region("us-east-2")), [region("us-east-1")]);
}

#[test]
fn prices_that_are_not_known_are_not_guessed() {
    let tree = at_list_prices("af-south-1", &THREE, true);
    assert_eq!((tree.why, tree.usd_per_gb, tree.links.len()), (Why::NoPrice, None, 3));
    assert!(tree.links.iter().all(|link| link.from == region("af-south-1")));
    // Cape Town may be dear or cheap: it gets its copy, and sends none on.
    let tree = at_list_prices("sa-east-1", &["af-south-1", "us-east-1", "eu-west-1"], true);
    assert!(!tree.is_relay(region("af-south-1")) && tree.is_relay(region("us-east-1")));
}

#[test]
fn relays_that_are_off_relay_nothing() {
    let tree = at_list_prices("sa-east-1", &THREE, false);
    assert_eq!((tree.why, tree.usd_per_gb), (Why::RelaysOff, tree.star_usd_per_gb));
    assert_eq!(at_list_prices("sa-east-1", &[], true).why, Why::Alone);
    assert_eq!(at_list_prices("sa-east-1", &["us-east-1"], true).why, Why::OneCopy);
}

#[test]
fn many_regions_are_served_from_a_cheap_one_too() {
    let names: Vec<_> = known::KNOWN.iter().map(|k| k.name).filter(|name| *name != "sa-east-1").collect();
    assert!(names.len() > EXACT_MAX);
    let tree = at_list_prices("sa-east-1", &names, true);
    assert_eq!(tree.links.len(), names.len());
    assert!(tree.saved_percent() > 80, "{tree}");
}

/// Prices from each region (first index) to each destination; the source comes last.
#[derive(Debug, Clone)]
struct Prices(Vec<Vec<Option<u64>>>);

impl Prices {
    fn count(&self) -> usize {
        self.0.len() - 1
    }

    fn of(&self, from: RegionName, to: RegionName) -> Option<Price> {
        let at: BTreeMap<_, _> = (0..self.0.len()).map(|i| (numbered(i), i)).collect();
        self.0[at[&from]][at[&to]].map(Price)
    }

    fn market<'a>(
        &'a self,
        to: &'a [RegionName],
    ) -> Market<'a, impl Fn(RegionName, RegionName) -> Option<Price>> {
        Market { source: numbered(self.count()), destinations: to, price: |a, b| self.of(a, b), relays: true }
    }

    /// The price of the cheapest of all trees to `set`, by trying every parent of every region.
    fn brute(&self, set: &[usize]) -> Option<u64> {
        let source = self.count();
        let mut best = None;
        let choices = set.len() + 1;
        for number in 0..choices.pow(u32::try_from(set.len()).unwrap()) {
            let digit = |i: usize| number / choices.pow(u32::try_from(i).unwrap()) % choices;
            let parent = |i: usize| set.get(digit(i)).copied().unwrap_or(source);
            let reaches_source = |mut at: usize| {
                (0..=set.len()).any(|_| {
                    at = set.iter().position(|x| *x == at).map_or(source, parent);
                    at == source
                })
            };
            let cost = set.iter().enumerate().try_fold(0, |sum, (i, to)| Some(sum + self.0[parent(i)][*to]?));
            if set.iter().all(|at| reaches_source(*at)) {
                best = [best, cost].into_iter().flatten().min();
            }
        }
        best
    }
}

/// Up to four destinations; few different prices, so that there are ties. The source's are known.
fn prices() -> impl Strategy<Value = Prices> {
    let price = prop_oneof![4 => (0..6_u64).prop_map(|p| Some(p * 20_000)), 1 => Just(None)];
    (1..5_usize).prop_flat_map(move |count| {
        vec(vec(price.clone(), count), count + 1).prop_map(move |mut rows| {
            rows[count].iter_mut().for_each(|p| *p = Some(p.unwrap_or(90_000)));
            Prices(rows)
        })
    })
}

proptest! {
    /// Every destination gets one copy, from the source or from a region that has its own before; and
    /// the tree is never dearer than the star, and as cheap as any tree unless it is the star for
    /// want of a saving.
    #[test]
    fn a_tree_is_whole_and_the_cheapest_of_all(prices in prices()) {
        let to: Vec<_> = (0..prices.count()).map(numbered).collect();
        let tree = prices.market(&to).to_all();
        let mut reached = vec![tree.source];
        for link in &tree.links {
            prop_assert!(reached.contains(&link.from) && !reached.contains(&link.to));
            reached.push(link.to);
        }
        prop_assert_eq!(tree.links.len(), to.len());
        let (cost, star) = (tree.usd_per_gb.unwrap().0, tree.star_usd_per_gb.unwrap().0);
        prop_assert!(cost <= star);
        let best = prices.brute(&(0..prices.count()).collect::<Vec<_>>()).unwrap();
        match tree.why {
            Why::Cheaper => prop_assert_eq!(cost, best),
            Why::Alone | Why::OneCopy | Why::RelaysOff | Why::NoPrice | Why::NothingSaved => {
                prop_assert_eq!(cost, star);
                prop_assert!((star - best) * 100 <= star * SAVING_MIN_PERCENT, "{} of {}", best, star);
            }
        }
        for region in to {
            prop_assert_eq!(tree.relays_to(region).last().copied().unwrap_or(tree.source),
                tree.links.iter().find(|link| link.to == region).unwrap().from);
        }
    }

    /// A choice of regions is no dearer than any other choice of as many.
    #[test]
    fn the_cheapest_regions_are_chosen(prices in prices(), pick in any::<prop::sample::Index>()) {
        let to: Vec<_> = (0..prices.count()).map(numbered).collect();
        let count = pick.index(to.len() + 1);
        let chosen = prices.market(&to).to_cheapest(count);
        prop_assert_eq!(chosen.links.len(), count);
        for set in 0..1_u32 << to.len() {
            let some: Vec<_> = (0..to.len()).filter(|i| set >> i & 1 == 1).map(|i| to[i]).collect();
            if some.len() == count {
                prop_assert!(chosen.usd_per_gb <= prices.market(&some).to_all().usd_per_gb);
            }
        }
    }
}

#[test]
fn of_equally_cheap_regions_the_first_of_the_configuration_are_chosen() {
    let to = ["us-east-2", "us-east-1", "eu-west-1", "us-west-1"].map(region);
    let market = Market { source: region("us-west-2"), destinations: &to, price: list_price, relays: true };
    let chosen: Vec<_> = market.to_cheapest(2).destinations().collect();
    assert_eq!(chosen, [region("us-east-2"), region("us-east-1")]);
}
