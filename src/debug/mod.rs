//! DWARF debug information: unpacking and packing it, and asking it where a message points to in the sources.

pub(crate) mod compress;
pub(crate) mod source_lines;

use crate::error::Place;
use crate::link::Link;
use crate::model::{Object, SectionIndex};

/// Where an offset of an input section stands, for a message.
pub(crate) fn place(_link: &Link<'_>, object: &Object<'_>, section: SectionIndex, offset: u64) -> Place {
    let name = object.sections.get(section as usize).map(|section| section.name).unwrap_or_default();
    Place {
        file: object.name.to_string(),
        section: String::from_utf8_lossy(name).into_owned(),
        offset,
        function: object.symbol_at(section, offset).map(|name| String::from_utf8_lossy(name).into_owned()),
        source: None,
    }
}
