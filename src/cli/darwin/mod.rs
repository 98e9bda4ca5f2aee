//! The darwin dialect: the options of Apple's linker, of which LLD's `ld64.lld` is a speaker.
//!
//! Options take one dash, and their values are arguments of their own, except after `-l`, `-L` and few others. What holds
//! for archives holds wherever it stands.

mod flags;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::named_file::{self, LIST_LIMIT};
use super::os;
use super::parse::Command;
use super::problem::Problem;
use super::reading::Reading;
use super::suggest;
use crate::options::is_pattern;
use crate::{Exports, Source, Strip};

/// One option.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names without the dash, the one to be shown first at the front.
    pub(super) names: &'static [&'static str],
    /// The values that follow, by what `--help` calls them.
    pub(super) values: &'static [&'static str],
    /// A first value may be part of the same word.
    pub(super) joined: bool,
    /// A value that may follow an equals sign, by what `--help` calls it.
    pub(super) equals: Option<&'static str>,
    /// What the option does, why it is ignored, or what to do instead: one sentence.
    pub(super) help: &'static str,
    /// What becomes of it.
    pub(super) meaning: Meaning,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// It is honoured.
    Does(fn(&mut Darwin, &Given) -> Result<(), Problem>),
    /// It is honoured by setting something to a value.
    Sets(fn(&mut Darwin) -> &mut bool, bool),
    /// It is accepted and changes nothing, for the reason in [`Flag::help`].
    Ignored,
    /// It is an error, with the advice in [`Flag::help`].
    Refused,
}

/// An option as typed.
#[derive(Debug)]
pub(super) struct Given {
    option: String,
    values: Vec<OsString>,
}

impl Given {
    /// A value; empty if there is none.
    fn value(&self, index: usize) -> &OsStr {
        self.values.get(index).map(OsString::as_os_str).unwrap_or_default()
    }

    /// The first value as text without a NUL byte.
    fn text(&self) -> Result<&str, Problem> {
        let value = self.value(0);
        let text = value.to_str();
        let text = text.ok_or_else(|| Problem::NotText { option: self.option.clone(), value: value.to_owned() })?;
        if text.is_empty() || text.contains('\0') { Err(self.bad(0, "a name")) } else { Ok(text) }
    }

    /// A value as text without a NUL byte.
    fn name(&self, index: usize) -> Result<String, Problem> {
        let value = self.value(index).to_str().filter(|name| !name.is_empty() && !name.contains('\0'));
        Ok(value.ok_or_else(|| self.bad(index, "a name"))?.to_owned())
    }

    /// The first value as a path.
    fn path(&self) -> Result<PathBuf, Problem> {
        let value = self.value(0);
        if value.is_empty() { Err(self.bad(0, "the name of a file or directory")) } else { Ok(value.into()) }
    }

    /// A value as a version.
    fn version(&self, index: usize) -> Result<u32, Problem> {
        // Stubs may say more than there is room for; who asks for a version gets that one.
        let fits = |text: &&str| {
            let mut parts = text.split('.').zip([0xffff, 0xff, 0xff]);
            parts.all(|(part, limit)| part.parse().is_ok_and(|part: u32| part <= limit))
        };
        let version = self.value(index).to_str().filter(fits).and_then(crate::macho::library::version);
        version.ok_or_else(|| self.bad(index, "a version, as 13.3 or 1.2.3, up to 65535.255.255"))
    }

    /// The problem that a value is not what is expected.
    fn bad(&self, index: usize, expected: &str) -> Problem {
        let (option, value) = (self.option.clone(), self.value(index).to_owned());
        Problem::BadValue { option, value, expected: expected.to_owned() }
    }
}

/// The command line as read so far.
#[derive(Debug, Default)]
pub(super) struct Darwin {
    pub(super) reading: Reading,
    /// `-all_load`
    pub(super) all_load: bool,
    /// Archives that are linked whole by their names: once, however often they are given (`-force_load`).
    pub(super) forced: HashSet<PathBuf>,
    /// The name that the image will have (`-final_output`).
    pub(super) final_output: Option<String>,
    pub(super) exported: Option<Vec<String>>,
    pub(super) unexported: Option<Vec<String>>,
    /// `-non_global_symbols_no_strip_list`
    pub(super) locals_kept: Option<Vec<String>>,
    /// `-non_global_symbols_strip_list`
    pub(super) locals_left: Option<Vec<String>>,
    /// Libraries that count as the image's own, and the options that say so (`-sub_library`, `-sub_umbrella`).
    pub(super) sub_libraries: Vec<(String, String)>,
    /// Of several same `-rpath` one is enough; there is no warning about it (`--no-warn-duplicate-rpath`).
    pub(super) duplicate_rpaths: bool,
    /// `-version_details`
    pub(super) version_only: bool,
    pub(super) help: bool,
}

