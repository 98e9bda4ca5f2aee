//! The results of one size, as a Markdown table.

use std::time::Duration;

use crate::Result;
use crate::entrants::{COPY, Entrant, REFERENCE};
use crate::measure::Sample;
use crate::shapes::Shape;

/// The results of one entrant.
pub(crate) struct Row {
    name: &'static str,
    /// What its runs took, or why there are none.
    result: Result<Figures, String>,
}

#[derive(Clone, Copy)]
struct Figures {
    median: Duration,
    least: Duration,
    greatest: Duration,
    /// Median of processor times.
    cpu: Duration,
    /// Median of peaks of memory, in bytes.
    peak: u64,
}

impl Row {
    pub(crate) fn new(entrant: &Entrant, samples: &[Sample], failure: Option<String>) -> Self {
        let result = match failure {
            Some(failure) => Err(failure),
            None => Ok(Figures::of(samples)),
        };
        Self { name: entrant.name, result }
    }
}

impl Figures {
    fn of(samples: &[Sample]) -> Self {
        let times = sorted(samples, |sample| sample.wall);
        let middle = samples.len() / 2;
        Self {
            median: times[middle],
            least: times[0],
            greatest: times[times.len() - 1],
            cpu: sorted(samples, |sample| sample.cpu)[middle],
            peak: sorted(samples, |sample| sample.peak)[middle],
        }
    }
}

fn sorted<T: Ord>(samples: &[Sample], what: impl Fn(&Sample) -> T) -> Vec<T> {
    let mut all: Vec<T> = samples.iter().map(what).collect();
    all.sort_unstable();
    all
}

/// The table, ratios to `cp` and to the reference linker included.
pub(crate) fn render(name: &str, shape: &Shape, runs: usize, rows: &[Row]) -> Result<String> {
    let median_of = |name: &str| {
        let row = rows.iter().find(|row| row.name == name)?;
        Some(row.result.as_ref().ok()?.median.as_secs_f64())
    };
    let (copy, reference) = (median_of(COPY), median_of(REFERENCE));
    let ratio = |figures: &Figures, to: Option<f64>| {
        to.map_or_else(|| "-".to_owned(), |to| format!("{:.2}", figures.median.as_secs_f64() / to))
    };
    let megabytes = shape.archive.metadata()?.len() as f64 / 1e6;
    let mut text = format!("`{name}`, an archive of {megabytes:.1} MB, {runs} runs:\n\n");
    text.push_str(&format!(
        "| {:<21} | {:>9} | {:>8} | {:>8} | {:>8} | {:>8} | {:>6} | {:>10} |\n",
        "", "median ms", "min", "max", "cpu ms", "peak MB", "× cp", "× rust-lld"
    ));
    text.push_str(
        "|:----------------------|----------:|---------:|---------:|---------:|---------:|-------:|-----------:|\n",
    );
    for row in rows {
        match &row.result {
            Ok(figures) => text.push_str(&format!(
                "| {:<21} | {:>9.1} | {:>8.1} | {:>8.1} | {:>8.1} | {:>8.1} | {:>6} | {:>10} |\n",
                row.name,
                figures.median.as_secs_f64() * 1e3,
                figures.least.as_secs_f64() * 1e3,
                figures.greatest.as_secs_f64() * 1e3,
                figures.cpu.as_secs_f64() * 1e3,
                figures.peak as f64 / 1e6,
                ratio(figures, copy),
                ratio(figures, reference),
            )),
            Err(failure) => text.push_str(&format!("| {:<21} | failed: {} |\n", row.name, failure.replace('\n', " "))),
        }
    }
    Ok(text)
}
