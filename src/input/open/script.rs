//! Linker scripts as inputs: what they name is linked in their place.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::search::{in_sysroot, is_absence};
use super::{Opener, SonameRule};
use crate::elf::script::{Script, ScriptFile};
use crate::error::Error;
use crate::input::Mode;

/// How deep linker scripts may nest.
const SCRIPT_DEPTH: usize = 16;
/// How many files all linker scripts together may name.
const SCRIPT_INPUTS: usize = 1 << 16;
/// The largest linker script, in bytes.
pub(super) const SCRIPT_SIZE: usize = 1 << 20;

/// A script that is being expanded.
pub(super) struct ScriptPlace {
    file: usize,
    /// Where the script is.
    path: PathBuf,
}

impl Opener<'_, '_> {
    /// Adds what a linker script names.
    pub(super) fn script(&mut self, file: usize, path: &Path, mode: Mode) {
        let name = path.display().to_string();
        if self.scripts.iter().any(|script| script.file == file) {
            return self.refuse(&name, "linker script that names itself");
        }
        if self.scripts.len() >= SCRIPT_DEPTH {
            return self.refuse(&name, "linker script inside of too many others");
        }
        if self.contents(file).len() > SCRIPT_SIZE {
            return self.refuse(&name, "text file, too large for a linker script that names libraries");
        }
        let text = self.contents(file).to_vec();
        let script = match Script::parse(&name, &text) {
            Ok(script) => script,
            Err(error) => return self.problems.push(error),
        };
        for directory in script.search_paths {
            self.search_paths.insert(in_sysroot(Path::new(directory), self.options));
        }
        self.inputs.versions.extend(script.versions);
        self.inputs.definitions.extend(script.definitions);
        self.inputs.required.extend(script.required.into_iter().map(str::to_owned));
        self.scripts.push(ScriptPlace { file, path: path.to_owned() });
        for input in script.inputs {
            self.script_inputs = self.script_inputs.saturating_add(1);
            if self.script_inputs > SCRIPT_INPUTS {
                self.refuse(&name, "linker script: scripts name too many files in all");
                break;
            }
            // By either name, in each directory.
            if !self.may_look(self.search_paths.len().saturating_mul(2)) {
                self.refuse(&name, "linker script: scripts have too many places searched in all");
                break;
            }
            let mode = Mode { as_needed: mode.as_needed || input.as_needed, ..mode };
            match input.file {
                ScriptFile::Library(library) => self.library(library, mode),
                ScriptFile::Path(path) => self.script_path(path, mode),
            }
        }
        self.scripts.pop();
    }

    /// Adds the file that the innermost script calls `name`.
    ///
    /// An absolute path in a script that is inside of the system root is looked up there first; a relative one beside
    /// the script, in the current directory, and in the search paths.
    fn script_path(&mut self, name: &str, mode: Mode) {
        let script = self.scripts.last().map(|script| script.path.clone()).unwrap_or_default();
        let path = in_sysroot(Path::new(name), self.options);
        let mut places = Vec::new();
        if path.has_root() {
            places.extend(self.options.sysroot.as_deref().filter(|root| is_inside(&script, root)).map(|root| {
                let below = path.strip_prefix("/").unwrap_or(&path);
                (root.join(below), SonameRule::Path)
            }));
            places.push((path, SonameRule::Path));
        } else {
            let directory = script.parent().unwrap_or(Path::new(""));
            places.push((directory.join(&path), SonameRule::Path));
            places.extend(self.search_paths.iter().map(|directory| (directory.join(&path), SonameRule::FileName)));
            places.insert(1, (path, SonameRule::Path));
        }
        for (path, rule) in places {
            match self.file(&path) {
                Ok(Some(file)) => return self.add(file, &path, mode, rule),
                Ok(None) => return,
                Err(error) if is_absence(&error) => {}
                Err(error) => return self.fail(&path, error),
            }
        }
        let what = format!("no such file; linker script {} names it", script.display());
        let error = io::Error::new(ErrorKind::NotFound, what);
        self.problems.push(Error::read(Path::new(name), error));
    }
}

/// Whether `path` is below the directory `root`, as written or in fact.
fn is_inside(path: &Path, root: &Path) -> bool {
    let in_fact = || Some(path.canonicalize().ok()?.starts_with(root.canonicalize().ok()?));
    path.starts_with(root) || in_fact().unwrap_or(false)
}
