//! Mach-O relocations: decoding them, which number and which bits each means, and what becomes of it in a library.
//!
//! An entry has 8 bytes: the offset of the field, and 24 bits of symbol or section, a bit that says whether the field
//! counts from its own place, 2 bits of width (2 to the power), a bit that tells a symbol from a section, and 4 bits of
//! kind. What is added stands in the field itself. Kinds have 4 bits only, so two entries may make up one relocation:
//!
//! * *SUBTRACTOR* before UNSIGNED, of one field: the second's symbol less the first's.
//! * *ADDEND* before an instruction's (arm64): the symbol's place is taken by a number to add, since the instruction has no
//!   room for it.
//!
//! An entry that names a section means an address in the object: the field holds that address or, if it counts from its
//! place, the distance to it. The section's symbol (see [`parse`](super::parse)) plus that address is where it has gone.
//!
//! Tables are in descending order of offsets, as compilers write them. Source: `mach-o/reloc.h`,
//! `mach-o/x86_64/reloc.h`, `mach-o/arm64/reloc.h`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod change;

pub(super) use change::{Meant, Named, moved, naming_sections, part, renumber};

use std::borrow::Cow;
use std::ops::Range;

use crate::arch::aarch64::Imm;
use crate::arch::x86_64;
use crate::model::{Section, SectionFlags, SymbolIndex, Traits};
use crate::options::Arch;
use crate::reloc::{Action, Field, Origin, RawReloc, Reason, Reloc, Value, What};
use crate::symbols::Needs;

/// Bytes of an entry.
pub(crate) const SIZE: usize = 8;

/// What decoding a section's relocations takes beside their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// The CPU.
    pub(crate) arch: Arch,
    /// The number of symbols before those of sections.
    pub(crate) section_symbols: u32,
    /// The section's address in its object.
    pub(crate) address: u64,
}

/// Kinds of x86-64.
mod x86 {
    pub(super) const UNSIGNED: u32 = 0;
    pub(super) const SIGNED: u32 = 1;
    pub(super) const BRANCH: u32 = 2;
    pub(super) const GOT_LOAD: u32 = 3;
    pub(super) const GOT: u32 = 4;
    pub(super) const SUBTRACTOR: u32 = 5;
    pub(super) const SIGNED_1: u32 = 6;
    pub(super) const SIGNED_2: u32 = 7;
    pub(super) const SIGNED_4: u32 = 8;
    pub(super) const TLV: u32 = 9;
}

/// Kinds of arm64.
mod arm64 {
    pub(super) const UNSIGNED: u32 = 0;
    pub(super) const SUBTRACTOR: u32 = 1;
    pub(super) const BRANCH26: u32 = 2;
    pub(super) const PAGE21: u32 = 3;
    pub(super) const PAGEOFF12: u32 = 4;
    pub(super) const GOT_LOAD_PAGE21: u32 = 5;
    pub(super) const GOT_LOAD_PAGEOFF12: u32 = 6;
    pub(super) const POINTER_TO_GOT: u32 = 7;
    pub(super) const TLVP_LOAD_PAGE21: u32 = 8;
    pub(super) const TLVP_LOAD_PAGEOFF12: u32 = 9;
    pub(super) const ADDEND: u32 = 10;
    pub(super) const AUTHENTICATED_POINTER: u32 = 11;
}

const NAMES_X86_64: [&str; 10] = [
    "X86_64_RELOC_UNSIGNED",
    "X86_64_RELOC_SIGNED",
    "X86_64_RELOC_BRANCH",
    "X86_64_RELOC_GOT_LOAD",
    "X86_64_RELOC_GOT",
    "X86_64_RELOC_SUBTRACTOR",
    "X86_64_RELOC_SIGNED_1",
    "X86_64_RELOC_SIGNED_2",
    "X86_64_RELOC_SIGNED_4",
    "X86_64_RELOC_TLV",
];
const NAMES_ARM64: [&str; 12] = [
    "ARM64_RELOC_UNSIGNED",
    "ARM64_RELOC_SUBTRACTOR",
    "ARM64_RELOC_BRANCH26",
    "ARM64_RELOC_PAGE21",
    "ARM64_RELOC_PAGEOFF12",
    "ARM64_RELOC_GOT_LOAD_PAGE21",
    "ARM64_RELOC_GOT_LOAD_PAGEOFF12",
    "ARM64_RELOC_POINTER_TO_GOT",
    "ARM64_RELOC_TLVP_LOAD_PAGE21",
    "ARM64_RELOC_TLVP_LOAD_PAGEOFF12",
    "ARM64_RELOC_ADDEND",
    "ARM64_RELOC_AUTHENTICATED_POINTER",
];

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    offset: u32,
    /// Symbol, section, or addend.
    number: u32,
    relative: bool,
    /// Width, as a power of two.
    length: u32,
    external: bool,
    kind: u32,
}

