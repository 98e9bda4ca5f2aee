//! Measures pkgld against other linkers and against `cp`, on archives of Julia's shape.
//!
//! `cargo bench --bench link` prints one table for each size; `benches/README.md` says how to read it.

mod arguments;
mod entrants;
mod machine;
mod measure;
mod shapes;
mod table;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use entrants::{Entrant, Field, Job};
use measure::Sample;
use shapes::Shape;
use table::Row;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let result = match std::env::args_os().nth(1).and_then(|first| first.into_string().ok()).as_deref() {
        // The program starts itself for what must not leave traces in the memory of the process that measures: what a
        // process has held counts as the peak of the children it starts.
        Some(entrants::LIBRARY_CALL) => entrants::library_call(std::env::args_os().skip(2)),
        Some(shapes::MAKE) => shapes::make(std::env::args_os().skip(2)),
        _ => run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.help {
        print!("{}", arguments::HELP);
        return Ok(());
    }
    fs::create_dir_all(&arguments.directory)?;
    println!("{}", machine::describe(&arguments.directory)?);
    let Field { entrants, missing } = entrants::find()?;
    println!("\nLinkers:");
    for entrant in &entrants {
        println!("* {}: {}", entrant.name, entrant.version);
    }
    for (name, hint) in missing {
        println!("* {name}: not measured, {hint}");
    }
    for name in &arguments.archives {
        let shape = shapes::shape(name)?;
        let runs = arguments.runs.unwrap_or(match shape.archive.metadata()?.len() / 1_000_000 {
            0..32 => 15,
            32..512 => 9,
            _ => 5,
        });
        let rows = compare(&entrants, &shape, &arguments.directory, runs)?;
        print!("\n{}", table::render(name, &shape, runs, &rows)?);
    }
    Ok(())
}

/// Runs every entrant `runs` times, in turn, after one run of each that does not count.
fn compare(entrants: &[Entrant], shape: &Shape, directory: &Path, runs: usize) -> Result<Vec<Row>> {
    // `cp` copies an image; the first run makes it.
    let image = directory.join("image.so");
    let output = directory.join("output.so");
    let job = Job { shape, image: &image, output: &output };
    let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(runs); entrants.len()];
    let mut failures: Vec<Option<String>> = vec![None; entrants.len()];
    let mut ours: Option<u32> = None;
    for round in 0..=runs {
        for (index, entrant) in entrants.iter().enumerate() {
            if failures[index].is_some() {
                continue;
            }
            remove(&output)?;
            let sample = match entrant.run(&job).and_then(|sample| job.check().map(|()| sample)) {
                Ok(sample) => sample,
                Err(error) if entrant.ours => return Err(error),
                Err(error) => {
                    failures[index] = Some(error.to_string());
                    continue;
                }
            };
            if round > 0 {
                samples[index].push(sample);
                continue;
            }
            if index == 0 {
                fs::copy(&output, &image)?;
            }
            // The library call and the program must have written the same image.
            if entrant.ours {
                let checksum = entrants::checksum_of(&output)?;
                if *ours.get_or_insert(checksum) != checksum {
                    return Err(format!("{} wrote another image than {}", entrant.name, entrants[0].name).into());
                }
            }
        }
    }
    remove(&output)?;
    remove(&image)?;
    let rows = entrants.iter().zip(samples).zip(failures);
    Ok(rows.map(|((entrant, samples), failure)| Row::new(entrant, &samples, failure)).collect())
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
