//! Module-definition files (`.def`): what a DLL is called and what it exports, as text.
//!
//! ```text
//! LIBRARY "my library.dll" BASE=0x6c000000
//! VERSION 2.1
//! EXPORTS
//!     start                           ; a function that is called so
//!     stop = stop_now @7 NONAME       ; one of another name, known by its number alone
//!     table DATA                      ; a variable
//!     sleep = KERNEL32.Sleep          ; what another DLL has
//!     old == new                      ; importers of `old` are led to `new`, which the DLL they will find has
//!     inner EXPORTAS outer            ; the DLL calls it `outer`, and importers `inner`
//! ```
//!
//! A file is a list of words, and a semicolon begins a comment. Double quotes enclose a name that holds blanks, commas, equals
//! signs or semicolons, or that is spelled like a statement. Statements are spelled in capitals; those for what comes
//! after a name may be in small letters, too, on the line of the name. Otherwise lines do not matter.
//!
//! Source: Microsoft's linker reference, *Module-Definition (.Def) Files*; the GNU linker's manual, *ld and WIN32*, for what
//! MinGW's linkers do with `NAME`, `DESCRIPTION` and names that begin with `@`; LLVM's reader of such files for `==` and
//! `EXPORTAS`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use super::directives::{Export, Imported};
use super::exports::{Entry, Target};
use crate::error::Error;

/// What a definition file says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Definitions<'a> {
    /// The DLL's name, with its extension.
    pub(crate) name: Option<Cow<'a, str>>,
    /// The preferred base.
    pub(crate) base: Option<u64>,
    /// The stack of a program's first thread: bytes of address space, and of memory.
    pub(crate) stack: Option<(u64, u64)>,
    /// A program's heap: bytes of address space, and of memory.
    pub(crate) heap: Option<(u64, u64)>,
    /// The image's own version.
    pub(crate) version: Option<(u16, u16)>,
    /// What is exported.
    pub(crate) exports: Vec<Export<'a>>,
}

/// Statements that only other linkers carry out, and what to do instead.
const REFUSED: [(&[u8], &str); 5] = [
    (b"SECTIONS", "state the attributes of sections where they are defined"),
    (b"SEGMENTS", "state the attributes of sections where they are defined"),
    (b"IMPORTS", "link against the DLL, or against its import library"),
    (b"STUB", "the program for DOS is always the same"),
    (b"VXD", "drivers of that kind are gone"),
];

/// Words that begin a statement, and so end a list of exports.
const STATEMENTS: [&[u8]; 7] = [b"LIBRARY", b"NAME", b"EXPORTS", b"STACKSIZE", b"HEAPSIZE", b"VERSION", b"DESCRIPTION"];

impl<'a> Definitions<'a> {
    /// Reads the text of a file that messages call `file`.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Unsupported`], naming the line.
    pub(crate) fn parse(file: &str, text: &'a [u8]) -> Result<Self, Error> {
        // Editors put a byte order mark before text in UTF-8.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut parser = Parser { file, words: Words { rest: text, line: 1 }, next: None, line: 1 };
        let mut definitions = Self::default();
        while let Some(word) = parser.next()? {
            parser.statement(word, &mut definitions)?;
        }
        Ok(definitions)
    }

    /// The DLL's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Adds what a further file says. Of what both say once, the later one's counts.
    pub(crate) fn merge(&mut self, later: Self) {
        let Self { name, base, stack, heap, version, exports } = later;
        self.name = name.or(self.name.take());
        self.base = base.or(self.base);
        self.stack = stack.or(self.stack);
        self.heap = heap.or(self.heap);
        self.version = version.or(self.version);
        self.exports.extend(exports);
    }
}

