//! The program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::console::Console;
use super::dialect::{self, Dialect};
use super::help::Help;
use super::parse::{Command, parse};
use super::problem::Problem;
use super::reading::{Link, MapTo};
use super::response::expand;
use super::{darwin, tell};
use crate::{Error, Errors, Inputs, Options, Report, file};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// It did what it was asked: exit status 0.
    Success,
    /// It did not, and has said why: exit status 1.
    Failure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
        }
    }
}

/// Runs the program: `arguments` begin with the name by which it is called.
pub fn run(arguments: impl IntoIterator<Item = OsString>, console: &mut Console<'_>) -> Exit {
    run_with_report(arguments, console).0
}

/// Does what [`run()`] does, and also returns the report on the image, if it has written one.
pub fn run_with_report(
    arguments: impl IntoIterator<Item = OsString>,
    console: &mut Console<'_>,
) -> (Exit, Option<Report>) {
    let (exit, report) = run_command(arguments.into_iter(), console);
    (if console.finish() { exit } else { Exit::Failure }, report)
}

fn run_command(mut arguments: impl Iterator<Item = OsString>, console: &mut Console<'_>) -> (Exit, Option<Report>) {
    let words: Vec<OsString> = arguments.by_ref().take(2).collect();
    #[cfg(feature = "inspect")]
    if words.get(1).is_some_and(|word| word == super::inspect::COMMAND) {
        return (super::inspect::run(arguments, console), None);
    }
    run_linker(words.into_iter().chain(arguments), console)
}

fn run_linker(arguments: impl Iterator<Item = OsString>, console: &mut Console<'_>) -> (Exit, Option<Report>) {
    let link = match command(arguments) {
        Ok(Command::Help) => {
            console.out(format_args!("{Help}"));
            return (Exit::Success, None);
        }
        Ok(Command::DarwinHelp) => {
            console.out(format_args!("{}", darwin::Help));
            return (Exit::Success, None);
        }
        Ok(Command::Version) => {
            console.out(tell::VERSION);
            return (Exit::Success, None);
        }
        Ok(Command::Link(link)) => link,
        Err(problems) => {
            problems.iter().for_each(|problem| console.error(problem));
            return (Exit::Failure, None);
        }
    };
    console.set_color(link.show.color);
    match run_link(&link, console) {
        Ok(report) => (Exit::Success, Some(report)),
        Err(failure) => {
            failure.tell(&link, console);
            (Exit::Failure, None)
        }
    }
}

/// Reads a whole command line, which begins with the program's name: takes the dialect from that or from `-flavor`, and
/// reads response files, version scripts and lists.
///
/// # Errors
/// Everything that is wrong with it, in order; at least one problem.
pub fn command(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Vec<Problem>> {
    let mut arguments = arguments.into_iter();
    let (dialect, first) = dialect::take(&mut arguments).map_err(|problem| vec![problem])?;
    let arguments = expand(first.into_iter().chain(arguments)).map_err(|problem| vec![problem])?;
    match dialect {
        Dialect::Darwin => darwin::parse(arguments),
        _ => parse(arguments),
    }
}

/// Why there is no image, or not all that was asked for.
enum Failure {
    /// The link failed.
    Link(Errors),
    /// There were warnings, which have been told as errors.
    Warnings,
}

impl<E: Into<Errors>> From<E> for Failure {
    fn from(errors: E) -> Self {
        Self::Link(errors.into())
    }
}

impl Failure {
    fn tell(&self, link: &Link, console: &mut Console<'_>) {
        let Self::Link(errors) = self else { return };
        errors.traces().iter().for_each(|line| console.out(line));
        let shown = link.show.error_limit.unwrap_or(usize::MAX);
        errors.problems().iter().take(shown).for_each(|problem| console.error(problem));
        let more = errors.problems().len().saturating_sub(shown).saturating_add(errors.cut());
        if more > 0 {
            console.error(format_args!("{more} more problems are not shown"));
        }
    }
}

fn run_link(link: &Link, console: &mut Console<'_>) -> Result<Report, Failure> {
    let show = &link.show;
    if show.version {
        console.out(tell::VERSION);
    }
    if show.verbose {
        console.err(tell::VERSION);
        show.ignored.iter().for_each(|option| console.err(format_args!("pkgld: ignored: {option}")));
    }
    warn(&show.remarks, link, console)?;
    check_files(link)?;

    let inputs = Inputs::open(link.inputs.clone(), &link.options)?;
    let image = crate::link(&inputs, &link.options).inspect_err(|_| {
        // Which members would take part is not known then.
        if show.trace {
            inputs.paths().for_each(|path| console.out(path.display()));
        }
    })?;
    let planned = image.report();
    if show.trace {
        planned.inputs.iter().chain(&planned.libraries).for_each(|name| console.out(name));
    }
    // Warnings that are fatal leave no image behind: they are told before it is written.
    warn(&planned.warnings, link, console)?;
    let report = image.write_file(&link.output)?;

    report.collected.iter().for_each(|section| console.out(format_args!("removing unused section {section}")));
    report.traces.iter().for_each(|line| console.out(line));
    if show.verbose {
        tell::verbose(&report, link, console);
    }
    write_maps(&report, link, console)?;
    if let Some(path) = &show.dependencies {
        write(path, tell::dependencies(&link.output, inputs.paths()).as_slice())?;
    }
    if let Some(path) = &show.dependency_info {
        write(path, tell::dependency_info(&link.output, inputs.paths()).as_slice())?;
    }
    Ok(report)
}

/// Tells warnings; fails if there are any and they are fatal.
fn warn(warnings: &[String], link: &Link, console: &mut Console<'_>) -> Result<(), Failure> {
    if !link.show.warnings || warnings.is_empty() {
        return Ok(());
    }
    if link.show.fatal_warnings {
        warnings.iter().for_each(|warning| console.error(warning));
        return Err(Failure::Warnings);
    }
    warnings.iter().for_each(|warning| console.warning(warning));
    Ok(())
}

fn write_maps(report: &Report, link: &Link, console: &mut Console<'_>) -> Result<(), Errors> {
    let map = report.map.as_deref().unwrap_or_default();
    for place in &link.show.map {
        match place {
            MapTo::Stdout => console.out(map.trim_end_matches('\n')),
            MapTo::File(path) => write(path, map.as_bytes())?,
        }
    }
    Ok(())
}

/// Fails if what is told of the link would take the place of something else that is written. Devices and pipes take all.
fn check_files(link: &Link) -> Result<(), Error> {
    let (Options { elf, pe, .. }, show) = (&link.options, &link.show);
    let beside = [&elf.separate_debug_file, &pe.import_library, &pe.definition_file];
    let mut files: Vec<&PathBuf> = std::iter::once(&link.output).chain(beside.into_iter().flatten()).collect();
    let maps = show.map.iter().filter_map(|place| match place {
        MapTo::Stdout => None,
        MapTo::File(path) => Some(path),
    });
    for told in maps.chain(&show.dependencies).chain(&show.dependency_info) {
        let in_place = std::fs::metadata(told).is_ok_and(|there| !there.is_file());
        if !in_place && files.iter().any(|other| file::is_same_place(other, told)) {
            return Err(Error::Options(format!("{}: two files are to be written under this name", told.display())));
        }
        files.push(told);
    }
    Ok(())
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Errors> {
    file::write(path, contents).map_err(|source| Error::write(path, source).into())
}
