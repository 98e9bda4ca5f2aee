//! Version scripts and lists of symbols, as written.
//!
//! ```text
//! V1 { global: old; renewed_*; local: *; };
//! V2 { "a b"; extern "C" { newer; }; } V1;
//! ```
//!
//! The language is that of the GNU linker's manual, *VERSION Command*: nodes with or without a name, each with names that
//! it exports and names that it makes local, and the nodes that it comes after. A list of symbols
//! (`--dynamic-list`) is a node without a name. Names in a block `extern "C++" { … };` are those of the source
//! ([`source_names`](super::source_names)).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use super::pattern::Pattern;
use super::source_names::closed;
use crate::error::{Error, Result};

/// Which symbols a library exports, and in which versions: what a version script says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionScript {
    /// In the order of the script.
    pub(crate) nodes: Vec<Node>,
}

/// One version, or the symbols without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    /// The version's name; empty for a node without a name.
    pub(crate) name: String,
    /// Names that the version has.
    pub(crate) globals: Vec<Pattern>,
    /// Names that are made local.
    pub(crate) locals: Vec<Pattern>,
    /// The versions that it comes after.
    pub(crate) parents: Vec<String>,
}

/// Which symbols are meant by an option that names several: names and patterns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SymbolList {
    pub(crate) patterns: Vec<Pattern>,
}

impl VersionScript {
    /// Reads the script `text`, which messages call `name`.
    ///
    /// # Errors
    /// What is no version script, with the line; names of other languages than C and C++.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self> {
        let text = utf8(name, text)?;
        let mut parser = Parser { text, rest: text };
        let nodes = parser.nodes(None).map_err(|(what, line)| problem(name, &what, line))?;
        Ok(Self { nodes })
    }

    /// Reads the list of symbols `text`, which messages call `name`: one in each line. All others are local.
    ///
    /// # Errors
    /// What is no text.
    pub fn retaining(name: &str, text: &[u8]) -> Result<Self> {
        let lines = utf8(name, text)?.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let globals = lines.map(Pattern::quoted).collect();
        Ok(Self { nodes: vec![Node { globals, locals: vec![Pattern::All], ..Node::default() }] })
    }

    /// Adds what another script says, behind what this one does.
    pub fn extend(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Reads what follows `VERSION` in the linker script `text`: a script in braces. Returns it and what stands behind it.
    ///
    /// # Errors
    /// What is wrong, and in which line of `text`.
    pub(crate) fn block<'t>(text: &'t str, rest: &'t str) -> Result<(Self, &'t str), (String, usize)> {
        let mut parser = Parser { text, rest };
        parser.expect('{')?;
        let nodes = parser.nodes(Some('}'))?;
        Ok((Self { nodes }, parser.rest))
    }
}

impl SymbolList {
    /// Reads the list `text`, which messages call `name`: names and patterns in braces, each with a semicolon behind it
    /// (`--dynamic-list`, `--export-dynamic-symbol-list`).
    ///
    /// # Errors
    /// What is no such list, with the line.
    pub fn parse(name: &str, text: &[u8]) -> Result<Self> {
        let text = utf8(name, text)?;
        let mut parser = Parser { text, rest: text };
        let mut list = || {
            let mut patterns = Vec::new();
            let mut blocks = 0_u32;
            while parser.peek()?.is_some() {
                blocks = blocks.saturating_add(1);
                parser.expect('{')?;
                let mut node = Node::default();
                parser.names(&mut node)?;
                parser.expect(';')?;
                if !node.locals.is_empty() {
                    return Err(parser.problem("a list of symbols has no 'local:' part"));
                }
                patterns.append(&mut node.globals);
            }
            if blocks == 0 { Err(parser.problem("a list of symbols in braces is expected")) } else { Ok(patterns) }
        };
        let patterns = list().map_err(|(what, line)| problem(name, &what, line))?;
        Ok(Self { patterns })
    }

    /// Adds a name or a pattern: `*` stands for any bytes, `?` for one, `[…]` for one of several.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn add(&mut self, pattern: &str) -> Result<()> {
        let parsed = Pattern::parse(pattern).map_err(|what| Error::Options(format!("the pattern {pattern} {what}")))?;
        self.patterns.push(parsed);
        Ok(())
    }

    /// Adds another list.
    pub fn extend(&mut self, other: Self) {
        self.patterns.extend(other.patterns);
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether one of its patterns fits `name`. Takes the steps that are needed from `budget`; without steps left, none does.
    pub(crate) fn fits(&self, name: &[u8], budget: &mut u64) -> bool {
        self.patterns.iter().any(|pattern| pattern.fits(name, budget))
    }
}

