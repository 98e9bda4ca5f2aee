//! Which instructions of an image for AArch64 must move, since they may go wrong where they stand
//! (`--fix-cortex-a53-843419`).
//!
//! Source: [`arch::aarch64::erratum`](crate::arch::aarch64::erratum); what is code in a section: *ELF for the Arm 64-bit
//! Architecture*, *Mapping symbols*.

use crate::arch::aarch64::erratum;
use crate::link::Link;
use crate::model::{Binding, Object, ObjectId, SectionFlags, SectionIndex, SymbolKind, SymbolSection};
use crate::options::Arch;

/// Whether the erratum is to be avoided.
pub(crate) fn is_avoided(link: &Link<'_>) -> bool {
    link.options.elf.fix_cortex_a53_843419 && link.target.arch == Arch::Aarch64
}

/// The instructions of an object that may go wrong, with addresses as they are: sections and offsets in them.
pub(crate) fn misplaced(link: &Link<'_>, id: ObjectId) -> Vec<(SectionIndex, u64)> {
    let object = link.object(id);
    let marks = marks(object);
    let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
    let mut found = Vec::new();
    for (index, section) in
        (0..).zip(&object.sections).filter(|(_, section)| section.is_live() && section.flags.has(code))
    {
        let Some(output) = link.outputs.get(section.output as usize) else { continue };
        let first = marks.partition_point(|mark| mark.section < index);
        let count = marks[first..].partition_point(|mark| mark.section == index);
        let size = section.data.len() as u64;
        for (start, end) in code_ranges(&marks[first..first + count], size) {
            let address = output.address.wrapping_add(section.offset).wrapping_add(start);
            let offsets = erratum::misplaced(&section.data[start as usize..end as usize], address);
            found.extend(offsets.into_iter().map(|offset| (index, start + offset)));
        }
    }
    found
}

/// Where code or data begins in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    section: SectionIndex,
    offset: u64,
    is_code: bool,
}

/// The marks of an object, by section and offset.
fn marks(object: &Object<'_>) -> Vec<Mark> {
    let locals =
        object.symbols.iter().filter(|symbol| symbol.binding == Binding::Local && symbol.kind == SymbolKind::None);
    let marks = locals.filter_map(|symbol| {
        let SymbolSection::In(section) = symbol.section() else { return None };
        let is_code = match object.symbol_name_start(symbol, 3) {
            b"$x" | b"$x." => true,
            b"$d" | b"$d." => false,
            _ => return None,
        };
        Some(Mark { section, offset: symbol.value, is_code })
    });
    let mut marks: Vec<Mark> = marks.collect();
    marks.sort_by_key(|mark| (mark.section, mark.offset));
    marks
}

/// The parts of an executable section that are code, by its marks. What stands before the first one is code: assemblers may
/// leave that mark out.
fn code_ranges(marks: &[Mark], size: u64) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let mut code = Some(0);
    for mark in marks.iter().filter(|mark| mark.offset <= size) {
        match (code, mark.is_code) {
            (None, true) => code = Some(mark.offset),
            (Some(start), false) => {
                ranges.push((start, mark.offset));
                code = None;
            }
            _ => {}
        }
    }
    ranges.extend(code.map(|start| (start, size)));
    ranges.retain(|(start, end)| start < end);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_not_marked_as_data() {
        let ranges = |marks: &[(u64, bool)]| {
            let marks: Vec<Mark> =
                marks.iter().map(|(offset, is_code)| Mark { section: 1, offset: *offset, is_code: *is_code }).collect();
            code_ranges(&marks, 100)
        };
        assert_eq!(ranges(&[]), [(0, 100)]);
        assert_eq!(ranges(&[(0, true)]), [(0, 100)]);
        assert_eq!(ranges(&[(0, false)]), []);
        assert_eq!(
            ranges(&[(0, true), (20, false), (24, false), (40, true), (60, true), (80, false)]),
            [(0, 20), (40, 80)]
        );
        // Both at one place: the later one counts.
        assert_eq!(ranges(&[(0, false), (0, true), (40, true), (40, false)]), [(0, 40)]);
        assert_eq!(ranges(&[(40, false), (100, true), (1 << 40, true)]), [(0, 40)]);
    }
}
