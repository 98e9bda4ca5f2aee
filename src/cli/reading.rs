//! From what was typed to what it means.
//!
//! A [`Reading`] is the state that options change one after the other, as they stand on the command line. Some hold for
//! the whole link and the last one wins; some accumulate; some hold for the inputs that follow them ([`Mode`]).

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::flag::{Given, number};
use super::problem::Problem;
use crate::input::in_sysroot;
use crate::{Format, Input, LibraryRole, Limits, Mode, Options, Source, Undefined, VersionScript};

/// A link as the command line asks for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Link {
    /// What to link for, and how.
    pub options: Options,
    /// What to link, in order.
    pub inputs: Vec<Input<'static>>,
    /// The file to write (`-o`; `a.out`).
    pub output: PathBuf,
    /// What to tell about the link.
    pub show: Show,
}

/// What to tell about a link, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Show {
    /// The version, before linking: `-v`.
    pub version: bool,
    /// Inputs, libraries, counts, times and checksum, on standard error: `--verbose`.
    pub verbose: bool,
    /// The names of the inputs, on standard output: `--trace`.
    pub trace: bool,
    /// Where the link map goes, each place once: `-Map`, `--print-map`.
    pub map: Vec<MapTo>,
    /// A rule for `make` that names all files read: `--dependency-file`.
    pub dependencies: Option<PathBuf>,
    /// The files read and written, in the form of Apple's build system: `-dependency_info`.
    pub dependency_info: Option<PathBuf>,
    /// Warnings: not if `--no-warnings`.
    pub warnings: bool,
    /// Fail if there is a warning: `--fatal-warnings`.
    pub fatal_warnings: bool,
    /// The number of problems to spell out; `None` for all that are known: `--error-limit`.
    pub error_limit: Option<usize>,
    /// Colours: `--color-diagnostics`.
    pub color: Color,
    /// Remarks on the command line itself, told as warnings.
    pub remarks: Vec<String>,
    /// Options that changed nothing, each with the reason; for `--verbose`.
    pub ignored: Vec<String>,
}

impl Default for Show {
    fn default() -> Self {
        Self {
            version: false,
            verbose: false,
            trace: false,
            map: Vec::new(),
            dependencies: None,
            dependency_info: None,
            warnings: true,
            fatal_warnings: false,
            error_limit: None,
            color: Color::Auto,
            remarks: Vec::new(),
            ignored: Vec::new(),
        }
    }
}

impl Show {
    /// Has the link map go to `place`. Of several files the last is written, as of all names of files.
    pub(super) fn map_to(&mut self, place: MapTo) {
        self.map.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&place));
        self.map.push(place);
    }
}

/// Where the link map goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapTo {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// When messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// When they go to a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The command line as read so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) options: Options,
    pub(super) show: Show,
    pub(super) output: Option<PathBuf>,
    /// `-shared` was given.
    pub(super) shared: bool,
    /// Undefined symbols are to be reported: `-z defs` and others.
    pub(super) report_undefined: bool,
    /// … as warnings: `--warn-unresolved-symbols`.
    pub(super) undefined_warns: bool,
    /// The first `--version-script`, which no DLL can follow.
    pub(super) version_script: Option<Given>,
    /// Version scripts that are not where their names say; directories to search may still be told.
    sought_scripts: Vec<Given>,
    /// `--image-base`, and the address.
    pub(super) image_base: Option<(Given, u64)>,
    /// `--separate-debug-file` was given without a name.
    pub(super) separate_debug_file: bool,
    inputs: Vec<Input<'static>>,
    /// What holds for the inputs that follow.
    pub(super) mode: Mode,
    /// Modes saved by `--push-state`, innermost last.
    saved: Vec<Mode>,
    /// Between `--start-group` and `--end-group`.
    in_group: bool,
}

impl Reading {
    /// Takes an input in the mode in force.
    pub(super) fn input(&mut self, source: Source<'static>) {
        self.inputs.push(Input { source, mode: self.mode });
    }

    /// Takes the file `path` as an input.
    pub(super) fn file(&mut self, path: OsString) {
        self.input(Source::Path(path.into()));
    }

    /// Has every member of every archive linked, wherever that was asked for.
    pub(super) fn load_all(&mut self) {
        self.inputs.iter_mut().for_each(|input| input.mode.whole_archive = true);
    }

    /// Has libraries that fit count as the image's own; tells whether there is one.
    pub(super) fn reexport(&mut self, fits: impl Fn(&Source<'_>) -> bool) -> bool {
        let mut found = false;
        for input in self.inputs.iter_mut().filter(|input| fits(&input.source)) {
            (input.mode.role, found) = (LibraryRole::Reexport, true);
        }
        found
    }

    /// Whether an input was given.
    pub(super) fn has_inputs(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// Sets a limit, which `text` has as `NAME=N`.
    ///
    /// # Errors
    /// What is expected in its place.
    pub(super) fn limit(&mut self, text: Option<&str>) -> Result<(), String> {
        let limit = text.and_then(|text| text.split_once('='));
        let known = limit.and_then(|(name, value)| Some((name, number(value)?)));
        match known.is_some_and(|(name, value)| self.options.limits.set(name, value)) {
            true => Ok(()),
            false => Err(format!("NAME=N, where NAME is one of {}", Limits::NAMES.join(", "))),
        }
    }

    /// Takes the value of `--threads`.
    ///
    /// # Errors
    /// What is expected in its place.
    pub(super) fn threads(&mut self, text: Option<&str>) -> Result<(), &'static str> {
        let threads = text.and_then(|text| text.parse().ok()).filter(|threads: &NonZeroUsize| threads.get() <= 4096);
        self.options.threads = Some(threads.ok_or("a number from 1 to 4096")?);
        Ok(())
    }

    /// Takes the value of `--error-limit`.
    ///
    /// # Errors
    /// What is expected in its place.
    pub(super) fn error_limit(&mut self, text: Option<&str>) -> Result<(), &'static str> {
        let limit = text.and_then(number).ok_or("a number, as 4096 or 0x1000")?;
        self.show.error_limit = Some(usize::try_from(limit).unwrap_or(usize::MAX)).filter(|limit| *limit > 0);
        Ok(())
    }

