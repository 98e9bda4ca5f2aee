//! What only ELF images for POWER have: two entry points of each function, call stubs beside the PLT, and code that
//! the linker provides.
//!
//! The terms are explained in [`arch::ppc64`](crate::arch::ppc64). Of the tables that images of other CPUs have, [`Table::GotPlt`] is the
//! PLT's slots and is called `.plt` here; [`Table::Plt`] is *glink*, the lazy entries. Calls go to *stubs*, in [`Table::PltSec`] for
//! lazily bound functions and in [`Table::PltGot`] for those whose slot is in the GOT. A stub has one or two halves of
//! [`STUB_SIZE`] bytes: the first saves and uses the TOC pointer, the second does without one, and is there if somebody
//! calls without a TOC pointer or takes the stub for the function's address.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use object::elf;

use super::{Table, got, table_output};
use crate::arch::ppc64::imm::Imm;
use crate::arch::ppc64::save_restore::{Families, Function};
use crate::arch::ppc64::stubs::{self, Isa, STUB_SIZE, Thunk};
use crate::arch::ppc64::{self, REL24_NOTOC, REL24_P9NOTOC};
use crate::arch::{LazyEntry, PltPlace, ThunkKind};
use crate::error::Error;
use crate::link::{Link, over};
use crate::model::{InputName, ObjectId, SectionFlags, SectionIndex};
use crate::reloc::{self, Action, Field, What};
use crate::slots::{PltEntry, SymbolRef};
use crate::symbols::{Anchor, Definition};
use crate::thunks::{Branch, Destination};

/// What is decided about an image for POWER.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Functions that save and restore registers, which nobody defines and somebody calls.
    families: Families,
    /// What calls there are.
    calls: Calls,
}

/// What the calls of an image want of its stubs and thunks.
#[derive(Debug, Clone, Copy, Default)]
struct Calls {
    /// Some come from code without a TOC pointer.
    without_toc: bool,
    /// Some of these forbid prefixed instructions.
    without_prefixes: bool,
    /// Some go from code with a TOC pointer to code that does not keep it, or from code without one to code that uses it.
    change_mode: bool,
}

impl Calls {
    fn join(self, other: Self) -> Self {
        Self {
            without_toc: self.without_toc || other.without_toc,
            without_prefixes: self.without_prefixes || other.without_prefixes,
            change_mode: self.change_mode || other.change_mode,
        }
    }
}

/// The `e_flags` of an image: ABI version 2.
pub(crate) const FLAGS: u32 = 2;

/// Checks that an object's code follows the ELF V2 ABI.
///
/// # Errors
/// [`Error::Unsupported`], for function descriptors.
pub(crate) fn check_flags(name: &InputName<'_>, flags: u32) -> Result<(), Error> {
    match ppc64::abi_version(flags) {
        0 | 2 => Ok(()),
        version => {
            let what = format!(
                "is compiled for version {version} of the 64-bit PowerPC ABI, images are of version 2; recompile with -mabi=elfv2"
            );
            Err(Error::unsupported(name, what))
        }
    }
}

/// Defines `.TOC.`, and the functions that save and restore registers where objects call them and nothing defines them.
pub(super) fn define_symbols(link: &mut Link<'_>) {
    let undefined = |link: &Link<'_>, name: &[u8]| {
        let (id, global) = link.symbols.find(name)?;
        (global.definition == Definition::Undefined).then_some(id)
    };
    if let Some(id) = undefined(link, b".TOC.") {
        super::define::define(link.symbols.get_mut(id), Anchor::GotBase);
    }
    let named = link.symbols.iter().filter(|(_, global)| global.definition == Definition::Undefined);
    let wanted: Vec<_> = named.filter_map(|(id, global)| Some((id, Function::named(global.name)?))).collect();
    let mut families = Families::default();
    wanted.iter().for_each(|(_, function)| families.add(*function));
    for (id, function) in wanted {
        let global = link.symbols.get_mut(id);
        super::define::define(global, Anchor::ProvidedCode(families.offset(function)));
        global.kind = crate::model::SymbolKind::Function;
    }
    link.elf.ppc64.families = families;
}

