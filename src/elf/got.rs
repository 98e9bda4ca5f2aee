//! The global offset table and the procedure linkage table.

use super::rela::{Rela, encode, reloc_size, target};
use super::{Table, machine, ppc64, table_output};
use crate::arch::{GotBase, LazyEntry, PltPlace, aarch64, arm, riscv64, x86, x86_64};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::Traits;
use crate::options::Arch;
use crate::slots::{GotEntry, PltEntry, SymbolRef};
use crate::symbols::Anchor;

/// The address of a GOT word.
pub(crate) fn got_address(link: &Link<'_>, word: u32) -> u64 {
    start(link, Table::Got) + machine(link).bits.word() * u64::from(word)
}

fn start(link: &Link<'_>, table: Table) -> u64 {
    table_output(link, table).map_or(0, |output| output.address)
}

/// A lazily bound PLT entry.
fn lazy_entry(link: &Link<'_>, index: u32) -> LazyEntry {
    let machine = machine(link);
    let slot = machine.bits.word() * (u64::from(machine.got_plt_header) + u64::from(index));
    LazyEntry {
        address: start(link, Table::Plt) + machine.plt_header_size + plt_entry_size(link) * u64::from(index),
        slot: start(link, Table::GotPlt) + slot,
        index,
    }
}

/// Size of each entry of the PLT but the first, in bytes.
pub(crate) fn plt_entry_size(link: &Link<'_>) -> u64 {
    match link.target.arch {
        Arch::Aarch64 => aarch64::plt_entry_size(link.elf.ibt),
        _ => machine(link).plt_entry_size,
    }
}

/// Size of what is called where that is not the lazily bound entry itself, in bytes.
pub(crate) fn called_size(link: &Link<'_>) -> u64 {
    match link.target.arch {
        Arch::Ppc64 => ppc64::stub_size(link),
        _ => plt_entry_size(link),
    }
}

/// Whether the called halves of lazily bound entries stand in a table of their own.
fn has_plt_sec(link: &Link<'_>) -> bool {
    match link.target.arch {
        Arch::X86_64 => link.elf.ibt,
        Arch::Ppc64 => true,
        _ => false,
    }
}

/// The address of a symbol's PLT entry that can stand for the symbol's; 0 if it has none.
pub(crate) fn entry_address(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    link.slots.of(symbol).plt.map_or(0, |entry| match link.target.arch {
        Arch::Ppc64 => ppc64::no_toc_address(link, entry),
        _ => plt_address(link, entry),
    })
}

/// The address that calls through a PLT entry go to.
pub(crate) fn plt_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    let size = plt_entry_size(link);
    match entry {
        _ if link.target.arch == Arch::Ppc64 => ppc64::stub_address(link, entry),
        PltEntry::Lazy(index) if has_plt_sec(link) => start(link, Table::PltSec) + size * u64::from(index),
        PltEntry::Lazy(index) => lazy_entry(link, index).address + called_offset(link),
        PltEntry::ThroughGot(index) => start(link, Table::PltGot) + size * u64::from(index) + called_offset(link),
    }
}

/// Offset in a PLT entry of the instruction that calls go to.
fn called_offset(link: &Link<'_>) -> u64 {
    if link.target.arch == Arch::Arm { arm::stubs::PLT_ARM_OFFSET } else { 0 }
}

/// The size of one of the tables of slots, in bytes; 0 where the image does without it.
pub(crate) fn size(link: &Link<'_>, table: Table, got_base: bool) -> u64 {
    let lazy = link.slots.lazy.len() as u64;
    let machine = machine(link);
    let word = machine.bits.word();
    let in_got = matches!(machine.got_base, GotBase::Got(_));
    match table {
        // The TOC pointer exists in every image for POWER: its stubs use it.
        Table::Got if link.slots.got.is_empty() && !(got_base && in_got) && link.target.arch != Arch::Ppc64 => 0,
        Table::Got => word * u64::from(link.slots.got_words),
        Table::GotPlt if lazy > 0 || (got_base && !in_got) => word * (u64::from(machine.got_plt_header) + lazy),
        Table::Plt if lazy > 0 => machine.plt_header_size + plt_entry_size(link) * lazy,
        Table::PltSec if has_plt_sec(link) => called_size(link) * lazy,
        Table::PltGot => called_size(link) * link.slots.through_got.len() as u64,
        Table::RelaPlt => reloc_size(machine) * (lazy + link.elf.relocations.count_of(Table::RelaPlt)),
        _ => 0,
    }
}

