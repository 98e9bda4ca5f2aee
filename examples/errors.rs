//! What a caller can do with errors: each is a value that says what is wrong and where.
//!
//! ```sh
//! cargo run --example errors [ARCHIVE]
//! ```

use pkgld::{Blob, Error, Errors, Input, Inputs, Options, Target, Undefined};
use pkgld_corpus::{committed_for, target};

fn main() {
    // Without libraries, everything that the runtime defines is missing.
    let archive = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    let archive = archive.or_else(|| Some(committed_for(target::LINUX_X86_64).first()?.path.clone()));
    let archive = archive.expect("an archive to link");
    let mut options = Options::julia(Target::LINUX_X86_64);
    options.undefined = Undefined::Error;
    match link(vec![Input::path(&archive).whole_archive()], &options) {
        Ok(size) => println!("{size} bytes"),
        Err(errors) => advise(&errors),
    }

    // A name that is taken, and a file that is not there: `?` and `to_string` do, too.
    let bytes = [1; 8];
    let twice = || Input::blob(Blob::new("data", &bytes));
    println!("{}", link(vec![twice(), twice()], &options).expect_err("a name is defined twice"));
    println!("{}", link(vec![Input::path("no-such-file.a")], &options).expect_err("a file is missing"));
}

fn link(inputs: Vec<Input<'_>>, options: &Options) -> pkgld::Result<u64> {
    let inputs = Inputs::open(inputs, options)?;
    let image = pkgld::link(&inputs, options)?;
    Ok(image.size())
}

/// Tells of problems in words of our own.
fn advise(errors: &Errors) {
    for problem in errors.problems() {
        match problem {
            Error::Undefined { symbol, references, more, .. } => {
                let places = references.len() + more;
                let first = references.first().map(|place| format!(", first in {}", place.file)).unwrap_or_default();
                println!("{symbol} is wanted in {places} places{first}: is a library missing?");
            }
            Error::Duplicate { symbol, first, second } => {
                println!("{symbol} is in {} and in {}", first.file, second.file)
            }
            Error::Read { path, source } => println!("{}: {source}", path.display()),
            // There may be other kinds some day; each has a text.
            other => println!("{other}"),
        }
    }
    println!("{} problems, and {} more", errors.problems().len(), errors.cut());
}