impl Entry {
    fn read(bytes: &[u8; SIZE]) -> Self {
        let [o0, o1, o2, o3, i0, i1, i2, i3] = *bytes;
        let info = u32::from_le_bytes([i0, i1, i2, i3]);
        Self {
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            number: info & 0x00ff_ffff,
            relative: info & (1 << 24) != 0,
            length: (info >> 25) & 3,
            external: info & (1 << 27) != 0,
            kind: info >> 28,
        }
    }

    /// Whether the next entry belongs to it.
    fn is_first_of_two(&self, arch: Arch) -> bool {
        match arch {
            Arch::X86_64 => self.kind == x86::SUBTRACTOR,
            _ => self.kind == arm64::SUBTRACTOR || self.kind == arm64::ADDEND,
        }
    }
}

/// The kinds of the two entries that store the difference of two symbols.
pub(crate) fn pair(arch: Arch) -> (u32, u32) {
    if arch == Arch::X86_64 { (x86::SUBTRACTOR, x86::UNSIGNED) } else { (arm64::SUBTRACTOR, arm64::UNSIGNED) }
}

/// Checks a table, and puts it in descending order if it is not. Pairs stay together.
///
/// # Errors
/// In words: a first of two without its second, a scattered entry.
pub(crate) fn in_order(table: &[u8], arch: Arch) -> Result<Cow<'_, [u8]>, String> {
    let (entries, _) = table.as_chunks::<SIZE>();
    let mut sorted = true;
    let mut last = u32::MAX;
    let mut waiting: Option<(Entry, usize)> = None;
    for (entry, number) in entries.iter().map(Entry::read).zip(0_usize..) {
        if entry.offset & 0x8000_0000 != 0 {
            return Err(format!("number {number} is scattered, which this CPU's objects do not have"));
        }
        sorted &= entry.offset <= last;
        last = entry.offset;
        if let Some((first, first_number)) = waiting.take() {
            let joins = if arch != Arch::X86_64 && first.kind == arm64::ADDEND {
                matches!(entry.kind, arm64::BRANCH26 | arm64::PAGE21 | arm64::PAGEOFF12)
            } else {
                // UNSIGNED is 0 on both CPUs.
                entry.kind == x86::UNSIGNED && entry.length == first.length && !entry.relative && !first.relative
            };
            if !joins || entry.offset != first.offset {
                return Err(format!(
                    "number {first_number} ({}) is not followed by its second half",
                    name(arch, first.kind)
                ));
            }
        } else if entry.is_first_of_two(arch) {
            waiting = Some((entry, number));
        }
    }
    if let Some((first, number)) = waiting {
        return Err(format!("number {number} ({}) is not followed by its second half", name(arch, first.kind)));
    }
    if sorted {
        return Ok(Cow::Borrowed(table));
    }
    // Stable, so that the halves of a pair, which have one offset, stay in their order.
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| std::cmp::Reverse(Entry::read(entry).offset));
    Ok(Cow::Owned(entries.into_flattened()))
}

/// The symbol that is subtracted in a relocation of a kind.
pub(crate) fn subtracted(kind: u32) -> Option<SymbolIndex> {
    (!is_plain(kind)).then_some(kind >> MINUS_SHIFT)
}

/// The indices of the entries of a section's table whose offsets are in `range`.
pub(crate) fn find(table: &[u8], range: Range<u64>) -> Range<usize> {
    let (entries, _) = table.as_chunks::<SIZE>();
    let from = |limit: u64| entries.partition_point(|entry| u64::from(Entry::read(entry).offset) >= limit);
    from(range.end)..from(range.start)
}

