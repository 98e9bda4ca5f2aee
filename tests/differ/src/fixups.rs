//! What a word of a loaded image will hold: a number, an address of the image, or what the loader puts there.

use crate::arch::{self, DynamicKind};
use crate::image::{DynamicRelocation, Image};

/// What a word holds at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// This number, whatever the load address.
    Number(u64),
    /// The address in this image that has this link-time value.
    Address(u64),
    /// The address of a dynamic symbol (index) plus an addend.
    Dynamic(u32, i64),
    /// What the resolver at this address returns.
    Resolved(u64),
    /// The module number of a dynamic symbol; of this image if 0.
    TlsModule(u32),
    /// The offset in its module's block of a dynamic symbol (of the block's start if 0) plus an addend.
    TlsOffset(u32, i64),
    /// The offset from the thread pointer, likewise.
    ThreadOffset(u32, i64),
    /// The first word of a TLS descriptor, likewise.
    TlsDescriptor(u32, i64),
    /// The size of a dynamic symbol plus an addend.
    Size(u32, i64),
    /// Distance from the field to a dynamic symbol.
    Distance(u32, i64),
    /// More than one relocation applies.
    Several,
}

/// The meaning of one dynamic relocation; `None` for those that do nothing.
pub fn meaning_of(relocation: &DynamicRelocation) -> Option<Meaning> {
    let (symbol, addend) = (relocation.symbol, relocation.addend);
    Some(match relocation.meaning {
        DynamicKind::None => return None,
        DynamicKind::Relative => Meaning::Address(addend as u64),
        DynamicKind::Address => Meaning::Dynamic(symbol, addend),
        // psABI: a slot holds S, without addend.
        DynamicKind::Slot | DynamicKind::JumpSlot => Meaning::Dynamic(symbol, 0),
        DynamicKind::Irelative => Meaning::Resolved(addend as u64),
        DynamicKind::TlsModule => Meaning::TlsModule(symbol),
        DynamicKind::TlsOffset => Meaning::TlsOffset(symbol, addend),
        DynamicKind::ThreadOffset => Meaning::ThreadOffset(symbol, addend),
        DynamicKind::TlsDescriptor => Meaning::TlsDescriptor(symbol, addend),
        DynamicKind::Size => Meaning::Size(symbol, addend),
        DynamicKind::PcRelative => Meaning::Distance(symbol, addend),
        DynamicKind::Copy => Meaning::Several,
    })
}

/// The meaning of the word at `address`; `None` if it is not in memory.
pub fn word_at(image: &Image<'_>, address: u64) -> Option<Meaning> {
    let mut meanings = image.relocations_in(address, address.wrapping_add(1)).filter_map(meaning_of);
    match (meanings.next(), meanings.next()) {
        (Some(meaning), None) => Some(without_local_symbol(image, meaning)),
        (Some(_), Some(_)) => Some(Meaning::Several),
        _ => image.word(address).map(Meaning::Number),
    }
}

/// A dynamic symbol that is STB_LOCAL is never preempted: it only says where in this image the value counts from.
fn without_local_symbol(image: &Image<'_>, meaning: Meaning) -> Meaning {
    use Meaning as M;
    let (M::Dynamic(index, _)
    | M::TlsModule(index)
    | M::TlsOffset(index, _)
    | M::ThreadOffset(index, _)
    | M::TlsDescriptor(index, _)) = meaning
    else {
        return meaning;
    };
    let symbol = image.dynamic_symbols.get(index as usize);
    let Some(symbol) = symbol.filter(|symbol| index != 0 && symbol.is_local() && symbol.is_defined()) else {
        return meaning;
    };
    let from_start = |addend: i64| addend.wrapping_add(symbol.value as i64);
    match meaning {
        M::Dynamic(_, addend) => M::Address(from_start(addend) as u64),
        M::TlsModule(_) => M::TlsModule(0),
        M::TlsOffset(_, addend) => M::TlsOffset(0, from_start(addend)),
        M::ThreadOffset(_, addend) => M::ThreadOffset(0, from_start(addend)),
        M::TlsDescriptor(_, addend) => M::TlsDescriptor(0, from_start(addend)),
        other => other,
    }
}

/// What the PLT entry at `address` jumps to; `None` if there is none.
pub fn plt_target(image: &Image<'_>, address: u64) -> Option<Meaning> {
    let slot = arch::jump_slot(image, address)?;
    match word_at(image, slot)? {
        Meaning::Number(_) => None,
        meaning => Some(meaning),
    }
}
