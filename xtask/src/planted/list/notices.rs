//! Mistakes in what others are told: too soon struck out, in the wrong order, or given up.

use super::super::{Planted, suite::Suite};

/// The faults.
pub(super) const FAULTS: [Planted; 7] = [
    Planted {
        name: "struck-out-before-it-is-queued",
        mistake: "an event leaves the outbox before it is queued for those who hear of it",
        file: "functions/upload-orchestrator/src/notify/gather.rs",
        find: "        try_join_all(queueing).await?;\n        self.queue_sentinels(untold, &notice).await?;\n        \
               self.herald.worksets.strike(untold).await",
        put: "        self.herald.worksets.strike(untold).await?;\n        try_join_all(queueing).await?;\n        \
              self.queue_sentinels(untold, &notice).await",
        suite: Suite::Orchestrator,
        tests: &["whatever_a_run_dies_at_everything_is_told"],
    },
    Planted {
        name: "told-before-it-is-sent",
        mistake: "a notice is noted as heard before it is sent",
        file: "functions/upload-orchestrator/src/notify/deliver.rs",
        find: "                Listener::Target(target) => self.send(target, &row.value.notice).await,",
        put: "                Listener::Target(target) => {\n                    \
              let told = Tried { outcome: Outcome::Told, attempts_max: 1 };\n                    \
              let _ = self.settle(listener.name(), &row, &told, tally).await;\n                    \
              self.send(target, &row.value.notice).await\n                }",
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
    Planted {
        name: "sentinels-looked-at-once",
        mistake: "what a run leaves in a bucket that was late and died is not looked at again",
        file: "functions/upload-orchestrator/src/notify/sentinels.rs",
        find: "if !queued.notice.is_again() || seen.shown.contains(&Sentinel::Lock) {",
        put: "if seen.shown.contains(&Sentinel::Lock) {",
        suite: Suite::Orchestrator,
        tests: &["a_run_that_is_late_leaves_nothing_of_an_earlier_state"],
    },
    Planted {
        name: "sentinels-copied",
        mistake: "a sentinel is copied to regions where nobody takes it away",
        file: "functions/upload-orchestrator/src/deps.rs",
        find: "self.config.sentinels.is_on() && Sentinel::is_key(key)",
        put: "!self.config.sentinels.is_on() && Sentinel::is_key(key)",
        suite: Suite::Orchestrator,
        tests: &["sentinels_are_not_copied_and_without_the_setting_they_are_objects_like_any"],
    },
];
