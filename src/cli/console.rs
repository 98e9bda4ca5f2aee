//! Where the program's words go, and how problems look.

use std::fmt::{Debug, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};

use super::reading::Color;

/// The program's standard output and standard error.
///
/// What standard error does not take is lost: there is nobody left to tell.
pub struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether messages go to a terminal.
    terminal: bool,
    /// Whether results do.
    #[cfg(feature = "inspect")]
    out_terminal: bool,
    color: bool,
    /// Why something of the results was lost.
    lost: Option<io::Error>,
}

impl<'a> Console<'a> {
    /// Writes to `out` and `err`; `terminal` says whether `err` shows colours.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, terminal: bool) -> Self {
        Self {
            out,
            err,
            terminal,
            #[cfg(feature = "inspect")]
            out_terminal: false,
            color: terminal,
            lost: None,
        }
    }

    /// The process's own streams, for `use_console`.
    pub fn standard<T>(use_console: impl FnOnce(&mut Console<'_>) -> T) -> T {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        let shows_colors = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let terminal = err.is_terminal() && shows_colors;
        #[cfg(feature = "inspect")]
        let out_terminal = out.is_terminal() && shows_colors;
        let mut console = Console::new(&mut out, &mut err, terminal);
        #[cfg(feature = "inspect")]
        {
            console.out_terminal = out_terminal;
        }
        use_console(&mut console)
    }

    pub(super) fn set_color(&mut self, color: Color) {
        self.color = match color {
            Color::Auto => self.terminal,
            Color::Always => true,
            Color::Never => false,
        };
    }

    /// Whether standard output shows colours.
    #[cfg(feature = "inspect")]
    pub(super) fn out_is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Writes a line to standard output.
    pub(super) fn out(&mut self, line: impl Display) {
        let written = writeln!(self.out, "{line}");
        self.note(written);
    }

    /// Has all results written; tells of those that could not be, and whether there were none such.
    ///
    /// A reader that has gone, as `head` does, has got what it wanted.
    pub(super) fn finish(&mut self) -> bool {
        let written = self.out.flush();
        self.note(written);
        let lost = self.lost.take();
        if let Some(error) = &lost {
            self.error(format_args!("cannot write standard output: {error}"));
        }
        lost.is_none()
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
    }

    /// Writes a line to standard error.
    pub(super) fn err(&mut self, line: impl Display) {
        let _ = writeln!(self.err, "{line}");
    }

    /// Tells a problem for which the program fails.
    pub(super) fn error(&mut self, problem: impl Display) {
        self.message("error", "31", problem);
    }

    /// Tells what is allowed and probably not wanted.
    pub(super) fn warning(&mut self, what: impl Display) {
        self.message("warning", "35", what);
    }

    fn message(&mut self, kind: &str, color: &str, what: impl Display) {
        if self.color {
            self.err(format_args!("pkgld: \x1b[1;{color}m{kind}:\x1b[0m {what}"));
        } else {
            self.err(format_args!("pkgld: {kind}: {what}"));
        }
    }
}

impl Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("terminal", &self.terminal).field("color", &self.color).finish_non_exhaustive()
    }
}
