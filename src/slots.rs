//! The slots that an image provides for symbols: entries of the global offset table and of the procedure linkage table.
//!
//! Scanning says what each symbol needs; [`Slots::assign`] numbers it, global symbols first in their order, then local
//! ones in the order of objects: the numbering depends on nothing else.

use std::collections::HashMap;

use crate::memory::{of_map, of_vec};
use crate::model::{GlobalId, ObjectId, SymbolIndex, Traits};
use crate::symbols::{Needs, Symbols};

/// A symbol that has slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SymbolRef {
    /// A global symbol.
    Global(GlobalId),
    /// A local symbol of an object.
    Local(ObjectId, SymbolIndex),
}

/// What one word, or pair of words, of the global offset table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GotEntry {
    /// The symbol's address.
    Address(SymbolRef),
    /// The address of the symbol's PLT entry, which is the symbol's address.
    PltAddress(SymbolRef),
    /// Two words: the TLS module and the offset of a thread-local symbol.
    TlsPair(SymbolRef),
    /// Two words: the image's own TLS module, and zero.
    TlsModule,
    /// The thread-local symbol's offset from the thread pointer.
    TlsOffset(SymbolRef),
    /// The thread-local symbol's offset in its module's block.
    TlsBlock(SymbolRef),
    /// Two words: the thread-local symbol's descriptor.
    TlsDescriptor(SymbolRef),
}

impl GotEntry {
    /// Size in words.
    pub(crate) fn words(self) -> u32 {
        match self {
            Self::Address(_) | Self::PltAddress(_) | Self::TlsOffset(_) | Self::TlsBlock(_) => 1,
            Self::TlsPair(_) | Self::TlsModule | Self::TlsDescriptor(_) => 2,
        }
    }
}

/// Where a call through the procedure linkage table goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PltEntry {
    /// To the lazily bound entry with this index.
    Lazy(u32),
    /// To the entry with this index that jumps through a GOT slot.
    ThroughGot(u32),
}

/// The slots of one symbol. GOT slots are counted in words from the start of the table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SymbolSlots {
    /// Its address.
    pub(crate) got: Option<u32>,
    /// Where its PLT entry jumps to, if not through a slot of `.got.plt`.
    pub(crate) plt_target: Option<u32>,
    /// Its TLS module and offset.
    pub(crate) tls_pair: Option<u32>,
    /// Its offset from the thread pointer.
    pub(crate) tls_offset: Option<u32>,
    /// Its offset in its TLS module's block.
    pub(crate) tls_block: Option<u32>,
    /// Its TLS descriptor.
    pub(crate) tls_descriptor: Option<u32>,
    /// Its PLT entry.
    pub(crate) plt: Option<PltEntry>,
}

/// All slots of an image.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// The GOT's entries with the word each starts at.
    pub(crate) got: Vec<(u32, GotEntry)>,
    /// The GOT's size, in words.
    pub(crate) got_words: u32,
    /// The pair of the image's own TLS module.
    pub(crate) tls_module: Option<u32>,
    /// Symbols of lazily bound PLT entries.
    pub(crate) lazy: Vec<SymbolRef>,
    /// Symbols of PLT entries that jump through a GOT slot.
    pub(crate) through_got: Vec<SymbolRef>,
    slots: Vec<SymbolSlots>,
    globals: Vec<u32>,
    locals: HashMap<(ObjectId, SymbolIndex), u32, foldhash::quality::RandomState>,
}

const NO_SLOTS: u32 = u32::MAX;

impl Slots {
    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        let lists = [of_vec(&self.got), of_vec(&self.lazy), of_vec(&self.through_got), of_vec(&self.slots)];
        lists.into_iter().sum::<u64>() + of_vec(&self.globals) + of_map(&self.locals)
    }

    /// Numbers what is needed: by global symbols as [`Symbols`] holds it, by local ones as listed (each once, in
    /// ascending order, with its traits).
    ///
    /// The first `header` words of the GOT are left alone. Calls bind lazily unless `now`; they share the GOT slot of a symbol that has one.
    pub(crate) fn assign(
        symbols: &Symbols<'_>,
        locals: &[(ObjectId, SymbolIndex, Needs, Traits)],
        tls_module: bool,
        now: bool,
        header: u32,
    ) -> Self {
        let mut all = Self { globals: vec![NO_SLOTS; symbols.len()], got_words: header, ..Self::default() };
        for (id, global) in symbols.iter() {
            let needs = global.needs().without(Needs::DYNAMIC);
            if needs != Needs::default() {
                all.globals[id.index()] = all.add(SymbolRef::Global(id), needs, global.traits, now);
            }
        }
        for (object, symbol, needs, traits) in locals {
            let index = all.add(SymbolRef::Local(*object, *symbol), *needs, *traits, now);
            all.locals.insert((*object, *symbol), index);
        }
        if tls_module {
            all.tls_module = Some(all.push(GotEntry::TlsModule));
        }
        all
    }

    fn add(&mut self, symbol: SymbolRef, needs: Needs, traits: Traits, now: bool) -> u32 {
        let mut slots = SymbolSlots::default();
        // The address of an indirect function is only in the GOT, and so is every address once binding is not lazy.
        let plt_through_got = now || traits.has(Traits::IFUNC) || needs.has(Needs::GOT);
        let at_plt = traits.has(Traits::PLT_ADDRESS);
        if (needs.has(Needs::GOT) && !at_plt) || (needs.has(Needs::PLT) && plt_through_got) {
            let slot = Some(self.push(GotEntry::Address(symbol)));
            (slots.got, slots.plt_target) = (slot, slot);
        }
        if needs.has(Needs::GOT) && at_plt {
            slots.got = Some(self.push(GotEntry::PltAddress(symbol)));
        }
        if needs.has(Needs::PLT) {
            let list = if plt_through_got { &mut self.through_got } else { &mut self.lazy };
            let index = list.len() as u32;
            list.push(symbol);
            slots.plt = Some(if plt_through_got { PltEntry::ThroughGot(index) } else { PltEntry::Lazy(index) });
        }
        if needs.has(Needs::TLS_GD) {
            slots.tls_pair = Some(self.push(GotEntry::TlsPair(symbol)));
        }
        if needs.has(Needs::TLS_IE) {
            slots.tls_offset = Some(self.push(GotEntry::TlsOffset(symbol)));
        }
        if needs.has(Needs::TLS_BLOCK) {
            slots.tls_block = Some(self.push(GotEntry::TlsBlock(symbol)));
        }
        if needs.has(Needs::TLS_DESC) {
            slots.tls_descriptor = Some(self.push(GotEntry::TlsDescriptor(symbol)));
        }
        self.slots.push(slots);
        self.slots.len() as u32 - 1
    }

    fn push(&mut self, entry: GotEntry) -> u32 {
        let at = self.got_words;
        self.got.push((at, entry));
        self.got_words += entry.words();
        at
    }

    /// The slots of a symbol; none if it needed none.
    pub(crate) fn of(&self, symbol: SymbolRef) -> SymbolSlots {
        let index = match symbol {
            SymbolRef::Global(id) => self.globals.get(id.index()).copied(),
            SymbolRef::Local(object, symbol) => self.locals.get(&(object, symbol)).copied(),
        };
        index.and_then(|index| self.slots.get(index as usize)).copied().unwrap_or_default()
    }
}
