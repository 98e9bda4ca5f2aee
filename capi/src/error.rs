//! Problems, as values and as text.

use std::ffi::c_char;

use linker::{Error, Place};

use crate::border::{self, Failure, Opaque, guarded, prepare, refused, shared};

/// What a function says: 0, or the kind of the first problem.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok = 0,
    /// A file could not be opened, read or mapped.
    Read = 1,
    /// The output could not be created or written.
    Write = 2,
    /// The bytes of an input contradict its format.
    Malformed = 3,
    /// An input asks for something that this linker does not do.
    Unsupported = 4,
    /// Two inputs cannot stand in one image.
    Incompatible = 5,
    /// A library is in none of the directories searched.
    LibraryNotFound = 6,
    /// A symbol is referenced and nothing defines it.
    Undefined = 7,
    /// A symbol is defined twice.
    Duplicate = 8,
    /// A relocated value does not fit in its field.
    Overflow = 9,
    /// A relocation that the image or the target does not allow.
    Relocation = 10,
    /// A bound is exceeded.
    Limit = 11,
    /// The options contradict each other or the inputs.
    Options = 12,
    /// There is nothing to link.
    NoInput = 13,
    /// An argument of the function is wrong.
    Argument = 14,
    /// The caller's buffer is too small; nothing has been written to it.
    BufferTooSmall = 15,
    /// A defect of the library.
    Internal = 16,
    /// A problem that has no number yet.
    Other = 17,
}

/// A string that belongs to the handle it was asked of, and ends with it. A NUL byte follows its last.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// The first byte, of UTF-8; never null after success.
    pub data: *const c_char,
    /// The number of bytes, without the NUL byte.
    pub size: usize,
}

impl Text {
    /// No string.
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), size: 0 };
}

/// A string that has a NUL byte behind it.
#[derive(Debug, Clone)]
pub(crate) struct Stored(Vec<u8>);

impl Stored {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        bytes.push(0);
        Self(bytes)
    }

    pub(crate) fn text(&self) -> Text {
        Text { data: self.0.as_ptr().cast(), size: self.0.len().saturating_sub(1) }
    }
}

/// One problem. What is not known is empty.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProblemView {
    /// What kind it is.
    pub status: Status,
    /// Whether `section` and `offset` are known.
    pub has_offset: bool,
    /// The offset in the section, in bytes.
    pub offset: u64,
    /// All of it, for people; several lines perhaps.
    pub message: Text,
    /// The input, as `path` or `path(member)`; of problems with an output the output.
    pub file: Text,
    /// The section of the input.
    pub section: Text,
    /// The symbol.
    pub symbol: Text,
    /// The function or object that covers the offset.
    pub function: Text,
    /// The source position, as `file:line`.
    pub source: Text,
}

/// One problem, as it is kept.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: Status,
    message: Stored,
    file: Stored,
    section: Stored,
    offset: Option<u64>,
    symbol: Stored,
    function: Stored,
    source: Stored,
}

impl Problem {
    pub(crate) fn new(status: Status, message: String) -> Self {
        let none = || Stored::new("");
        let (file, section, symbol, function, source) = (none(), none(), none(), none(), none());
        Self { status, message: Stored::new(message), file, section, offset: None, symbol, function, source }
    }

    fn of(error: &Error) -> Self {
        let (status, file, symbol, place) = facts(error);
        let mut problem = Self::new(status, error.to_string());
        if let Some(place) = place {
            problem.file = Stored::new(&*place.file);
            problem.section = Stored::new(&*place.section);
            problem.offset = (!place.section.is_empty()).then_some(place.offset);
            problem.function = Stored::new(place.function.as_deref().unwrap_or_default());
            problem.source = Stored::new(place.source.as_deref().unwrap_or_default());
        }
        if let Some(file) = file {
            problem.file = Stored::new(file);
        }
        problem.symbol = Stored::new(symbol.unwrap_or_default());
        problem
    }

    fn view(&self) -> ProblemView {
        ProblemView {
            status: self.status,
            has_offset: self.offset.is_some(),
            offset: self.offset.unwrap_or_default(),
            message: self.message.text(),
            file: self.file.text(),
            section: self.section.text(),
            symbol: self.symbol.text(),
            function: self.function.text(),
            source: self.source.text(),
        }
    }
}

