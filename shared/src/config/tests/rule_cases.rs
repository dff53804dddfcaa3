//! One example for each check of a rule on where objects go: a key, the value that fails, and the whole message.

pub(super) const CASES: &[(&str, &str, &str)] = &[
    ("replication.relay", "always", "`replication.relay` is `always`: want one of `off`, `cost`"),
    (
        "replication.rules",
        "{prefix: raw/}",
        r#"`replication.rules` is `{"prefix":"raw/"}`: want a list of rules, such as `[{prefix: raw/, copies: 2}]`"#,
    ),
    (
        "replication.rules",
        "[raw/]",
        "`replication.rules[0]` is `raw/`: want a map, such as `{prefix: raw/, copies: 2}`",
    ),
    (
        "replication.rules",
        "[{prefixes: raw/}]",
        "`replication.rules[0].prefixes` is `raw/`: there is no such key, did you mean `prefix`?",
    ),
    (
        "replication.rules",
        "[{prefix: /raw}]",
        "`replication.rules[0].prefix` is `/raw`: want what keys begin with, such as `raw/`: at most 1,024 bytes, no \
         control characters, no `/` in front",
    ),
    (
        "replication.rules",
        "[{bucket: my-bucket}]",
        "`replication.rules[0].bucket` is `my-bucket`: no region has it, want one of `lane-usw2`, `lane-use1`, `lane-euw1`",
    ),
    (
        "replication.rules",
        "[{copies: 0}]",
        "`replication.rules[0].copies` is `0`: want a whole number, 1 or more",
    ),
    (
        "replication.rules",
        "[{copies: 4}]",
        "`replication.rules[0].copies` is `4`: want at most `3`, one in each full region that `residency` admits",
    ),
    (
        "replication.rules",
        "[{residency: [eu], copies: 3}]",
        "`replication.rules[0].copies` is `3`: want at most `2`, one in each full region that `residency` admits",
    ),
    (
        "replication.rules",
        "[{residency: [hipaa]}]",
        r#"`replication.rules[0].residency` is `["hipaa"]`: no full region has all of these tags, so no copy could be sent anywhere"#,
    ),
    (
        "replication.rules",
        "[{regions: [eu-west-1], copies: 2}]",
        r#"`replication.rules[0].regions` is `["eu-west-1"]`: want `regions` or `copies`, not both"#,
    ),
    (
        "replication.rules",
        "[{regions: []}]",
        "`replication.rules[0].regions` is `[]`: want at least one, or `copies: 1` to keep objects where they are",
    ),
    (
        "replication.rules",
        "[{regions: [eu-west-9]}]",
        r#"`replication.rules[0].regions` is `["eu-west-9"]`: `eu-west-9` is not in `regions`, add it there or remove it here"#,
    ),
    (
        "replication.rules",
        "[{regions: [us-east-2]}]",
        r#"`replication.rules[0].regions` is `["us-east-2"]`: `us-east-2` is a witness, which is never routed to, remove it"#,
    ),
    (
        "replication.rules",
        "[{regions: [us-east-1], residency: [eu]}]",
        r#"`replication.rules[0].regions` is `["us-east-1"]`: `us-east-1` lacks a tag of `residency`, remove one of the two"#,
    ),
    (
        "replication.rules",
        "[{storage_class: COLD}]",
        "`replication.rules[0].storage_class` is `COLD`: want a storage class, such as `STANDARD_IA`, or a map from \
         region to class",
    ),
    (
        "replication.rules",
        "[{storage_class: {us-east-2: GLACIER}}]",
        r#"`replication.rules[0].storage_class` is `{"us-east-2":"GLACIER"}`: `us-east-2` is a witness, which is never routed to, remove it"#,
    ),
    (
        "replication.rules",
        "[{prefix: raw/}, {prefix: raw/a/, copies: 1}]",
        "`replication.rules[1].prefix` is `raw/a/`: rule 0 takes all of this before, put this one in front of it",
    ),
    (
        "replication.rules",
        "[{copies: 0}, {copies: 9}]",
        "`replication.rules[0].copies` is `0`: want a whole number, 1 or more\n\
         `replication.rules[1].copies` is `9`: want at most `3`, one in each full region that `residency` admits",
    ),
];
