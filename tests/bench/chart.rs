//! The table as a picture: bars of the figures that most people ask for first, shorter is better.

use std::fmt::Write;

use crate::peers::Peer;
use crate::table::{Results, shown};

/// What is drawn, and what stands above it.
const CHARTS: &[(&str, &str, &str)] = &[
    ("bulk-down-8", "CPU s/GiB", "8 downloads, CPU s/GiB"),
    ("beside-same", "p50 µs", "ping beside them, µs"),
    ("connect-64", "CPU µs each", "connection, CPU µs"),
    ("ping-100", "CPU µs a trip", "ping on 100 tunnels, CPU µs"),
    (
        "udp-quic-1-1400",
        "CPU µs each",
        "QUIC-like datagram, CPU µs",
    ),
    ("never-read-200", "all KiB", "client that never reads, KiB"),
    ("idle-1000", "all KiB", "idle tunnel, KiB"),
];

const COLUMNS: usize = 2;
const WIDTH: usize = 400;
const BAR: usize = 16;
/// Where bars begin, and how long the longest is.
const LEFT: usize = 90;
const LONGEST: f64 = 240.0;

impl Results {
    /// The picture, in SVG.
    pub(crate) fn chart(&self) -> String {
        let peers: Vec<Peer> = self
            .peers()
            .into_iter()
            .filter(|p| *p != Peer::Direct)
            .collect();
        let height = 30 + BAR * peers.len() + 14;
        let shown_charts: Vec<_> = CHARTS
            .iter()
            .filter(|chart| self.is_measured(chart))
            .collect();
        let rows = shown_charts.len().div_ceil(COLUMNS);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
            COLUMNS * WIDTH,
            rows * height + 10,
        );
        for (number, chart) in shown_charts.iter().enumerate() {
            let (x, y) = (
                number % COLUMNS * WIDTH + 10,
                number / COLUMNS * height + 20,
            );
            self.draw(&mut text, chart, &peers, (x, y));
        }
        text.push_str("</svg>\n");
        text
    }

    fn is_measured(&self, (row, figure, _): &(&str, &str, &str)) -> bool {
        self.median(row, Peer::Anklet, figure).is_some()
    }

    fn draw(
        &self,
        text: &mut String,
        (row, figure, title): &(&str, &str, &str),
        peers: &[Peer],
        (x, y): (usize, usize),
    ) {
        let values: Vec<(Peer, f64)> = peers
            .iter()
            .filter_map(|peer| Some((*peer, self.median(row, *peer, figure)?)))
            .filter(|(_, value)| value.is_finite())
            .collect();
        let longest = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{y}\" font-weight=\"bold\">{title}</text>"
        );
        for (number, (peer, value)) in values.iter().enumerate() {
            let top = y + 8 + number * BAR;
            let length = (value / longest * LONGEST).max(1.0);
            let color = if *peer == Peer::Anklet {
                "#0a6e8a"
            } else {
                "#b8c4cc"
            };
            let (base, left) = (top + 11, x + LEFT);
            let _ = writeln!(
                text,
                "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{left}\" y=\"{top}\" width=\"{length:.0}\" height=\"13\" \
                 fill=\"{color}\"/><text x=\"{:.0}\" y=\"{base}\">{}</text>",
                left - 6,
                peer.name(),
                left as f64 + length + 5.0,
                shown(*value),
            );
        }
    }
}

#[test]
fn the_picture_has_a_bar_for_each_program_and_the_longest_is_the_worst() {
    let mut results = Results::default();
    for (peer, value) in [(Peer::Direct, 9.0), (Peer::Anklet, 4.0), (Peer::Hev, 8.0)] {
        results.add("connect-64", peer, "CPU µs each", value);
    }
    let chart = results.chart();
    assert_eq!(
        chart.matches("<rect").count(),
        3,
        "with the background: {chart}"
    );
    assert!(chart.contains("width=\"240\"") && chart.contains("width=\"120\""));
    assert!(!chart.contains("no proxy"));
    for (row, _, _) in CHARTS {
        assert!(
            crate::rows::ROWS.iter().any(|known| known.name == *row),
            "{row}"
        );
    }
}