/// Learns what calls there are, once it is known what becomes of each.
pub(super) fn survey(link: &mut Link<'_>) {
    let mut sections = Vec::new();
    for (id, object) in link.objects() {
        for (index, section) in (0..).zip(&object.sections) {
            let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
            if section.is_live() && section.flags.has(code) && !section.relocs.is_empty() {
                sections.push((id, index));
            }
        }
    }
    let found = link.workers.map(&sections, |(object, section)| survey_section(link, *object, *section));
    link.elf.ppc64.calls = found.into_iter().fold(Calls::default(), Calls::join);
}

fn survey_section(link: &Link<'_>, id: ObjectId, index: SectionIndex) -> Calls {
    let (object, section) = (link.object(id), link.section(id, index));
    let mut calls = Calls::default();
    for raw in reloc::decode(section, 0..section.relocs.len()) {
        let Some(reloc) = reloc::understand(link.target, raw) else { continue };
        let with_toc = match reloc.value.what {
            What::CallToc => true,
            What::CallNoToc => false,
            _ => continue,
        };
        calls.without_toc |= !with_toc;
        calls.without_prefixes |= raw.kind == REL24_P9NOTOC;
        let Some(symbol) = object.symbols.get(raw.symbol as usize) else { continue };
        let action = reloc::classify(link.target, section, &reloc, symbol.traits);
        let callee = other(link, symbol.global.get().map_or(SymbolRef::Local(id, raw.symbol), SymbolRef::Global));
        calls.change_mode |= action == Ok(Action::Link) && changes_mode(with_toc, callee);
    }
    calls
}

fn changes_mode(with_toc: bool, callee: u8) -> bool {
    if with_toc { !ppc64::keeps_toc(callee) } else { ppc64::uses_toc(callee) }
}

/// The `st_other` of what defines a symbol; 0 if no object of the image does.
fn other(link: &Link<'_>, symbol: SymbolRef) -> u8 {
    let (object, index) = match symbol {
        SymbolRef::Local(object, index) => (object, index),
        SymbolRef::Global(id) => match link.symbols.root(id, 0) {
            (root, 0) => match link.symbols.get(root).definition {
                Definition::Object(object, index) => (object, index),
                _ => return 0,
            },
            // A place inside of a function has no entry points.
            _ => return 0,
        },
    };
    link.object(object).symbols.get(index as usize).map_or(0, |symbol| symbol.other)
}

/// How far the local entry point of a function is behind its address, in bytes.
pub(crate) fn local_entry(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    ppc64::local_entry(other(link, symbol))
}

/// The `st_other` of a symbol whose address is that of a stub: which has one entry point.
pub(crate) fn stub_other(other: u8) -> u8 {
    other & 3
}

/// Whether stubs have halves that do without the TOC pointer.
fn has_no_toc_halves(link: &Link<'_>) -> bool {
    link.elf.ppc64.calls.without_toc || !link.elf.found.direct_ifuncs.is_empty()
}

/// Which instructions code without a TOC pointer may use.
fn isa(link: &Link<'_>) -> Isa {
    let calls = link.elf.ppc64.calls;
    if calls.without_toc && !calls.without_prefixes { Isa::Power10 } else { Isa::Power8 }
}

/// Size of a stub, in bytes.
pub(super) fn stub_size(link: &Link<'_>) -> u64 {
    if has_no_toc_halves(link) { STUB_SIZE.saturating_mul(2) } else { STUB_SIZE }
}

/// The address of a stub: what code with a TOC pointer calls.
pub(super) fn stub_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    let (table, index) = match entry {
        PltEntry::Lazy(index) => (Table::PltSec, index),
        PltEntry::ThroughGot(index) => (Table::PltGot, index),
    };
    start(link, table).wrapping_add(stub_size(link).wrapping_mul(index.into()))
}

/// The address of the half of a stub that does without the TOC pointer: what code without one calls, and what can stand for
/// the function's address.
pub(crate) fn no_toc_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    stub_address(link, entry).wrapping_add(STUB_SIZE)
}

fn start(link: &Link<'_>, table: Table) -> u64 {
    table_output(link, table).map_or(0, |output| output.address)
}

/// The stub at `address` that goes where `slot` says. `None` if that is out of its reach.
pub(super) fn stub(link: &Link<'_>, place: &PltPlace, address: u64, slot: u64) -> Option<Vec<u8>> {
    let mut code = stubs::call_stub(slot, place.got)?.to_vec();
    if has_no_toc_halves(link) {
        code.extend(stubs::call_stub_notoc(isa(link), address.wrapping_add(STUB_SIZE), slot)?);
    }
    Some(code)
}

