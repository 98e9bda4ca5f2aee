//! Response files: `@FILE` stands for the arguments in the file.
//!
//! The two ways of quoting are those of the tools that write such files. *POSIX* is that of GNU's tools (libiberty's
//! `buildargv`): arguments are separated by white space, single and double quotes hold it, and a backslash takes the next
//! byte as it is, inside quotes too. *Windows* is that of the Microsoft C runtime: double quotes only, and a
//! backslash is itself, unless backslashes stand before a double quote, where each pair is one and an odd one quotes the
//! quote. Each host's own is the default, and `--rsp-quoting` chooses.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::iter::{Copied, Peekable};
use std::path::{Path, PathBuf};

use super::os;
use super::problem::Problem;

/// Response files may name response files, this deep.
const DEPTH: usize = 16;
/// The bytes that all response files may have together.
const BYTES: usize = 256 << 20;
/// The bytes that each counts at least, so that many small files that name each other come to an end too.
const LEAST: usize = 4096;
/// The arguments that all response files may make together.
const ARGUMENTS: usize = 4 << 20;

/// How a response file quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As GNU's tools do.
    Posix,
    /// As the Microsoft C runtime does.
    Windows,
}

/// Replaces each `@FILE` by the arguments in the file, which may hold `@FILE`s again.
///
/// A file that does not exist leaves the argument as it is, as in GNU's tools and LLD: it is an input's name then. File
/// names are relative to the working directory.
///
/// # Errors
/// A response file that cannot be read or begins as UTF-16 and is not, or that is nested more than 16 deep; more than 256 MiB or 4 Mi arguments in all.
pub fn expand(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Problem> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if !arguments.iter().any(|argument| file_named(argument).is_some()) {
        return Ok(arguments);
    }
    let mut expansion = Expansion { quoting: quoting(&arguments), out: Vec::new(), bytes: 0 };
    for argument in arguments {
        expansion.add(argument, 0)?;
    }
    Ok(expansion.out)
}

/// The file that an argument names as a response file.
fn file_named(argument: &std::ffi::OsStr) -> Option<PathBuf> {
    (os::bytes(argument).first() == Some(&b'@')).then(|| os::rest(argument, 1).into())
}

/// The quoting that the arguments themselves ask for, or the host's. What else `--rsp-quoting` may say is the parser's
/// to refuse.
fn quoting(arguments: &[OsString]) -> Quoting {
    let mut quoting = if cfg!(windows) { Quoting::Windows } else { Quoting::Posix };
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str()).peekable();
    while let Some(argument) = arguments.next() {
        let Some(value) = argument.strip_prefix("--rsp-quoting").or_else(|| argument.strip_prefix("-rsp-quoting"))
        else {
            continue;
        };
        let value = if value.is_empty() { arguments.peek().copied() } else { value.strip_prefix('=') };
        match value {
            Some("posix") => quoting = Quoting::Posix,
            Some("windows") => quoting = Quoting::Windows,
            _ => {}
        }
    }
    quoting
}

struct Expansion {
    quoting: Quoting,
    out: Vec<OsString>,
    bytes: usize,
}

impl Expansion {
    fn add(&mut self, argument: OsString, depth: usize) -> Result<(), Problem> {
        let Some(path) = file_named(&argument) else {
            self.out.push(argument);
            return Ok(());
        };
        let contents = match read(&path, BYTES.saturating_sub(self.bytes)) {
            Ok(Some(contents)) => contents,
            Ok(None) => {
                let what =
                    format!("response files have more than {} MiB together (each counts 4 KiB at least)", BYTES >> 20);
                return Err(Problem::Expansion { path, what });
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                self.out.push(argument);
                return Ok(());
            }
            Err(source) => return Err(Problem::Response { path, source }),
        };
        if depth == DEPTH {
            let what = format!("response files are nested more than {DEPTH} deep; does one name itself?");
            return Err(Problem::Expansion { path, what });
        }
        self.bytes = self.bytes.saturating_add(contents.len().max(LEAST));
        let contents = text(contents).map_err(|source| Problem::Response { path: path.clone(), source })?;
        for argument in tokenize(&contents, self.quoting) {
            if self.out.len() >= ARGUMENTS {
                let what = format!("response files make more than {ARGUMENTS} arguments");
                return Err(Problem::Expansion { path, what });
            }
            let argument = os::from_bytes(argument).map_err(|os::NotUtf8| {
                let source = io::Error::new(io::ErrorKind::InvalidData, "an argument is not UTF-8");
                Problem::Response { path: path.clone(), source }
            })?;
            self.add(argument, depth + 1)?;
        }
        Ok(())
    }
}

