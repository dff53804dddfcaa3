//! Mistakes in what others are told: too soon struck out, in the wrong order, or given up.

use super::super::{Planted, suite::Suite};

/// The faults.
pub(super) const FAULTS: [Planted; 5] = [
    Planted {
        name: "struck-out-before-it-is-queued",
        mistake: "an event leaves the outbox before it is queued for those who hear of it",
        file: "functions/upload-orchestrator/src/notify/gather.rs",
        find: "        try_join_all(queueing).await?;\n        self.herald.worksets.strike(untold).await",
        put: "        self.herald.worksets.strike(untold).await?;\n        try_join_all(queueing).await.map(drop)",
        suite: Suite::Orchestrator,
        tests: &["whatever_a_run_dies_at_everything_is_told"],
    },
    Planted {
        name: "told-before-it-is-sent",
        mistake: "a notice is noted as heard before it is sent",
        file: "functions/upload-orchestrator/src/notify/deliver.rs",
        find: "let outcome = judge(&target.channel, &self.herald.posts.post(&post).await);",
        put: "let _ = self.settle(target, &row, &Outcome::Told, tally).await;\n            \
              let outcome = judge(&target.channel, &self.herald.posts.post(&post).await);",
        suite: Suite::Orchestrator,
        tests: &["whatever_a_run_dies_at_everything_is_told"],
    },
    Planted {
        name: "told-by-every-region",
        mistake: "a region that is not active tells what another one tells",
        file: "functions/upload-orchestrator/src/notify.rs",
        find: "record.filter(|record| record.active == here)",
        put: "record.filter(|record| record.epoch > 0 || record.active == here)",
        suite: Suite::Orchestrator,
        tests: &["only_the_region_that_is_active_tells"],
    },
    Planted {
        name: "line-out-of-order",
        mistake: "what comes after a notice that waits is told before it",
        file: "shared/src/notify/lanes.rs",
        find: "rows.iter().take_while(|row| is_due(of(row))).count()",
        put: "rows.iter().filter(|row| is_due(of(row))).count()",
        suite: Suite::Rules,
        tests: &["a_line_keeps_its_order_and_holds_back_no_other"],
    },
    Planted {
        name: "silence-taken-for-refusal",
        mistake: "a target that does not answer is given up on at once",
        file: "shared/src/notify/answer.rs",
        find: "Err(error) => return Outcome::Again { why: error.to_string(), wait: None },",
        put: "Err(error) => return Outcome::Refused { why: error.to_string() },",
        suite: Suite::Rules,
        tests: &["who_may_hear_later_is_told_again_and_nobody_else"],
    },
];
