//! What somebody may have meant who mistyped a word.

/// A question that names the most similar of the words there are; nothing when none is similar.
pub fn did_you_mean<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let best = known.min_by_key(|name| distance(typed, name));
    let near = best.filter(|name| distance(typed, name) <= name.chars().count() / 2);
    near.map_or(String::new(), |name| format!("\nDid you mean '{name}'?"))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = i;
        let mut next = vec![i + 1];
        for (j, y) in b.chars().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let left = next.last().copied().unwrap_or(usize::MAX - 1);
            next.push((before + usize::from(x != y)).min(above + 1).min(left + 1));
            before = above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
