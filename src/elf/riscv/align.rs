//! `R_RISCV_ALIGN`: deleting the padding that is too much.
//!
//! A compiler that lets linkers shorten code cannot know how much padding an alignment within it will need. So it puts the
//! most that can be needed, and a relocation that says how many bytes of padding follow; the code that is to be aligned, to
//! the smallest power of two above that number, stands behind them (psABI, *Relocation for Alignment*). As much of the
//! padding must go as is too much.
//!
//! No code is shortened here, and a section starts at a multiple of every alignment within it. So what is too
//! much is a function of the object alone, and is deleted as soon as the object has been read, before anything
//! looks at it. What the rest of the link sees is an object in which all padding is right: shorter contents, relocations
//! at their new offsets, symbols with their new values and sizes.
//!
//! All other references to the code follow by themselves, since they are relocations that name symbols: branches, the
//! addresses and lengths of functions in unwind tables and debug information, the steps of line tables. Whoever emits
//! `R_RISCV_ALIGN` has to leave all of these open (psABI, *Linker Relaxation*: "code generators must in general ensure that
//! relocations are always emitted"). Two kinds of references are not by a symbol at the place that is meant:
//!
//! * *a section's symbol and an offset in it*: the offset moves with what stands there;
//! * *another symbol and an offset from it*: the formula is S + A, so A stays.
//!
//! A section whose padding is right as it is stays as it is, borrowed from the input.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use object::elf::{R_RISCV_ALIGN, R_RISCV_NONE, R_RISCV_RELAX, RelocationType};

use crate::arch::{Bits, riscv64};
use crate::elf::class::Writer;
use crate::error::Error;
use crate::model::{InputName, Section, SectionFlags, SectionIndex, Symbol, SymbolKind, SymbolSection};
use crate::reloc::{self, RawReloc};

/// Deletes the padding that is too much in the code sections of a 64-bit object called `file`, and moves everything else
/// of the object that refers to them.
///
/// # Errors
/// [`Error::Malformed`] for padding that is no padding, or not enough.
pub(crate) fn align(file: &InputName<'_>, sections: &mut [Section<'_>], symbols: &mut [Symbol]) -> Result<(), Error> {
    let mut cut: BTreeMap<SectionIndex, Cuts> = BTreeMap::new();
    for (index, section) in (0..).zip(sections.iter()) {
        // Padding in other sections never moves, as none of their bytes do; scanning refuses the relocation there.
        if section.flags.has(SectionFlags::EXEC) {
            let cuts = Cuts::of(section).map_err(|Problem { offset, what }| {
                let name = String::from_utf8_lossy(section.name);
                Error::malformed(file, format!("{name} at offset 0x{offset:x}: R_RISCV_ALIGN: {what}"))
            })?;
            if !cuts.0.is_empty() {
                cut.insert(index, cuts);
            }
        }
    }
    if cut.is_empty() {
        return Ok(());
    }
    for (index, section) in (0..).zip(sections.iter_mut()) {
        let own = cut.get(&index);
        if own.is_some() || refers_to_cut_section(section, symbols, &cut) {
            let mut table = Writer::new(Bits::B64);
            for raw in moved_relocations(section, own, symbols, &cut) {
                table.word(raw.offset);
                table.u32(raw.kind);
                table.u32(raw.symbol);
                table.word(raw.addend.cast_unsigned());
            }
            section.relocs.bytes = Cow::Owned(table.bytes);
        }
        if let Some(cuts) = own {
            let contents = cuts.contents(&section.data);
            section.size = contents.len() as u64;
            section.data = Cow::Owned(contents);
        }
    }
    for symbol in symbols {
        if let SymbolSection::In(section) = symbol.section()
            && let Some(cuts) = cut.get(&section)
        {
            let end = cuts.moved(symbol.value.saturating_add(symbol.size));
            symbol.value = cuts.moved(symbol.value);
            symbol.size = end.saturating_sub(symbol.value);
        }
    }
    Ok(())
}

