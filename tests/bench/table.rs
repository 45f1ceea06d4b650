//! The table: medians of all rounds, and how anklet stands to the best of the others.

use std::fmt::Write;

use crate::peers::{PEERS, Peer};
use crate::rows::{ROWS, Row};
use crate::stats::median;

/// What was measured.
#[derive(Default)]
pub(crate) struct Results(Vec<Measured>);

struct Measured {
    row: &'static str,
    peer: Peer,
    figure: &'static str,
    values: Vec<f64>,
}

/// The one that anklet is measured against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    /// The best SOCKS proxy.
    Socks,
    /// The best of all programs.
    All,
    Only(Peer),
}

/// What is to be reached: so many times the figure of the others, at most, or at least where more
/// is better.
struct Goal {
    rows: &'static str,
    figure: &'static str,
    factor: f64,
    against: Against,
}

const fn goal(rows: &'static str, figure: &'static str, factor: f64, against: Against) -> Goal {
    Goal {
        rows,
        figure,
        factor,
        against,
    }
}

/// The goals; `rows` is how the name of a row begins. The first that fits counts.
const GOALS: &[Goal] = &[
    goal("bulk-down-1", "CPU s/GiB", 1.0, Against::All),
    goal("bulk-up-1", "CPU s/GiB", 1.0, Against::All),
    goal("bulk-both-1", "CPU s/GiB", 1.0, Against::All),
    goal("bulk-", "CPU s/GiB", 0.7, Against::All),
    goal("bulk-", "GB/s", 1.0, Against::Socks),
    goal("beside-", "p50 µs", 1.0, Against::Socks),
    goal("beside-", "p99 µs", 1.0, Against::Socks),
    goal(
        "connect-64",
        "CPU µs each",
        1.0,
        Against::Only(Peer::Haproxy),
    ),
    goal("connect-1", "CPU µs each", 0.85, Against::Socks),
    goal("ping-1", "p50 µs", 1.0, Against::Socks),
    goal("ping-100", "CPU µs a trip", 0.85, Against::Socks),
    goal("udp-up-1-", "CPU µs each", 0.7, Against::Only(Peer::Hev)),
    goal("udp-down-1-", "CPU µs each", 0.7, Against::Only(Peer::Hev)),
    goal("udp-quic-1-", "CPU µs each", 0.7, Against::Only(Peer::Hev)),
    goal("udp-ping-", "p50 µs", 1.0, Against::Socks),
    goal("udp-", "CPU µs each", 0.75, Against::Socks),
];

/// Figures of which more is better.
pub(crate) fn is_more_better(figure: &str) -> bool {
    matches!(figure, "GB/s" | "1/s" | "1000/s" | "of 3 served")
}

impl Results {
    /// Adds what one measurement has given.
    pub(crate) fn add(&mut self, row: &'static str, peer: Peer, figure: &'static str, value: f64) {
        let is_it = |m: &&mut Measured| (m.row, m.peer, m.figure) == (row, peer, figure);
        if let Some(measured) = self.0.iter_mut().find(is_it) {
            measured.values.push(value);
        } else {
            let values = vec![value];
            self.0.push(Measured {
                row,
                peer,
                figure,
                values,
            });
        }
    }

    /// The median of what was measured.
    pub(crate) fn median(&self, row: &str, peer: Peer, figure: &str) -> Option<f64> {
        let is_it = |m: &&Measured| (m.row, m.peer, m.figure) == (row, peer, figure);
        Some(median(&self.0.iter().find(is_it)?.values))
    }

