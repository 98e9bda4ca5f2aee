//! The option that was probably meant.

use super::flag::{Flag, dashed};

/// The name among `flags` that is nearest to `typed` (a name without dashes and without value), as it is to be written;
/// `None` if none is near.
pub(super) fn nearest<'a>(typed: &str, flags: impl IntoIterator<Item = &'a Flag>) -> Option<String> {
    name(typed, flags).map(dashed)
}

/// As [`nearest`], without dashes.
pub(super) fn name<'a>(typed: &str, flags: impl IntoIterator<Item = &'a Flag>) -> Option<&'static str> {
    closest(typed, flags.into_iter().flat_map(|flag| flag.names).copied())
}

/// As [`name`], among `names`.
pub(super) fn closest(typed: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let typed: Vec<char> = typed.chars().take(LONGEST + 1).collect();
    if typed.len() > LONGEST {
        return None;
    }
    // A third of the letters may be wrong, at most three, and never all of them.
    let allowed = (typed.len() / 3).clamp(1, 3).min(typed.len().saturating_sub(1));
    let names = names.filter(|name| name.len() > 1);
    let distances = names.map(|name| (distance(&typed, &name.chars().collect::<Vec<_>>()), name));
    // `min_by_key` keeps the first of equals: the tables put options that are honoured first.
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// No option's name is longer, with room for errors.
const LONGEST: usize = 64;

/// The number of insertions, deletions, replacements and swaps of neighbours that make `a` into `b` (optimal string
/// alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::flags;
    use super::*;

    #[test]
    fn distances() {
        for (a, b, wanted) in [("", "", 0), ("", "ab", 2), ("ab", "ab", 0), ("ab", "ba", 1), ("kitten", "sitting", 3)] {
            let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
            assert_eq!(distance(&a, &b), wanted);
            assert_eq!(distance(&b, &a), wanted);
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let nearest = |typed| nearest(typed, flags::all());
        assert_eq!(nearest("shraed").as_deref(), Some("--shared"));
        assert_eq!(nearest("sharedd").as_deref(), Some("--shared"));
        assert_eq!(nearest("whole-archiv").as_deref(), Some("--whole-archive"));
        assert_eq!(nearest("no-as-neded").as_deref(), Some("--no-as-needed"));
        assert_eq!(nearest("frobnicate"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"x".repeat(100_000)), None);
    }

    #[test]
    fn no_name_is_longer_than_the_longest() {
        let longest = flags::all().chain(flags::keywords()).flat_map(|flag| flag.names).map(|name| name.len()).max();
        assert!(longest.unwrap() <= LONGEST);
    }
}