/// Whether all fields that a stretch of a table's entries is for are at offsets that are multiples of 8.
pub(super) fn are_at_multiples_of_8(table: &[u8], entries: Range<usize>) -> bool {
    let (all, _) = table.as_chunks::<SIZE>();
    let entries = all.get(entries).unwrap_or_default().iter();
    // An entry begins with the lowest byte of its offset.
    entries.fold(0, |bits, [low, ..]| bits | low) % 8 == 0
}

/// The entry before index `start` of a table, if it is the first of two and the second is at `start`.
pub(crate) fn first_half(table: &[u8], start: usize, encoding: Encoding) -> Option<Entry> {
    let (entries, _) = table.as_chunks::<SIZE>();
    let before = entries.get(start.checked_sub(1)?).map(Entry::read)?;
    before.is_first_of_two(encoding.arch).then_some(before)
}

/// Decodes the next relocation of `entries`; of one of two entries, `first` is the first if it has been read. A last first
/// half is left to whoever reads on from there.
#[inline]
pub(crate) fn next(
    entries: &mut &[u8],
    first: &mut Option<Entry>,
    encoding: Encoding,
    contents: &[u8],
) -> Option<RawReloc> {
    loop {
        let (entry, rest) = entries.split_first_chunk()?;
        *entries = rest;
        let entry = Entry::read(entry);
        if first.is_none() && entry.is_first_of_two(encoding.arch) {
            *first = Some(entry);
            continue;
        }
        return Some(raw(first.take(), &entry, encoding, contents));
    }
}

/// The low byte of [`RawReloc::kind`]: the kind (4 bits), whether it counts from its place (bit 4), the width (bits 5 and
/// 6), and whether something is subtracted (bit 7). The other bits are the subtracted symbol or, for the low bits of an
/// address in an instruction (arm64), what the instruction is: one of the constants below, or [`LOAD`] and the binary
/// logarithm of the bytes that it accesses, or [`LOAD_ADDRESS`].
const RELATIVE: u32 = 1 << 4;
const LENGTH_SHIFT: u32 = 5;
const MINUS: u32 = 1 << 7;
const MINUS_SHIFT: u32 = 8;
/// One more than the highest [plain](is_plain) kind.
pub(crate) const PLAIN_KINDS: u32 = 8 << MINUS_SHIFT;

/// Whether a kind, below [`PLAIN_KINDS`], alone says what a relocation means: no other symbol is subtracted.
pub(crate) fn is_plain(kind: u32) -> bool {
    kind & MINUS == 0
}

/// An addition.
const ADD: u32 = 1;
/// A load or store.
const LOAD: u32 = 2;
/// A load of 8 bytes into a register for addresses: `ldr Xt, [Xn, #offset]`.
const LOAD_ADDRESS: u32 = 7;

fn raw(first: Option<Entry>, entry: &Entry, encoding: Encoding, contents: &[u8]) -> RawReloc {
    let arch = encoding.arch;
    let symbol = |entry: &Entry| {
        if entry.external {
            return entry.number;
        }
        // Sections count from 1; what names none of them is no symbol.
        encoding.section_symbols.saturating_add(entry.number.checked_sub(1).unwrap_or(u32::MAX))
    };
    let mut kind = entry.kind | (entry.length << LENGTH_SHIFT) | if entry.relative { RELATIVE } else { 0 };
    let offset = u64::from(entry.offset);
    let stored = || load(contents, offset, entry.length);
    let mut addend = match (arch, entry.kind) {
        (Arch::X86_64, _) => stored(),
        (_, arm64::UNSIGNED) => stored(),
        // In a POINTER_TO_GOT too, where LLVM's assembler leaves the distance in the object: no linker looks at it.
        _ => 0,
    };
    if arch == Arch::X86_64 && entry.relative {
        // The field counts from the instruction's end, at least four bytes on. For SIGNED_1 and its like, whose instructions
        // are longer still, the field itself makes up for it.
        addend = if entry.external {
            addend.wrapping_sub(4)
        } else {
            // What is stored is the distance in the object.
            addend.wrapping_add_unsigned(encoding.address.wrapping_add(offset))
        };
    }
    let low_bits = matches!(entry.kind, arm64::PAGEOFF12 | arm64::GOT_LOAD_PAGEOFF12 | arm64::TLVP_LOAD_PAGEOFF12);
    if arch != Arch::X86_64 && low_bits {
        let [b0, b1, b2, b3, ..] = load(contents, offset, 2).to_le_bytes();
        let instruction = u32::from_le_bytes([b0, b1, b2, b3]);
        let form = match Imm::of_page_offset(instruction) {
            _ if instruction & 0xffc0_0000 == 0xf940_0000 => LOAD_ADDRESS,
            Some(Imm::Add12) => ADD,
            Some(Imm::Load12 { shift }) => LOAD.wrapping_add(u32::from(shift)),
            _ => 0,
        };
        kind |= form.wrapping_shl(MINUS_SHIFT);
    }
    match first {
        Some(first) if arch != Arch::X86_64 && first.kind == arm64::ADDEND => {
            // 24 bits, with a sign.
            addend = i64::from(first.number.wrapping_shl(8).cast_signed() >> 8);
        }
        Some(first) => kind |= MINUS | symbol(&first).wrapping_shl(MINUS_SHIFT),
        None => {}
    }
    RawReloc { offset, symbol: symbol(entry), kind, addend }
}