/// Why the padding of a section cannot be put right.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    offset: u64,
    what: String,
}

/// Padding of which a part is too much.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    /// Where the padding starts, in bytes from the start of the section as it is in the input.
    start: u64,
    /// Where what is deleted starts: the padding before it stays.
    deleted: u64,
    /// Where the padding ends.
    end: u64,
    /// Bytes deleted before this padding.
    before: u64,
}

/// What is deleted of one section: ascending, apart from each other, none empty.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cuts(Vec<Cut>);

impl Cuts {
    /// What is too much in a section.
    fn of(section: &Section<'_>) -> Result<Self, Problem> {
        let mut cuts = Self::default();
        let mut padded = 0;
        let mut before = 0_u64;
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            if RelocationType(raw.kind) != R_RISCV_ALIGN {
                continue;
            }
            let problem = |what: String| Problem { offset: raw.offset, what };
            let size = u64::try_from(raw.addend).map_err(|_| problem(format!("{} bytes of padding", raw.addend)))?;
            let end = raw.offset.checked_add(size).filter(|end| *end <= section.data.len() as u64);
            let Some(end) = end else {
                let what = format!("{size} bytes of padding reach beyond the section's {}", section.data.len());
                return Err(problem(what));
            };
            if raw.offset < padded {
                return Err(problem("it lies in the padding of the one before it".to_owned()));
            }
            padded = end;
            // No larger than twice the section.
            let align = size.saturating_add(1).next_power_of_two();
            if align > section.align {
                let what = format!("alignment to {align} bytes in a section that is aligned to {}", section.align);
                return Err(problem(what));
            }
            let place = raw.offset.saturating_sub(before);
            let needed = place.wrapping_neg() & align.saturating_sub(1);
            if needed > size {
                let what = format!("{size} bytes of padding where {needed} are needed");
                return Err(problem(what));
            }
            if needed & 1 != 0 {
                return Err(problem("the padding starts at an odd offset, where no instruction can".to_owned()));
            }
            if needed < size {
                let deleted = raw.offset.saturating_add(needed);
                cuts.0.push(Cut { start: raw.offset, deleted, end, before });
                before = before.saturating_add(end.saturating_sub(deleted));
            }
        }
        cuts.check(section)?;
        Ok(cuts)
    }

    /// Checks that no other relocation has a part in the padding.
    fn check(&self, section: &Section<'_>) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            if is_marker(&raw) {
                continue;
            }
            let size = riscv64::elf_reloc(raw.kind).map_or(1, |(_, field)| field.size().max(1));
            let next = self.0.partition_point(|cut| cut.end <= raw.offset);
            if self.0.get(next).is_some_and(|cut| cut.start < raw.offset.saturating_add(size)) {
                let what = format!("{} is to be applied to the padding", riscv64::elf_reloc_name(raw.kind));
                return Err(Problem { offset: raw.offset, what });
            }
        }
        Ok(())
    }

    /// Where a label at `offset` of the input has gone. What is deleted is all at one place.
    fn moved(&self, offset: u64) -> u64 {
        let next = self.0.partition_point(|cut| cut.deleted <= offset);
        let Some(cut) = next.checked_sub(1).and_then(|last| self.0.get(last)) else { return offset };
        let gone = offset.min(cut.end).saturating_sub(cut.deleted);
        offset.saturating_sub(cut.before).saturating_sub(gone)
    }

    /// The section's contents without what is deleted. What is left of its padding is made anew, since it may have been cut
    /// within an instruction.
    fn contents(&self, data: &[u8]) -> Vec<u8> {
        let part = |range: Range<u64>| {
            let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
            data.get(start..end)
        };
        let mut contents = Vec::with_capacity(data.len());
        let mut copied = 0;
        for cut in &self.0 {
            contents.extend_from_slice(part(copied..cut.start).unwrap_or_default());
            let mut padding = cut.deleted.saturating_sub(cut.start);
            while padding >= 4 {
                contents.extend_from_slice(&[0x13, 0x00, 0x00, 0x00]); // nop
                padding = padding.saturating_sub(4);
            }
            if padding > 0 {
                contents.extend_from_slice(&[0x01, 0x00]); // c.nop
            }
            copied = cut.end;
        }
        contents.extend_from_slice(part(copied..data.len() as u64).unwrap_or_default());
        contents
    }
}

