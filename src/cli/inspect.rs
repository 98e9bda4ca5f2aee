//! `pkgld inspect`: what is in an image or an archive.
//!
//! The one command that is no link. The linkers whose place the program takes would read the word as the name of an
//! input; such an input is given as `./inspect`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::console::Console;
use super::run::Exit;
use crate::error::Error;
use crate::inspect::{CacheFlags, Text, inspect};
use crate::map::Contents;

/// The word that asks for it.
pub(super) const COMMAND: &str = "inspect";

const HELP: &str = "\
Usage: pkgld inspect [OPTION ...] IMAGE|ARCHIVE

Tells what is in a package image (ELF, Mach-O or PE, by whatever linker), or in the archive or object that one
is linked from: members, segments and sections, where the bytes go, symbols, unwinding, Julia's own structures,
and whether Julia's loader would take it. A .ji file of the same name beside an image is looked into as well.

Options:
  --json            Print a JSON document; its keys are those of pkgld::inspect::Inspection
  --exports         List all exports (the JSON document always has them)
  --ji FILE         The .ji file to look into
  --no-ji           Look into no .ji file
  --flags FLAGS     Tell whether a Julia started with FLAGS would reject the .ji file: a number, as 0xa3, or options
                    in one argument, as '-O3 -g2 --check-bounds=yes'
  --color WHEN      always, never, or auto (the default): if the output is a terminal
  --help            Print this

Exit status: 0 if the file could be read, also if Julia would not load it; 1 otherwise.";

#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    file: PathBuf,
    json: bool,
    exports: bool,
    ji: Option<PathBuf>,
    no_ji: bool,
    flags: Option<u8>,
    color: Option<bool>,
}

/// Does what the arguments after the command ask for.
pub(super) fn run(arguments: impl Iterator<Item = OsString>, console: &mut Console<'_>) -> Exit {
    let asked = match parse(arguments) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            console.out(HELP);
            return Exit::Success;
        }
        Err(problem) => {
            console.error(format_args!("{problem} (see 'pkgld inspect --help')"));
            return Exit::Failure;
        }
    };
    match tell(&asked, console) {
        Ok(()) => Exit::Success,
        Err(error) => {
            console.error(error);
            Exit::Failure
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Asked>, String> {
    let mut asked = Asked::default();
    let mut file = None;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text, None),
        };
        let takes_value = matches!(name, "--ji" | "--flags" | "--color");
        if attached.is_some() && !takes_value && name.starts_with("--") {
            return Err(format!("{name} takes no value"));
        }
        let value = || attached.or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match name {
            "--help" | "-h" => return Ok(None),
            "--json" => asked.json = true,
            "--exports" => asked.exports = true,
            "--no-ji" => asked.no_ji = true,
            "--ji" => asked.ji = Some(value()?.into()),
            "--flags" => {
                let value = value()?;
                let text = value.to_str().ok_or("--flags: not text")?;
                asked.flags = Some(CacheFlags::parse(text).map_err(|problem| format!("--flags: {problem}"))?);
            }
            "--color" => {
                asked.color = match value()?.to_str() {
                    Some("always") => Some(true),
                    Some("never") => Some(false),
                    Some("auto") => None,
                    _ => return Err("--color: one of always, never, auto".to_owned()),
                }
            }
            _ if text.starts_with('-') && text.len() > 1 => return Err(format!("unknown option {text}")),
            _ if file.is_some() => return Err("more than one file".to_owned()),
            _ => file = Some(PathBuf::from(&argument)),
        }
    }
    asked.file = file.ok_or("no file to look into")?;
    Ok(Some(asked))
}

fn tell(asked: &Asked, console: &mut Console<'_>) -> Result<(), Error> {
    let read = |path: &Path| Contents::open(path, false).map_err(|source| Error::read(path, source));
    let (contents, _) = read(&asked.file)?;
    let mut told = inspect(&asked.file.display().to_string(), contents.bytes())?;
    if told.image.is_some()
        && let Some(path) = cache_of(asked)
    {
        let (cache, _) = read(&path)?;
        told.add_cache(&path.display().to_string(), cache.bytes(), contents.bytes(), asked.flags)?;
    } else if asked.flags.is_some() || asked.ji.is_some() {
        return Err(Error::Options("there is no image with a .ji file: --flags and --ji tell of one".to_owned()));
    }
    if asked.json {
        console.out(told.to_json());
    } else {
        let color = asked.color.unwrap_or_else(|| console.out_is_terminal());
        console.out(Text { told: &told, exports: asked.exports, color }.to_string().trim_end());
    }
    Ok(())
}

/// The `.ji` file that is asked for, or that stands beside the image.
fn cache_of(asked: &Asked) -> Option<PathBuf> {
    if asked.no_ji {
        return None;
    }
    asked.ji.clone().or_else(|| {
        let beside = asked.file.with_extension("ji");
        beside.is_file().then_some(beside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Option<Asked>, String> {
        parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
    }

    #[test]
    fn arguments_are_read() {
        let file = PathBuf::from("a.so");
        assert_eq!(asked("a.so"), Ok(Some(Asked { file: file.clone(), ..Asked::default() })));
        let all = Asked {
            file,
            json: true,
            exports: true,
            ji: Some("b.ji".into()),
            no_ji: false,
            flags: Some(0xe5),
            color: Some(true),
        };
        assert_eq!(asked("--json --exports --ji b.ji --flags=0xe5 --color always a.so"), Ok(Some(all)));
        assert_eq!(asked("a.so --help"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, problem) in [
            ("", "no file to look into"),
            ("a b", "more than one file"),
            ("--jso a", "unknown option --jso"),
            ("--json=yes a", "--json takes no value"),
            ("a --ji", "--ji needs a value"),
            ("--color sometimes a", "--color: one of always, never, auto"),
            (
                "--flags -O9 a",
                "--flags: '-O9' is none of -O0 to -O3, -g0 to -g2, --check-bounds=, --inline=, --pkgimages=",
            ),
        ] {
            assert_eq!(asked(line), Err(problem.to_owned()), "{line}");
        }
    }
}