/// A piece of a definition file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    /// A name, a number, or a word of the language.
    Plain(&'a [u8]),
    /// What stood in quotes.
    Quoted(&'a [u8]),
    /// `=`.
    Equals,
    /// `==`.
    EqualsEquals,
    /// `,`.
    Comma,
}

impl<'a> Word<'a> {
    fn is(self, text: &[u8]) -> bool {
        self == Word::Plain(text)
    }

    /// Whether it is a word of what comes behind an export's name: in capitals or, where `small` letters may say it, in those.
    fn is_attribute(self, name: &[u8], small: bool) -> bool {
        matches!(self, Word::Plain(text) if text == name || (small && *text == *name.to_ascii_lowercase()))
    }

    /// The name that it is, unless it begins a statement.
    fn name(self) -> Option<&'a [u8]> {
        match self {
            Word::Plain(text) => Some(text).filter(|_| !self.begins_statement()),
            Word::Quoted(text) => Some(text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    fn begins_statement(self) -> bool {
        let refused = || REFUSED.iter().any(|(name, _)| self.is(name));
        STATEMENTS.iter().any(|name| self.is(name)) || refused()
    }

    fn describe(self) -> String {
        match self {
            Word::Plain(text) | Word::Quoted(text) => {
                format!("'{}'", String::from_utf8_lossy(text.get(..80).unwrap_or(text)))
            }
            Word::Equals => "'='".to_owned(),
            Word::EqualsEquals => "'=='".to_owned(),
            Word::Comma => "','".to_owned(),
        }
    }
}

/// Takes words off a text. Each byte is looked at a fixed number of times.
struct Words<'a> {
    rest: &'a [u8],
    /// The line, counted from 1, at which `rest` begins.
    line: u64,
}

impl<'a> Words<'a> {
    /// The next word; what is wrong with it, if there is none that makes sense.
    fn next(&mut self) -> Result<Option<Word<'a>>, &'static str> {
        while let Some((first, after)) = self.rest.split_first() {
            match first {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.rest = after;
                }
                b';' => {
                    let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                    self.rest = self.rest.get(end..).unwrap_or_default();
                }
                // The last one ended files of MS-DOS.
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c | 0x1a => self.rest = after,
                _ => return self.word(*first, after).map(Some),
            }
        }
        Ok(None)
    }

    fn word(&mut self, first: u8, after: &'a [u8]) -> Result<Word<'a>, &'static str> {
        match first {
            b'=' => {
                let second = after.strip_prefix(b"=");
                self.rest = second.unwrap_or(after);
                Ok(if second.is_some() { Word::EqualsEquals } else { Word::Equals })
            }
            b',' => {
                self.rest = after;
                Ok(Word::Comma)
            }
            b'"' => {
                let end = memchr::memchr3(b'"', b'\n', 0, after).unwrap_or(after.len());
                let (text, rest) = after.split_at_checked(end).unwrap_or((after, &[]));
                self.rest = rest.strip_prefix(b"\"").ok_or("a quote that nothing ends on its line")?;
                Ok(Word::Quoted(text))
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b'=' | b',' | b';' | b'"' | 0..=b' ');
                let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
                if text.is_empty() {
                    return Err("a byte that no text has: is it a definition file?");
                }
                self.rest = rest;
                Ok(Word::Plain(text))
            }
        }
    }
}