fn utf8<'t>(name: &str, text: &'t [u8]) -> Result<&'t str, Error> {
    std::str::from_utf8(text).map_err(|_| Error::malformed(name, "not UTF-8"))
}

fn problem(name: &str, what: &str, line: usize) -> Error {
    Error::malformed(name, format!("line {line}: {what}"))
}

/// What is wrong, and in which line.
type Problem = (String, usize);

/// The longest name of a version, in bytes. Each of its symbols is looked up with it, and it is part of each message: without
/// a bound a script of one long name and many short ones would cost the product of both.
const NAME_LIMIT: usize = 255;

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
}

/// The smallest parts of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    /// What stands between quotes.
    Quoted(&'t str),
    /// A character that stands for itself.
    Mark(char),
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) | Self::Quoted(word) => write!(f, "'{word}'"),
            Self::Mark(mark) => write!(f, "'{mark}'"),
        }
    }
}

impl<'t> Parser<'t> {
    /// Nodes up to `end`, or to the end of the text.
    fn nodes(&mut self, end: Option<char>) -> Result<Vec<Node>, Problem> {
        let mut nodes = Vec::new();
        loop {
            let mut node = Node::default();
            match self.token()? {
                Some(Token::Mark(mark)) if Some(mark) == end => return Ok(nodes),
                None if end.is_none() && !nodes.is_empty() => return Ok(nodes),
                None if end.is_none() => return Err(self.problem("no version is defined")),
                Some(Token::Mark('{')) => {}
                Some(Token::Word(name) | Token::Quoted(name)) if name.len() > NAME_LIMIT => {
                    let size = name.len();
                    return Err(
                        self.problem(format!("the name of a version has {size} bytes, of {NAME_LIMIT} at most"))
                    );
                }
                Some(Token::Word(name) | Token::Quoted(name)) if !name.is_empty() && !name.contains('\0') => {
                    node.name = name.to_owned();
                    self.expect('{')?;
                }
                token => return Err(self.unexpected("the name of a version or '{'", token)),
            }
            // Of several scripts some may have names and some not, as in LLD.
            if nodes.first().is_some_and(|first: &Node| first.name.is_empty() || node.name.is_empty()) {
                return Err(self.problem("a node without a name cannot stand beside others"));
            }
            self.names(&mut node)?;
            loop {
                match self.token()? {
                    Some(Token::Mark(';')) => break,
                    Some(Token::Word(parent) | Token::Quoted(parent)) => node.parents.push(parent.to_owned()),
                    token => return Err(self.unexpected("';' behind the node", token)),
                }
            }
            nodes.push(node);
        }
    }

    /// What stands in a node, with the brace behind it.
    fn names(&mut self, node: &mut Node) -> Result<(), Problem> {
        let mut local = false;
        // Whether names stand in a block of a language, and whether that is C++.
        let (mut in_block, mut source) = (false, false);
        loop {
            let token = self.token()?;
            let label = matches!(token, Some(Token::Word("global" | "local"))) && !in_block;
            if label && self.peek()? == Some(Token::Mark(':')) {
                self.expect(':')?;
                local = token == Some(Token::Word("local"));
                continue;
            }
            let pattern = match token {
                Some(Token::Mark('}')) if in_block => {
                    (in_block, source) = (false, false);
                    self.expect(';')?;
                    continue;
                }
                Some(Token::Mark('}')) => return Ok(()),
                Some(Token::Word("extern")) if !in_block && matches!(self.peek()?, Some(Token::Quoted(_))) => {
                    match self.token()? {
                        Some(Token::Quoted("C")) => {}
                        Some(Token::Quoted("C++")) => source = true,
                        Some(Token::Quoted(language)) => {
                            return Err(self.problem(format!(
                                "extern \"{language}\" is not supported: the languages are C and C++; write names as \
                                 they are stored, as in _ZN3foo*"
                            )));
                        }
                        token => return Err(self.unexpected("a language", token)),
                    }
                    self.expect('{')?;
                    in_block = true;
                    continue;
                }
                Some(Token::Word(word)) => Pattern::parse(&spelt(word, source))
                    .map_err(|what| self.problem(format!("the pattern {word} {what}")))?,
                Some(Token::Quoted(word)) => Pattern::quoted(&spelt(word, source)),
                token => return Err(self.unexpected("a name or '}'", token)),
            };
            let pattern = if source { Pattern::Source(Box::new(pattern)) } else { pattern };
            if local {
                node.locals.push(pattern)
            } else {
                node.globals.push(pattern)
            }
            // The last name of a block may do without.
            if !(in_block && self.peek()? == Some(Token::Mark('}'))) {
                self.expect(';')?;
            }
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), Problem> {
        match self.token()? {
            Some(Token::Mark(found)) if found == mark => Ok(()),
            token => Err(self.unexpected(&format!("'{mark}'"), token)),
        }
    }

    fn peek(&mut self) -> Result<Option<Token<'t>>, Problem> {
        let rest = self.rest;
        let token = self.token();
        self.rest = rest;
        token
    }

