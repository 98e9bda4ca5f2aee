//! Which of LLD's programs is meant: by `-flavor`, or by the name that the program was called by.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::problem::Problem;

/// What LLD calls a flavor: a set of options and a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// GNU ld's options; ELF images.
    Gnu,
    /// Apple ld's options; Mach-O images.
    Darwin,
    /// Microsoft link's options; PE images.
    Link,
    /// WebAssembly modules.
    Wasm,
}

/// Takes the program's name, and `-flavor NAME` if that comes next, off `arguments`, and says which dialect the others
/// are in and which argument, already taken, is the first of them. A name that tells nothing, as `lld`, `ld` and `pkgld`, means GNU's.
///
/// # Errors
/// A flavor that is unknown, or not supported yet.
pub(super) fn take(arguments: &mut impl Iterator<Item = OsString>) -> Result<(Dialect, Option<OsString>), Problem> {
    let program = arguments.next().unwrap_or_default();
    let first = arguments.next();
    let (option, name) = match &first {
        Some(flavor) if flavor == "-flavor" || flavor == "--flavor" => {
            let name = arguments.next();
            let name = name.ok_or_else(|| Problem::NoValue { option: "-flavor".to_owned(), metavar: FLAVORS })?;
            (Some("-flavor"), name)
        }
        _ => (None, stem(&program)),
    };
    let dialect = match (named(&name), option) {
        (Some(dialect), _) => dialect,
        (None, None) => of_program(&name),
        (None, Some(option)) => {
            return Err(Problem::BadValue { option: option.to_owned(), value: name, expected: FLAVORS.to_owned() });
        }
    };
    let what = match dialect {
        Dialect::Gnu | Dialect::Darwin => return Ok((dialect, first.filter(|_| option.is_none()))),
        Dialect::Link => "the command line of lld-link (for Windows, use -flavor gnu -m i386pep, i386pe or arm64pe)",
        Dialect::Wasm => "linking WebAssembly modules",
    };
    let option = option.map_or_else(String::new, |option| format!("{option} ")) + &name.to_string_lossy();
    Err(Problem::Format { option, what: what.to_owned() })
}

const FLAVORS: &str = "gnu or darwin";

/// The file name of the program without `.exe`.
fn stem(program: &OsStr) -> OsString {
    let name = Path::new(program).file_name().unwrap_or_default();
    let path = Path::new(name);
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("exe") => path.file_stem().unwrap_or_default().to_owned(),
        _ => name.to_owned(),
    }
}

/// The dialect of a program whose name has a version or a system in it, `ld64.lld-19` or `arm64-apple-darwin-ld64.lld`: as LLD
/// has it, that of the first part between hyphens that is a name.
fn of_program(name: &OsStr) -> Dialect {
    let name = name.to_str().filter(|name| !name.starts_with(env!("CARGO_PKG_NAME"))).unwrap_or_default();
    name.split('-').find_map(|part| named(part.as_ref())).unwrap_or(Dialect::Gnu)
}

fn named(name: &OsStr) -> Option<Dialect> {
    Some(match name.to_str()? {
        "gnu" | "ld" | "ld.lld" => Dialect::Gnu,
        "darwin" | "darwinnew" | "ld64" | "ld64.lld" => Dialect::Darwin,
        "link" | "lld-link" => Dialect::Link,
        "wasm" | "wasm-ld" | "ld-wasm" => Dialect::Wasm,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(arguments: &[&str]) -> Result<Vec<OsString>, String> {
        let mut arguments = arguments.iter().map(OsString::from);
        let (_, first) = take(&mut arguments).map_err(|problem| problem.to_string())?;
        Ok(first.into_iter().chain(arguments).collect())
    }

    #[test]
    fn the_gnu_dialect_is_what_is_meant_by_default() {
        for program in [
            "pkgld",
            "lld",
            "ld",
            "ld.lld",
            "/usr/bin/ld.lld.exe",
            "LLD.EXE",
            "anything",
            "",
            "aarch64-linux-gnu-ld.lld",
            "x86_64-w64-mingw32-ld",
            "ld.lld-19",
            "pkgld-arm64-apple-darwin",
        ] {
            assert_eq!(rest(&[program, "-shared", "-flavor"]).unwrap(), ["-shared", "-flavor"], "{program}");
        }
        assert_eq!(rest(&["ld64.lld", "-flavor", "gnu", "a.o"]).unwrap(), ["a.o"]);
        assert_eq!(rest(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn other_dialects_are_told_apart() {
        let text = |arguments| rest(arguments).unwrap_err();
        for arguments in [
            &["lld", "-flavor", "darwin", "-dylib"][..],
            &["/x/ld64.lld", "-dylib"],
            &["ld64", "-dylib"],
            &["ld64.lld-19", "-dylib"],
            &["arm64-apple-macos-ld64.lld", "-dylib"],
        ] {
            let taken = take(&mut arguments.iter().map(OsString::from)).unwrap();
            assert_eq!(taken.0, Dialect::Darwin);
            assert_eq!(rest(arguments).unwrap(), ["-dylib"]);
        }
        assert!(text(&["lld-link-19"]).starts_with("lld-link-19: the command line of lld-link"));
        assert!(text(&["lld-link.exe"]).starts_with("lld-link: the command line of lld-link"));
        assert_eq!(text(&["lld", "-flavor", "elf"]), "-flavor: 'elf' is not gnu or darwin");
        assert_eq!(text(&["lld", "-flavor"]), "-flavor: a value is needed: gnu or darwin");
    }
}