/// Reads the arguments that follow the program's name and `-flavor`, response files expanded.
///
/// # Errors
/// Everything that is wrong with them, in order; at least one problem.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Vec<Problem>> {
    let mut arguments = arguments.into_iter();
    let mut darwin = Darwin::default();
    // A symbol that nothing defines is an error unless -undefined says otherwise.
    darwin.reading.report_undefined = true;
    let mut problems = Vec::new();
    while let Some(argument) = arguments.next() {
        // Julia passes empty arguments.
        if argument.is_empty() {
            continue;
        }
        if os::bytes(&argument).first() != Some(&b'-') || argument.len() == 1 {
            darwin.reading.file(argument);
            continue;
        }
        if let Err(problem) = option(&mut darwin, argument, &mut arguments) {
            problems.push(problem);
        }
    }
    if darwin.help {
        return Ok(Command::DarwinHelp);
    }
    let only = darwin.version_only || (darwin.reading.show.version && !darwin.reading.has_inputs());
    if only && problems.is_empty() {
        return Ok(Command::Version);
    }
    finish(darwin, problems)
}

/// The link, if the whole makes sense.
fn finish(mut darwin: Darwin, mut problems: Vec<Problem>) -> Result<Command, Vec<Problem>> {
    if !std::mem::replace(&mut darwin.reading.shared, true) && problems.is_empty() {
        problems.push(Problem::Options("only dylibs and bundles are linked: add -dylib or -bundle".to_owned()));
    }
    let macho = &mut darwin.reading.options.macho;
    match (darwin.exported, darwin.unexported) {
        (Some(_), Some(_)) => {
            let what = "-exported_symbol and -unexported_symbol cannot be used together: leave one out";
            problems.push(Problem::Options(what.to_owned()));
        }
        (Some(only), None) => {
            // What is named without a pattern has to be there, and archives are searched for it.
            let names = only.iter().filter(|name| !is_pattern(name));
            darwin.reading.options.required_symbols.extend(names.cloned());
            macho.exports = Exports::Only(only);
        }
        (None, Some(but)) => macho.exports = Exports::AllBut(but),
        (None, None) => {}
    }
    macho.locals = match (darwin.locals_kept, darwin.locals_left) {
        (Some(_), Some(_)) => {
            let what = "-non_global_symbols_no_strip_list and -non_global_symbols_strip_list cannot be used together";
            problems.push(Problem::Options(what.to_owned()));
            Exports::All
        }
        (Some(only), None) => Exports::Only(only),
        (None, Some(but)) => Exports::AllBut(but),
        (None, None) => Exports::All,
    };
    let mut seen = HashSet::new();
    macho.rpath.retain(|path| {
        let new = seen.insert(path.clone());
        if !new && !darwin.duplicate_rpaths {
            darwin.reading.show.remarks.push(format!("-rpath {path}: given twice, stored once"));
        }
        new
    });
    // The name of the file, if that is one by which a library can be known; never where it is.
    let output = darwin.final_output.as_deref().map(Path::new).or(darwin.reading.output.as_deref());
    let bundle = macho.bundle;
    let is_library =
        |extension: &OsStr| extension == "dylib" || (bundle && (extension == "bundle" || extension == "so"));
    let named = output.filter(|path| path.extension().is_some_and(is_library));
    let named = named.and_then(Path::file_name).and_then(OsStr::to_str).map(str::to_owned);
    macho.install_name = macho.install_name.take().or(named);
    macho.debug_map &= darwin.reading.options.strip == Strip::None;
    if macho.debug_map {
        // Debuggers look for objects by whole paths.
        macho.debug_map_base = std::env::current_dir().ok();
    }
    if darwin.all_load {
        darwin.reading.load_all();
    }
    for (option, name) in darwin.sub_libraries {
        let fits = |source: &Source<'_>| match source {
            Source::Path(path) => path.file_stem().and_then(OsStr::to_str) == Some(&name),
            Source::Library(library) => name.strip_prefix("lib") == Some(library),
            Source::Framework(framework) => *framework == name,
            _ => false,
        };
        if !darwin.reading.reexport(fits) {
            problems.push(Problem::Options(format!("{option} {name}: no library of this name is linked with")));
        }
    }
    let link = darwin.reading.finish(&mut problems);
    if problems.is_empty() { Ok(Command::Link(Box::new(link))) } else { Err(problems) }
}

