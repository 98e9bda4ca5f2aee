//! The program's command line, for tools that want to take the same arguments.
//!
//! The program stands in for LLD's: it is called with the same arguments and means the same by them. [`run()`] is the whole
//! program within the caller's process. [`command()`] reads a whole command line. Its steps can be taken one by one:
//! [`expand`] reads response files, [`parse()`] turns arguments into a [`Command`]. Of other files it reads only those that
//! are options themselves: version scripts, and lists of symbols or of inputs.
//!
//! Options are data: one documented item each, from which the parser and the help text are made. What was typed (an
//! option with its value) and what it means ([`Options`](crate::Options), inputs, [`Show`]) are different types. There are
//! two dialects so far, GNU's, of which LLD's `ld.lld` is a speaker, and Apple's, of which `ld64.lld` is one.

mod console;
mod darwin;
mod dialect;
mod flag;
mod flags;
mod help;
#[cfg(feature = "inspect")]
mod inspect;
mod named_file;
mod os;
mod parse;
mod problem;
mod reading;
mod response;
mod run;
mod suggest;
mod tell;
#[cfg(test)]
mod tests;

pub use console::Console;
pub use parse::{Command, parse};
pub use problem::Problem;
pub use reading::{Color, Link, MapTo, Show};
pub use response::expand;
pub use run::{Exit, command, run, run_with_report};