    /// Takes the version script that an option names, now or once all directories are known.
    ///
    /// # Errors
    /// It is there and cannot be read, or is none.
    pub(super) fn version_script(&mut self, given: &Given) -> Result<(), Problem> {
        self.version_script.get_or_insert_with(|| given.clone());
        match given.path()?.exists() {
            true => self.options.elf.version_script.extend(given.contents(VersionScript::parse)?),
            false => self.sought_scripts.push(given.clone()),
        }
        Ok(())
    }

    /// Takes a version script from the first of the directories to search that has it.
    ///
    /// # Errors
    /// None has it, or it cannot be read, or is none.
    fn sought_script(&mut self, given: &Given) -> Result<(), Problem> {
        let path = given.path()?;
        let in_directories = self.options.search_paths.iter().map(|it| in_sysroot(it, &self.options).join(&path));
        let found = in_directories.into_iter().find(|path| path.exists()).unwrap_or(path);
        self.options.elf.version_script.extend(given.contents_of(&found, VersionScript::parse)?);
        Ok(())
    }

    pub(super) fn push_state(&mut self) {
        self.saved.push(self.mode);
    }

    pub(super) fn pop_state(&mut self, given: &Given) -> Result<(), Problem> {
        let opening = "--push-state";
        let saved = self.saved.pop().ok_or_else(|| Problem::Unbalanced { option: given.option.clone(), opening })?;
        // The brackets of objects as of groups are not among what is remembered.
        self.mode = Mode { lazy: self.mode.lazy, ..saved };
        Ok(())
    }

    pub(super) fn start_lib(&mut self, option: &str) -> Result<(), Problem> {
        if std::mem::replace(&mut self.mode.lazy, true) {
            return Err(Problem::Options(format!("{option}: these do not nest")));
        }
        Ok(())
    }

    pub(super) fn end_lib(&mut self, option: &str) -> Result<(), Problem> {
        if !std::mem::replace(&mut self.mode.lazy, false) {
            return Err(Problem::Unbalanced { option: option.to_owned(), opening: "--start-lib" });
        }
        Ok(())
    }

    pub(super) fn start_group(&mut self, given: &Given) -> Result<(), Problem> {
        if std::mem::replace(&mut self.in_group, true) {
            return Err(Problem::Options(format!("{}: groups do not nest", given.option)));
        }
        Ok(())
    }

    pub(super) fn end_group(&mut self, given: &Given) -> Result<(), Problem> {
        if !std::mem::replace(&mut self.in_group, false) {
            return Err(Problem::Unbalanced { option: given.option.clone(), opening: "--start-group" });
        }
        Ok(())
    }

    /// The link, if the whole makes sense; else `problems` has grown.
    pub(super) fn finish(mut self, problems: &mut Vec<Problem>) -> Link {
        for given in std::mem::take(&mut self.sought_scripts) {
            problems.extend(self.sought_script(&given).err());
        }
        if self.inputs.is_empty() {
            problems.push(Problem::NoInput);
        }
        // What was refused (as -pie) tells more than that -shared is not there.
        if !self.shared && problems.is_empty() {
            problems.push(Problem::NotShared);
        }
        if let (Some(given), Some(Format::Pe)) = (&self.version_script, self.options.target.map(|target| target.format))
        {
            problems
                .push(given.refused("a DLL's symbols have no versions; say what is exported with --exclude-symbols"));
        }
        match self.image_base {
            Some((_, base)) if self.options.target.is_some_and(|target| target.format == Format::Pe) => {
                self.options.pe.image_base = Some(base);
            }
            Some((given, base)) if base != 0 => {
                problems.push(given.refused("a shared library begins at address 0, and the loader moves it"));
            }
            _ => {}
        }
        let output = self.output.unwrap_or_else(|| "a.out".into());
        // The name of a temporary file says nothing; but nobody makes an import library of one.
        let dll = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dll"));
        let dll = dll || self.options.pe.import_library.is_some();
        if let (None, true, Some(name)) =
            (&self.options.pe.dll_name, dll, output.file_name().and_then(|it| it.to_str()))
        {
            self.options.pe.dll_name = Some(name.to_owned());
        }
        if self.separate_debug_file {
            let mut name = output.clone().into_os_string();
            name.push(".dbg");
            self.options.elf.separate_debug_file = Some(name.into());
        }
        self.options.undefined = match (self.report_undefined, self.undefined_warns) {
            (false, _) => Undefined::Allow,
            (true, true) => Undefined::Warn,
            (true, false) => Undefined::Error,
        };
        self.options.map = !self.show.map.is_empty();
        if let Err(errors) = self.options.validate() {
            problems.extend(errors.problems().iter().map(|error| Problem::Options(error.to_string())));
        }
        Link { options: self.options, inputs: self.inputs, output, show: self.show }
    }
}