/// The number in a field of the section's contents; 0 where there are none, which scanning refuses.
fn load(contents: &[u8], offset: u64, length: u32) -> i64 {
    let field = usize::try_from(offset).ok().and_then(|offset| contents.get(offset..)).unwrap_or_default();
    let number = match length {
        3 => field.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
        2 => field.first_chunk().map(|bytes| i32::from_le_bytes(*bytes).into()),
        1 => field.first_chunk().map(|bytes| i16::from_le_bytes(*bytes).into()),
        _ => field.first().map(|byte| byte.cast_signed().into()),
    };
    number.unwrap_or(0)
}

/// Which number and which bits a relocation means, or `None` if there is no such relocation.
///
/// | x86-64 | number | | arm64 | number |
/// |---|---|---|---|---|
/// | UNSIGNED | S + A | | UNSIGNED | S + A |
/// | SUBTRACTOR, UNSIGNED | S + A − the first's S | | SUBTRACTOR, UNSIGNED | S + A − the first's S |
/// | SIGNED and its like | S + A − P | | PAGE21 | Page(S + A) − Page(P) |
/// | BRANCH | L + A − P | | PAGEOFF12 | (S + A) mod 4096 |
/// | GOT, GOT_LOAD | slot + A − P | | GOT_LOAD_PAGE21, GOT_LOAD_PAGEOFF12 | the same of the slot |
/// | TLV | slot + A − P | | TLVP_LOAD_PAGE21, TLVP_LOAD_PAGEOFF12 | the same of the slot |
/// | | | | BRANCH26 | L + A − P |
/// | | | | POINTER_TO_GOT | slot, − P if relative |
///
/// The symbol of a thread-local variable stands for its *descriptor*, to which code gets as to any variable: the kinds TLV
/// are GOT_LOAD by other names. A descriptor holds the function that finds the variable, a word of the loader's, and the
/// variable's offset in the template of thread-local storage: UNSIGNED in a section of descriptors, against a symbol of the
/// template, is that offset.
pub(crate) fn understand(arch: Arch, raw: RawReloc) -> Option<(Value, Field)> {
    let (kind, relative, length) = (raw.kind & 0xf, raw.kind & RELATIVE != 0, (raw.kind >> LENGTH_SHIFT) & 3);
    if raw.kind & MINUS != 0 {
        let from = Origin::Symbol(raw.kind >> MINUS_SHIFT);
        return match length {
            3 => Some((What::Symbol.from(from), Field::U64)),
            2 => Some((What::Symbol.from(from), Field::I32)),
            _ => None,
        };
    }
    if arch == Arch::X86_64 {
        return Some(match (kind, relative, length) {
            (x86::UNSIGNED, false, 3) => (What::Symbol.from(Origin::Zero), Field::U64),
            (x86::UNSIGNED, false, 2) => (What::Symbol.from(Origin::Zero), Field::U32),
            (x86::SIGNED | x86::SIGNED_1 | x86::SIGNED_2 | x86::SIGNED_4, true, 2) => {
                (What::Symbol.from(Origin::Place), Field::I32)
            }
            (x86::BRANCH, true, 2) => (What::Plt.from(Origin::Place), Field::I32),
            (x86::GOT_LOAD | x86::TLV, true, 2) => (What::GotRelaxable.from(Origin::Place), Field::I32),
            (x86::GOT, true, 2) => (What::Got.from(Origin::Place), Field::I32),
            _ => return None,
        });
    }
    let low = || {
        Some(Field::Aarch64(match raw.kind >> MINUS_SHIFT {
            ADD => Imm::Add12,
            LOAD_ADDRESS => Imm::Load12 { shift: 3 },
            form @ LOAD..LOAD_ADDRESS => Imm::Load12 { shift: u8::try_from(form.wrapping_sub(LOAD)).ok()? },
            _ => return None,
        }))
    };
    Some(match (kind, relative, length) {
        (arm64::UNSIGNED, false, 3) => (What::Symbol.from(Origin::Zero), Field::U64),
        (arm64::UNSIGNED, false, 2) => (What::Symbol.from(Origin::Zero), Field::U32),
        (arm64::BRANCH26, true, 2) => (What::Plt.from(Origin::Place), Field::Aarch64(Imm::Branch26)),
        (arm64::PAGE21, true, 2) => (What::Symbol.from(Origin::Page), Field::Aarch64(Imm::Adrp)),
        (arm64::PAGEOFF12, false, 2) => (What::Symbol.from(Origin::PageOffset), low()?),
        (arm64::GOT_LOAD_PAGE21 | arm64::TLVP_LOAD_PAGE21, true, 2) => {
            (What::GotRelaxable.from(Origin::Page), Field::Aarch64(Imm::Adrp))
        }
        // The rewriting of the pair is for loads of addresses.
        (arm64::GOT_LOAD_PAGEOFF12 | arm64::TLVP_LOAD_PAGEOFF12, false, 2)
            if raw.kind >> MINUS_SHIFT == LOAD_ADDRESS =>
        {
            (What::GotRelaxable.from(Origin::PageOffset), low()?)
        }
        (arm64::POINTER_TO_GOT, true, 2) => (What::Got.from(Origin::Place), Field::I32),
        (arm64::POINTER_TO_GOT, false, 3) => (What::Got.from(Origin::Zero), Field::U64),
        _ => return None,
    })
}

