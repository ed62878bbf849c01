//! What a server uses: the processor time, octets written, and memory of a tree of processes, from
//! /proc. Children that ended count through the parent that waited for them.

use std::collections::HashMap;
use std::fs;

/// Sums over a tree of processes.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Octets that went to the block layer.
    pub written: u64,
}

/// Clock ticks a second in /proc (USER_HZ is 100 on every Linux).
const TICKS: f64 = 100.0;

/// The processes under `roots`, those included.
pub fn tree(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// The fields of /proc/PID/stat after the name: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

/// What the tree under `roots` has used so far.
pub fn usage(roots: &[u32]) -> Usage {
    let mut sum = Usage::default();
    for pid in tree(roots) {
        let Some(fields) = stat(pid) else { continue };
        // utime, stime, cutime, cstime: fields 14 to 17 of proc(5).
        let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        sum.cpu_seconds += (11..15).map(ticks).sum::<f64>() / TICKS;
        sum.written += line_of(&format!("/proc/{pid}/io"), "write_bytes:");
    }
    sum
}

/// Proportional set size of the tree in octets.
pub fn memory(roots: &[u32]) -> u64 {
    let one = |pid: u32| line_of(&format!("/proc/{pid}/smaps_rollup"), "Pss:") * 1024;
    tree(roots).into_iter().map(one).sum()
}

/// The largest resident set that any moment saw, summed over the tree, in octets.
pub fn peak(roots: &[u32]) -> u64 {
    let one = |pid: u32| line_of(&format!("/proc/{pid}/status"), "VmHWM:") * 1024;
    tree(roots).into_iter().map(one).sum()
}

/// From now on [`peak`] counts anew.
pub fn forget_peak(roots: &[u32]) -> std::io::Result<()> {
    // "5" is for that, by proc(5).
    tree(roots).into_iter().try_for_each(|pid| fs::write(format!("/proc/{pid}/clear_refs"), "5"))
}

fn line_of(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
