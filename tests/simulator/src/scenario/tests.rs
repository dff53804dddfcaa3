use super::*;
use crate::cloud;

fn plans(seeds: u64) -> impl Iterator<Item = (Scenario, u64, Plan)> {
    let config = cloud::config(&serde_json::Value::Null);
    let each = move |seed| {
        let dice = Dice::new(seed);
        Scenario::ALL.map(|s| (s, seed, s.plan(&config, &dice)))
    };
    (0..seeds).flat_map(each)
}

#[test]
fn a_seed_settles_the_whole_plan() {
    assert!(plans(20).eq(plans(20)));
    let differ = |scenario: Scenario| {
        let mut begins: Vec<_> = plans(20).filter(|(s, ..)| *s == scenario).map(|(.., p)| p.since).collect();
        begins.dedup();
        begins.len() > 10
    };
    assert!(Scenario::ALL.into_iter().all(differ));
}

#[test]
fn the_fault_comes_after_the_warm_up_and_the_run_ends_after_it() {
    for (scenario, seed, plan) in plans(50) {
        assert!(plan.since >= Duration::from_secs(30), "{scenario} {seed}");
        assert!(plan.ends > plan.since + Duration::from_secs(40), "{scenario} {seed}");
        // A return of work takes up to 400 s, and shared worksets are watched for 30 s more.
        assert!(plan.ends <= Duration::from_secs(430), "{scenario} {seed}: {:?}", plan.ends);
        assert!(plan.acts.iter().all(|timed| timed.at < plan.ends), "{scenario} {seed}");
        assert!(plan.acts.is_sorted_by_key(|timed| timed.at), "{scenario} {seed}");
    }
}

#[test]
fn names_read_back() {
    for scenario in Scenario::ALL {
        assert_eq!(scenario.name().parse(), Ok(scenario));
    }
    let unknown = "meteor".parse::<Scenario>().unwrap_err().to_string();
    assert!(unknown.starts_with("`meteor` is not a scenario (want one of `region_loss`, "), "{unknown}");
}

#[test]
fn what_is_broken_and_mended_has_one_name() {
    for (scenario, seed, plan) in plans(20) {
        let mut broken = std::collections::BTreeSet::new();
        for timed in &plan.acts {
            match &timed.act {
                Act::Break { slot, .. } => assert!(broken.insert(*slot), "{scenario} {seed}"),
                Act::Mend(slot) => assert!(broken.remove(slot), "{scenario} {seed}"),
                _ => {}
            }
        }
    }
}
