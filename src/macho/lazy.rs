//! Looking functions up at their first call, where no chains tell the loader what to fill.
//!
//! The stub of such a function jumps through its pointer in `__la_symbol_ptr`. At first that leads to the function's entry in
//! `__stub_helper`, which tells where in the *lazy bind program* the function is described, and jumps on to the code that
//! all entries share: it calls `dyld_stub_binder` of the system library, which looks the function up, stores its address in
//! the pointer and goes on there. `__dyld_private` is a word that only the binder uses.
//!
//! A function whose address is wanted too has a slot in `__got`, which is filled when the image is loaded; its stub jumps
//! through that. So does the stub of a weak definition, of which the process has one.
//!
//! Functions that nobody has, and nobody calls, are no problem then: that is why Julia's images up to 1.12 need it.
//! Source: the code that LLD and Apple's linker write, and dyld's `dyld_stub_binder.s` for what it expects.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::emit::{self, segment_at};
use super::opcodes::{At, Bind, LazyProgram};
use super::{POINTER, Table, is_chained, linkedit, stubs, table_output};
use crate::link::Link;
use crate::model::{GlobalId, Traits};
use crate::options::{Arch, Undefined};
use crate::resolve;
use crate::slots::SymbolRef;
use crate::symbols::{Definition, GlobalFlags, Needs};

/// What looks functions up.
const BINDER: &[u8] = b"dyld_stub_binder";

/// Bytes of the code that all entries of `__stub_helper` share.
fn header_size(arch: Arch) -> u64 {
    if arch == Arch::X86_64 { 16 } else { 24 }
}

/// Bytes of an entry of `__stub_helper`.
fn entry_size(arch: Arch) -> u64 {
    if arch == Arch::X86_64 { 10 } else { 12 }
}

/// Enters the binder, if functions may be looked up at their first call: from the first library that has it or, if undefined
/// symbols are left to the loader, from wherever that finds it.
pub(super) fn define_binder(link: &mut Link<'_>) {
    if is_chained(link) || link.options.macho.bind_at_load {
        return;
    }
    let id = look_up(link, BINDER);
    if link.symbols.get(id).definition == Definition::Undefined && link.options.undefined != Undefined::Allow {
        return;
    }
    link.macho.binder = Some(id);
}

/// Enters a name that no object needs to mention, and has the first library that has it define it, if nothing does.
pub(super) fn look_up(link: &mut Link<'_>, name: &'static [u8]) -> GlobalId {
    let id = link.symbols.intern(name);
    if link.symbols.get(id).definition == Definition::Undefined {
        let target = Some(link.target);
        let mut search = resolve::Search::new(&link.libraries, name, None, target);
        let mut numbers = (0_u32..).zip(&link.libraries).filter(|(_, library)| library.asked).map(|(number, _)| number);
        if let Some(number) = numbers.find(|number| search.find_in(*number).is_some()) {
            link.symbols.get_mut(id).definition = Definition::Library(number, None);
        }
    }
    id
}

/// Asks for the binder's slot, if there is something to look up at its first call.
pub(super) fn gather(link: &mut Link<'_>) {
    let Some(id) = link.macho.binder else { return };
    let lazy = link.symbols.iter().any(|(_, global)| {
        let needs = global.needs();
        needs.has(Needs::PLT) && !needs.has(Needs::GOT) && !global.traits.has(Traits::COALESCED)
    });
    if !lazy {
        return;
    }
    let global = link.symbols.get_mut(id);
    global.flags.set(GlobalFlags::IN_OBJECT.and(GlobalFlags::STRONG_REFERENCE));
    global.require(Needs::GOT);
    if let Definition::Library(number, _) = global.definition
        && let Some(library) = link.libraries.get_mut(number as usize)
    {
        library.needed = true;
    }
}

/// The size of one of the tables that this takes, in bytes.
pub(super) fn size(link: &Link<'_>, table: Table) -> u64 {
    let count = link.slots.lazy.len() as u64;
    match table {
        _ if count == 0 => 0,
        Table::StubHelper => {
            let arch = link.target.arch;
            header_size(arch).saturating_add(count.saturating_mul(entry_size(arch)))
        }
        Table::LazyPointers => count.saturating_mul(POINTER),
        Table::Private => POINTER,
        _ => 0,
    }
}

fn start(link: &Link<'_>, table: Table) -> u64 {
    table_output(link, table).map_or(0, |output| output.address)
}

/// The address of the pointer with a number.
pub(super) fn pointer(link: &Link<'_>, number: u64) -> u64 {
    start(link, Table::LazyPointers).saturating_add(number.saturating_mul(POINTER))
}

/// The address of an entry of `__stub_helper`.
fn entry(link: &Link<'_>, number: u64) -> u64 {
    let arch = link.target.arch;
    let entries = start(link, Table::StubHelper).saturating_add(header_size(arch));
    entries.saturating_add(number.saturating_mul(entry_size(arch)))
}

/// The pointers with their symbols.
pub(super) fn pointers<'l>(link: &'l Link<'_>) -> impl Iterator<Item = (u64, SymbolRef)> + 'l {
    (0..).map(|number| pointer(link, number)).zip(link.slots.lazy.iter().copied())
}

/// `__la_symbol_ptr`.
pub(super) fn pointer_table(link: &Link<'_>) -> Vec<u8> {
    let words = pointers(link).zip(0..).map(|((address, _), number)| {
        let word = emit::loader_word(link, address, entry(link, number), 0);
        // What does not fit has been told by whoever sorted out the sites.
        word.unwrap_or(0).to_le_bytes()
    });
    words.flatten().collect()
}

