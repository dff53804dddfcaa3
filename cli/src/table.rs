//! Rows in padded columns.

use std::fmt;

/// A heading and rows below it, each column as wide as its widest cell.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this heading and no rows.
    pub(crate) fn new<'a>(heading: impl IntoIterator<Item = &'a str>) -> Self {
        Self { rows: vec![heading.into_iter().map(str::to_owned).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| self.rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max();
        (0..columns).map(|i| width(i).unwrap_or(0)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let padded: Vec<_> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["region", "status"]);
        table.row(vec!["eu-west-1".to_owned(), "healthy".to_owned()]);
        table.row(vec!["näh".to_owned(), "-".to_owned()]);
        assert_eq!(table.to_string(), "region     status\neu-west-1  healthy\nnäh        -\n");
    }

    #[test]
    fn no_line_ends_in_blanks() {
        let mut table = Table::new(["a", "reason"]);
        table.row(vec!["b".to_owned(), String::new()]);
        assert!(table.to_string().lines().all(|line| line.trim_end() == line));
    }
}
