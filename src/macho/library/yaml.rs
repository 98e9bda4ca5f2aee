//! YAML documents as trees, of which text stubs are made.
//!
//! Aliases are refused: no tool writes them into stubs, and with them a small file could stand for a tree without end.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

/// Levels of nesting: stubs have four.
const DEPTH: usize = 32;

/// The documents of `text`; every scalar is a string.
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
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Some(Value::Array(list)),
                Some(Open::Map(map, _)) => Some(Value::Object(map)),
                None => None,
            },
            Event::Scalar(text, ..) => Some(Value::String(text.into_owned())),
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
                (None, Value::String(name)) => *key = Some(name),
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
    Map(Map<String, Value>, Option<String>),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_become_trees() {
        let text = "--- !tapi-tbd\na: [ x, 'y z',\n  \"w\" ]\nb:\n  - c: 1\n    d: []\n--- !tapi-tbd\ne: f\n...\n";
        let wanted = [json!({ "a": ["x", "y z", "w"], "b": [{ "c": "1", "d": [] }] }), json!({ "e": "f" })];
        assert_eq!(documents(text).unwrap(), wanted);
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