struct Parser<'f, 'a> {
    file: &'f str,
    words: Words<'a>,
    /// A word that was put back, and the line that it is on.
    next: Option<(Word<'a>, u64)>,
    /// The line of the last word.
    line: u64,
}

impl<'a> Parser<'_, 'a> {
    fn next(&mut self) -> Result<Option<Word<'a>>, Error> {
        if let Some((word, line)) = self.next.take() {
            self.line = line;
            return Ok(Some(word));
        }
        let word = self.words.next();
        self.line = self.words.line;
        word.map_err(|what| self.malformed(what))
    }

    /// The next word if `take` makes something of it.
    fn take<T>(&mut self, take: impl Fn(Word<'a>) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(word) = self.next()? else { return Ok(None) };
        let taken = take(word);
        if taken.is_none() {
            self.next = Some((word, self.line));
        }
        Ok(taken)
    }

    fn takes(&mut self, wanted: Word<'a>) -> Result<bool, Error> {
        Ok(self.take(|word| (word == wanted).then_some(()))?.is_some())
    }

    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::malformed(self.file, format!("line {}: {}", self.line, what.into()))
    }

    fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::unsupported(self.file, format!("line {}: {}", self.line, what.into()))
    }

    fn statement(&mut self, word: Word<'a>, definitions: &mut Definitions<'a>) -> Result<(), Error> {
        if let Some((name, instead)) = REFUSED.iter().find(|(name, _)| word.is(name)) {
            let name = String::from_utf8_lossy(name);
            return Err(self.unsupported(format!("{name} is not supported: {instead}")));
        }
        let Word::Plain(text) = word else {
            return Err(self.malformed(format!("{} where a statement begins, such as EXPORTS", word.describe())));
        };
        match text {
            b"LIBRARY" | b"NAME" => {
                if let Some(name) = self.take(Word::name)? {
                    let name = std::str::from_utf8(name).map_err(|_| self.malformed("a DLL's name is not UTF-8"))?;
                    definitions.name = Some(with_extension(name));
                }
                if self.takes(Word::Plain(b"BASE"))? {
                    if !self.takes(Word::Equals)? {
                        return Err(self.malformed("BASE without = and an address"));
                    }
                    let base = self.number("an address")?;
                    if !base.is_multiple_of(1 << 16) || base > i64::MAX.unsigned_abs() {
                        return Err(self.malformed(format!(
                            "BASE=0x{base:x}: a multiple of 64 KiB (0x10000) below 2^63 is needed"
                        )));
                    }
                    definitions.base = Some(base);
                }
            }
            b"STACKSIZE" => definitions.stack = Some(self.sizes()?),
            b"HEAPSIZE" => definitions.heap = Some(self.sizes()?),
            b"VERSION" => definitions.version = Some(self.version()?),
            b"DESCRIPTION" => {
                // It went into images of 16-bit Windows.
                self.take(Word::name)?.ok_or_else(|| self.malformed("DESCRIPTION without a text"))?;
            }
            b"EXPORTS" => {
                while let Some(name) = self.take(Word::name)? {
                    let export = self.export(name)?;
                    definitions.exports.push(export);
                }
            }
            _ => {
                let what = format!("{} is no statement; those are LIBRARY, EXPORTS and such", word.describe());
                return Err(self.malformed(what));
            }
        }
        Ok(())
    }

    /// What follows an export's name: `[= SYMBOL] [@ORDINAL] [NONAME] [DATA] [CONSTANT] [PRIVATE] [== NAME]
    /// [EXPORTAS NAME]`, with or without commas.
    ///
    /// In small letters a word on a line of its own is the next export: a function may well be called `data`.
    fn export(&mut self, name: &'a [u8]) -> Result<Export<'a>, Error> {
        let line = self.line;
        let mut export = Export { name: Cow::Borrowed(name), ..Export::default() };
        if self.takes(Word::Equals)? {
            let symbol = self.take(Word::name)?;
            export.symbol = Some(symbol.ok_or_else(|| self.malformed("'=' without a symbol"))?.into());
        }
        loop {
            let Some(word) = self.next()? else { return Ok(export) };
            let is = |name: &[u8]| word.is_attribute(name, self.line == line);
            match word {
                Word::Comma => {}
                Word::EqualsEquals => {
                    let name = self.take(Word::name)?.ok_or_else(|| self.malformed("'==' without a name"))?;
                    export.imported = Some(Imported { symbol: export.name.clone(), name: name.into() });
                }
                // A name may begin so as well: that of a function with __fastcall.
                Word::Plain(text) if is_ordinal(text) => {
                    let digits = match text.get(1..).filter(|digits| !digits.is_empty()) {
                        Some(digits) => Some(digits),
                        None => self.take(Word::name)?,
                    };
                    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                    let number = number.filter(|number| *number > 0);
                    export.ordinal =
                        Some(number.ok_or_else(|| self.malformed("'@' without a number from 1 to 65535"))?);
                }
                _ if is(b"NONAME") => export.no_name = true,
                _ if is(b"DATA") => export.data = true,
                _ if is(b"CONSTANT") => export.constant = true,
                _ if is(b"PRIVATE") => export.private = true,
                _ if is(b"EXPORTAS") => {
                    let name = self.take(Word::name)?.ok_or_else(|| self.malformed("EXPORTAS without a name"))?;
                    export.export_as(name.into());
                }
                _ => {
                    self.next = Some((word, self.line));
                    return Ok(export);
                }
            }
        }
    }

    /// `RESERVED[,COMMITTED]`, in bytes.
    fn sizes(&mut self) -> Result<(u64, u64), Error> {
        let reserved = self.number("a number of bytes")?;
        let committed = if self.takes(Word::Comma)? { self.number("a number of bytes")? } else { PAGE.min(reserved) };
        if committed > reserved {
            return Err(self.malformed(format!("{committed} bytes of memory in {reserved} of address space")));
        }
        Ok((reserved, committed))
    }

    /// `MAJOR[.MINOR]`.
    fn version(&mut self) -> Result<(u16, u16), Error> {
        let text = self.take(Word::name)?.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) => Ok((major, minor)),
            _ => Err(self.malformed("VERSION without a version, as in 2.1, of numbers up to 65535")),
        }
    }

    fn number(&mut self, what: &str) -> Result<u64, Error> {
        let text = self.take(Word::name)?.and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(number).ok_or_else(|| self.malformed(format!("{what} is missing, as in 0x10000")))
    }
}