    fn token(&mut self) -> Result<Option<Token<'t>>, Problem> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if let Some(comment) = self.rest.strip_prefix("/*") {
                let (_, rest) = comment.split_once("*/").ok_or_else(|| self.problem("a comment has no end"))?;
                self.rest = rest;
            } else if let Some(comment) = self.rest.strip_prefix('#') {
                self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
            } else {
                break;
            }
        }
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"').ok_or_else(|| self.problem("a quoted name has no end"))?;
            self.rest = rest;
            return Ok(Some(Token::Quoted(word)));
        }
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let is_mark = |c: char| "{};:(),\"".contains(c);
        let ends = |c: char| c.is_ascii_whitespace() || is_mark(c);
        let size = if is_mark(first) { 1 } else { word_size(self.rest, ends) };
        let (word, rest) = self.rest.split_at_checked(size).unwrap_or((self.rest, ""));
        self.rest = rest;
        Ok(Some(if is_mark(first) { Token::Mark(first) } else { Token::Word(word) }))
    }

    fn unexpected(&self, expected: &str, token: Option<Token<'_>>) -> Problem {
        match token {
            Some(token) => self.problem(format!("{expected} is expected, not {token}")),
            None => self.problem(format!("{expected} is expected, but the script ends")),
        }
    }

    /// A problem at the line that has been reached, counted from 1.
    fn problem(&self, what: impl Into<String>) -> Problem {
        let read = self.text.strip_suffix(self.rest).unwrap_or(self.text);
        (what.into(), memchr::memchr_iter(b'\n', read.as_bytes()).count().saturating_add(1))
    }
}

/// The size of the word at the start of `text`. Two colons are part of a name of C++, one is not.
fn word_size(text: &str, ends: impl Fn(char) -> bool) -> usize {
    let mut from = 0_usize;
    loop {
        let rest = text.get(from..).unwrap_or_default();
        let Some(end) = rest.find(&ends) else { return text.len() };
        let at = from.saturating_add(end);
        if !rest.get(end..).is_some_and(|rest| rest.starts_with("::")) {
            return at;
        }
        from = at.saturating_add(2);
    }
}

