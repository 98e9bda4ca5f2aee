//! What can go wrong, said so that a person can act on it.
//!
//! An [`Error`] is one problem; a link that fails returns [`Errors`]: every problem that one pass found, capped, with the
//! count of what was cut. Messages name the file, the archive member, the section and offset, the symbol, the function
//! and, where debug information tells, the source line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{ObjectId, SectionIndex};
use crate::options::Limits;

/// The number of problems, and of references to one undefined symbol, that a report spells out before it only counts.
pub(crate) const SHOWN: usize = 20;

/// One problem.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output could not be created or written. Whatever stood under its name stands there still.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The output file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes of an input contradict its format.
    #[error("{file}: {what}")]
    Malformed {
        /// The input, as `path(member)`.
        file: String,
        /// Which rule the bytes break, and where.
        what: String,
    },
    /// The input is well formed and asks for something that this linker does not do.
    #[error("{file}: {what}")]
    Unsupported {
        /// The input, as `path(member)`.
        file: String,
        /// What is asked for, and what to do instead.
        what: String,
    },
    /// Two inputs cannot stand in one image (machine, class, ABI).
    #[error("{file}: {what}, but {other} {other_what}")]
    Incompatible {
        /// The input that differs.
        file: String,
        /// What it is.
        what: String,
        /// The input that fixed the property.
        other: String,
        /// What that one is.
        other_what: String,
    },
    /// A library asked for by name is in none of the directories searched.
    #[error("{}", library_not_found(name, searched))]
    LibraryNotFound {
        /// The name as it followed `-l`; `framework NAME` for a framework of macOS.
        name: String,
        /// The directories, in the order they were searched.
        searched: Vec<PathBuf>,
    },
    /// A symbol is referenced and nothing defines it.
    #[error("{}", undefined(symbol, references, *more, hint.as_deref()))]
    Undefined {
        /// The symbol's name.
        symbol: String,
        /// The first places that refer to it.
        references: Vec<Place>,
        /// The number of further places.
        more: usize,
        /// A likely cause, such as a similar name that is defined.
        hint: Option<String>,
    },
    /// A symbol is defined twice, and neither definition may give way.
    #[error("duplicate symbol: {symbol}\n>>> defined at {first}\n>>> defined at {second}")]
    Duplicate {
        /// The symbol's name.
        symbol: String,
        /// The definition met first.
        first: Box<Place>,
        /// The other one.
        second: Box<Place>,
    },
    /// A relocated value does not fit in its field.
    #[error(
        "{place}: relocation {relocation} out of range: {value} is not in [{min}, {max}]; references '{symbol}'{}",
        hint.as_deref().map(|hint| format!("\n>>> {hint}")).unwrap_or_default()
    )]
    Overflow {
        /// The relocated field.
        place: Box<Place>,
        /// The relocation's name in its psABI.
        relocation: String,
        /// What the symbol is called.
        symbol: String,
        /// The value that was to be stored.
        value: i64,
        /// The smallest value the field holds.
        min: i64,
        /// The largest value the field holds.
        max: i64,
        /// What may help.
        hint: Option<String>,
    },
    /// A relocation that the kind of image or the target does not allow.
    #[error("{place}: relocation {relocation} against '{symbol}': {what}")]
    Relocation {
        /// The relocated field.
        place: Box<Place>,
        /// The relocation's name in its psABI, or its number.
        relocation: String,
        /// What the symbol is called.
        symbol: String,
        /// Why it cannot be resolved, and what to do.
        what: String,
    },
    /// A bound of [`Limits`], or of the output format, is exceeded.
    #[error("{what} is {wanted}, more than the limit of {limit} ({name}){}", advice(name))]
    Limit {
        /// The limit's name.
        name: &'static str,
        /// The quantity.
        what: String,
        /// Its value.
        wanted: u64,
        /// The largest value allowed.
        limit: u64,
    },
    /// The options contradict each other or the inputs.
    #[error("{0}")]
    Options(String),
    /// There is nothing to link.
    #[error(
        "no object takes part: at least one is needed, or an archive with a member that something needs, or that is linked \
         whole (--whole-archive)"
    )]
    NoInput,
}

/// How a limit is raised, if that can be done.
fn advice(name: &str) -> String {
    match Limits::NAMES.contains(&name) {
        true => format!("; to raise it: --limit={name}=N, in the library Limits::{name}"),
        false => String::new(),
    }
}

