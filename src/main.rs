//! The program: arguments in, exit status out. What it does is [`pkgld::cli`].

use std::process::ExitCode;

use pkgld::cli::{self, Console};

fn main() -> ExitCode {
    Console::standard(|console| cli::run(std::env::args_os(), console)).into()
}