/// A word as it is compared: names of source code can be spelt in several ways.
fn spelt(word: &str, source: bool) -> Cow<'_, str> {
    if source { Cow::Owned(closed(word)) } else { Cow::Borrowed(word) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn exact(names: &[&str]) -> Vec<Pattern> {
        names.iter().map(|name| Pattern::quoted(name)).collect()
    }

    fn said(text: &str) -> String {
        VersionScript::parse("map", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_language_is_understood() {
        let script = VersionScript::parse(
            "map",
            b"# a comment\nV1 { global: old; \"a b*\"; local:*; };\n/* another */\
              \"V 2\" {\n newer; extern \"C\" { inner; local }; global :x\\*; } V1 V1;\n",
        );
        let [one, two] = <[Node; 2]>::try_from(script.unwrap().nodes).unwrap();
        assert_eq!((one.name.as_str(), one.globals, one.locals), ("V1", exact(&["old", "a b*"]), vec![Pattern::All]));
        assert_eq!((two.name.as_str(), two.globals), ("V 2", exact(&["newer", "inner", "local", "x*"])));
        assert_eq!((one.parents.len(), two.parents), (0, vec!["V1".to_owned(), "V1".to_owned()]));
        let anonymous = VersionScript::parse("map", b"{ global; local; };").unwrap();
        assert_eq!(anonymous.nodes.first().unwrap().globals, exact(&["global", "local"]));

        let source = VersionScript::parse("map", b"{ extern \"C++\" { ns::*; \"f(int)\" }; g; };").unwrap();
        let source: Vec<bool> =
            source.nodes.iter().flat_map(|node| &node.globals).map(|it| matches!(it, Pattern::Source(_))).collect();
        assert_eq!(source, [true, true, false]);

        let list = SymbolList::parse("list", b"{ foo; \"bar*\"; }; { baz; };").unwrap();
        assert_eq!(list.patterns, exact(&["foo", "bar*", "baz"]));
        let (block, rest) = VersionScript::block("VERSION{ V { *; }; } rest", "{ V { *; }; } rest").unwrap();
        assert_eq!((block.nodes.len(), rest), (1, " rest"));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        for (text, wanted) in [
            ("", "map: line 1: no version is defined"),
            ("V1 { foo }", "map: line 1: ';' is expected, not '}'"),
            ("V1 { foo; }", "map: line 1: ';' behind the node is expected, but the script ends"),
            ("V1\n{ foo;\n", "map: line 3: a name or '}' is expected, but the script ends"),
            ("V1 foo;", "map: line 1: '{' is expected, not 'foo'"),
            ("};", "map: line 1: the name of a version or '{' is expected, not '}'"),
            ("V1 { [a; };", "map: line 1: the pattern [a has a '[' without ']'"),
            ("V1 { /* ", "map: line 1: a comment has no end"),
            ("V1 {\n\"a", "map: line 2: a quoted name has no end"),
            (
                "V1 { extern \"Java\" { foo.*; }; };",
                "map: line 1: extern \"Java\" is not supported: the languages are C and C++; write names as they are \
                 stored, as in _ZN3foo*",
            ),
            ("V1 { extern \"C\" { { a; }; }; };", "map: line 1: a name or '}' is expected, not '{'"),
        ] {
            assert_eq!(said(text), wanted, "{text}");
        }
        let long = format!("{} {{ a; }};", "V".repeat(256));
        assert_eq!(said(&long), "map: line 1: the name of a version has 256 bytes, of 255 at most");
        assert!(VersionScript::parse("map", long.as_bytes().get(1..).unwrap()).is_ok());
        let list = |text: &str| SymbolList::parse("list", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(list("{ local: a; };"), "list: line 1: a list of symbols has no 'local:' part");
        assert_eq!(list("foo;"), "list: line 1: '{' is expected, not 'foo'");
        assert_eq!(list(" "), "list: line 1: a list of symbols in braces is expected");
        assert_eq!(SymbolList::parse("list", b"{ };").unwrap(), SymbolList::default());
        assert_eq!(SymbolList::parse("list", b"\xff").unwrap_err().to_string(), "list: not UTF-8");
        assert!(SymbolList::default().add("a[").unwrap_err().to_string().contains("a["));
    }

    proptest! {
        #[test]
        fn any_words_are_survived(words in proptest::collection::vec(
            prop_oneof!["global|local|extern|\"C\"|[a-c*?]{1,3}|\\[|\\]", "[{};:()\"#\n]", "/\\*|\\*/|λ| "], 0..40,
        )) {
            let text = words.concat();
            let _ = VersionScript::parse("map", text.as_bytes());
            let _ = SymbolList::parse("map", text.as_bytes());
        }

        #[test]
        fn what_was_written_is_read(nodes in proptest::collection::vec(
            ("[A-Z][A-Z0-9._]{0,6}", proptest::collection::vec("[a-z_][a-z_0-9.$@-]{0,6}", 0..4), any::<bool>()), 1..5,
        )) {
            let text: String = nodes.iter().map(|(name, names, local)| {
                let names: String = names.iter().map(|name| format!(" {name};")).collect();
                format!("{name} {{ {}{names} }};\n", if *local { "local:" } else { "" })
            }).collect();
            let read = VersionScript::parse("map", text.as_bytes()).unwrap().nodes;
            prop_assert_eq!(read.len(), nodes.len());
            for (node, (name, names, local)) in read.iter().zip(&nodes) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                prop_assert_eq!(&node.name, name);
                prop_assert_eq!(if *local { &node.locals } else { &node.globals }, &exact(&names));
            }
        }
    }
}
