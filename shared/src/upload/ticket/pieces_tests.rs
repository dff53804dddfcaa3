use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use super::*;

fn piece(size: u64, sum: u64) -> Piece {
    Piece { size: ByteSize(size), checksum: Checksum::from_u64(sum) }
}

fn stored(number: u32, piece: Piece) -> ports::Part {
    let checksum = Some(piece.checksum);
    ports::Part { number, etag: format!("\"{number}\""), size_bytes: piece.size.0, checksum }
}

prop_compose! {
    fn pieces()(
        full in vec((prop_oneof![Just(PART_MIN.0), PART_MIN.0..PART_MAX.0], any::<u64>()), 0..40),
        last in (1..PART_MAX.0, any::<u64>()),
    ) -> Pieces {
        let all = full.into_iter().chain([last]).map(|(size, sum)| piece(size, sum));
        Pieces::new(all.collect()).unwrap()
    }
}

proptest! {
    /// What a row holds reads back.
    #[test]
    fn packed_parts_read_back(pieces in pieces()) {
        let json = serde_json::to_string(&pieces).unwrap();
        prop_assert_eq!(serde_json::from_str::<Pieces>(&json).unwrap(), pieces);
    }

    /// No text of a row makes the reader panic, or lets parts in that S3 would not join.
    #[test]
    fn odd_rows_are_refused(sizes in vec((0..4_u32, any::<u64>()), 0..4), sums in "[A-Za-z0-9+/]{0,40}") {
        let text = serde_json::json!({"sizes": sizes, "sums": sums}).to_string();
        if let Ok(pieces) = serde_json::from_str::<Pieces>(&text) {
            prop_assert!(Pieces::new(pieces.0.clone()).is_ok());
        }
    }

    /// The whole is joined exactly when the store has every part as it was promised, whatever else it
    /// has; and what lacks is named. Each part is changed once: a second change could undo the first.
    #[test]
    fn parts_are_joined_only_as_promised(pieces in pieces(), changed in btree_map(1..41_u32, 0..4_u8, 0..4)) {
        let mut held: Vec<_> = (1..=pieces.count()).map(|n| stored(n, pieces.get(n).unwrap())).collect();
        let mut wrong = std::collections::BTreeSet::new();
        for (number, how) in changed.into_iter().filter(|(n, _)| *n <= pieces.count()) {
            let Some(part) = held.iter_mut().find(|part| part.number == number) else { continue };
            match how {
                0 => part.size_bytes += 1,
                1 => part.checksum = Some(Checksum::from_u64(part.checksum.map_or(0, Checksum::as_u64) ^ 1)),
                2 => held.retain(|part| part.number != number),
                _ => { part.checksum = None; continue }
            }
            wrong.insert(number);
        }
        held.push(stored(pieces.count() + 1, piece(1, 1)));
        match pieces.joined(&held) {
            Ok(joined) => {
                prop_assert!(wrong.is_empty(), "{wrong:?}");
                prop_assert_eq!(joined.len(), pieces.count() as usize);
            }
            Err(lacking) => prop_assert_eq!(lacking, wrong.into_iter().collect::<Spans>()),
        }
    }
}

#[test]
fn what_s3_would_not_join_is_refused_by_place() {
    let (least, most) = (PART_MIN.0, PART_MAX.0);
    assert_eq!(Pieces::new(vec![]), Err(InvalidPieces::Count(0)));
    assert_eq!(Pieces::new(vec![piece(least, 0); 10_001]), Err(InvalidPieces::Count(10_001)));
    let small = Pieces::new(vec![piece(least, 0), piece(least - 1, 0), piece(1, 0)]).unwrap_err();
    assert_eq!(small, InvalidPieces::Size { place: 1, size: ByteSize(least - 1) });
    assert!(small.to_string().contains("`parts[1].size_bytes` is 5242879"), "{small}");
    assert!(matches!(Pieces::new(vec![piece(most + 1, 0)]), Err(InvalidPieces::Size { place: 0, .. })));
    assert_eq!(Pieces::new(vec![piece(least, 0), piece(0, 0)]), Err(InvalidPieces::Empty(1)));
    assert!(Pieces::new(vec![piece(0, 0)]).is_ok() && Pieces::new(vec![piece(most, 0); 10_000]).is_ok());
}

#[test]
fn the_whole_has_the_checksum_that_its_bytes_have() {
    let bytes: Vec<u8> = (0..(11 << 20)).map(|n: u32| n.to_le_bytes()[1]).collect();
    let parts =
        bytes.chunks(5 << 20).map(|b| Piece { size: ByteSize(b.len() as u64), checksum: Checksum::of(b) });
    let pieces = Pieces::new(parts.collect()).unwrap();
    assert_eq!(
        (pieces.count(), pieces.size(), pieces.checksum()),
        (3, ByteSize(11 << 20), Checksum::of(&bytes))
    );
}

/// The row of the largest list stays below what a table takes, whatever the sizes.
#[test]
fn ten_thousand_parts_fit_into_a_row() {
    let sizes = (0..10_000_u64).map(|n| piece(PART_MAX.0 - n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let row = serde_json::to_string(&Pieces::new(sizes.collect()).unwrap()).unwrap();
    assert!(row.len() < 260_000, "{}", row.len());
}

#[test]
fn runs_print_shortly() {
    let spans: Spans = [1, 2, 3, 7, 9, 10].into_iter().collect();
    assert_eq!(spans.to_string(), "1-3, 7, 9-10");
    let many: Spans = (0..50).map(|n| n * 2).collect();
    assert!(many.to_string().ends_with("14 and 42 runs more"), "{many}");
}
