//! The one table that the rig prints.

use std::fmt::Write;

/// Rows of a name, a figure, a goal, and whether it was met.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// A row with a goal. Gives back whether it was met.
    pub fn judged(&mut self, what: &str, figure: String, goal: &str, met: bool) -> bool {
        let verdict = if met { "met" } else { "MISSED" };
        self.rows.push([what.to_owned(), figure, goal.to_owned(), verdict.to_owned()]);
        met
    }

    /// A row that only informs.
    pub fn told(&mut self, what: &str, figure: String) {
        self.rows.push([what.to_owned(), figure, String::new(), String::new()]);
    }

    /// Rows of another table below these.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// True if no goal was missed.
    #[must_use]
    pub fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row[3] != "MISSED")
    }

    /// As text, in columns.
    #[must_use]
    pub fn text(&self) -> String {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2)];
        let mut text = String::new();
        for [what, figure, goal, verdict] in &self.rows {
            let line =
                format!("{what:<0$}  {figure:<1$}  {goal:<2$}  {verdict}", widths[0], widths[1], widths[2]);
            // Writing into a string cannot fail.
            let _written = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// The middle one of some measurements.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `share` (0 to 1) of the sorted values do not exceed; 0 if there are none.
#[must_use]
pub fn quantile(sorted: &[u64], share: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// Nanoseconds as milliseconds, for people.
#[must_use]
pub fn milliseconds(nanoseconds: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let value = nanoseconds as f64 / 1e6;
    format!("{value:.2} ms")
}
