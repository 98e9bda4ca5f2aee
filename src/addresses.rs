//! The addresses of all symbols, once those of the sections are known.
//!
//! They are computed once, into a table for each object, since relocations ask for them again and again: a relocation of
//! debug information is then a load, an addition and a store.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use crate::link::Link;
use crate::model::{Object, ObjectId, Section, Symbol, SymbolIndex, SymbolSection};
use crate::symbols::Definition;

/// Symbols whose addresses are computed as one task.
const PART: usize = 1 << 14;

/// The addresses of every object's symbols; 0 for what is not in the image.
///
/// What is in a section that `moves` its contents goes the long way ([`Link::symbol_address`]); so does nothing for which
/// `stand_in` has an address.
pub(crate) fn of_symbols(
    link: &Link<'_>,
    moves: impl Fn(&Object<'_>, &Section<'_>) -> bool,
    stand_in: impl Fn(ObjectId, SymbolIndex, &Symbol) -> Option<u64> + Sync + Send,
) -> Vec<Vec<u64>> {
    let base = |object: &Object<'_>, section: &Section<'_>| {
        let output = link.outputs.get(section.output as usize)?;
        let plain = section.is_live() && !moves(object, section);
        plain.then(|| output.address.wrapping_add(section.offset))
    };
    let of_object = |object| move |section| base(object, section);
    let bases: Vec<Vec<Option<u64>>> =
        link.objects.iter().map(|object| object.sections.iter().map(of_object(object)).collect()).collect();
    // Of a symbol that is defined in the object.
    let own = |object: ObjectId, symbol: &Symbol| {
        let SymbolSection::In(section) = symbol.section() else { return None };
        let base = *bases.get(object.index())?.get(section as usize)?;
        Some(base?.wrapping_add(symbol.value))
    };
    let address = |object: ObjectId, symbol: &Symbol| {
        let direct = match symbol.global.get() {
            None => own(object, symbol),
            Some(global) => match link.symbols.get(global).definition {
                Definition::Object(object, index) => {
                    link.object(object).symbols.get(index as usize).and_then(|symbol| own(object, symbol))
                }
                _ => None,
            },
        };
        direct.or_else(|| link.symbol_address(object, symbol)).unwrap_or(0)
    };
    let mut all: Vec<Vec<u64>> = link.objects.iter().map(|object| vec![0; object.symbols.len()]).collect();
    let mut parts = Vec::new();
    for ((id, object), addresses) in link.objects().zip(&mut all) {
        let symbols = object.symbols.chunks(PART).zip(addresses.chunks_mut(PART));
        let starts = (0_u32..).step_by(PART);
        parts.extend(starts.zip(symbols).map(|(start, (symbols, addresses))| (id, start, symbols, addresses)));
    }
    link.workers.for_each_mut(&mut parts, |_, (id, start, symbols, addresses)| {
        for ((index, symbol), to) in (*start..).zip(*symbols).zip(addresses.iter_mut()) {
            *to = stand_in(*id, index, symbol).unwrap_or_else(|| address(*id, symbol));
        }
    });
    all
}