/// Why a relocation that is not [understood](understand) cannot be linked, where there is more to say than that.
pub(crate) fn refusal(arch: Arch, kind: u32) -> Option<Reason> {
    match (arch, kind & 0xf) {
        (Arch::X86_64, _) => None,
        (_, arm64::GOT_LOAD_PAGEOFF12 | arm64::TLVP_LOAD_PAGEOFF12) => {
            Some("what is not in this image is reached by a load of its address, ldr Xt, and by no other instruction")
        }
        (_, arm64::AUTHENTICATED_POINTER) => Some("pointers with signatures are for arm64e, which cannot be linked"),
        _ => None,
    }
}

/// What a kind is called.
pub(crate) fn name(arch: Arch, kind: u32) -> String {
    let names: &[&str] = if arch == Arch::X86_64 { &NAMES_X86_64 } else { &NAMES_ARM64 };
    let number = kind & 0xf;
    let name = names.get(number as usize).map_or_else(|| format!("number {number}"), |name| (*name).to_owned());
    let minus = if arch == Arch::X86_64 { x86::SUBTRACTOR } else { arm64::SUBTRACTOR };
    match names.get(minus as usize) {
        Some(minus) if kind & MINUS != 0 => format!("{minus} with {name}"),
        _ => name,
    }
}

const NOT_HERE: Reason =
    "the symbol is defined in no object of this image; what another image defines is reached through the GOT";
const MIDDLE: Reason =
    "the branch leads to the middle of a function that is defined in no object of this image; branch to its start";
const FIXED: Reason = "the image is loaded at an address that is not known now, and the field has no room for one";
const READ_ONLY: Reason = "the loader would have to write to a read-only segment; put what holds addresses into __DATA";
const THREAD_LOCAL: Reason = "the symbol is a thread-local variable, which has an address in each thread; its address has to be asked for in code, at run time";
const NOT_THREAD_LOCAL: Reason =
    "the symbol is no thread-local variable, but the code takes it for one: declare it alike everywhere";