/// Where the tables of calls and slots stand.
pub(super) fn place(link: &Link<'_>) -> PltPlace {
    PltPlace {
        plt: start(link, Table::Plt),
        got_plt: start(link, Table::GotPlt),
        got: super::anchor_address(link, Anchor::GotBase),
    }
}

/// The address of the slot that a symbol's PLT entry jumps through; that of the first GOT word if it has none.
pub(super) fn slot_of(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    let slots = link.slots.of(symbol);
    match slots.plt {
        Some(PltEntry::Lazy(index)) => lazy_entry(link, index).slot,
        _ => got_address(link, slots.plt_target.unwrap_or(0)),
    }
}

/// The bytes of one of the tables of slots.
pub(crate) fn bytes(link: &Link<'_>, table: Table) -> Vec<u8> {
    let entries = || (0..link.slots.lazy.len() as u32).map(|index| lazy_entry(link, index));
    let place = place(link);
    match table {
        Table::Got => got_bytes(link),
        Table::GotPlt => {
            let mut words = vec![0; machine(link).got_plt_header as usize];
            if let [first, _, _] = words.as_mut_slice() {
                *first = start(link, Table::Dynamic);
            }
            words.extend(entries().map(|entry| unbound(link, &entry)));
            encode_words(link, words)
        }
        Table::Plt => plt_bytes(link, &place, entries()),
        Table::PltSec => {
            let called = |entry: LazyEntry| {
                plt_got_entry(link, &place, plt_address(link, PltEntry::Lazy(entry.index)), entry.slot)
            };
            entries().flat_map(called).collect()
        }
        Table::PltGot => {
            let mut code = Vec::new();
            for (index, symbol) in (0..).zip(&link.slots.through_got) {
                let slot = slot_of(link, *symbol);
                let address = plt_address(link, PltEntry::ThroughGot(index)) - called_offset(link);
                code.extend(plt_got_entry(link, &place, address, slot));
            }
            code
        }
        Table::RelaPlt => {
            let kind = machine(link).dynamic.plt;
            let relocations = link.slots.lazy.iter().zip(entries()).map(|(symbol, entry)| {
                let (_, symbol, _) = target(link, *symbol);
                let entry = match malfunction::on(Malfunction::PltSlotsSwapped) {
                    false => entry,
                    true => lazy_entry(link, entry.index ^ 1),
                };
                Rela { address: entry.slot, symbol, kind, addend: 0 }
            });
            let mut table = encode(link, relocations);
            for (_, (class, source, _)) in link.elf.relocations.parts_of(Table::RelaPlt) {
                table.extend(link.elf.relocations.make(link, *class, *source));
            }
            table
        }
        _ => Vec::new(),
    }
}

/// Where the slot of a lazily bound entry leads before it is bound.
fn unbound(link: &Link<'_>, entry: &LazyEntry) -> u64 {
    match link.target.arch {
        Arch::X86_64 if link.elf.ibt => entry.address,
        Arch::X86_64 => entry.address + x86_64::PLT_LAZY_OFFSET,
        Arch::X86 => entry.address + x86::PLT_LAZY_OFFSET,
        // The loader stores it.
        Arch::Ppc64 => 0,
        // The resolver finds out by itself which entry was called.
        _ => start(link, Table::Plt),
    }
}

