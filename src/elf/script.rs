//! Linker scripts that stand in for a library and name what to link instead, as `libc.so` does on most systems:
//!
//! ```text
//! OUTPUT_FORMAT(elf64-x86-64)
//! GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )
//! ```
//!
//! A script may also define versions of symbols: `VERSION { … }`, with a version script in the braces; define symbols as
//! `--defsym` does: `a = b + 8;`, or only if something needs them and nothing defines them: `PROVIDE(a = b);` and have symbols
//! count as referenced: `EXTERN(a b)`.
//!
//! Scripts that lay out sections are another matter: they are refused. The language is that of the GNU linker's manual,
//! *Linker Scripts*, *Commands Dealing with Files*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::version::script::VersionScript;
use crate::error::Error;
use crate::options::{SymbolValue, is_symbol};

/// Commands that a linker script may well start with, and that are not for this linker.
const REFUSED: &[&str] = &[
    "ASSERT",
    "CONSTANT",
    "ENTRY",
    "FORCE_COMMON_ALLOCATION",
    "FORCE_GROUP_ALLOCATION",
    "HIDDEN",
    "INCLUDE",
    "INHIBIT_COMMON_ALLOCATION",
    "INSERT",
    "LD_FEATURE",
    "MEMORY",
    "NOCROSSREFS",
    "NOCROSSREFS_TO",
    "OUTPUT",
    "PHDRS",
    "PROVIDE_HIDDEN",
    "REGION_ALIAS",
    "SECTIONS",
    "STARTUP",
    "TARGET",
];

/// A linker script: what it asks for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script<'a> {
    /// The output formats that it is for (`OUTPUT_FORMAT`), in BFD's names: none, one, or the default, the big-endian
    /// and the little-endian one.
    pub(crate) formats: Vec<&'a str>,
    /// The directories that it adds to those searched (`SEARCH_DIR`).
    pub(crate) search_paths: Vec<&'a str>,
    /// The files that it names (`INPUT`, `GROUP`).
    pub(crate) inputs: Vec<ScriptInput<'a>>,
    /// The versions that it defines (`VERSION`).
    pub(crate) versions: VersionScript,
    /// The symbols that it defines.
    pub(crate) definitions: Vec<ScriptDefinition>,
    /// The symbols that count as referenced (`EXTERN`).
    pub(crate) required: Vec<&'a str>,
}

/// A symbol that a linker script defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptDefinition {
    /// Its name.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) value: SymbolValue,
    /// It is defined only if something needs it and nothing else defines it (`PROVIDE`).
    pub(crate) provided: bool,
}

/// A file that a linker script names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScriptInput<'a> {
    /// The file.
    pub(crate) file: ScriptFile<'a>,
    /// Whether it stands inside of `AS_NEEDED`.
    pub(crate) as_needed: bool,
}

/// How a linker script names a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptFile<'a> {
    /// As a path or a file name.
    Path(&'a str),
    /// As a library to search for: what follows `-l`.
    Library(&'a str),
}

impl<'a> Script<'a> {
    /// Parses the script `text`, which messages call `name`.
    ///
    /// # Errors
    /// Something that is not a linker script, or one that does more than name files; the message tells the line.
    pub(crate) fn parse(name: &str, text: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| Error::unsupported(name, "neither an object nor text"))?;
        let mut parser = Parser { rest: text, text };
        parser.script().map_err(|problem| match problem {
            Problem::NoScript => Error::unsupported(name, "text file, not a linker script that names libraries"),
            Problem::Refused(command, line) => Error::unsupported(
                name,
                format!(
                    "linker script, line {line}: {command}: only scripts that name files (INPUT, GROUP), versions \
                     (VERSION) or symbols (NAME = OTHER + NUMBER;) are supported"
                ),
            ),
            Problem::Syntax(what, line) => Error::malformed(name, format!("linker script, line {line}: {what}")),
        })
    }
}

