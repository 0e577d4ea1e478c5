//! The figures as files: the table, the raw figures, and a plot.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::table::{Table, thousands};

type Figures = BTreeMap<String, f64>;

/// Writes `figures.json`, `figures.md` and `figures.svg` into a folder.
///
/// # Errors
/// The system's.
pub fn write(table: &Table, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let json = serde_json::to_string_pretty(table.figures()).map_err(io::Error::other)?;
    fs::write(folder.join("figures.json"), json + "\n")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let head = format!(
        "# Figures\n\nWhat `make figures` printed last, on two cores of a virtual machine, Linux {}. \
         Ratios say more than times: all of one row ran in the same minutes.\n\n![plots](figures.svg)\n\n",
        kernel.trim()
    );
    fs::write(folder.join("figures.md"), head + &table.text())?;
    fs::write(folder.join("figures.svg"), svg(table.figures()))
}

/// Width and height of one of the two drawings, and the room around it.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 60.0;

/// Who is drawn on loopback, and in which color: ours is the dark one.
const RELAYS: [(&str, &str, &str); 4] = [
    ("duogate", "Duogate", "#0b6e4f"),
    ("rtpengine", "rtpengine, user space", "#c0392b"),
    ("epoll", "bare epoll", "#999999"),
    ("uring", "bare io_uring", "#5d8aa8"),
];

/// Who is drawn on the cable.
const CAPACITIES: [(&str, &str, &str); 6] = [
    ("epoll", "bare epoll", "#999999"),
    ("uring", "bare io_uring", "#5d8aa8"),
    ("duogate_uring", "Duogate, io_uring", "#0b6e4f"),
    ("duogate_xdp_recorded", "Duogate, XDP, recorded", "#0b6e4f"),
    ("duogate_xdp", "Duogate, XDP", "#0b6e4f"),
    ("xdp_tx", "bare XDP_TX", "#5d8aa8"),
];

/// Numbers of pairs of the loopback row.
const PAIRS: [u32; 4] = [250, 500, 1000, 2000];

/// A drawing that text is added to; writing into a string cannot fail.
struct Drawing(String);

impl Drawing {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        let _written = self.0.write_fmt(text);
        self.0.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, words: &str) {
        self.add(format_args!("<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{words}</text>"));
    }
}

/// Both plots side by side: processor time over pairs, and capacity as bars.
fn svg(figures: &Figures) -> String {
    let (width, height) = (2.0 * (WIDTH + 2.0 * MARGIN) + 120.0, HEIGHT + 2.0 * MARGIN);
    let mut drawing = Drawing(String::new());
    drawing.add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    ));
    drawing.add(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"));
    lines(&mut drawing, figures);
    bars(&mut drawing, figures);
    drawing.add(format_args!("</svg>"));
    drawing.0
}

/// Processor time of a packet against pairs, on loopback.
fn lines(drawing: &mut Drawing, figures: &Figures) {
    drawing.text(MARGIN, 30.0, "start", "Loopback: processor time of a packet (µs) by pairs");
    let value = |key: &str, pairs: u32| figures.get(&format!("relay.{pairs}.{key}.us_per_packet")).copied();
    let all = RELAYS.iter().flat_map(|(key, ..)| PAIRS.iter().filter_map(|pairs| value(key, *pairs)));
    let highest = all.fold(1.0, f64::max) * 1.1;
    // Numbers of pairs double from one place to the next.
    let x = |place: usize| MARGIN + WIDTH * (f64::from(u32::try_from(place).unwrap_or(0)) + 0.3) / 3.6;
    let y = |value: f64| MARGIN + HEIGHT * (1.0 - value / highest);
    axes(drawing, MARGIN);
    for (place, pairs) in PAIRS.iter().enumerate() {
        drawing.text(x(place), MARGIN + HEIGHT + 18.0, "middle", &thousands(u64::from(*pairs)));
    }
    for quarter in 0..=4 {
        let level = highest * f64::from(quarter) / 4.0;
        drawing.text(MARGIN - 6.0, y(level) + 4.0, "end", &format!("{level:.1}"));
    }
    for ((key, name, color), row) in RELAYS.iter().zip(0_u8..) {
        let points: Vec<(f64, f64)> = PAIRS
            .iter()
            .enumerate()
            .filter_map(|(place, pairs)| Some((x(place), y(value(key, *pairs)?))))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        drawing.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        ));
        for (x, y) in points {
            drawing.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"));
        }
        let (x, y) = (MARGIN + WIDTH + 8.0, MARGIN + 14.0 + 18.0 * f64::from(row));
        drawing.add(format_args!(
            "<rect x=\"{x:.0}\" y=\"{:.0}\" width=\"10\" height=\"10\" fill=\"{color}\"/>",
            y - 9.0
        ));
        drawing.text(x + 14.0, y, "start", name);
    }
}

/// Highest rate without loss, on the cable; logarithmic, for the paths are worlds apart.
fn bars(drawing: &mut Drawing, figures: &Figures) {
    let left = WIDTH + 2.0 * MARGIN + 270.0;
    drawing.text(left - 150.0, 30.0, "start", "Cable: pairs of one core without loss (logarithmic)");
    let (least, most) = (100.0_f64.ln(), 50_000.0_f64.ln());
    let width = WIDTH - 140.0;
    let x = |pairs: f64| (pairs.max(100.0).ln() - least) / (most - least) * width;
    for ((key, name, color), row) in CAPACITIES.iter().zip(0_u8..) {
        let y = MARGIN + f64::from(row) * HEIGHT / 6.0;
        drawing.text(left - 8.0, y + 19.0, "end", name);
        let Some(rate) = figures.get(&format!("capacity.{key}.packets_per_second")) else {
            drawing.text(left + 6.0, y + 19.0, "start", "not measured");
            continue;
        };
        let pairs = rate / 100.0;
        drawing.add(format_args!(
            "<rect x=\"{left:.0}\" y=\"{:.0}\" width=\"{:.1}\" height=\"24\" fill=\"{color}\"/>",
            y + 3.0,
            x(pairs)
        ));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Some thousands.
        let whole = pairs as u64;
        drawing.text(left + x(pairs) + 6.0, y + 19.0, "start", &thousands(whole));
    }
}

fn axes(drawing: &mut Drawing, left: f64) {
    let (bottom, right) = (MARGIN + HEIGHT, left + WIDTH);
    drawing.add(format_args!(
        "<path d=\"M{left:.0} {MARGIN:.0}V{bottom:.0}H{right:.0}\" fill=\"none\" stroke=\"#444\"/>"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_shows_what_was_measured_and_says_what_was_not() {
        let figures: Figures = [
            ("relay.250.duogate.us_per_packet".to_owned(), 4.0),
            ("relay.500.duogate.us_per_packet".to_owned(), 3.5),
            ("capacity.duogate_xdp.packets_per_second".to_owned(), 2_000_000.0),
        ]
        .into();
        let text = svg(&figures);
        assert!(text.contains("20,000") && text.contains("not measured"), "{text}");
        assert_eq!(text.matches("<circle").count(), 2);
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
    }
}
