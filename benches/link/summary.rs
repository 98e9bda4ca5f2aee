//! All results in one small table, for the README.

use crate::entrants::{LIBRARY, LLD_22, PROGRAM, REFERENCE};
use crate::shapes::{PLATFORMS, SIZES};
use crate::table::Results;
use crate::targets::find;

/// The table: milliseconds.
pub(crate) fn render(all: &[Results]) -> String {
    let mut text = String::from(
        "| image         | size     | MB    | pkgld, library | pkgld, program | floor  | × floor | rust-lld | LLD 22 | fastest other |\n\
         |:--------------|:---------|------:|---------------:|---------------:|-------:|--------:|---------:|-------:|:--------------|\n",
    );
    for platform in PLATFORMS {
        for size in &SIZES {
            let Some(results) = find(all, size, platform) else { continue };
            let time = |name: &str| results.milliseconds(name);
            let show = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1}"));
            let floor = time(results.floor());
            let ratio = time(PROGRAM).zip(floor).map(|(ours, floor)| format!("{:.2}", ours / floor));
            let others = results.rows.iter().map(|row| row.name);
            let others = others.filter(|name| ![LIBRARY, PROGRAM, "cp", results.floor()].contains(name));
            let fastest =
                others.filter_map(|name| Some((time(name)?, name))).min_by(|one, other| one.0.total_cmp(&other.0));
            text.push_str(&format!(
                "| {:<13} | {:<8} | {:>5.1} | {:>14} | {:>14} | {:>6} | {:>7} | {:>8} | {:>6} | {:<13} |\n",
                platform.name(),
                size.name,
                results.size as f64 / 1e6,
                show(time(LIBRARY)),
                show(time(PROGRAM)),
                show(floor),
                ratio.unwrap_or("-".to_owned()),
                show(time(REFERENCE)),
                show(time(LLD_22)),
                fastest.map_or("-".to_owned(), |(time, name)| format!("{name} {time:.1}")),
            ));
        }
    }
    text
}