    /// The programs that were measured, in the order of columns.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let is_there = |peer: &Peer| self.0.iter().any(|measured| measured.peer == *peer);
        PEERS.into_iter().filter(is_there).collect()
    }

    /// The figures of a row, in order.
    fn figures(&self, row: &Row) -> Vec<&'static str> {
        let mut figures = Vec::new();
        for measured in self.0.iter().filter(|measured| measured.row == row.name) {
            if !figures.contains(&measured.figure) {
                figures.push(measured.figure);
            }
        }
        figures
    }

    /// The best figure among those that count for a goal.
    fn best(&self, row: &str, figure: &str, against: Against) -> Option<f64> {
        let counts = |peer: &Peer| match against {
            Against::Socks => peer.is_socks(),
            Against::All => *peer != Peer::Direct,
            Against::Only(only) => *peer == only,
        };
        let others = PEERS
            .into_iter()
            .filter(|p| !matches!(p, Peer::Anklet | Peer::Before));
        let values = others
            .filter(counts)
            .filter_map(|peer| self.median(row, peer, figure));
        if is_more_better(figure) {
            values.max_by(f64::total_cmp)
        } else {
            values.min_by(f64::total_cmp)
        }
    }

    /// The whole table in Markdown.
    pub(crate) fn table(&self) -> String {
        let peers = self.peers();
        let mut text = String::from("| row | figure |");
        let mut line = String::from("|---|---|");
        for peer in &peers {
            let _ = write!(text, " {} |", peer.name());
            line.push_str("---:|");
        }
        let _ = writeln!(text, " anklet / best | goal |\n{line}---:|---|");
        for row in ROWS {
            for figure in self.figures(row) {
                let _ = write!(text, "| {} | {figure} |", row.name);
                for peer in &peers {
                    let value = self.median(row.name, *peer, figure);
                    let _ = write!(text, " {} |", value.map_or_else(|| "–".into(), shown));
                }
                let (ratio, goal) = self.verdict(row, figure);
                let _ = writeln!(text, " {ratio} | {goal} |");
            }
        }
        text
    }

    /// How anklet stands to the best of those that count, and whether that is enough.
    fn verdict(&self, row: &Row, figure: &str) -> (String, String) {
        let is_it = |goal: &&Goal| goal.figure == figure && fits(goal.rows, row.name);
        let goal = GOALS.iter().find(is_it);
        let against = goal.map_or(Against::Socks, |goal| goal.against);
        let own = self.median(row.name, Peer::Anklet, figure);
        let best = self
            .best(row.name, figure, against)
            .filter(|best| *best > 0.0);
        let ratio = own.zip(best).map(|(own, best)| own / best);
        let text = ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
        let Some(goal) = goal else {
            return (text, String::new());
        };
        let sign = if is_more_better(figure) { "≥" } else { "≤" };
        let whom = match goal.against {
            Against::Socks => "SOCKS",
            Against::All => "all",
            Against::Only(peer) => peer.name(),
        };
        let is_met = ratio.map(|ratio| {
            if is_more_better(figure) {
                ratio >= goal.factor
            } else {
                ratio <= goal.factor
            }
        });
        let mark = match is_met {
            Some(true) => " ✓",
            Some(false) => " ✗",
            None => "",
        };
        (text, format!("{sign} {:.2} × {whom}{mark}", goal.factor))
    }
}

/// Whether a row's name is that of a goal, or begins with it where that ends in a dash.
fn fits(goal: &str, row: &str) -> bool {
    row == goal || goal.ends_with('-') && row.starts_with(goal) || row == format!("{goal}-login")
}

/// A value with three digits that say something.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "never".into(),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The rows that a list names: each by its name or by how it begins, or "short" or "all".
pub(crate) fn chosen(list: &str) -> Result<Vec<&'static Row>, String> {
    let mut rows = Vec::new();
    for word in list.split([',', ' ']).filter(|word| !word.is_empty()) {
        let is_name = ROWS.iter().any(|row| row.name == word);
        let is_meant = |row: &&Row| match word {
            "all" => true,
            "short" => row.is_short,
            _ if is_name => row.name == word,
            _ => row.name.starts_with(word),
        };
        let before = rows.len();
        rows.extend(ROWS.iter().filter(is_meant));
        if rows.len() == before {
            return Err(format!("no row is called {word}"));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        for (peer, value) in [
            (Peer::Direct, 0.0),
            (Peer::Haproxy, 0.2),
            (Peer::Anklet, 0.1),
            (Peer::Anklet, 0.9),
            (Peer::Anklet, 0.12),
            (Peer::Hev, 0.16),
        ] {
            results.add("bulk-down-8", peer, "CPU s/GiB", value);
            results.add("bulk-down-8", peer, "GB/s", value * 10.0);
        }
        results
    }

    #[test]
    fn medians_and_ratios_and_goals_stand_in_the_table() {
        let table = results().table();
        let lines: Vec<&str> = table.lines().collect();
        let head = "| row | figure | no proxy | haproxy | anklet | hev | anklet / best | goal |";
        assert_eq!(lines[0], head);
        let cpu =
            "| bulk-down-8 | CPU s/GiB | 0.000 | 0.200 | 0.120 | 0.160 | 0.75 | ≤ 0.70 × all ✗ |";
        assert_eq!(lines[2], cpu);
        let speed = "| bulk-down-8 | GB/s | 0.000 | 2.00 | 1.20 | 1.60 | 0.75 | ≥ 1.00 × SOCKS ✗ |";
        assert_eq!(lines[3], speed);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_figure_nobody_has_is_a_dash_and_no_goal_is_met_by_it() {
        let mut results = Results::default();
        results.add("connect-64", Peer::Anklet, "CPU µs each", 40.0);
        let table = results.table();
        assert!(
            table.ends_with("| 40.0 | – | ≤ 1.00 × haproxy |\n"),
            "{table}"
        );
    }

    #[test]
    fn each_goal_is_that_of_a_row() {
        for goal in GOALS {
            assert!(
                ROWS.iter().any(|row| fits(goal.rows, row.name)),
                "{}",
                goal.rows
            );
        }
    }

    #[test]
    fn rows_are_chosen_by_their_names_or_how_these_begin() {
        let names = |list| {
            chosen(list)
                .unwrap()
                .iter()
                .map(|row| row.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("connect-64"), ["connect-64"]);
        assert_eq!(names("ping-1,connect-6").len(), 3);
        assert_eq!(names("all").len(), ROWS.len());
        assert!(chosen("nonsense").is_err());
    }

    #[test]
    fn values_have_three_digits() {
        let values = [1234.5, 12.345, 1.2345, 0.12345, f64::INFINITY].map(shown);
        assert_eq!(values, ["1234", "12.3", "1.23", "0.123", "never"]);
    }
}