/// The lazy bind program.
pub(super) fn program(link: &Link<'_>) -> LazyProgram {
    let binds = pointers(link).filter_map(|(address, symbol)| {
        let SymbolRef::Global(id) = symbol else { return None };
        let global = link.symbols.get(id);
        let (segment, place) = segment_at(link, address)?;
        let at = At { segment: u8::try_from(segment).ok()?, offset: address.saturating_sub(place.address) };
        let ordinal = Some(linkedit::library_ordinal(link, global));
        let weak = linkedit::is_weak_import(link, global);
        Some(Bind { at, name: global.name, ordinal, weak, addend: 0 })
    });
    LazyProgram::new(binds)
}

/// `__stub_helper`.
pub(super) fn helper(link: &Link<'_>) -> Vec<u8> {
    let first = start(link, Table::StubHelper);
    let private = start(link, Table::Private);
    let slot = link.macho.binder.and_then(|id| link.slots.of(SymbolRef::Global(id)).got);
    let slot = stubs::got_address(link, slot.unwrap_or(0));
    let mut bytes = Vec::new();
    match link.target.arch {
        Arch::X86_64 => bytes.extend(header_x86_64(first, private, slot)),
        _ => bytes.extend(header_arm64(first, private, slot)),
    }
    for (offset, number) in link.macho.lazy.offsets.iter().zip(0..) {
        let place = entry(link, number);
        match link.target.arch {
            Arch::X86_64 => bytes.extend(entry_x86_64(place, first, *offset)),
            _ => bytes.extend(entry_arm64(place, first, *offset)),
        }
    }
    bytes
}

/// The low 32 bits of the distance from one address to another.
fn distance(from: u64, to: u64) -> [u8; 4] {
    let [d0, d1, d2, d3, ..] = to.wrapping_sub(from).to_le_bytes();
    [d0, d1, d2, d3]
}

/// The shared code at `place`.
fn header_x86_64(place: u64, private: u64, slot: u64) -> [u8; 16] {
    let [p0, p1, p2, p3] = distance(place.wrapping_add(7), private);
    let [s0, s1, s2, s3] = distance(place.wrapping_add(15), slot);
    [
        0x4c, 0x8d, 0x1d, p0, p1, p2, p3, // leaq __dyld_private(%rip), %r11
        0x41, 0x53, // pushq %r11
        0xff, 0x25, s0, s1, s2, s3,   // jmpq *slot of dyld_stub_binder(%rip)
        0x90, // nop
    ]
}

/// An entry at `place` that tells `offset` to the shared code at `shared`.
fn entry_x86_64(place: u64, shared: u64, offset: u32) -> [u8; 10] {
    let [o0, o1, o2, o3] = offset.to_le_bytes();
    let [d0, d1, d2, d3] = distance(place.wrapping_add(10), shared);
    [
        0x68, o0, o1, o2, o3, // pushq $offset
        0xe9, d0, d1, d2, d3, // jmp shared code
    ]
}

/// The shared code at `place`.
fn header_arm64(place: u64, private: u64, slot: u64) -> [u8; 24] {
    let page = |at: u64, to: u64| {
        let [p0, p1, p2, p3, ..] = (to >> 12).wrapping_sub(at >> 12).to_le_bytes();
        let pages = u32::from_le_bytes([p0, p1, p2, p3]);
        ((pages & 3) << 29) | (((pages >> 2) & 0x7_ffff) << 5)
    };
    let low = |to: u64| (to & 0xfff) as u32;
    let words = [
        0x9000_0011 | page(place, private),               // adrp x17, page of __dyld_private
        0x9100_0231 | (low(private) << 10),               // add  x17, x17, #offset in it
        0xa9bf_47f0,                                      // stp  x16, x17, [sp, #-16]!
        0x9000_0010 | page(place.wrapping_add(12), slot), // adrp x16, page of the binder's slot
        0xf940_0210 | ((low(slot) >> 3) << 10),           // ldr  x16, [x16, #offset in it]
        0xd61f_0200,                                      // br   x16
    ];
    let mut code = [0; 24];
    code.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())).for_each(|(to, from)| *to = from);
    code
}

/// An entry at `place` that tells `offset` to the shared code at `shared`.
fn entry_arm64(place: u64, shared: u64, offset: u32) -> [u8; 12] {
    let [d0, d1, d2, d3, ..] = (shared.wrapping_sub(place.wrapping_add(4)) >> 2).to_le_bytes();
    let words = [
        0x1800_0050,                                                        // ldr w16, offset
        0x1400_0000 | (u32::from_le_bytes([d0, d1, d2, d3]) & 0x03ff_ffff), // b   shared code
        offset,                                                             // .long
    ];
    let mut code = [0; 12];
    code.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())).for_each(|(to, from)| *to = from);
    code
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    /// As `llvm-mc` assembles what stands in the margin, for the distances given.
    #[test]
    fn helpers_lead_to_the_binder() {
        let code = header_x86_64(0x1000, 0x3008, 0x2010);
        assert_eq!(code, [0x4c, 0x8d, 0x1d, 1, 0x20, 0, 0, 0x41, 0x53, 0xff, 0x25, 1, 0x10, 0, 0, 0x90]);
        assert_eq!(entry_x86_64(0x1010, 0x1000, 0x22), [0x68, 0x22, 0, 0, 0, 0xe9, 0xe6, 0xff, 0xff, 0xff]);
        let words = |code: &[u8]| -> Vec<u32> {
            code.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
        };
        let wanted = [0xd000_0011, 0x9100_2231, 0xa9bf_47f0, 0xb000_0010, 0xf940_0a10, 0xd61f_0200];
        assert_eq!(words(&header_arm64(0x1000, 0x3008, 0x2010)), wanted);
        assert_eq!(words(&entry_arm64(0x1018, 0x1000, 0x22)), [0x1800_0050, 0x17ff_fff9, 0x22]);
    }
}
