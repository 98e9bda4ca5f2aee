//! `--package-metadata`: a note that says which package of a distribution the image belongs to, as JSON.
//!
//! Source: the specification of the UAPI group, *ELF Package Metadata*: a note of the owner `FDO` in `.note.package`.

use std::borrow::Cow;

use object::elf;

use super::ObjectInfo;
use crate::model::{self, InputName, Object, Section, SectionFlags as Flags};
use crate::options::Target;

/// `NT_FDO_PACKAGING_METADATA`, the note's type.
const METADATA: u32 = 0xcafe_1a7e;

/// An object that holds the note and nothing else.
pub(crate) fn note<'a>(json: &str, target: Target) -> Object<'a> {
    let section = |name, data| {
        let made = Section::made(name, Cow::Owned(data), 4, Flags::ALLOC.and(Flags::RETAIN));
        Section { kind: elf::SHT_NOTE.0, ..made }
    };
    let sections = vec![section(b"", Vec::new()), section(b".note.package", contents(json))];
    let name = InputName { file: "--package-metadata", member: None };
    let info = model::ObjectInfo::Elf(ObjectInfo::of_data(target));
    let (symbols, groups) = (Vec::new(), Vec::new());
    Object { name, sections, symbols, strings: &[], short_names: &[], groups, hide_symbols: false, info }
}

/// The note: sizes of owner and text, type, owner, text with a NUL byte, padded.
fn contents(json: &str) -> Vec<u8> {
    let size = json.len().saturating_add(1).next_multiple_of(4);
    let mut note = Vec::new();
    for word in [4, u32::try_from(size).unwrap_or(u32::MAX), METADATA] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"FDO\0");
    note.extend(json.as_bytes());
    note.resize(size.saturating_add(16), 0);
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_padded() {
        assert_eq!(contents("{}"), b"\x04\0\0\0\x04\0\0\0\x7e\x1a\xfe\xcaFDO\0{}\0\0");
        assert_eq!(contents("[{}]").get(4..8), Some(&8_u32.to_le_bytes()[..]));
    }
}
