//! What a pick of one region out of thirty costs, and what a roster costs to build.
//!
//! Besides criterion's report it prints one line `allocations NAME COUNT` a case,
//! which `cargo xtask bench pick` reads.

#[path = "../../../shared/tests/support/pick.rs"]
mod support;

use std::{hint::black_box, io::Write, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};

fn picks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for case in support::cases() {
        let (roster, request) = (&case.roster, &case.request);
        let counted = allocation_counter::measure(|| {
            black_box(roster.pick(black_box(request)));
        });
        // Nobody reads a closed pipe, so a line that cannot be written is no loss.
        let _ = writeln!(std::io::stdout(), "allocations {} {}", case.name, counted.count_total);
        group.bench_function(&case.name, |bencher| {
            bencher.iter(|| black_box(roster.pick(black_box(request))))
        });
    }
    group.finish();
}

criterion_group!(benches, picks);
criterion_main!(benches);