/// The lazy entries with the code that they share.
pub(super) fn glink(place: &PltPlace, entries: impl Iterator<Item = LazyEntry>) -> Vec<u8> {
    let mut code = stubs::glink_header(place.plt, place.got_plt).to_vec();
    code.extend(entries.flat_map(|entry| stubs::glink_entry(entry.index.into())));
    code
}

/// `DT_PPC64_OPT`, if it says anything.
///
/// A loader fills the slot of a function of the image itself with its local entry point, unless it is told that r2 may differ
/// between callers: code without a TOC pointer calls through the same slots.
pub(super) fn opt(link: &Link<'_>) -> Option<u32> {
    link.elf.ppc64.calls.without_toc.then_some(elf::PPC64_OPT_MULTI_TOC)
}

/// Checks, addresses being fixed, that each stub reaches its slot, and that there are no more lazy entries than their branches
/// reach.
///
/// # Errors
/// [`Error::Limit`].
pub(super) fn check_reach(link: &Link<'_>) -> Result<(), Error> {
    let lazy = link.slots.lazy.len() as u64;
    over("lazy PLT entries", "the number of functions that are bound lazily", lazy, stubs::GLINK_ENTRIES)?;
    let place = got::place(link);
    let slots = link.slots.lazy.iter().chain(&link.slots.through_got);
    for symbol in slots {
        let Some(entry) = link.slots.of(*symbol).plt else { continue };
        let (address, slot) = (stub_address(link, entry), got::slot_of(link, *symbol));
        if stub(link, &place, address, slot).is_none() {
            return Err(Error::Limit {
                name: "reach of a call stub",
                what: "the distance from the TOC pointer or a call stub to its slot".to_owned(),
                wanted: slot.abs_diff(address).max(slot.abs_diff(place.got)),
                limit: i32::MAX as u64,
            });
        }
    }
    Ok(())
}

/// Whether calls change between code with and without TOC pointer, so that there are thunks however small the image is.
pub(crate) fn needs_thunks(link: &Link<'_>) -> bool {
    link.elf.ppc64.calls.change_mode
}

/// The thunk that a call needs to get to its target.
pub(crate) fn thunk_for(link: &Link<'_>, branch: &Branch) -> Option<ThunkKind> {
    let (min, max) = branch.field.range();
    let reached = (min..=max).contains(&branch.target.wrapping_sub(branch.place).cast_signed());
    let far = branch.field == Field::Ppc64(Imm::Branch24) && !reached;
    let with_toc = !matches!(branch.kind, REL24_NOTOC | REL24_P9NOTOC);
    let mode = !branch.to.plt && changes_mode(with_toc, other(link, branch.to.symbol));
    match with_toc {
        _ if !far && !mode => None,
        true if mode => Some(ThunkKind::Ppc64(Thunk::SaveToc)),
        true => Some(ThunkKind::Ppc64(Thunk::Long)),
        false => Some(ThunkKind::Ppc64(Thunk::NoToc(isa(link)))),
    }
}

/// The address that a thunk goes on to, without the relocation's addend.
pub(crate) fn thunk_target(link: &Link<'_>, kind: ThunkKind, to: Destination, address: u64) -> u64 {
    let with_toc = matches!(kind, ThunkKind::Ppc64(Thunk::Long | Thunk::SaveToc));
    match link.slots.of(to.symbol).plt.filter(|_| to.plt) {
        Some(entry) if with_toc => stub_address(link, entry),
        Some(entry) => no_toc_address(link, entry),
        None if with_toc => address.wrapping_add(local_entry(link, to.symbol)),
        None => address,
    }
}

/// The size of the functions that save and restore registers, in bytes.
pub(super) fn provided_size(link: &Link<'_>) -> u64 {
    link.elf.ppc64.families.size()
}

/// The code of these functions.
pub(super) fn provided_code(link: &Link<'_>) -> Vec<u8> {
    link.elf.ppc64.families.code()
}

/// `DT_PPC64_GLINK`, counted from the start of [`Table::Plt`].
pub(super) const GLINK: u64 = stubs::GLINK_HEADER_SIZE.saturating_sub(stubs::GLINK_BIAS);
