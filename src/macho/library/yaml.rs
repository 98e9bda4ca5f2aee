//! YAML documents as trees, of which text stubs are made. JSON, which newer stubs are, is YAML too.
//!
//! Aliases are refused: no tool writes them into stubs, and with them a small file could stand for a tree without end.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// Levels of nesting: stubs have four.
const DEPTH: usize = 32;

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A scalar, whatever it stands for.
    Word(String),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping; of equal keys the last holds.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// What stands under a key, if this is a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The word that this is.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The documents of `text`.
///
/// # Errors
/// What is wrong with the text, in words.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let at = |what: &str| format!("line {}: {what}", span.start.line());
        let value = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(BTreeMap::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Some(Value::List(list)),
                Some(Open::Map(map, _)) => Some(Value::Map(map)),
                None => None,
            },
            Event::Scalar(text, ..) => Some(Value::Word(text.into_owned())),
            Event::Alias(_) => return Err(at("an alias, which has no place in a text stub")),
            _ => None,
        };
        if open.len() > DEPTH {
            return Err(at("lists and mappings are nested too deeply"));
        }
        let Some(value) = value else { continue };
        match open.last_mut() {
            None => documents.push(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match (key.take(), value) {
                (Some(name), value) => {
                    map.insert(name, value);
                }
                (None, Value::Word(name)) => *key = Some(name),
                (None, _) => return Err(at("a key of a mapping is no word")),
            },
        }
    }
    Ok(documents)
}

/// A list or mapping that has not ended.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(BTreeMap<String, Value>, Option<String>),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    fn word(word: &str) -> Value {
        Value::Word(word.to_owned())
    }

    fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    #[test]
    fn documents_become_trees() {
        let text = "--- !tapi-tbd\na: [ x, 'y z',\n  \"w\" ]\nb:\n  - c: 1\n    d: []\n--- !tapi-tbd\ne: f\n...\n";
        let inner = map([("c", word("1")), ("d", Value::List(Vec::new()))]);
        let list = Value::List(vec![word("x"), word("y z"), word("w")]);
        let first = map([("a", list), ("b", Value::List(vec![inner]))]);
        assert_eq!(documents(text).unwrap(), [first, map([("e", word("f"))])]);
        let json = "{ \"a\": [ 1, \"b\\u0041\\/\" ],\n\t\"c\": {} }";
        let list = Value::List(vec![word("1"), word("bA/")]);
        assert_eq!(documents(json).unwrap(), [map([("a", list), ("c", map([]))])]);
    }

    #[test]
    fn what_is_no_stub_is_refused() {
        let cases: [(&str, &str); 4] = [
            ("a: &x [b]\nc: *x\n", "alias"),
            (&"[".repeat(100), "nested too deeply"),
            ("a: [b\n", ""),
            ("? [a]\n: b\n", "no word"),
        ];
        for (text, what) in cases {
            assert!(documents(text).unwrap_err().contains(what), "{text}");
        }
    }
}