/// The file's contents, of at most `limit` bytes; `None` if it has more.
fn read(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut contents = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let read = File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut contents)?;
    Ok((u64::try_from(read).unwrap_or(u64::MAX) <= limit).then_some(contents))
}

/// The text of a response file in UTF-8, or in whatever the system's names are in. Programs on Windows write UTF-16, which
/// begins with a mark then.
fn text(contents: Vec<u8>) -> io::Result<Vec<u8>> {
    let unit: fn([u8; 2]) -> u16 = match contents.get(..2) {
        Some(b"\xff\xfe") => u16::from_le_bytes,
        Some(b"\xfe\xff") => u16::from_be_bytes,
        _ => return Ok(contents),
    };
    let (pairs, odd) = contents.as_chunks();
    let units = pairs.iter().skip(1).map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if odd.is_empty() => Ok(text.into_bytes()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the file begins as UTF-16 does, and is not")),
    }
}

/// The arguments in the contents of a response file.
pub(super) fn tokenize(contents: &[u8], quoting: Quoting) -> impl Iterator<Item = Vec<u8>> {
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents); // UTF-8's byte order mark
    let mut bytes = contents.iter().copied().peekable();
    std::iter::from_fn(move || match quoting {
        Quoting::Posix => posix(&mut bytes),
        Quoting::Windows => windows(&mut bytes),
    })
}

/// What is left of the contents of a response file.
type Bytes<'a> = Peekable<Copied<std::slice::Iter<'a, u8>>>;

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The next argument in POSIX quoting.
fn posix(bytes: &mut Bytes<'_>) -> Option<Vec<u8>> {
    let mut argument: Option<Vec<u8>> = None; // an empty pair of quotes is an argument too
    let mut quote = None;
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            // At the end of the file there is nothing to take: the backslash stays.
            (b'\\', _) => argument.get_or_insert_default().push(bytes.next().unwrap_or(byte)),
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => argument.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                argument.get_or_insert_default();
                quote = Some(byte);
            }
            (_, None) if !is_space(byte) => argument.get_or_insert_default().push(byte),
            (_, None) if argument.is_some() => break,
            (_, None) => {}
        }
    }
    argument
}

