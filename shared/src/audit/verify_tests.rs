use proptest::prelude::*;
use serde_json::json;

use super::*;

const WEST: &str = "us-west-2";
const EAST: &str = "us-east-1";

/// A record of `number`, of `region` under `epoch`, that follows `prev`.
fn entry(number: u64, region: &str, epoch: u64, prev: Option<&Entry>) -> Entry {
    let mut raw = json!({"version": number, "region": region, "epoch": epoch, "reason": "x"});
    let prev = prev.and_then(|prev| Some(Link::read(&prev.raw)?.hash));
    raw["chain"] = json!(Link::of(&raw, prev, None).unwrap());
    let home = format!("event#{number}#{region}#{epoch}");
    Entry { number, region: region.parse().ok(), epoch: Some(epoch), place: home.clone(), home, raw }
}

fn chain(length: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for number in 1..=length {
        let next = entry(number, WEST, 1, entries.last());
        entries.push(next);
    }
    entries
}

fn judged(entries: &[Entry]) -> Verified {
    verify(entries, Rules::Versions, None, None)
}

/// Whoever has the tables computes digests as well as we do.
fn relinked(entry: &mut Entry) {
    let link = Link::read(&entry.raw).unwrap();
    entry.raw["chain"] = json!(Link::of(&entry.raw, link.prev, link.content).unwrap());
}

proptest! {
    #[test]
    fn a_whole_chain_is_whole_in_any_order(length in 1..20_u64, turn in 0..20_usize) {
        let mut entries = chain(length);
        let newest = Link::read(&entries.last().unwrap().raw).unwrap().hash;
        entries.rotate_left(turn % usize::try_from(length).unwrap());
        let head = Some(Head { number: length, hash: newest });
        prop_assert_eq!(judged(&entries), Verified { records: length, head, ..Verified::default() });
    }

    /// Whichever field of whichever record, and whether or not its digest was made to fit.
    #[test]
    fn a_changed_record_is_found(length in 2..12_u64, which in 0..12_usize, field in 0..4_usize, fitted: bool) {
        let mut entries = chain(length);
        // What follows the newest one is nothing: that one's digest has to be kept elsewhere.
        let which = which % usize::try_from(length - u64::from(fitted)).unwrap();
        let head = judged(&entries).head;
        entries[which].raw[["reason", "region", "epoch", "new"][field]] = json!("y");
        if fitted {
            relinked(&mut entries[which]);
        }
        let found = judged(&entries).findings;
        let place = entries[which].place.clone();
        let wanted = if fitted {
            Finding::Removed { number: entries[which].number, before: entries[which + 1].place.clone() }
        } else {
            Finding::Edited { place }
        };
        prop_assert_eq!(found, vec![wanted]);
        prop_assert!(head.is_some());
    }

    #[test]
    fn a_record_that_was_taken_out_is_named(length in 2..12_u64, which in 0..11_usize) {
        let mut entries = chain(length);
        let gone = entries.remove(which % usize::try_from(length - 1).unwrap());
        let before = entries.iter().find(|e| e.number == gone.number + 1).unwrap().place.clone();
        prop_assert_eq!(judged(&entries).findings, vec![Finding::Removed { number: gone.number, before }]);
    }

    /// Two records that change places, whether or not they take their numbers along.
    #[test]
    fn records_that_changed_places_are_found(length in 2..12_u64, a in 0..12_usize, b in 0..12_usize) {
        let mut entries = chain(length);
        let most = usize::try_from(length).unwrap();
        prop_assume!(a % most != b % most);
        let (one, two) = (entries[a % most].clone(), entries[b % most].clone());
        (entries[a % most].raw, entries[a % most].home) = (two.raw.clone(), two.home.clone());
        (entries[b % most].raw, entries[b % most].home) = (one.raw.clone(), one.home.clone());
        let found = judged(&entries).findings;
        prop_assert!(found.contains(&Finding::Moved { place: one.place, home: two.home }), "{:?}", found);
    }

    /// A forged record that follows a real one: its writer would have written one number twice.
    #[test]
    fn a_record_that_was_put_in_is_found(length in 2..12_u64, at in 0..11_usize, elsewhere: bool) {
        let mut entries = chain(length);
        let at = at % usize::try_from(length - 1).unwrap();
        let region = if elsewhere { EAST } else { WEST };
        let mut forged = entry(entries[at].number + 1, region, 1, Some(&entries[at]));
        forged.place += "x";
        forged.home += "x";
        let places = vec![entries[at + 1].place.clone(), forged.place.clone()];
        entries.push(forged);
        prop_assert_eq!(judged(&entries).findings, vec![Finding::Inserted { places }]);
    }

    /// Both regions wrote for a while and could not see each other; either's row may have been kept.
    #[test]
    fn regions_that_could_not_see_each_other_leave_a_fork_and_no_finding(
        shared in 0..5_u64, west in 1..5_u64, east in 1..5_u64, kept_west: bool,
    ) {
        let mut entries = chain(shared);
        let base = entries.last().cloned();
        let mut newest = Vec::new();
        for (region, epoch, length) in [(WEST, 1, west), (EAST, 2, east)] {
            let mut last = base.clone();
            for number in shared + 1..=shared + length {
                let next = entry(number, region, epoch, last.as_ref());
                entries.push(next.clone());
                last = Some(next);
            }
            newest.extend(last);
        }
        let newest = newest[usize::from(!kept_west)].place.clone();
        let found = verify(&entries, Rules::Versions, Some(&newest), None);
        prop_assert_eq!(found.findings, vec![]);
        prop_assert_eq!(found.forks.iter().map(|f| (f.number, f.places.len())).collect::<Vec<_>>(), vec![(shared + 1, 2)]);
    }

    /// The end of a chain, cut off cleanly, is missed by who kept the head and by nobody else.
    #[test]
    fn a_tail_that_was_cut_off_is_found_by_a_head_that_was_kept(length in 2..12_u64, cut in 1..11_u64) {
        let mut entries = chain(length);
        let kept = judged(&entries).head;
        let left = length - cut.min(length - 1);
        entries.truncate(usize::try_from(left).unwrap());
        prop_assert_eq!(judged(&entries).findings, vec![]);
        let found = verify(&entries, Rules::Versions, None, kept);
        prop_assert_eq!(found.findings, vec![Finding::Cut { number: length }]);
        let whole = chain(length + 3);
        prop_assert_eq!(verify(&whole, Rules::Versions, None, kept).findings, vec![]);
    }
}

