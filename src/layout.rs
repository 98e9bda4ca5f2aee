//! Output sections: what goes into each, in which order, at which offset.

#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use crate::error::Error;
use crate::malfunction::{self, Malfunction};
use crate::model::{CommonKind, Object, ObjectId, SectionFlags, SectionIndex};
use crate::thunks::Island;

/// A section of the image.
#[derive(Debug)]
pub(crate) struct OutputSection<'a> {
    /// Its name.
    pub(crate) name: Cow<'a, [u8]>,
    /// The format's own type: `sh_type`; of PE, `IMAGE_SCN_MEM_SHARED` or 0.
    pub(crate) kind: u32,
    /// Flags that the middle asks for.
    pub(crate) flags: SectionFlags,
    /// Alignment in bytes.
    pub(crate) align: u64,
    /// Size of an element, in bytes; 0 for none.
    pub(crate) entry_size: u64,
    /// What it consists of.
    pub(crate) content: Content,
    /// Order among the sections: the format's rank.
    pub(crate) rank: u32,
    /// Size in memory, in bytes.
    pub(crate) size: u64,
    /// Address of its first byte in the image; 0 for a section that is not loaded.
    pub(crate) address: u64,
    /// File offset of its first byte.
    pub(crate) offset: u64,
}

/// What an output section consists of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Input sections, in order.
    Inputs(Vec<(ObjectId, SectionIndex)>),
    /// The block of common symbols of a kind.
    Commons(CommonKind),
    /// A table of the format's, by its number.
    Table(u16),
}

impl OutputSection<'_> {
    /// The address behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// The input sections it consists of, in order.
    pub(crate) fn inputs(&self) -> &[(ObjectId, SectionIndex)] {
        match &self.content {
            Content::Inputs(inputs) => inputs,
            Content::Commons(_) | Content::Table(_) => &[],
        }
    }

    /// Size in the file, in bytes.
    pub(crate) fn file_size(&self) -> u64 {
        if self.flags.has(SectionFlags::ZERO) { 0 } else { self.size }
    }
}

/// Gives each input section of `output` its offset in it, and `output` its size and alignment.
///
/// `size` tells how many bytes a section contributes, and whether it must follow its predecessor without a gap. `islands` are
/// those of the output section, in order.
///
/// # Errors
/// If the sizes add up to more than an address space.
pub(crate) fn place_inputs<'a>(
    objects: &mut [Object<'a>],
    output: &mut OutputSection<'a>,
    islands: &mut [Island],
    size: impl Fn(ObjectId, SectionIndex) -> Option<u64>,
) -> Result<(), Error> {
    let Content::Inputs(inputs) = &output.content else { return Ok(()) };
    let mut end = 0_u64;
    let mut align = 1;
    let mut islands = islands.iter_mut().peekable();
    let mut pass = |number: usize, end: &mut u64, align: &mut u64| {
        while let Some(island) = islands.next_if(|island| island.before <= number) {
            if island.size > 0 {
                *align = Island::ALIGN.max(*align);
                *end = end.next_multiple_of(Island::ALIGN);
            }
            island.offset = *end;
            *end = end.saturating_add(island.size);
        }
    };
    for (number, (object, index)) in inputs.iter().enumerate() {
        pass(number, &mut end, &mut align);
        let section = &mut objects[object.index()].sections[*index as usize];
        align = align.max(section.align);
        let packed = size(*object, *index);
        let packs = packed.is_some() || malfunction::on(Malfunction::AlignmentLost);
        let start = if packs { Some(end) } else { end.checked_next_multiple_of(section.align) };
        let start = start.unwrap_or(u64::MAX);
        end = start.saturating_add(packed.unwrap_or(section.size));
        if end > i64::MAX as u64 {
            return Err(Error::Limit {
                name: "address space",
                what: format!("the size of output section {}", String::from_utf8_lossy(&output.name)),
                wanted: end,
                limit: i64::MAX as u64,
            });
        }
        section.offset = start;
    }
    pass(inputs.len(), &mut end, &mut align);
    output.size = end;
    output.align = align;
    Ok(())
}