/// Whether an address that stands in `section`, of a symbol with `traits`, is an offset in the template of thread-local
/// storage.
pub(crate) fn is_in_template(section: &Section<'_>, traits: Traits) -> bool {
    traits.has(Traits::TLS) && is_descriptors(section)
}

/// Whether a section has the descriptors of thread-local variables.
pub(super) fn is_descriptors(section: &Section<'_>) -> bool {
    section.kind & object::macho::SECTION_TYPE == u32::from(object::macho::S_THREAD_LOCAL_VARIABLES.0)
}

/// Whether a kind is for code that finds a thread-local variable.
fn is_thread_local(arch: Arch, kind: u32) -> bool {
    match arch {
        Arch::X86_64 => kind & 0xf == x86::TLV,
        _ => matches!(kind & 0xf, arm64::TLVP_LOAD_PAGE21 | arm64::TLVP_LOAD_PAGEOFF12),
    }
}

/// What becomes of a relocation of `section`, which is loaded, against a symbol with `traits`.
///
/// # Errors
/// Why it cannot be resolved, for a person.
pub(crate) fn classify(arch: Arch, section: &Section<'_>, reloc: &Reloc, traits: Traits) -> Result<Action, Reason> {
    let preemptible = traits.has(Traits::PREEMPTIBLE);
    // What the loader stores the address of.
    let looked_up = traits.any(Traits::PREEMPTIBLE.and(Traits::COALESCED));
    let absolute = traits.has(Traits::ABSOLUTE);
    if traits.has(Traits::DISCARDED) {
        return Err("the symbol's section is not part of the image");
    }
    // What another image defines may turn out to be anything; not all libraries tell.
    match (is_thread_local(arch, reloc.kind), traits.has(Traits::DESCRIPTOR)) {
        (true, false) if !preemptible => return Err(NOT_THREAD_LOCAL),
        (false, true) if !matches!(reloc.value.from, Origin::Symbol(_)) => return Err(THREAD_LOCAL),
        _ => {}
    }
    let word = reloc.field.is_word();
    Ok(match (reloc.value.what, reloc.value.from) {
        (What::Symbol, Origin::Zero) => match () {
            () if absolute && !looked_up => Action::Link,
            () if word && is_in_template(section, traits) => Action::Link,
            () if !word => return Err(FIXED),
            () if !section.flags.has(SectionFlags::WRITE) => return Err(READ_ONLY),
            () if looked_up => Action::Symbolic,
            () => Action::Relative,
        },
        (What::Symbol, _) if preemptible => return Err(NOT_HERE),
        (What::Symbol, Origin::Place | Origin::Page) if absolute => return Err(FIXED),
        (What::Symbol, _) => Action::Link,
        // The middle of a function is no part of its stub.
        (What::Plt, _) if looked_up && reloc.addend != if arch == Arch::X86_64 { -4 } else { 0 } => match preemptible {
            true => return Err(MIDDLE),
            false => Action::Link,
        },
        (What::Plt, _) if looked_up => Action::Plt,
        (What::Plt, _) if absolute => return Err(FIXED),
        (What::Plt, _) => Action::Link,
        (What::GotRelaxable, origin) => {
            let stays = looked_up || absolute || traits.has(Traits::FAR);
            match (arch, origin) {
                _ if stays => Action::Got(Needs::GOT),
                (Arch::X86_64, _) => match x86_64::got_load(&section.data, reloc.offset, reloc.addend) {
                    Some(form) => Action::Relax(form),
                    None => Action::Got(Needs::GOT),
                },
                // The two halves stand in instructions apart, and go by the symbol alone, so that they agree.
                (_, Origin::Page) => Action::Link,
                _ => Action::RelaxToAdd,
            }
        }
        // A slot's own address would move with the image.
        (What::Got, Origin::Zero) => return Err("the address of a GOT slot is not known before the image is loaded"),
        (What::Got, _) => Action::Got(Needs::GOT),
        _ => return Err("no such number can be told"),
    })
}

#[cfg(test)]
mod tests;