#[test]
fn records_from_before_there_were_links_are_told_as_such() {
    let mut old: Vec<_> = chain(3);
    old.iter_mut().for_each(|entry| drop(entry.raw.as_object_mut().unwrap().remove("chain")));
    assert_eq!(judged(&old), Verified { records: 3, unchained: 3, ..Verified::default() });
    let first = entry(4, WEST, 1, None);
    old.extend([first.clone(), entry(5, WEST, 1, Some(&first))]);
    let found = judged(&old);
    assert_eq!((found.unchained, &found.findings[..], found.head.unwrap().number), (3, &[][..], 5));
    // Whoever strips a link makes no old record of it.
    old[4].raw.as_object_mut().unwrap().remove("chain");
    assert_eq!(judged(&old).findings, [Finding::Unlinked { place: old[4].place.clone() }]);
}

#[test]
fn a_record_beyond_the_row_s_newest_is_told() {
    let entries = chain(3);
    let found = verify(&entries, Rules::Versions, Some(&entries[1].place), None);
    assert_eq!(found.findings, [Finding::Beyond { place: entries[2].place.clone() }]);
}

#[test]
fn a_list_has_no_forks_and_only_some_may_have_gaps() {
    let mut entries = chain(2);
    entries.push(entry(2, EAST, 2, Some(&entries[0])));
    assert!(matches!(&verify(&entries, Rules::List, None, None).findings[..], [Finding::Inserted { .. }]));
    let first = entry(3, WEST, 3, None);
    let entries = [first.clone(), entry(7, WEST, 7, Some(&first))];
    assert_eq!(verify(&entries, Rules::Rising, None, None).findings, []);
    assert_eq!(verify(&entries, Rules::List, None, None).findings.len(), 2);
}

/// Its digest fits, and what it followed is not said any more.
#[test]
fn a_record_that_was_cut_loose_is_told() {
    for rules in [Rules::Versions, Rules::List, Rules::Rising] {
        let mut entries = chain(3);
        entries[2] = entry(3, WEST, 1, None);
        let before = entries[2].place.clone();
        assert_eq!(verify(&entries, rules, None, None).findings, [Finding::Removed { number: 2, before }]);
    }
}

#[test]
fn a_record_of_a_region_that_did_not_take_the_writes_is_told() {
    let entries = chain(2);
    let active = |region: &str| BTreeMap::from([(1, region.parse().unwrap())]);
    assert_eq!(foreign(&entries, &active(WEST)), []);
    assert_eq!(foreign(&entries, &BTreeMap::new()), []);
    let told = foreign(&entries, &active(EAST));
    assert!(matches!(&told[..], [Finding::Foreign { epoch: 1, .. }, Finding::Foreign { .. }]), "{told:?}");
}
