//! Worksets as people read them.

use std::fmt;

use sealane::workset::Workset;
use serde::Serialize;

use super::flow::One;
use crate::table::Table;

/// Several worksets.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Listed(pub(super) Vec<Workset>);

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(std::slice::from_ref(&self.workset)).fmt(f)?;
        self.served_by.map_or(Ok(()), |region| write!(f, "served by {region}"))
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("no such workset") } else { table(&self.0).fmt(f) }
    }
}

fn table(worksets: &[Workset]) -> Table {
    let mut table = Table::new([
        "id",
        "state",
        "priority",
        "type",
        "version",
        "samples",
        "bucket",
        "prefix",
        "written in",
    ]);
    for workset in worksets {
        let samples = workset.metadata.as_ref().map_or(0, |metadata| metadata.samples().len());
        table.row(vec![
            workset.id.to_string(),
            workset.state.to_string(),
            workset.priority.to_string(),
            workset.kind.to_string(),
            workset.version.to_string(),
            samples.to_string(),
            workset.bucket.to_string(),
            workset.prefix.to_string(),
            workset.written_in.to_string(),
        ]);
    }
    table
}
