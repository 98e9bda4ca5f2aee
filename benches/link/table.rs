//! The results of one archive, as a Markdown table.

use std::time::Duration;

use crate::Result;
use crate::entrants::{COPY, COPY_AND_HASH, Counted, Entrant, REFERENCE};
use crate::measure::{Memory, Sample};
use crate::shapes::{Platform, Shape};

/// What came out for one archive.
pub(crate) struct Results {
    pub(crate) shape: Shape,
    pub(crate) rows: Vec<Row>,
    /// How often each entrant was to run.
    pub(crate) runs: usize,
    /// Bytes of pkgld's image.
    pub(crate) size: u64,
    /// What pkgld counted.
    pub(crate) counted: Counted,
}

impl Results {
    /// The figures of an entrant, if it has any.
    pub(crate) fn figures(&self, name: &str) -> Option<Figures> {
        self.rows.iter().find(|row| row.name == name)?.result.clone().ok()
    }

    /// The median time of an entrant in milliseconds.
    pub(crate) fn milliseconds(&self, name: &str) -> Option<f64> {
        Some(self.figures(name)?.median.as_secs_f64() * 1e3)
    }

    /// What no linker can be faster than.
    pub(crate) fn floor(&self) -> &'static str {
        if self.shape.platform == Platform::MachO { COPY_AND_HASH } else { COPY }
    }
}

/// The results of one entrant.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What its runs took, or why there are none.
    result: Result<Figures, String>,
}

#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) median: Duration,
    least: Duration,
    greatest: Duration,
    /// Median of processor times.
    cpu: Duration,
    pub(crate) memory: Memory,
    /// Runs that count.
    runs: usize,
}

impl Row {
    pub(crate) fn new(entrant: &Entrant, samples: &[Sample], memory: Memory, failure: Option<String>) -> Self {
        let result = match failure {
            Some(failure) => Err(failure),
            None => Ok(Figures::of(samples, memory)),
        };
        Self { name: entrant.name, result }
    }
}

impl Figures {
    fn of(samples: &[Sample], memory: Memory) -> Self {
        let times = sorted(samples, |sample| sample.wall);
        let runs = samples.len();
        Self {
            median: times[runs / 2],
            least: times[0],
            greatest: times[runs - 1],
            cpu: sorted(samples, |sample| sample.cpu)[runs / 2],
            memory,
            runs,
        }
    }
}

fn sorted<T: Ord>(samples: &[Sample], what: impl Fn(&Sample) -> T) -> Vec<T> {
    let mut all: Vec<T> = samples.iter().map(what).collect();
    all.sort_unstable();
    all
}

/// The table, ratios to `cp`, to the floor and to the reference linker included.
pub(crate) fn render(results: &Results) -> Result<String> {
    let signed = results.floor() != COPY;
    let bases = [Some(COPY), signed.then_some(COPY_AND_HASH), Some(REFERENCE)];
    let bases: Vec<&str> = bases.into_iter().flatten().collect();
    let megabytes = results.shape.entry.path.metadata()?.len() as f64 / 1e6;
    let (name, platform, runs) = (&results.shape.name, results.shape.platform.name(), results.runs);
    let mut text = format!(
        "`{name}`, {platform}, an archive of {megabytes:.1} MB, an image of {:.1} MB, {runs} runs unless stated:\n\n",
        results.size as f64 / 1e6
    );
    let mut head = format!(
        "| {:<21} | {:>9} | {:>8} | {:>8} | {:>8} | {:>12} | {:>9} |",
        "", "median ms", "min", "max", "cpu ms", "anonymous MB", "mapped MB"
    );
    let mut line = String::from(
        "|:----------------------|----------:|---------:|---------:|---------:|-------------:|----------:|",
    );
    for base in &bases {
        head.push_str(&format!(" × {base} |"));
        line.push_str(&format!("{}:|", "-".repeat(base.chars().count() + 3)));
    }
    text.push_str(&format!("{head}\n{line}\n"));
    for row in &results.rows {
        let figures = match &row.result {
            Ok(figures) => figures,
            Err(failure) => {
                text.push_str(&format!("| {:<21} | failed: {} |\n", row.name, failure.replace('\n', " ")));
                continue;
            }
        };
        let name =
            if figures.runs == runs { row.name.to_owned() } else { format!("{}, {} runs", row.name, figures.runs) };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        text.push_str(&format!(
            "| {name:<21} | {:>9.1} | {:>8.1} | {:>8.1} | {:>8.1} | {:>12.1} | {:>9.1} |",
            milliseconds(figures.median),
            milliseconds(figures.least),
            milliseconds(figures.greatest),
            milliseconds(figures.cpu),
            figures.memory.anonymous as f64 / 1e6,
            figures.memory.mapped as f64 / 1e6,
        ));
        for base in &bases {
            let width = base.chars().count() + 2;
            let ratio = results.milliseconds(base).map(|base| milliseconds(figures.median) / base);
            text.push_str(&format!(" {:>width$} |", ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))));
        }
        text.push('\n');
    }
    Ok(text)
}
