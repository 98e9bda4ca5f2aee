//! What was found out about relocations, kept for the next ones that say the same.
//!
//! Code calls few functions of other libraries, and loads few of their addresses, but does so again and again: next to one
//! another stand thousands of relocations of two or three kinds against a hundred symbols. What the long way finds
//! out of one of them is true of the others if it depends on nothing but the kind and the symbol.

use std::cell::{Cell, OnceCell};

use super::RawReloc;
use crate::model::SymbolIndex;

/// Places of a memo, a power of two: so many that what stands near each other seldom needs the same.
const PLACES: usize = 512;
/// Notes that a memo forgets, before it takes memory: many sections have few relocations that are worth a note.
const FORGOTTEN: u32 = 16;

/// Something known of some kinds of relocations against symbols of one object. What is noted may be forgotten at any time.
pub(crate) struct Memo<T> {
    places: OnceCell<Vec<Cell<Place<T>>>>,
    notes: Cell<u32>,
}

/// What is known of a symbol and kind.
type Place<T> = Option<(SymbolIndex, u32, T)>;

impl<T: Copy> Memo<T> {
    /// Nothing known yet.
    pub(crate) fn new() -> Self {
        Self { places: OnceCell::new(), notes: Cell::new(0) }
    }

    /// Which place has what is known of the kind and symbol of a relocation.
    fn number(raw: &RawReloc) -> usize {
        // Symbols that are used together have numbers near each other.
        (raw.symbol ^ raw.kind.wrapping_mul(67)) as usize % PLACES
    }

    /// What is known of the kind and symbol of a relocation.
    #[inline]
    pub(crate) fn get(&self, raw: &RawReloc) -> Option<T> {
        let (symbol, kind, known) = self.places.get()?.get(Self::number(raw))?.get()?;
        (symbol == raw.symbol && kind == raw.kind).then_some(known)
    }

    /// Notes what is true of all relocations of the kind and symbol of this one.
    pub(crate) fn note(&self, raw: &RawReloc, known: T) {
        self.notes.set(self.notes.get().saturating_add(1));
        if self.notes.get() <= FORGOTTEN {
            return;
        }
        let places = self.places.get_or_init(|| vec![Cell::new(None); PLACES]);
        if let Some(place) = places.get(Self::number(raw)) {
            place.set(Some((raw.symbol, raw.kind, known)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_of_one_kind_and_symbol() {
        let memo = Memo::new();
        let raw = |symbol, kind| RawReloc { offset: 8, symbol, kind, addend: -4 };
        assert_eq!(memo.get(&raw(0, 0)), None);
        for number in 0..FORGOTTEN {
            memo.note(&raw(7, 4), number);
            assert_eq!(memo.get(&raw(7, 4)), None);
        }
        memo.note(&raw(7, 4), 1);
        memo.note(&raw(8, 4), 2);
        assert_eq!((memo.get(&raw(7, 4)), memo.get(&raw(8, 4))), (Some(1), Some(2)));
        assert_eq!((memo.get(&raw(7, 2)), memo.get(&raw(9, 4))), (None, None));
        // Another one of the same place takes its room.
        memo.note(&raw(7 + PLACES as u32, 4), 3);
        assert_eq!((memo.get(&raw(7, 4)), memo.get(&raw(7 + PLACES as u32, 4))), (None, Some(3)));
    }
}