/// The kind of an error, the file it is about, the symbol, and the place in the inputs.
fn facts(error: &Error) -> (Status, Option<String>, Option<&str>, Option<&Place>) {
    let file = |path: &std::path::Path| Some(path.to_string_lossy().into_owned());
    match error {
        Error::Read { path, .. } => (Status::Read, file(path), None, None),
        Error::Write { path, .. } => (Status::Write, file(path), None, None),
        Error::Malformed { file, .. } => (Status::Malformed, Some(file.clone()), None, None),
        Error::Unsupported { file, .. } => (Status::Unsupported, Some(file.clone()), None, None),
        Error::Incompatible { file, .. } => (Status::Incompatible, Some(file.clone()), None, None),
        Error::LibraryNotFound { name, .. } => (Status::LibraryNotFound, Some(name.clone()), None, None),
        Error::Undefined { symbol, references, .. } => (Status::Undefined, None, Some(symbol), references.first()),
        Error::Duplicate { symbol, second, .. } => (Status::Duplicate, None, Some(symbol), Some(second)),
        Error::Overflow { place, symbol, .. } => (Status::Overflow, None, Some(symbol), Some(place)),
        Error::Relocation { place, symbol, .. } => (Status::Relocation, None, Some(symbol), Some(place)),
        Error::Limit { .. } => (Status::Limit, None, None, None),
        Error::Options(_) => (Status::Options, None, None, None),
        Error::NoInput => (Status::NoInput, None, None, None),
        _ => (Status::Other, None, None, None),
    }
}

/// The crate's errors as a failure. Problems that were counted and not kept are one more.
pub(crate) fn failure(errors: &linker::Errors) -> Failure {
    let mut problems: Failure = errors.problems().iter().map(Problem::of).collect();
    if errors.cut() > 0 {
        let what = format!("{} more problems are not shown", errors.cut());
        problems.push(Problem::new(Status::Other, what));
    }
    problems
}

/// Why a function failed: one problem or more.
#[derive(Debug)]
pub struct Errors {
    _opaque: (),
}

/// What an [`Errors`] holds.
pub(crate) struct ErrorsState {
    problems: Vec<Problem>,
    text: Stored,
}

impl Opaque for Errors {
    type State = ErrorsState;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldERR");
    const NAME: &'static str = "errors";
}

impl Errors {
    pub(crate) fn handle(problems: Vec<Problem>) -> *mut Self {
        let lines: Vec<&[u8]> = problems.iter().map(|problem| problem.message.0.as_slice()).collect();
        let lines = lines.iter().map(|line| line.strip_suffix(b"\0").unwrap_or(line));
        let text = Stored::new(lines.collect::<Vec<_>>().join(&b'\n'));
        border::handle(ErrorsState { problems, text })
    }
}

/// The number of problems; 0 if `errors` is null or no such handle.
///
/// # Safety
/// `errors` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_errors_count(errors: *const Errors) -> usize {
    // SAFETY: the caller's promise.
    unsafe { shared(errors) }.map_or(0, |errors| errors.problems.len())
}

/// All problems as text, one or more lines each. It belongs to `errors`; empty with a null pointer if that is no such handle.
///
/// # Safety
/// `errors` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_errors_text(errors: *const Errors) -> Text {
    // SAFETY: the caller's promise.
    unsafe { shared(errors) }.map_or(Text::NONE, |errors| errors.text.text())
}

/// Puts the problem with this number, from 0, into `problem`. Its strings belong to `errors`.
///
/// # Safety
/// `errors` is null, or a handle that has not been freed; `problem` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_errors_problem(
    errors: *const Errors,
    number: usize,
    problem: *mut ProblemView,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let errors = unsafe { shared(errors) }?;
        let found = errors.problems.get(number);
        let found = found.ok_or_else(|| refused(format!("there is no problem {number}")))?;
        // SAFETY: the caller's promise.
        unsafe { prepare("problem", problem, found.view()) }
    };
    // SAFETY: null is allowed.
    unsafe { guarded(std::ptr::null_mut(), work) }
}

/// Frees errors, and sets the pointer to null. Null, and a pointer to null, are allowed.
///
/// # Safety
/// `errors` is null, or points to null or a handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_errors_free(errors: *mut *mut Errors) -> Status {
    // SAFETY: the caller's promise.
    unsafe { border::free(errors) }
}