/// What is wrong with a script, and in which line.
enum Problem<'a> {
    NoScript,
    Refused(&'a str, usize),
    Syntax(String, usize),
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

/// The smallest parts of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A word, in quotes or not.
    Word(&'a str),
    /// A character that stands for itself.
    Mark(char),
}

impl<'a> Parser<'a> {
    fn script(&mut self) -> Result<Script<'a>, Problem<'a>> {
        let mut script = Script {
            formats: Vec::new(),
            search_paths: Vec::new(),
            inputs: Vec::new(),
            versions: VersionScript::default(),
            definitions: Vec::new(),
            required: Vec::new(),
        };
        let mut is_script = false;
        loop {
            if let Some(definition) = self.definition() {
                script.definitions.push(definition);
                is_script = true;
                continue;
            }
            let Some(token) = self.token()? else { break };
            match token {
                Token::Mark(';') => continue,
                Token::Word("INPUT" | "GROUP") => self.inputs(&mut script.inputs)?,
                Token::Word("OUTPUT_FORMAT") => script.formats = self.words()?,
                // It says of the inputs what they say themselves.
                Token::Word("OUTPUT_ARCH") => drop(self.words()?),
                Token::Word("EXTERN") => script.required.extend(self.words()?),
                Token::Word("PROVIDE") => script.definitions.push(self.provided()?),
                Token::Word("SEARCH_DIR") => script.search_paths.extend(self.words()?),
                Token::Word("VERSION") => {
                    let (versions, rest) = VersionScript::block(self.text, self.rest)
                        .map_err(|(what, line)| Problem::Syntax(what, line))?;
                    script.versions.extend(versions);
                    self.rest = rest;
                }
                Token::Word(command) if REFUSED.contains(&command) => {
                    return Err(Problem::Refused(command, self.line()));
                }
                Token::Word(_) | Token::Mark(_) if !is_script => return Err(Problem::NoScript),
                Token::Word(word) => return Err(Problem::Refused(word, self.line())),
                Token::Mark(mark) => return Err(self.problem(format!("a command is expected, not '{mark}'"))),
            }
            is_script = true;
        }
        if is_script { Ok(script) } else { Err(Problem::NoScript) }
    }

    /// `NAME = VALUE;`, if that is what comes next and the value is one that is understood.
    fn definition(&mut self) -> Option<ScriptDefinition> {
        let before = self.rest;
        let definition = self.assignment(';').map(|(name, value)| ScriptDefinition { name, value, provided: false });
        if definition.is_none() {
            self.rest = before;
        }
        definition
    }

    /// What follows `PROVIDE`: `(NAME = VALUE);`.
    fn provided(&mut self) -> Result<ScriptDefinition, Problem<'a>> {
        self.open()?;
        match self.assignment(')') {
            Some((name, value)) => Ok(ScriptDefinition { name, value, provided: true }),
            None => Err(Problem::Refused("PROVIDE", self.line())),
        }
    }

    /// `NAME = VALUE` and the mark `end`.
    fn assignment(&mut self, end: char) -> Option<(String, SymbolValue)> {
        // A token first, so that comments in front are passed over.
        let before = self.rest;
        let Ok(Some(Token::Word(_))) = self.token() else { return None };
        let read = before.strip_suffix(self.rest)?.trim_ascii_start();
        let start = if read.starts_with("/*") { read.rsplit_once("*/")?.1.trim_ascii_start() } else { read };
        let text = before.get(before.len().checked_sub(start.len().checked_add(self.rest.len())?)?..)?;
        let (text, rest) = text.split_once(end)?;
        let (name, value) = text.split_once('=')?;
        let name = name.trim();
        let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).filter(|name| !name.contains('"'));
        let name = quoted.or_else(|| Some(name).filter(|name| is_symbol(name)))?;
        let value = SymbolValue::parse(value.trim())?;
        self.rest = rest;
        (!name.is_empty() && !name.contains('\0')).then(|| (name.to_owned(), value))
    }

    /// A list of files in parentheses, where `AS_NEEDED` may start an inner list.
    fn inputs(&mut self, inputs: &mut Vec<ScriptInput<'a>>) -> Result<(), Problem<'a>> {
        self.open()?;
        // How many lists are open: the files of all but the outermost are linked as needed.
        let mut depth = 1_usize;
        while depth > 0 {
            match self.element()? {
                None => depth = depth.saturating_sub(1),
                Some("AS_NEEDED") => {
                    self.open()?;
                    depth = depth.saturating_add(1);
                }
                Some(word) => {
                    let file = word.strip_prefix("-l").map_or(ScriptFile::Path(word), ScriptFile::Library);
                    inputs.push(ScriptInput { file, as_needed: depth > 1 });
                }
            }
        }
        Ok(())
    }

    /// A list of words in parentheses.
    fn words(&mut self) -> Result<Vec<&'a str>, Problem<'a>> {
        self.open()?;
        std::iter::from_fn(|| self.element().transpose()).collect()
    }

    /// The next element of a list, after a comma if there is one; `None` at the list's end.
    fn element(&mut self) -> Result<Option<&'a str>, Problem<'a>> {
        loop {
            match self.token()? {
                Some(Token::Word(word)) => return Ok(Some(word)),
                Some(Token::Mark(',')) => {}
                Some(Token::Mark(')')) => return Ok(None),
                Some(Token::Mark(mark)) => {
                    return Err(self.problem(format!("a file name or ')' is expected, not '{mark}'")));
                }
                None => return Err(self.problem("a list has no end: ')' is missing")),
            }
        }
    }

    fn open(&mut self) -> Result<(), Problem<'a>> {
        match self.token()? {
            Some(Token::Mark('(')) => Ok(()),
            _ => Err(self.problem("'(' is expected")),
        }
    }

    fn token(&mut self) -> Result<Option<Token<'a>>, Problem<'a>> {
        self.rest = self.rest.trim_ascii_start();
        while let Some(comment) = self.rest.strip_prefix("/*") {
            let (_, rest) = comment.split_once("*/").ok_or_else(|| self.problem("a comment has no end"))?;
            self.rest = rest.trim_ascii_start();
        }
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"').ok_or_else(|| self.problem("a quoted name has no end"))?;
            self.rest = rest;
            return Ok(Some(Token::Word(word)));
        }
        let is_end = |c: char| c.is_ascii_whitespace() || "(),;{}\"".contains(c);
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let size = if is_end(first) { first.len_utf8() } else { self.rest.find(is_end).unwrap_or(self.rest.len()) };
        let (token, rest) = self.rest.split_at_checked(size).unwrap_or((self.rest, ""));
        self.rest = rest;
        Ok(Some(if is_end(first) { Token::Mark(first) } else { Token::Word(token) }))
    }

    fn problem(&self, what: impl Into<String>) -> Problem<'a> {
        Problem::Syntax(what.into(), self.line())
    }

    /// The number of the line that has been reached, from 1.
    fn line(&self) -> usize {
        let read = self.text.strip_suffix(self.rest).unwrap_or(self.text);
        memchr::memchr_iter(b'\n', read.as_bytes()).count().saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Script<'_> {
        Script::parse("test", text.as_bytes()).unwrap()
    }

    fn refused(text: &str) -> String {
        Script::parse("lib.so", text.as_bytes()).unwrap_err().to_string()
    }

    fn path(path: &str, as_needed: bool) -> ScriptInput<'_> {
        ScriptInput { file: ScriptFile::Path(path), as_needed }
    }

    fn library(name: &str, as_needed: bool) -> ScriptInput<'_> {
        ScriptInput { file: ScriptFile::Library(name), as_needed }
    }

    #[test]
    fn scripts_of_systems_are_read() {
        let script = parse(
            "/* GNU ld script\n   Use the shared library, but some functions are only in\n   the static library.  */\n\
             OUTPUT_FORMAT(elf64-x86-64)\n\
             GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )\n",
        );
        assert_eq!(script.formats, ["elf64-x86-64"]);
        let expected = [
            path("/lib/libc.so.6", false),
            path("/usr/lib/libc_nonshared.a", false),
            path("/lib64/ld-linux-x86-64.so.2", true),
        ];
        assert_eq!(script.inputs, expected);

        let script = parse("INPUT(libncurses.so.6 -ltinfo)");
        assert_eq!(script.inputs, [path("libncurses.so.6", false), library("tinfo", false)]);
        let script = parse("GROUP ( libgcc_s.so.1 -lgcc )");
        assert_eq!(script.inputs, [path("libgcc_s.so.1", false), library("gcc", false)]);
    }

    #[test]
    fn the_language_is_understood() {
        let script = parse(
            "OUTPUT_FORMAT(\"elf64-x86-64\", elf64-big , elf64-little);SEARCH_DIR(\"=/opt/a b\")\n\
             INPUT(a,b , \"c d\"AS_NEEDED(e AS_NEEDED(f)-l:g.so) h /*)*/)",
        );
        assert_eq!(script.formats, ["elf64-x86-64", "elf64-big", "elf64-little"]);
        assert_eq!(script.search_paths, ["=/opt/a b"]);
        let expected = [
            path("a", false),
            path("b", false),
            path("c d", false),
            path("e", true),
            path("f", true),
            library(":g.so", true),
            path("h", false),
        ];
        assert_eq!(script.inputs, expected);
    }

    #[test]
    fn versions_stand_in_braces() {
        let script = parse("VERSION { V1 { a; }; V2 { b; } V1; } INPUT(c) VERSION {}");
        assert_eq!((script.versions.nodes.len(), script.inputs), (2, vec![path("c", false)]));
        let what = "lib.so: linker script, line 2: ';' behind the node is expected, not '}'";
        assert_eq!(refused("VERSION {\nV1 { a; }}"), what);
        assert_eq!(refused("VERSION V1 { a; };"), "lib.so: linker script, line 1: '{' is expected, not 'V1'");
    }

    #[test]
    fn symbols_are_defined_and_asked_for() {
        let script =
            parse("/* = ; */ a=b;\n\"c@V 1\" = d + 0x8 ;PROVIDE ( e = 16 ); EXTERN(f, g)INPUT(h) /* */ i = j;");
        let defined: Vec<(&str, &SymbolValue, bool)> =
            script.definitions.iter().map(|it| (&*it.name, &it.value, it.provided)).collect();
        let symbol = |name: &str, offset| SymbolValue::Symbol(name.to_owned(), offset);
        let expected = [
            ("a", &symbol("b", 0), false),
            ("c@V 1", &symbol("d", 8), false),
            ("e", &SymbolValue::Number(16), true),
            ("i", &symbol("j", 0), false),
        ];
        assert_eq!(defined, expected);
        assert_eq!((script.required, script.inputs.len()), (vec!["f", "g"], 1));
        let no_script = "lib.so: text file, not a linker script that names libraries";
        for text in ["a = b", "= b;", "a = ;", "a == b;", "1 = b;", "\"\" = b;", "a = b = c;"] {
            assert_eq!(refused(text), no_script, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let refusal = "only scripts that name files (INPUT, GROUP), versions (VERSION) or symbols (NAME = OTHER + NUMBER;) \
                       are supported";
        assert_eq!(
            refused("/* layout */\nSECTIONS { .text : { *(.text) } }"),
            format!("lib.so: linker script, line 2: SECTIONS: {refusal}")
        );
        assert_eq!(refused("INPUT(a)\n\nfoo = . + 1;"), format!("lib.so: linker script, line 3: foo: {refusal}"));
        assert_eq!(refused("PROVIDE(a = b * 2);"), format!("lib.so: linker script, line 1: PROVIDE: {refusal}"));
        let no_script = "lib.so: text file, not a linker script that names libraries";
        assert_eq!(refused("Hello, world\n"), no_script);
        assert_eq!(refused("{ global: *; };"), no_script);
        assert_eq!(refused("  \n"), no_script);
        assert_eq!(refused("INPUT(a"), "lib.so: linker script, line 1: a list has no end: ')' is missing");
        assert_eq!(refused("INPUT\na"), "lib.so: linker script, line 2: '(' is expected");
        assert_eq!(refused("INPUT(a;)"), "lib.so: linker script, line 1: a file name or ')' is expected, not ';'");
        assert_eq!(refused("INPUT(a))"), "lib.so: linker script, line 1: a command is expected, not ')'");
        assert_eq!(refused("INPUT(a)\n/* INPUT"), "lib.so: linker script, line 2: a comment has no end");
        assert_eq!(refused("INPUT(\n\"a)"), "lib.so: linker script, line 2: a quoted name has no end");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200), text in "[ -~λ\n]{0,80}") {
            let _ = Script::parse("test", &bytes);
            let _ = Script::parse("test", text.as_bytes());
        }

        #[test]
        fn any_words_are_survived(
            words in vec(prop_oneof!["INPUT|GROUP|AS_NEEDED|SEARCH_DIR|OUTPUT_FORMAT|VERSION", "[(),;{}\"]", "/\\*|\\*/|λ|a "], 0..30),
        ) {
            let _ = Script::parse("test", words.concat().as_bytes());
        }

        #[test]
        fn what_was_written_is_read(files in vec(("[a-z/.λ_+=$-]{1,12}", any::<bool>(), any::<bool>()), 0..10)) {
            prop_assume!(files.iter().all(|(name, ..)| !name.starts_with("-l")));
            let words = files.iter().map(|(name, quoted, as_needed)| {
                let name = if *quoted { format!("\"{name}\"") } else { name.clone() };
                if *as_needed { format!("AS_NEEDED({name})") } else { name }
            });
            let text = format!("GROUP({})", words.collect::<Vec<_>>().join(" "));
            let expected: Vec<_> = files.iter().map(|(name, _, as_needed)| path(name, *as_needed)).collect();
            prop_assert_eq!(parse(&text).inputs, expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_scripts_of_this_system_are_read() {
        let libc = std::fs::read(crate::testing::compiler_file("libc.so")).unwrap();
        let script = Script::parse("libc.so", &libc).unwrap();
        let named = |part: &str| {
            script.inputs.iter().any(|input| matches!(input.file, ScriptFile::Path(path) if path.contains(part)))
        };
        assert!(named("libc.so.6") && named("libc_nonshared.a"), "{script:?}");
    }
}