/// The number that a text spells, decimal or hexadecimal.
fn number(text: &str) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((text, 10), |digits| (digits, 16));
    // The parser of numbers takes a sign, which has no place here.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// What is committed where nothing else is said: a page.
const PAGE: u64 = 4096;

/// Whether a word is `@` and perhaps a number.
fn is_ordinal(text: &[u8]) -> bool {
    text.strip_prefix(b"@").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

/// The name of a DLL with its extension.
fn with_extension(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}.dll")) }
}

/// The definition file that exports what a DLL of this name exports, under the same numbers (`--output-def`).
pub(crate) fn text(dll: &str, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut text = b"LIBRARY ".to_vec();
    text.extend(quoted(dll.as_bytes()));
    text.extend(b"\nEXPORTS\n");
    for entry in entries {
        text.extend(b"    ");
        text.extend(quoted(&entry.name));
        if let Target::Forward(to) = &entry.target {
            text.extend(b" = ");
            text.extend(quoted(to));
        }
        text.extend(format!(" @{}", entry.ordinal).into_bytes());
        let words = [
            (entry.no_name, " NONAME"),
            (entry.data, " DATA"),
            (entry.constant, " CONSTANT"),
            (entry.private, " PRIVATE"),
        ];
        words.iter().filter(|(on, _)| *on).for_each(|(_, word)| text.extend(word.as_bytes()));
        text.push(b'\n');
    }
    text
}

/// A name as a definition file has it: in quotes, if it were something else without.
fn quoted(name: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.?$#".contains(byte) || *byte >= 0x80;
    let inner = |byte: &u8| plain(byte) || *byte == b'@';
    let attributes: [&[u8]; 6] = [b"NONAME", b"DATA", b"CONSTANT", b"PRIVATE", b"EXPORTAS", b"BASE"];
    let special = Word::Plain(name).begins_statement()
        || attributes.iter().any(|attribute| Word::Plain(name).is_attribute(attribute, true));
    if !special && name.first().is_some_and(plain) && name.iter().all(inner) {
        return name.to_vec();
    }
    [b"\"", name, b"\""].concat()
}

#[cfg(test)]
mod tests;