fn plt_bytes(link: &Link<'_>, place: &PltPlace, entries: impl Iterator<Item = LazyEntry>) -> Vec<u8> {
    let mut code = Vec::new();
    match link.target.arch {
        Arch::X86_64 => {
            code.extend(x86_64::plt_header(place));
            for entry in entries {
                code.extend(match link.elf.ibt {
                    true => x86_64::plt_ibt_entry(place, &entry),
                    false => x86_64::plt_entry(place, &entry),
                });
            }
        }
        Arch::X86 => {
            code.extend(x86::plt_header());
            entries.for_each(|entry| code.extend(x86::plt_entry(place, &entry)));
        }
        Arch::Aarch64 => {
            code.extend(aarch64::plt_header(place, link.elf.ibt));
            entries.for_each(|entry| code.extend(aarch64::plt_entry(&entry, link.elf.ibt)));
        }
        Arch::Arm => {
            code.extend(arm::stubs::plt_header(place));
            entries.for_each(|entry| code.extend(arm::stubs::plt_entry(&entry)));
        }
        Arch::Riscv64 => {
            code.extend(riscv64::plt_header(place));
            entries.for_each(|entry| code.extend(riscv64::plt_entry(&entry)));
        }
        Arch::Ppc64 => code.extend(ppc64::glink(place, entries)),
    }
    code
}

/// The PLT entry at `address` that jumps through a slot of the GOT.
fn plt_got_entry(link: &Link<'_>, place: &PltPlace, address: u64, slot: u64) -> Vec<u8> {
    let off = if malfunction::on(Malfunction::CallStubOff) { machine(link).bits.word() } else { 0 };
    let slot = slot.wrapping_add(off);
    match link.target.arch {
        Arch::X86_64 if link.elf.ibt => x86_64::plt_sec_entry(address, slot).to_vec(),
        Arch::X86_64 => x86_64::plt_got_entry(address, slot).to_vec(),
        Arch::X86 => x86::plt_got_entry(place, slot).to_vec(),
        Arch::Aarch64 => aarch64::plt_got_entry(address, slot, link.elf.ibt),
        Arch::Arm => arm::stubs::plt_got_entry(address, slot),
        Arch::Riscv64 => riscv64::plt_got_entry(address, slot).to_vec(),
        // Layout has checked that each is in reach.
        Arch::Ppc64 => ppc64::stub(link, place, address, slot).unwrap_or_default(),
    }
}

/// What the GOT holds before the loader touches it.
fn got_bytes(link: &Link<'_>) -> Vec<u8> {
    let machine = machine(link);
    let mut words = vec![0_u64; link.slots.got_words as usize];
    let mut put = |at: u32, value: u64| {
        if let Some(word) = words.get_mut(at as usize) {
            *word = value;
        }
    };
    if machine.got_header > 0 {
        put(
            0,
            match link.target.arch {
                Arch::Ppc64 => super::anchor_address(link, Anchor::GotBase),
                _ => start(link, Table::Dynamic),
            },
        );
    }
    // Where the loader's tables hold no addends, the slots do.
    let addends = !machine.rela;
    for (at, entry) in &link.slots.got {
        match entry {
            GotEntry::Address(symbol) => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.has(Traits::PREEMPTIBLE) && (addends || !traits.has(Traits::IFUNC)) {
                    put(*at, address);
                }
            }
            GotEntry::PltAddress(symbol) => put(*at, entry_address(link, *symbol)),
            GotEntry::TlsPair(symbol) => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.has(Traits::PREEMPTIBLE) {
                    put(*at + 1, super::tls_block_offset(link, address));
                }
            }
            GotEntry::TlsOffset(symbol) | GotEntry::TlsDescriptor(symbol) if addends => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.has(Traits::PREEMPTIBLE) {
                    let second = u32::from(matches!(entry, GotEntry::TlsDescriptor(_)));
                    put(*at + second, address.wrapping_sub(link.elf.tls.0));
                }
            }
            GotEntry::TlsBlock(symbol) => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.has(Traits::PREEMPTIBLE) {
                    put(*at, super::tls_block_offset(link, address));
                }
            }
            GotEntry::TlsModule | GotEntry::TlsOffset(_) | GotEntry::TlsDescriptor(_) => {}
        }
    }
    encode_words(link, words)
}

/// Words as wide as addresses are.
pub(crate) fn encode_words(link: &Link<'_>, words: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let size = machine(link).bits.word() as usize;
    words.into_iter().flat_map(|word| word.to_le_bytes().into_iter().take(size)).collect()
}
