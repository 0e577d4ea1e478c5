//! The one table that the rig prints, and the raw figures behind it.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Rows of a name, a figure, a goal, and whether it was met; and raw figures by name.
#[derive(Debug, Default)]
pub struct Table {
    ratios: Vec<[String; 4]>,
    rows: Vec<[String; 4]>,
    raw: BTreeMap<String, f64>,
}

impl Table {
    /// A row with a goal. Gives back whether it was met.
    pub fn judged(&mut self, what: &str, figure: String, goal: &str, met: bool) -> bool {
        self.rows.push(row(what, figure, goal, met));
        met
    }

    /// A quotient of two figures of one run with a goal: these stand first, for they say more than figures do.
    pub fn ratio(&mut self, what: &str, figure: String, goal: &str, met: bool) {
        self.ratios.push(row(what, figure, goal, met));
    }

    /// A row that only informs.
    pub fn told(&mut self, what: &str, figure: String) {
        self.rows.push([what.to_owned(), figure, String::new(), String::new()]);
    }

    /// A quotient that only informs.
    pub fn ratio_told(&mut self, what: &str, figure: String) {
        self.ratios.push([what.to_owned(), figure, String::new(), String::new()]);
    }

    /// A raw figure; its name has its unit at its end.
    pub fn raw(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.raw.insert(name.into(), value);
        }
    }

    /// The raw figures by name.
    #[must_use]
    pub const fn figures(&self) -> &BTreeMap<String, f64> {
        &self.raw
    }

    /// Rows of another table below these.
    pub fn append(&mut self, other: Self) {
        self.ratios.extend(other.ratios);
        self.rows.extend(other.rows);
        self.raw.extend(other.raw);
    }

    /// True if no goal was missed.
    #[must_use]
    pub fn all_met(&self) -> bool {
        self.ratios.iter().chain(&self.rows).all(|row| row[3] != MISSED)
    }

    /// As a table of Markdown, in columns that stand below each other in a terminal too.
    #[must_use]
    pub fn text(&self) -> String {
        let head = ["figure", "this run", "goal", ""].map(str::to_owned);
        let rows: Vec<&[String; 4]> = [&head].into_iter().chain(&self.ratios).chain(&self.rows).collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let widths = [width(0), width(1), width(2), width(3)];
        let mut text = String::new();
        for (place, [what, figure, goal, verdict]) in rows.into_iter().enumerate() {
            // Writing into a string cannot fail.
            let _written = writeln!(
                text,
                "| {what:<0$} | {figure:<1$} | {goal:<2$} | {verdict:<3$} |",
                widths[0], widths[1], widths[2], widths[3]
            );
            if place == 0 {
                let line = widths.map(|width| "-".repeat(width)).join(" | ");
                let _written = writeln!(text, "| {line} |");
            }
        }
        text
    }
}

const MISSED: &str = "MISSED";

fn row(what: &str, figure: String, goal: &str, met: bool) -> [String; 4] {
    let verdict = if met { "met" } else { MISSED };
    [what.to_owned(), figure, goal.to_owned(), verdict.to_owned()]
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

/// Nanoseconds as microseconds, for people.
#[must_use]
pub fn microseconds(nanoseconds: u64) -> String {
    format!("{} µs", (nanoseconds + 500) / 1000)
}

/// Sorted nanoseconds as a histogram in one line: the share of times up to each bound that has any.
#[must_use]
pub fn histogram(sorted: &[u64]) -> String {
    let mut bars = Vec::new();
    let mut begin = 0;
    // Bounds of 125 µs, 250 µs, 500 µs, …
    for bound in (0..20).map(|power| 125_000_u64 << power) {
        let end = sorted.partition_point(|time| *time <= bound);
        if end > begin {
            let permille = (end - begin) * 1000 / sorted.len();
            bars.push(format!("≤ {} {}.{} %", milliseconds(bound), permille / 10, permille % 10));
        }
        begin = end;
    }
    bars.join(", ")
}

/// A number with commas between its thousands.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_stand_first_and_a_missed_goal_is_seen() {
        let mut table = Table::default();
        table.told("a figure", "1 µs".to_owned());
        table.ratio("a ratio", "0.5".to_owned(), "≤ 1", true);
        assert!(table.all_met());
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("| ---"), "{text}");
        assert!(lines[2].starts_with("| a ratio") && lines[3].starts_with("| a figure"), "{text}");
        table.ratio("another", "2".to_owned(), "≤ 1", false);
        assert!(!table.all_met());
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [thousands(0), thousands(999), thousands(20_000), thousands(1_234_567)].join(" "),
            "0 999 20,000 1,234,567"
        );
    }
}
