//! A measured row: one value, and what belongs to it.

use crate::target::Target;
use crate::usage::{self, Usage};
use std::time::{Duration, Instant};

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what; `/s` and `MB/s` are better when larger, everything else when smaller.
    pub unit: &'static str,
    /// Further values by name: `p50_ms`, `cpu_ms`, …
    pub more: Vec<(&'static str, f64)>,
}

impl Figure {
    /// A value alone.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { name: name.into(), value, unit, more: Vec::new() }
    }

    /// With another value.
    pub fn with(mut self, name: &'static str, value: f64) -> Figure {
        self.more.push((name, value));
        self
    }

    /// With the percentiles of times.
    pub fn with_times(self, times: &mut [Duration]) -> Figure {
        times.sort_unstable();
        self.with("p50_ms", percentile(times, 50))
            .with("p95_ms", percentile(times, 95))
            .with("p99_ms", percentile(times, 99))
    }

    /// With the processor time of each of `operations`, in ms.
    pub fn with_cpu(self, spent: &Spent, operations: usize) -> Figure {
        if spent.usage.cpu_seconds == 0.0 {
            return self;
        }
        self.with("cpu_ms", spent.usage.cpu_seconds * 1000.0 / operations.max(1) as f64)
    }

    /// Larger is better.
    pub fn is_rate(&self) -> bool {
        self.unit.ends_with("/s")
    }
}

/// In ms; `times` are sorted.
pub fn percentile(times: &[Duration], percent: usize) -> f64 {
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// What some work took.
pub struct Spent {
    /// Wall time.
    pub seconds: f64,
    /// What the server used meanwhile.
    pub usage: Usage,
}

/// Starts measuring; call the result when the work is done.
pub fn start(target: &Target) -> impl FnOnce() -> Spent + use<> {
    let pids = target.pids.clone();
    let before = usage::usage(&pids);
    let began = Instant::now();
    move || {
        let seconds = began.elapsed().as_secs_f64();
        let after = usage::usage(&pids);
        let usage = Usage {
            cpu_seconds: (after.cpu_seconds - before.cpu_seconds).max(0.0),
            written: after.written.saturating_sub(before.written),
        };
        Spent { seconds, usage }
    }
}
