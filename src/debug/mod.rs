//! DWARF debug information: where in the sources a message points to.

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