/// Reads one option and its values.
fn option(
    darwin: &mut Darwin,
    argument: OsString,
    arguments: &mut impl Iterator<Item = OsString>,
) -> Result<(), Problem> {
    let bytes = os::bytes(&argument);
    let dashes = if bytes.starts_with(b"--") { 2 } else { 1 };
    let name = bytes.get(dashes..).unwrap_or_default();
    let whole = flags::all().find(|flag| flag.names.iter().any(|known| known.as_bytes() == name));
    let joined = || {
        let starts = |flag: &'static Flag| {
            let name = flag.names.iter().find(|known| flag.joined && name.starts_with(known.as_bytes()))?;
            Some((flag, name.len()))
        };
        flags::all().filter_map(starts).max_by_key(|(_, length)| *length)
    };
    // What stands before an equals sign, if that can have a value there.
    let name_length = name.iter().position(|byte| *byte == b'=').unwrap_or(name.len());
    let before = name.get(..name_length).unwrap_or_default();
    let valued = || {
        let fits = |flag: &&Flag| flag.equals.is_some() && flag.names.iter().any(|known| known.as_bytes() == before);
        flags::all().find(fits).map(|flag| (flag, name_length))
    };
    let (flag, length) = match whole.map(|flag| (flag, name.len())).or_else(valued).or_else(joined) {
        Some(found) => found,
        None => {
            let typed = String::from_utf8_lossy(name).into_owned();
            let known = flags::all().flat_map(|flag| flag.names.iter().copied());
            let nearest = suggest::closest(&typed, known).map(|name| format!("-{name}"));
            return Err(Problem::Unknown { argument, nearest });
        }
    };
    let split = dashes.saturating_add(length);
    let option = String::from_utf8_lossy(bytes.get(..split).unwrap_or_default()).into_owned();
    let rest = os::rest(&argument, split);
    let mut values = Vec::new();
    if flag.equals.is_some() {
        values.push(os::rest(&rest, 1));
    } else if !rest.is_empty() {
        values.push(rest);
    }
    while values.len() < flag.values.len() {
        match (arguments.next(), flag.values.get(values.len())) {
            (Some(value), _) => values.push(value),
            (None, metavar) => return Err(Problem::NoValue { option, metavar: metavar.copied().unwrap_or_default() }),
        }
    }
    let given = Given { option, values };
    match flag.meaning {
        Meaning::Does(does) => does(darwin, &given),
        Meaning::Sets(what, value) => {
            *what(darwin) = value;
            Ok(())
        }
        Meaning::Ignored => {
            darwin.reading.show.ignored.push(format!("{}: {}", given.option, flag.help));
            Ok(())
        }
        Meaning::Refused => Err(Problem::Refused { option: given.option, instead: flag.help }),
    }
}

/// The symbols that a list names: one a line, `#` begins a comment.
fn list(given: &Given) -> Result<Vec<String>, Problem> {
    let text = named_file::read(&given.option, &given.path()?, LIST_LIMIT)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The text that `--help` prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Help;

impl std::fmt::Display for Help {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Usage: pkgld -flavor darwin OPTION|FILE ...\n")?;
        writeln!(
            f,
            "Links objects, archives and libraries to a dylib for macOS, arm64 and x86-64. Called as ld64.lld or ld64,"
        )?;
        writeln!(f, "-flavor is not needed. @FILE stands for the arguments in FILE. Empty arguments are ignored.")?;
        for (title, flags) in flags::GROUPS {
            writeln!(f, "\n{title}:")?;
            for flag in *flags {
                let names: Vec<String> = flag.names.iter().map(|name| format!("-{name}")).collect();
                let space = if flag.joined || flag.values.is_empty() { "" } else { " " };
                let values = flag.equals.map_or_else(|| flag.values.join(" "), |value| format!("[={value}]"));
                writeln!(f, "  {}{space}{values}\n      {}", names.join(", "), flag.help)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