/// The next argument in Windows' quoting.
fn windows(bytes: &mut Bytes<'_>) -> Option<Vec<u8>> {
    let mut argument: Option<Vec<u8>> = None;
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let mut run = 1_usize;
                while bytes.next_if_eq(&b'\\').is_some() {
                    run += 1;
                }
                let argument = argument.get_or_insert_default();
                if bytes.peek() == Some(&b'"') {
                    argument.extend(std::iter::repeat_n(b'\\', run / 2));
                    if run % 2 == 1 {
                        argument.extend(bytes.next());
                    }
                } else {
                    argument.extend(std::iter::repeat_n(b'\\', run));
                }
            }
            b'"' => {
                let argument = argument.get_or_insert_default();
                if quoted && bytes.next_if_eq(&b'"').is_some() {
                    argument.push(b'"');
                } else {
                    quoted = !quoted;
                }
            }
            _ if quoted || !is_space(byte) => argument.get_or_insert_default().push(byte),
            _ if argument.is_some() => break,
            _ => {}
        }
    }
    argument
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(contents: &str, quoting: Quoting) -> Vec<String> {
        tokenize(contents.as_bytes(), quoting).map(|argument| String::from_utf8(argument).unwrap()).collect()
    }

    #[test]
    fn posix_rules() {
        let read = |contents| texts(contents, Quoting::Posix);
        assert_eq!(read("a  b\n\tc\r\n"), ["a", "b", "c"]);
        assert_eq!(read(r#"-o 'a b' "c d"e'f'"#), ["-o", "a b", "c def"]);
        assert_eq!(read(r#"a\ b 'c\'d' "e\"f" \\"#), ["a b", "c'd", r#"e"f"#, r"\"]);
        assert_eq!(read(r#""" '' x"#), ["", "", "x"]);
        assert_eq!(read("'open quote"), ["open quote"]);
        assert_eq!(read(r"end\"), [r"end\"]);
        assert_eq!(read("\u{feff}a"), ["a"]);
        assert_eq!(read(" \n"), [""; 0]);
    }

    #[test]
    fn windows_rules() {
        let read = |contents| texts(contents, Quoting::Windows);
        assert_eq!(read(r#"C:\a\b.o "C:\a b\\" 'x'"#), [r"C:\a\b.o", r"C:\a b\", "'x'"]);
        assert_eq!(read(r#"a\"b "c""d" a\\\"b"#), [r#"a"b"#, r#"c"d"#, r#"a\"b"#]);
        assert_eq!(read(r#""" x\"#), ["", r"x\"]);
    }

    #[test]
    fn files_are_read_and_may_name_files() {
        let directory = tempfile::tempdir().unwrap();
        let [outer, inner] = ["outer", "inner"].map(|name| directory.path().join(name));
        std::fs::write(&inner, "-lb 'c d.o'").unwrap();
        let quoted = inner.display().to_string().replace('\\', "\\\\");
        std::fs::write(&outer, format!("a.o '@{quoted}' @no/such/file")).unwrap();
        let mut at = OsString::from("@");
        at.push(&outer);
        let arguments = ["-shared".into(), at, "--rsp-quoting=posix".into()];
        let wanted = ["-shared", "a.o", "-lb", "c d.o", "@no/such/file", "--rsp-quoting=posix"];
        assert_eq!(expand(arguments).unwrap(), wanted);
    }

    #[test]
    fn utf_16_is_read() {
        let units =
            |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(text(units("\u{feff}-o ü𝄞.so", bytes)).unwrap(), "-o ü𝄞.so".as_bytes());
        }
        assert_eq!(text(b"\xfe plain".to_vec()).unwrap(), b"\xfe plain");
        assert!(text(b"\xff\xfea".to_vec()).is_err(), "half a unit");
        assert!(text(b"\xff\xfe\x00\xd8".to_vec()).is_err(), "half a pair of units");
    }

    #[test]
    fn a_file_that_names_itself_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("r");
        let at = format!("@{}", file.display());
        let quoted = at.replace('\\', "\\\\");
        std::fs::write(&file, format!("\"{quoted}\" \"{quoted}\"")).unwrap();
        let problem = expand([at.into(), "--rsp-quoting".into(), "posix".into()]).unwrap_err();
        assert!(problem.to_string().contains("more than 16 deep"), "{problem}");
    }

    #[test]
    fn a_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let problem = expand([format!("@{}", directory.path().display()).into()]).unwrap_err();
        assert!(matches!(problem, Problem::Response { .. }), "{problem}");
    }

    /// Quotes so that `posix` gives the arguments back; every way of quoting is used.
    fn quote_posix(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            let quote: &[u8] = [b"'", b"\"", b"".as_slice()][if argument.is_empty() { 0 } else { index % 3 }];
            out.extend(quote);
            for byte in argument {
                if matches!(byte, b'\\' | b'\'' | b'"') || quote.is_empty() {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.extend(quote);
            out.push(b" \t\n\r\x0b\x0c"[index % 6]);
        }
        out
    }

    fn quote_windows(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for argument in arguments {
            out.push(b'"');
            let mut run = 0;
            for byte in argument {
                if *byte == b'"' {
                    out.extend(std::iter::repeat_n(b'\\', run + 1));
                }
                run = if *byte == b'\\' { run + 1 } else { 0 };
                out.push(*byte);
            }
            out.extend(std::iter::repeat_n(b'\\', run));
            out.extend(b"\"\n");
        }
        out
    }

    /// Bytes in which the special ones are frequent.
    fn argument() -> impl Strategy<Value = Vec<u8>> {
        let special = prop::sample::select(b"\\\\\"\"'' \t\nab".to_vec());
        prop::collection::vec(prop_oneof![special, any::<u8>()], 0..12)
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(arguments in prop::collection::vec(argument(), 0..8)) {
            let mark = arguments.first().is_some_and(|first| first.starts_with(b"\xef\xbb\xbf"));
            prop_assume!(!mark);
            prop_assert!(tokenize(&quote_posix(&arguments), Quoting::Posix).eq(arguments.iter().cloned()));
            prop_assert!(tokenize(&quote_windows(&arguments), Quoting::Windows).eq(arguments.iter().cloned()));
        }

        #[test]
        fn any_contents_are_read(contents in argument()) {
            for quoting in [Quoting::Posix, Quoting::Windows] {
                let length: usize = tokenize(&contents, quoting).map(|argument| argument.len()).sum();
                prop_assert!(length <= contents.len());
            }
        }
    }
}
