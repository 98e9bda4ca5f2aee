//! Measures pkgld against other linkers and against `cp`.
//!
//! `cargo bench --bench link` prints one table for each archive; `benches/README.md` says how to read it.

mod arguments;
mod check;
mod entrants;
mod machine;
mod measure;
mod picture;
mod shapes;
mod summary;
mod table;
mod targets;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use arguments::Arguments;
use entrants::{Counted, Entrant, Field, Job};
use measure::{Memory, Sample};
use shapes::Shape;
use table::{Results, Row};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let result = match std::env::args_os().nth(1).and_then(|first| first.into_string().ok()).as_deref() {
        // The program starts itself for what must not leave traces in the memory of the process that measures.
        Some(entrants::LIBRARY_CALL) => entrants::library_call(std::env::args_os().skip(2)),
        Some(shapes::MAKE) => shapes::make(std::env::args_os().skip(2)),
        Some(check::CHECK) => check::run(std::env::args_os().skip(2)),
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
    // Before the machine is looked at: making archives takes all of it.
    let shapes = arguments.archives.iter().map(|name| shapes::shape(name)).collect::<Result<Vec<_>>>()?;
    let mut text = machine::describe(&arguments.directory)?;
    let Field { entrants, missing } = entrants::find(arguments.also.as_deref())?;
    text.push_str("\n\nLinkers:\n");
    for entrant in &entrants {
        text.push_str(&format!("* {}: {}\n", entrant.name, entrant.version));
    }
    for (name, hint) in missing {
        text.push_str(&format!("* {name}: not measured, {hint}\n"));
    }
    print!("{text}");
    let mut all = Vec::new();
    for shape in shapes {
        let runs = arguments.runs.unwrap_or(match shape.entry.path.metadata()?.len() / 1_000_000 {
            0..32 => 15,
            32..512 => 9,
            _ => 5,
        });
        let results = compare(&entrants, shape, &arguments.directory, runs)?;
        let table = format!("\n{}", table::render(&results)?);
        print!("{table}");
        text.push_str(&table);
        all.push(results);
        // As it stands: somebody may lose patience.
        if arguments.summary {
            fs::create_dir_all(&arguments.results)?;
            fs::write(arguments.results.join("figures.md"), format!("{text}\n{}", targets::render(&all)))?;
            fs::write(arguments.results.join("summary.md"), summary::render(&all))?;
            fs::write(arguments.results.join("summary.svg"), picture::draw(&all))?;
        }
    }
    if arguments.summary {
        print!("\n{}\n{}", targets::render(&all), summary::render(&all));
    }
    Ok(())
}

/// What is known of an entrant that is still running.
#[derive(Default)]
struct Standing {
    samples: Vec<Sample>,
    memory: Memory,
    /// How often it runs.
    runs: usize,
    failure: Option<String>,
    /// The size of its image.
    size: u64,
}

/// Runs every entrant that makes such images `runs` times, in turn, after one run of each that does not count, in which its
/// memory is watched and its image checked. One that takes very long runs less often.
fn compare(entrants: &[Entrant], shape: Shape, directory: &Path, runs: usize) -> Result<Results> {
    // `cp` copies an image; the first run makes it. The names have no extension, as Julia's have none.
    let image = directory.join("image");
    let output = directory.join("output");
    let job = Job { shape: &shape, image: &image, output: &output };
    let entrants: Vec<&Entrant> = entrants.iter().filter(|entrant| entrant.makes(shape.platform)).collect();
    let mut standings: Vec<Standing> = entrants.iter().map(|_| Standing::default()).collect();
    let mut ours: Option<u32> = None;
    let mut counted = Counted::default();
    for round in 0..=runs {
        for (index, (entrant, standing)) in entrants.iter().zip(&mut standings).enumerate() {
            if standing.failure.is_some() || (round > 0 && round > standing.runs) {
                continue;
            }
            remove(&output)?;
            let done = if round == 0 {
                first_run(entrant, &job, runs, standing, &mut counted)
            } else {
                entrant.run(&job).and_then(|sample| {
                    standing.samples.push(sample);
                    let size = output.metadata()?.len();
                    if size == standing.size { Ok(()) } else { Err(format!("{size} bytes this time").into()) }
                })
            };
            match done {
                Ok(()) => {}
                Err(error) if entrant.ours => {
                    return Err(format!("{}, {}: {error}", shape.name, entrant.name).into());
                }
                Err(error) => {
                    standing.failure = Some(error.to_string());
                    continue;
                }
            }
            if round == 0 && index == 0 {
                fs::copy(&output, &image)?;
            }
            // The library call and the program must have written the same image, each time.
            if entrant.ours {
                let checksum = check::checksum_of(&output)?;
                if *ours.get_or_insert(checksum) != checksum {
                    return Err(format!("{} wrote another image than {}", entrant.name, entrants[0].name).into());
                }
            }
        }
    }
    let size = image.metadata()?.len();
    remove(&output)?;
    remove(&image)?;
    let rows = entrants.iter().zip(standings);
    let rows =
        rows.map(|(entrant, Standing { samples, memory, failure, .. })| Row::new(entrant, &samples, memory, failure));
    Ok(Results { rows: rows.collect(), shape, runs, size, counted })
}

fn first_run(
    entrant: &Entrant,
    job: &Job<'_>,
    runs: usize,
    standing: &mut Standing,
    counted: &mut Counted,
) -> Result<()> {
    let (sample, memory, numbers) = entrant.run_for_memory(job)?;
    standing.memory = memory;
    standing.size = job.output.metadata()?.len();
    standing.runs = match sample.wall {
        wall if wall > Duration::from_secs(30) => 1,
        wall if wall > Duration::from_secs(5) => 3,
        _ => runs,
    };
    if numbers.symbols != 0 {
        *counted = numbers;
    }
    if entrant.is_linker() {
        check::check(job.output, &job.shape.entry.expect)?;
    }
    Ok(())
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
