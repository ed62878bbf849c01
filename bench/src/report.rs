//! Tables of figures: Markdown for people, JSON for machines.

use crate::figure::{Figure, median};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// All rounds of one server.
pub struct Rounds {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// The figures of each round, in the order of the rows.
    pub rounds: Vec<Vec<Figure>>,
}

impl Rounds {
    /// The median over the rounds of a row, and of all that belongs to it.
    fn figure(&self, name: &str) -> Option<Figure> {
        let found: Vec<&Figure> =
            self.rounds.iter().flatten().filter(|figure| figure.name == name).collect();
        let first = *found.first()?;
        let middle = |pick: &dyn Fn(&Figure) -> Option<f64>| {
            median(&mut found.iter().filter_map(|figure| pick(figure)).collect::<Vec<_>>())
        };
        let more = first.more.iter().map(|(key, _)| {
            let pick = |figure: &Figure| {
                figure.more.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
            };
            (*key, middle(&pick))
        });
        Some(Figure {
            name: name.to_owned(),
            value: middle(&|figure| Some(figure.value)),
            unit: first.unit,
            more: more.collect(),
        })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for figure in self.rounds.iter().flatten() {
            if !names.contains(&figure.name) {
                names.push(figure.name.clone());
            }
        }
        names
    }
}

/// A value with three significant digits.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The table; the first server is ours, a second one is compared with it.
pub fn markdown(servers: &[Rounds]) -> String {
    let Some(ours) = servers.first() else { return String::new() };
    let peer = servers.get(1);
    let mut out = String::from("| work | Postrider | p50 / p99 | CPU each |");
    let _ = writeln!(
        out,
        "{}",
        peer.map_or(String::new(), |p| format!(" {} | p50 / p99 | CPU each | ratio |", p.name))
    );
    out.push_str("|---|---|---|---|");
    out.push_str(if peer.is_some() { "---|---|---|---|\n" } else { "\n" });
    for name in ours.names() {
        let Some(figure) = ours.figure(&name) else { continue };
        let _ = write!(out, "| {name} |{}", cells(&figure));
        if let Some(peer) = peer {
            match peer.figure(&name) {
                Some(theirs) => {
                    let ratio = if figure.is_rate() {
                        figure.value / theirs.value
                    } else {
                        theirs.value / figure.value
                    };
                    // Nothing over nothing says nothing.
                    let ratio = match ratio.is_normal() {
                        true => format!(" {} x |", short(ratio)),
                        false => " |".to_owned(),
                    };
                    let _ = write!(out, "{}{ratio}", cells(&theirs));
                }
                None => out.push_str(" - | | | |"),
            }
        }
        out.push('\n');
    }
    out
}

fn cells(figure: &Figure) -> String {
    let more = |name: &str| figure.more.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
    let times = match (more("p50_ms"), more("p99_ms")) {
        (Some(p50), Some(p99)) => format!("{} / {} ms", short(p50), short(p99)),
        _ => String::new(),
    };
    let cpu = more("cpu_ms").map_or(String::new(), |ms| format!("{} ms", short(ms)));
    format!(" {} {} | {times} | {cpu} |", short(figure.value), figure.unit)
}

/// Everything, every round.
pub fn json(servers: &[Rounds]) -> Value {
    let figure = |figure: &Figure| {
        let more: serde_json::Map<String, Value> =
            figure.more.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        json!({ "work": figure.name, "value": figure.value, "unit": figure.unit, "more": more })
    };
    let round = |round: &Vec<Figure>| round.iter().map(figure).collect::<Value>();
    let server = |server: &Rounds| {
        let medians = server.names();
        let medians = medians.iter().filter_map(|name| server.figure(name));
        json!({ "server": server.name, "version": server.version,
                "medians": medians.map(|f| figure(&f)).collect::<Value>(),
                "rounds": server.rounds.iter().map(round).collect::<Value>() })
    };
    servers.iter().map(server).collect()
}