impl Error {
    /// The places that it names.
    pub(crate) fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        let (one, other, many): (Option<&mut Place>, Option<&mut Place>, &mut [Place]) = match self {
            Self::Undefined { references, .. } => (None, None, references),
            Self::Duplicate { first, second, .. } => (Some(&mut **first), Some(&mut **second), &mut []),
            Self::Overflow { place, .. } | Self::Relocation { place, .. } => (Some(&mut **place), None, &mut []),
            _ => (None, None, &mut []),
        };
        one.into_iter().chain(other).chain(many)
    }

    /// An [`Error::Malformed`] about `file`.
    pub(crate) fn malformed(file: impl ToString, what: impl Into<String>) -> Self {
        Self::Malformed { file: file.to_string(), what: what.into() }
    }

    /// An [`Error::Unsupported`] about `file`.
    pub(crate) fn unsupported(file: impl ToString, what: impl Into<String>) -> Self {
        Self::Unsupported { file: file.to_string(), what: what.into() }
    }

    /// An [`Error::Read`] about `path`.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// An [`Error::Write`] about `path`.
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

/// What a message calls a section of an input, or its relocations. It is spelt out only if there is something to tell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Label<'n> {
    /// The section with this index and name.
    Section(usize, &'n [u8]),
    /// The relocations of the section with this name.
    Relocations(&'n [u8]),
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(index, name) => write!(f, "section {index} ({})", String::from_utf8_lossy(name)),
            Self::Relocations(name) => write!(f, "relocations of {}", String::from_utf8_lossy(name)),
        }
    }
}

/// Where something stands in the inputs, for a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The input, as `path(member)`.
    pub file: String,
    /// The section's name; empty where the place is the input as a whole.
    pub section: String,
    /// Offset in the section, in bytes.
    pub offset: u64,
    /// The function or object that covers the offset.
    pub function: Option<String>,
    /// The source position, as `file:line`.
    pub source: Option<String>,
    /// The object and the section, for [`debug::check`](crate::debug::check) to look the last two up.
    pub(crate) origin: Option<(ObjectId, SectionIndex)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.section.is_empty() {
            write!(f, ":({}+0x{:x})", self.section, self.offset)?;
        }
        if let Some(function) = &self.function {
            write!(f, " in {function}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " at {source}")?;
        }
        Ok(())
    }
}

/// Every problem that the failing pass found: at least one.
#[derive(Debug)]
pub struct Errors {
    problems: Vec<Error>,
    cut: usize,
    traces: Vec<String>,
}

impl Errors {
    /// The problems, in the order of the inputs.
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// The number of further problems that were counted and not kept.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// What the inputs say of the symbols of [`Options::traced_symbols`](crate::Options::traced_symbols), a line each, if the
    /// link came so far: who looks for a symbol wants to know all the more if the link fails.
    pub fn traces(&self) -> &[String] {
        &self.traces
    }

    /// The same problems, with what the inputs say of traced symbols.
    pub(crate) fn with_traces(self, traces: Vec<String>) -> Self {
        Self { traces, ..self }
    }

    /// `Ok` if there is no problem, else all of them, capped.
    pub(crate) fn check(mut problems: Vec<Error>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        let cut = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        Err(Self::capped(problems, cut))
    }

    /// These problems, and the number of those that are not spelled out.
    pub(crate) fn capped(problems: Vec<Error>, cut: usize) -> Self {
        Self { problems, cut, traces: Vec::new() }
    }

    /// The problems as warnings, one string each.
    pub(crate) fn into_warnings(self) -> impl Iterator<Item = String> {
        let cut = (self.cut > 0).then(|| format!("{} more problems are not shown", self.cut));
        self.problems.into_iter().map(|problem| problem.to_string()).chain(cut)
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self::capped(vec![error], 0)
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.cut > 0 {
            write!(f, "\n{} more problems are not shown", self.cut)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problems.first().and_then(std::error::Error::source)
    }
}

/// What a fallible pass returns.
pub type Result<T, E = Errors> = std::result::Result<T, E>;

fn library_not_found(name: &str, searched: &[PathBuf]) -> String {
    let (what, option) = match name.strip_prefix("framework ") {
        Some(name) => (format!("framework not found: {name}"), "-F"),
        None => (format!("library not found: -l{name}"), "-L"),
    };
    if searched.is_empty() {
        return format!("{what}: no directory to search, give one with {option}");
    }
    let directories: Vec<String> = searched.iter().map(|path| path.display().to_string()).collect();
    format!("{what}: searched {}", directories.join(", "))
}

fn undefined(symbol: &str, references: &[Place], more: usize, hint: Option<&str>) -> String {
    let mut text = format!("undefined symbol: {symbol}");
    for place in references {
        text.push_str(&format!("\n>>> referenced by {place}"));
    }
    if more > 0 {
        text.push_str(&format!("\n>>> referenced {more} more times"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\n>>> {hint}"));
    }
    text
}