/// Whether a relocation changes no bytes.
fn is_marker(raw: &RawReloc) -> bool {
    matches!(RelocationType(raw.kind), R_RISCV_NONE | R_RISCV_RELAX | R_RISCV_ALIGN)
}

/// What is deleted of the section whose symbol a relocation names, with the offset in it that the relocation means.
fn cut_section<'c>(
    raw: &RawReloc,
    symbols: &[Symbol],
    cut: &'c BTreeMap<SectionIndex, Cuts>,
) -> Option<(&'c Cuts, u64)> {
    let symbol = symbols.get(usize::try_from(raw.symbol).ok()?)?;
    match symbol.section() {
        SymbolSection::In(section) if symbol.kind == SymbolKind::Section => {
            Some((cut.get(&section)?, u64::try_from(raw.addend).ok()?))
        }
        _ => None,
    }
}

fn refers_to_cut_section(section: &Section<'_>, symbols: &[Symbol], cut: &BTreeMap<SectionIndex, Cuts>) -> bool {
    reloc::decode(section, 0..section.relocs.len())
        .any(|raw| !is_marker(&raw) && cut_section(&raw, symbols, cut).is_some())
}

/// The relocations of a section as they are when everything has moved: those that asked for alignment are done with.
fn moved_relocations(
    section: &Section<'_>,
    own: Option<&Cuts>,
    symbols: &[Symbol],
    cut: &BTreeMap<SectionIndex, Cuts>,
) -> Vec<RawReloc> {
    let relocations = reloc::decode(section, 0..section.relocs.len());
    let kept = relocations.filter(|raw| own.is_none() || RelocationType(raw.kind) != R_RISCV_ALIGN);
    let moved = kept.map(|raw| RawReloc {
        offset: own.map_or(raw.offset, |own| own.moved(raw.offset)),
        addend: match cut_section(&raw, symbols, cut) {
            Some((cuts, offset)) if !is_marker(&raw) => cuts.moved(offset).cast_signed(),
            _ => raw.addend,
        },
        ..raw
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use crate::model::{Fate, RelocEncoding, Relocs};
    use object::elf::{
        R_RISCV_64, R_RISCV_ADD32, R_RISCV_CALL_PLT, R_RISCV_GOT_HI20, R_RISCV_JAL, R_RISCV_PCREL_LO12_I,
        R_RISCV_SUB32, SHT_PROGBITS,
    };
    use proptest::prelude::*;

    const TEXT: u32 = 1;
    const DATA: u32 = 2;

    /// Offset, kind, symbol, addend.
    type Entry = (u64, RelocationType, u32, i64);

    fn section(flags: SectionFlags, align: u64, data: Vec<u8>, relocs: &[Entry]) -> Section<'static> {
        let mut table = Writer::new(Bits::B64);
        for (offset, kind, symbol, addend) in relocs {
            table.word(*offset);
            table.u32(kind.0);
            table.u32(*symbol);
            table.word(*addend as u64);
        }
        Section {
            name: b".text",
            size: data.len() as u64,
            data: Cow::Owned(data),
            align,
            flags,
            kind: SHT_PROGBITS.0,
            entry_size: 0,
            linked: 0,
            relocs: Relocs { bytes: Cow::Owned(table.bytes), encoding: RelocEncoding::Rela64 },
            fate: Fate::Live,
            output: Section::NOWHERE,
            offset: 0,
        }
    }

    /// An object with nothing, `.text` and a section with relocations; symbols: nothing, those of the two sections, labels.
    fn object(
        align: u64,
        data: Vec<u8>,
        text: &[Entry],
        other: &[Entry],
        labels: &[(u64, u64)],
    ) -> (Vec<Section<'static>>, Vec<Symbol>) {
        let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
        let sections = vec![
            section(SectionFlags::default(), 1, Vec::new(), &[]),
            section(code, align, data, text),
            section(SectionFlags::ALLOC, 8, vec![0; 64], other),
        ];
        let mut symbols = vec![Symbol::new(0, SymbolSection::Undefined, 0)];
        for of in [TEXT, DATA] {
            let mut symbol = Symbol::new(0, SymbolSection::In(of), 0);
            symbol.kind = SymbolKind::Section;
            symbols.push(symbol);
        }
        for (value, size) in labels {
            let mut symbol = Symbol::new(0, SymbolSection::In(TEXT), *value);
            symbol.size = *size;
            symbols.push(symbol);
        }
        (sections, symbols)
    }

    fn run(sections: &mut [Section<'static>], symbols: &mut [Symbol]) -> Result<(), String> {
        let file = InputName { file: "a.o", member: None };
        align(&file, sections, symbols).map_err(|error| error.to_string())
    }

    fn relocations(section: &Section<'_>) -> Vec<Entry> {
        let raw = reloc::decode(section, 0..section.relocs.len());
        raw.map(|raw| (raw.offset, RelocationType(raw.kind), raw.symbol, raw.addend)).collect()
    }

    /// The psABI's example at an offset where nothing is needed, and one where all is.
    #[test]
    fn padding_is_what_is_needed() {
        const ADD: [u8; 4] = [0x33, 0x83, 0xc3, 0x01]; // add t1, t2, t3
        let text = [&[1, 0][..], &ADD].concat();
        let (mut sections, mut symbols) = object(4, text, &[(0, R_RISCV_ALIGN, 0, 2)], &[], &[(0, 6), (2, 4)]);
        run(&mut sections, &mut symbols).unwrap();
        assert_eq!(*sections[1].data, ADD);
        assert_eq!(sections[1].size, 4);
        assert!(sections[1].relocs.is_empty());
        assert_eq!((symbols[3].value, symbols[3].size), (0, 4));
        assert_eq!((symbols[4].value, symbols[4].size), (0, 4));

        let text = [&[0x82, 0x80, 1, 0][..], &ADD].concat();
        let relocs = [(2, R_RISCV_ALIGN, 0, 2)];
        let (mut sections, mut symbols) = object(4, text.clone(), &relocs, &[], &[]);
        run(&mut sections, &mut symbols).unwrap();
        assert_eq!(*sections[1].data, text);
        assert_eq!(relocations(&sections[1]), relocs);
    }

    #[test]
    fn everything_moves() {
        // 0: ret; 2: 14 bytes of padding to 16; 16: auipc, ld; 24: 6 bytes of padding to 8; 30: ret
        let mut data = vec![0x82, 0x80];
        data.extend([1; 14]);
        data.extend([0x17, 0x05, 0, 0, 0x03, 0x35, 0x05, 0]);
        data.extend([2; 6]);
        data.extend([0x82, 0x80]);
        let text = [
            (2, R_RISCV_ALIGN, 0, 14),
            (16, R_RISCV_GOT_HI20, 5, 0),
            (16, R_RISCV_RELAX, 0, 0),
            (20, R_RISCV_PCREL_LO12_I, 4, 0),
            (24, R_RISCV_ALIGN, 0, 6),
        ];
        let other = [
            (0, R_RISCV_ADD32, 6, 0),
            (0, R_RISCV_SUB32, 3, 0),
            (8, R_RISCV_64, TEXT, 30),
            (16, R_RISCV_64, TEXT, 25),
            (24, R_RISCV_64, DATA, 30),
            (32, R_RISCV_64, 4, 14),
            (40, R_RISCV_64, TEXT, -2),
            (48, R_RISCV_64, TEXT, 1000),
        ];
        let labels = [(0, 16), (16, 16), (25, 0), (30, 2), (32, 0)];
        let (mut sections, mut symbols) = object(16, data, &text, &other, &labels);
        run(&mut sections, &mut symbols).unwrap();
        // 16 is a multiple of 8, so only the second padding goes.
        assert_eq!(sections[1].data.len(), 26);
        assert_eq!(&sections[1].data[..16], [&[0x82, 0x80][..], &[1; 14]].concat());
        assert_eq!(&sections[1].data[24..], [0x82, 0x80]);
        assert_eq!(
            relocations(&sections[1]),
            [(16, R_RISCV_GOT_HI20, 5, 0), (16, R_RISCV_RELAX, 0, 0), (20, R_RISCV_PCREL_LO12_I, 4, 0),]
        );
        assert_eq!(
            relocations(&sections[2]),
            [
                (0, R_RISCV_ADD32, 6, 0),
                (0, R_RISCV_SUB32, 3, 0),
                (8, R_RISCV_64, TEXT, 24),
                (16, R_RISCV_64, TEXT, 24),
                (24, R_RISCV_64, DATA, 30),
                (32, R_RISCV_64, 4, 14),
                (40, R_RISCV_64, TEXT, -2),
                (48, R_RISCV_64, TEXT, 994),
            ]
        );
        let places: Vec<_> = symbols.iter().skip(3).map(|symbol| (symbol.value, symbol.size)).collect();
        assert_eq!(places, [(0, 16), (16, 10), (24, 0), (24, 2), (26, 0)]);
    }

    #[test]
    fn what_is_left_of_padding_is_whole_instructions() {
        for (before, padding, left) in [
            (0, 6, &[][..]),
            (2, 6, &[0x13, 0, 0, 0, 1, 0]),
            (4, 6, &[0x13, 0, 0, 0]),
            (6, 6, &[1, 0]),
            (2, 14, &[0x13, 0, 0, 0, 0x13, 0, 0, 0, 0x13, 0, 0, 0, 1, 0]),
            (12, 12, &[0x13, 0, 0, 0]),
        ] {
            let data = vec![0xaa; before + padding + 4];
            let relocs = [(before as u64, R_RISCV_ALIGN, 0, padding as i64)];
            let (mut sections, mut symbols) = object(16, data, &relocs, &[], &[]);
            run(&mut sections, &mut symbols).unwrap();
            let kept = left.len() == padding;
            let middle = if kept { vec![0xaa; padding] } else { left.to_vec() };
            assert_eq!(*sections[1].data, [vec![0xaa; before], middle, vec![0xaa; 4]].concat(), "{before} {padding}");
        }
    }

    #[test]
    fn padding_that_is_none_is_refused() {
        let cases: [(u64, &[Entry], &str); 9] = [
            (16, &[(0, R_RISCV_ALIGN, 0, -2)], "at offset 0x0: R_RISCV_ALIGN: -2 bytes of padding"),
            (
                16,
                &[(30, R_RISCV_ALIGN, 0, 6)],
                "at offset 0x1e: R_RISCV_ALIGN: 6 bytes of padding reach beyond the section's 32",
            ),
            (
                16,
                &[(u64::MAX, R_RISCV_ALIGN, 0, 6)],
                "at offset 0xffffffffffffffff: R_RISCV_ALIGN: 6 bytes of padding reach beyond the section's 32",
            ),
            (
                16,
                &[(0, R_RISCV_ALIGN, 0, i64::MAX)],
                "at offset 0x0: R_RISCV_ALIGN: 9223372036854775807 bytes of padding reach beyond the section's 32",
            ),
            (
                16,
                &[(0, R_RISCV_ALIGN, 0, 14), (8, R_RISCV_ALIGN, 0, 2)],
                "at offset 0x8: R_RISCV_ALIGN: it lies in the padding of the one before it",
            ),
            (
                4,
                &[(0, R_RISCV_ALIGN, 0, 6)],
                "at offset 0x0: R_RISCV_ALIGN: alignment to 8 bytes in a section that is aligned to 4",
            ),
            (16, &[(1, R_RISCV_ALIGN, 0, 6)], "at offset 0x1: R_RISCV_ALIGN: 6 bytes of padding where 7 are needed"),
            (
                16,
                &[(3, R_RISCV_ALIGN, 0, 6)],
                "at offset 0x3: R_RISCV_ALIGN: the padding starts at an odd offset, where no instruction can",
            ),
            (
                16,
                &[(0, R_RISCV_ALIGN, 0, 14), (12, R_RISCV_JAL, 0, 0)],
                "at offset 0xc: R_RISCV_ALIGN: R_RISCV_JAL is to be applied to the padding",
            ),
        ];
        for (align, text, expected) in cases {
            let (mut sections, mut symbols) = object(align, vec![0; 32], text, &[], &[]);
            assert_eq!(run(&mut sections, &mut symbols), Err(format!("a.o: .text {expected}")));
        }
        // A field that starts before the padding and ends in it.
        let text = [(2, R_RISCV_CALL_PLT, 0, 0), (8, R_RISCV_ALIGN, 0, 6)];
        let (mut sections, mut symbols) = object(16, vec![0; 32], &text, &[], &[]);
        assert_eq!(
            run(&mut sections, &mut symbols),
            Err("a.o: .text at offset 0x2: R_RISCV_ALIGN: R_RISCV_CALL_PLT is to be applied to the padding".to_owned())
        );
    }

    proptest! {
        /// Code of words of random lengths, each run of which is to be aligned: after deletion each is, and nothing but padding
        /// is gone.
        #[test]
        fn every_run_is_aligned(runs in proptest::collection::vec((0..20_usize, 1..5_u32), 1..20)) {
            let (mut data, mut text, mut starts) = (Vec::new(), Vec::new(), Vec::new());
            for (words, (length, log)) in (0_u16..).zip(&runs) {
                let padding = (1 << log) - 2;
                text.push((data.len() as u64, R_RISCV_ALIGN, 0, padding));
                data.extend(vec![0; padding as usize]);
                starts.push((data.len() as u64, 2 * *length as u64));
                for _ in 0..*length {
                    data.extend((words << 8 | 0x55).to_le_bytes());
                }
            }
            let (mut sections, mut symbols) = object(16, data, &text, &[], &starts);
            run(&mut sections, &mut symbols).unwrap();
            let mut end = 0;
            for ((words, (length, log)), symbol) in (0_u16..).zip(&runs).zip(&symbols[3..]) {
                let (start, size) = (symbol.value as usize, symbol.size as usize);
                prop_assert_eq!(symbol.value % (1 << log), 0);
                prop_assert!(start - end < 1 << log);
                prop_assert_eq!(size, 2 * length);
                for word in sections[1].data[start..start + size].chunks(2) {
                    prop_assert_eq!(word, (words << 8 | 0x55).to_le_bytes());
                }
                end = start + size;
            }
            prop_assert_eq!(sections[1].data.len(), end);
        }

        #[test]
        fn any_relocations_are_put_right_or_refused(
            text in proptest::collection::vec((0..40_u64, 40..52_u32, 0..6_u32, -3..20_i64), 0..8),
            other in proptest::collection::vec((0..64_u64, 0..66_u32, 0..6_u32, any::<i64>()), 0..4),
            labels in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..3),
        ) {
            let mut text: Vec<Entry> = text.into_iter().map(|(at, kind, symbol, addend)| (at, RelocationType(kind), symbol, addend)).collect();
            text.sort_by_key(|entry| entry.0);
            let other: Vec<Entry> = other.into_iter().map(|(at, kind, symbol, addend)| (at, RelocationType(kind), symbol, addend)).collect();
            let (mut sections, mut symbols) = object(16, vec![0; 40], &text, &other, &labels);
            if run(&mut sections, &mut symbols).is_ok() {
                prop_assert!(sections[1].data.len() <= 40);
                let offsets: Vec<u64> = relocations(&sections[1]).iter().map(|entry| entry.0).collect();
                prop_assert!(offsets.is_sorted());
            }
        }
    }
}
