//! The same member for processors other than x86-64: `llc` writes it with a small heap image, in whose place the one
//! that is wanted is put.
//!
//! The small one is compiled for the purpose or taken from an archive that was made before. Beside the heap image's
//! bytes four things in the object depend on its size: the size of its section and of its symbol, the constant
//! `jl_system_image_size`, and the file offsets of what comes after it.

use super::Sysimg;
use crate::Spec;
use crate::elf::{Elf, defined_globals};

impl Sysimg {
    /// The object that `llc` would write for `spec`, from `small`, the one that it wrote for the same with a heap image
    /// whose size is a multiple of 16 bytes. `None` if `small` is no such object.
    pub(crate) fn grown(small: &[u8], spec: &Spec) -> Option<Self> {
        let elf = Elf::new(small)?;
        let sections = elf.sections()?;
        let symbols = elf.symbols()?;
        let find = |name: &[u8]| symbols.iter().find(|symbol| symbol.name == name);
        let (heap, size) = (find(b"jl_system_image_data")?, find(b"jl_system_image_size")?);
        let section = sections.get(usize::from(heap.section))?;
        let size_at = sections.get(usize::from(size.section))?.offset + size.value;
        let (start, end) = (section.offset, section.offset + section.size);

        // Whatever stood behind the small heap image moves as a whole.
        let after = sections.iter().filter(|other| other.offset >= end && other.size > 0);
        let next = after.min_by_key(|other| other.offset)?;
        let moved_to = (start + spec.heap).next_multiple_of(next.align.max(1));
        let moved = |offset: u64| offset - next.offset + moved_to;

        let mut head = small.get(..start as usize)?.to_vec();
        let mut tail = vec![0; (moved_to - start - spec.heap) as usize];
        let padding = tail.len();
        tail.extend(small.get(next.offset as usize..)?);
        let width = elf.word_size();
        put(&mut head, elf.headers_field(), moved(elf.word(elf.headers_field())?), width)?;
        let mut put_behind =
            |at: usize, number: u64| put(&mut tail, at.checked_sub(next.offset as usize)? + padding, number, width);
        let [offset_field, size_field] = elf.extent_fields();
        for section in sections.iter().filter(|section| section.offset >= next.offset) {
            put_behind(section.header + offset_field, moved(section.offset))?;
        }
        put_behind(section.header + size_field, spec.heap)?;
        put_behind(heap.size_field, spec.heap)?;
        put_behind(size_at as usize, spec.heap)?;
        let symbols = defined_globals(small)?;
        Some(Self { head, tail, heap: spec.heap, stride: spec.heap_stride, seed: spec.seed, symbols })
    }
}

/// Writes the `width` low bytes of `number` at `at`.
fn put(bytes: &mut [u8], at: usize, number: u64, width: usize) -> Option<()> {
    bytes.get_mut(at..)?.get_mut(..width)?.copy_from_slice(&number.to_le_bytes()[..width]);
    Some(())
}
