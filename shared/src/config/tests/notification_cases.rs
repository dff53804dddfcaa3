//! One example for each check of a target of notifications: a key, the value that fails, and the whole message.

pub(super) const CASES: &[(&str, &str, &str)] = &[
    (
        "notifications.attempts_max",
        "0",
        "`notifications.attempts_max` is `0`: want a whole number from 1 to 100",
    ),
    (
        "notifications.targets",
        "ops",
        "`notifications.targets` is `ops`: want a list of targets, such as `[{name: ops, kind: sns, topic_arn: \
         'arn:aws:sns:us-west-2:123456789012:my-topic'}]`",
    ),
    (
        "notifications.targets",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9]",
        "`notifications.targets` is `[1,2,3,4,5,6,7,8,9]`: want at most 8 targets",
    ),
    (
        "notifications.targets",
        "[ops]",
        "`notifications.targets[0]` is `ops`: want a map, such as `{name: ops, kind: sns, topic_arn: \
         'arn:aws:sns:us-west-2:123456789012:my-topic'}`",
    ),
    (
        "notifications.targets",
        "[{}]",
        "`notifications.targets[0].name` is not set: want 1 to 32 lower-case letters, digits and dashes\n\
         `notifications.targets[0].kind` is not set: want `sns` or `webhook`",
    ),
    (
        "notifications.targets",
        "[{name: Ops, kind: mail}]",
        "`notifications.targets[0].name` is `Ops`: want 1 to 32 lower-case letters, digits and dashes\n\
         `notifications.targets[0].kind` is `mail`: want one of `sns`, `webhook`",
    ),
    (
        "notifications.targets",
        "[{name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:my-topic.fifo'}]",
        "`notifications.targets[0].topic_arn` is `arn:aws:sns:us-west-2:123456789012:my-topic.fifo`: FIFO topics are not \
         supported, want a standard topic (each notice has an id to drop doubles by)",
    ),
    (
        "notifications.targets",
        "[{name: ops, kind: sns, topic_arn: my-topic}]",
        "`notifications.targets[0].topic_arn` is `my-topic`: want the ARN of a topic, such as \
         `arn:aws:sns:us-west-2:123456789012:my-topic`",
    ),
    (
        "notifications.targets",
        "[{name: ops, kind: sns}]",
        "`notifications.targets[0].topic_arn` is not set: a topic needs its ARN",
    ),
    (
        "notifications.targets",
        "[{name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:t', url: 'https://example.com'}]",
        "`notifications.targets[0].url` is `https://example.com`: a topic has none, remove it",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook}]",
        "`notifications.targets[0].url` is not set: a webhook needs its URL\n\
         `notifications.targets[0].secret_env` is not set: a webhook needs the name of the variable that holds its secret",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'http://lims.example.com', secret_env: WEBHOOK_SECRET_1}]",
        "`notifications.targets[0].url` is `http://lims.example.com`: want `https://`; plain `http` needs \
         `security.allow_local_endpoints`",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://169.254.169.254/latest', secret_env: WEBHOOK_SECRET_1}]",
        "`notifications.targets[0].url` is `https://169.254.169.254/latest`: no endpoint may be there: machines get \
         credentials or events at such an address, or it is no single host's",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://10.0.0.7/hook', secret_env: WEBHOOK_SECRET_1}]",
        "`notifications.targets[0].url` is `https://10.0.0.7/hook`: it is no public address; a local one needs \
         `security.allow_local_endpoints`",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://lims.example.com', secret_env: AWS_SECRET_ACCESS_KEY}]",
        "`notifications.targets[0].secret_env` is `AWS_SECRET_ACCESS_KEY`: want the name of a variable of capital letters, \
         digits and `_`, such as `WEBHOOK_SECRET_1`, and none of AWS's or of these settings; the secret itself does not \
         belong here",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://lims.example.com', secret_env: WEBHOOK_SECRET_1, events: [lock]}]",
        "`notifications.targets[0].events` is `[\"lock\"]`: want a list of `workset` and `failover`",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://lims.example.com', secret_env: WEBHOOK_SECRET_1, events: [failover], \
         states: [error]}]",
        "`notifications.targets[0].states` is `[\"error\"]`: only worksets have states, add `workset` to `events` or \
         remove this",
    ),
    (
        "notifications.targets",
        "[{name: lims, kind: webhook, url: 'https://lims.example.com', secret_env: WEBHOOK_SECRET_1, states: [done]}]",
        "`notifications.targets[0].states` is `[\"done\"]`: want a list of states, of `ready`, `in_progress`, `complete`, \
         `error`, `ignored`, `retrying`, `failed`, `canceled`, `archived`, `deleted`",
    ),
    (
        "notifications.targets",
        "[{name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:a'}, \
         {name: ops, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:b'}]",
        "`notifications.targets[1].name` is `ops`: another target is called so, want a name of its own: rows are kept by it",
    ),
    (
        "notifications.targets",
        "[{name: sentinels-x, kind: sns, topic_arn: 'arn:aws:sns:us-west-2:123456789012:a'}]",
        "`notifications.targets[0].name` is `sentinels-x`: names that begin with `sentinels-` are those of \
         `worksets.sentinels`, want another",
    ),
    ("worksets.sentinels", "on", "`worksets.sentinels` is `on`: want one of `off`, `own`, `any`"),
];
