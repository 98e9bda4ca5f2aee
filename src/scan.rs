//! One pass over the relocations of everything that is loaded, to learn what the image must provide.
//!
//! The tables are cut into [`Piece`]s of a fixed number of relocations, which are scanned in parallel. A piece keeps
//! only how many relocations it leaves to the loader, so that its part of the dynamic relocation table can be made later,
//! on its own; which symbols need slots is gathered in the symbols.

use crate::debug::{self, Fault, Trouble};
use crate::error::{Error, Errors, SHOWN};
use crate::format;
use crate::link::Link;
use crate::model::{
    GlobalId, Object, ObjectId, Section, SectionFlags, SectionIndex, SymbolIndex, SymbolSection, Traits,
};
use crate::options::Arch;
use crate::reloc::{self, Action, Memo, Origin, RawReloc, Start, What};
use crate::symbols::Needs;

/// The number of relocations in a piece: enough to be worth a task, and few enough that the dynamic relocations of a piece are
/// little beside a chunk of the file, since a piece that stands in two is made twice.
const PIECE: usize = 1 << 12;

/// A stretch of one section's relocations, and what it leaves to the loader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    /// The object.
    pub(crate) object: ObjectId,
    /// The section that is relocated.
    pub(crate) section: SectionIndex,
    /// Index of its first relocation, and of the one after its last.
    pub(crate) range: (u32, u32),
    /// The number of fields to which the loader adds the image's base.
    pub(crate) relative: u32,
    /// The number of fields that the loader, or the image's start code, fills from a symbol.
    pub(crate) symbolic: u32,
    /// The number of fields that the loader fills by calling a resolver.
    pub(crate) indirect: u32,
}

/// What the image must provide.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The pieces that leave something to the loader, in link order.
    pub(crate) pieces: Vec<Piece>,
    /// What local symbols need, ascending.
    pub(crate) locals: Vec<(ObjectId, SymbolIndex, Needs, Traits)>,
    /// Indirect functions whose address code computes without the GOT.
    pub(crate) direct_ifuncs: Vec<(ObjectId, SymbolIndex)>,
    /// The pair of the image's own TLS module is needed.
    pub(crate) tls_module: bool,
    /// Offsets from the thread pointer are used: the image must be loaded before threads run out of static TLS space.
    pub(crate) static_tls: bool,
    /// Something counts from the GOT base.
    pub(crate) got_base: bool,
    /// A read-only section holds fields that the loader fills.
    pub(crate) text_relocations: bool,
    /// The number of relocations seen.
    pub(crate) relocations: u64,
}

impl Scan {
    /// Puts what local symbols need in order again, once something has been added.
    pub(crate) fn merge_locals(&mut self) {
        merge_locals(&mut self.locals);
    }
}

/// What one piece found.
#[derive(Default)]
struct Found {
    counts: [u32; 3],
    locals: Vec<(ObjectId, SymbolIndex, Needs, Traits)>,
    direct_ifuncs: Vec<(ObjectId, SymbolIndex)>,
    tls_module: bool,
    static_tls: bool,
    got_base: bool,
    text_relocations: bool,
    problems: Vec<Trouble>,
}

/// Scans the relocations of all loaded sections.
///
/// # Errors
/// Every relocation that is malformed or cannot stand in a shared library.
pub(crate) fn scan(link: &Link<'_>) -> Result<Scan, Errors> {
    let mut pieces = Vec::new();
    for (id, object) in link.objects() {
        for (index, section) in object.sections.iter().enumerate() {
            if !section.is_live() || !section.flags.has(SectionFlags::ALLOC) {
                continue;
            }
            for first in (0..section.relocs.len()).step_by(PIECE) {
                let last = section.relocs.len().min(first + PIECE);
                pieces.push(Piece {
                    object: id,
                    section: index as u32,
                    range: (first as u32, last as u32),
                    relative: 0,
                    symbolic: 0,
                    indirect: 0,
                });
            }
        }
    }
    let found = link.workers.map(&pieces, |piece| scan_piece(link, piece));
    let mut scan = Scan::default();
    let mut problems = Vec::new();
    for (mut piece, found) in pieces.into_iter().zip(found) {
        [piece.relative, piece.symbolic, piece.indirect] = found.counts;
        scan.relocations += u64::from(piece.range.1 - piece.range.0);
        scan.locals.extend(found.locals);
        scan.direct_ifuncs.extend(found.direct_ifuncs);
        scan.tls_module |= found.tls_module;
        scan.static_tls |= found.static_tls;
        scan.got_base |= found.got_base;
        scan.text_relocations |= found.text_relocations;
        problems.extend(found.problems);
        if found.counts != [0; 3] {
            scan.pieces.push(piece);
        }
    }
    debug::check(link, problems)?;
    merge_locals(&mut scan.locals);
    Ok(scan)
}

/// Sorts the needs of local symbols and joins those of one symbol.
fn merge_locals(locals: &mut Vec<(ObjectId, SymbolIndex, Needs, Traits)>) {
    locals.sort_by_key(|(object, symbol, ..)| (*object, *symbol));
    locals.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2.set(next.2);
        }
        same
    });
}

fn scan_piece(link: &Link<'_>, piece: &Piece) -> Found {
    let mut found = Found::default();
    let object = link.object(piece.object);
    let Some(section) = object.sections.get(piece.section as usize) else { return found };
    let mut checked = None;
    let noted = Memo::new();
    let special = link.special.get(piece.object.index()).map(Vec::as_slice).unwrap_or_default();
    let range = piece.range.0 as usize..piece.range.1 as usize;
    reloc::for_each(section, range, |raw| {
        if scan_simple(link, special, section, &raw, &mut found).is_none() && !is_noted(&noted, section, &raw) {
            scan_any(link, piece, &raw, (&mut checked, &noted), &mut found);
        }
    });
    merge_locals(&mut found.locals);
    found
}

/// The addend and the width, in bytes, of relocations of which all is noted already that they need.
type Noted = Memo<(i64, u64)>;

/// Whether nothing new can be found out about a relocation: it is in its section, and like one whose needs are noted.
#[inline]
fn is_noted(noted: &Noted, section: &Section<'_>, raw: &RawReloc) -> bool {
    noted.get(raw).is_some_and(|(addend, width)| {
        let end = raw.offset.checked_add(width);
        addend == raw.addend && end.is_some_and(|end| end <= section.data.len() as u64)
    })
}

/// Looks at a relocation. `checked` is the place of the last difference that was found to have both its halves.
#[inline(never)]
fn scan_any(
    link: &Link<'_>,
    piece: &Piece,
    raw: &RawReloc,
    (checked, noted): (&mut Option<u64>, &Noted),
    found: &mut Found,
) {
    let raw = *raw;
    let object = link.object(piece.object);
    let section = link.section(piece.object, piece.section);
    let read_only = !section.flags.has(SectionFlags::WRITE);
    let trouble = |fault| Trouble { object: piece.object, section: piece.section, raw, fault };
    let Some(reloc) = link.kinds.understand(link.target, raw) else {
        found.problems.push(trouble(Fault::Because(reloc::refusal(link.target, raw.kind))));
        return;
    };
    let Some(symbol) = object.symbols.get(raw.symbol as usize) else {
        found.problems.push(trouble(Fault::NoSymbol));
        return;
    };
    // An object's first symbol stands for none. Others that are local are its own, and nobody else can define them.
    let nowhere = symbol.section() == SymbolSection::Undefined && symbol.global.get().is_none();
    if nowhere && raw.symbol != 0 && reloc.value.what != What::Nothing {
        found.problems.push(trouble(Fault::Because("the symbol is local, and its object does not define it")));
        return;
    }
    let end = raw.offset.checked_add(reloc.field.size());
    if end.is_none_or(|end| end > section.data.len() as u64) {
        found.problems.push(trouble(Fault::Outside));
        return;
    }
    let special = link.special.get(piece.object.index()).and_then(|special| special.get(raw.symbol as usize));
    if reloc.is_distance() && special == Some(&false) {
        return;
    }
    if let Origin::Symbol(other) = reloc.value.from
        && object.symbols.get(other as usize).is_none_or(|symbol| symbol.traits.has(Traits::PREEMPTIBLE))
    {
        found.problems.push(trouble(Fault::Because("the symbol that is subtracted is not defined in the image")));
        return;
    }
    // Code that counts from the start of the image's own thread-local storage means the image's own definition, even where
    // others may have another; but the image must have one.
    let imported = |id| !link.symbols.get(id).is_defined_here();
    let is_foreign = || symbol.traits.has(Traits::PREEMPTIBLE) && symbol.global.get().is_none_or(imported);
    if reloc.value.what == What::TlsBlock && is_foreign() {
        found.problems.push(trouble(Fault::Because(
            "the symbol lies in another library's thread-local storage; recompile with -fPIC",
        )));
        return;
    }
    if reloc.value.from == Origin::Difference && is_foreign() {
        found
            .problems
            .push(trouble(Fault::Because("no distance to the symbol is known: the image does not define it")));
        return;
    }
    let action = match reloc::classify(link.target, section, &reloc, symbol.traits) {
        Ok(action) => action,
        Err(reason) => {
            found.problems.push(trouble(Fault::Because(reason)));
            return;
        }
    };
    // The first of those that make a difference is looked at together with the others.
    let half = reloc.value.from == Origin::Difference;
    if !(half && *checked == Some(raw.offset))
        && let Err(reason) = reloc::check_partners(object, piece.section, section, &reloc, &raw)
    {
        found.problems.push(trouble(Fault::Because(reason)));
        return;
    }
    if half {
        *checked = Some(raw.offset);
    }
    let needs = match action {
        Action::Link | Action::Relax(_) | Action::RelaxToAdd => {
            found.got_base |= reloc.value.needs_got_base();
            return;
        }
        Action::Plt => {
            found.got_base |= reloc.value.needs_got_base();
            if reloc.value.what == What::Symbol && found.direct_ifuncs.last() != Some(&(piece.object, raw.symbol)) {
                found.direct_ifuncs.push((piece.object, raw.symbol));
            }
            Needs::PLT
        }
        Action::Got(needs) => {
            found.static_tls |= needs == Needs::TLS_IE;
            found.got_base |= reloc.value.needs_got_base();
            needs
        }
        Action::GotTlsModule => {
            found.got_base |= reloc.value.needs_got_base();
            found.tls_module = true;
            return;
        }
        Action::Relative | Action::Symbolic | Action::Indirect | Action::Startup => {
            if read_only && format::refuses_text_relocations(link) {
                found.problems.push(trouble(Fault::Because(
                    "the loader would have to write to a read-only section; recompile with -fPIC, or allow it with -z notext",
                )));
                return;
            }
            found.text_relocations |= read_only;
            let class = match action {
                Action::Relative => 0,
                Action::Symbolic | Action::Startup => 1,
                _ => 2,
            };
            found.counts[class] += 1;
            if action != Action::Symbolic {
                return;
            }
            Needs::DYNAMIC
        }
    };
    match symbol.global.get() {
        Some(global) => link.symbols.get(global).require(needs),
        None => found.locals.push((piece.object, raw.symbol, needs, symbol.traits)),
    }
    // Whether a load from the GOT stays one may depend on its instruction, and on i386 whether it may be one.
    let by_instruction = match reloc.value.what {
        What::GotRelaxable => !symbol.traits.has(Traits::PREEMPTIBLE),
        What::Got => link.target.arch == Arch::X86,
        What::Symbol => true,
        _ => false,
    };
    if matches!(action, Action::Plt | Action::Got(_)) && !by_instruction && !half {
        noted.note(&raw, (raw.addend, reloc.field.size()));
    }
}

/// Looks at a relocation of a simple kind against a symbol about which nothing is special: at most the loader adds the image's
/// base. Returns `None`, with nothing noted, for others and for those that are wrong.
#[inline]
fn scan_simple(
    link: &Link<'_>,
    special: &[bool],
    section: &Section<'_>,
    raw: &RawReloc,
    found: &mut Found,
) -> Option<()> {
    let (size, from, word) = match link.kinds.simple(raw.kind) {
        Some(simple) => (simple.size(), simple.from, simple.word),
        None => (link.kinds.distance(raw.kind)?.size(), Start::Place, false),
    };
    if *special.get(raw.symbol as usize)? || raw.offset.checked_add(size)? > section.data.len() as u64 {
        return None;
    }
    match from {
        Start::Place | Start::Image => {}
        Start::GotBase => found.got_base = true,
        Start::Zero if word && section.flags.has(SectionFlags::WRITE) => found.counts[0] += 1,
        Start::Zero => return None,
    }
    Some(())
}

/// What a message calls a symbol: its name or, for a nameless one, its section's.
pub(crate) fn symbol_name(object: &Object<'_>, index: SymbolIndex) -> String {
    let Some(symbol) = object.symbols.get(index as usize) else { return format!("symbol {index}") };
    let mut name = object.symbol_name(symbol);
    if name.is_empty() {
        name = object.symbol_section(symbol).map(|section| section.name).unwrap_or_default();
    }
    String::from_utf8_lossy(name).into_owned()
}

/// Checks that no symbol is needed and defined by nothing; tells those that are, with the places that refer to them.
///
/// Those with default visibility count only if `all`: else they are left to the loader.
///
/// # Errors
/// Every such symbol.
pub(crate) fn undefined(link: &Link<'_>, all: bool) -> Result<(), Errors> {
    /// References to one symbol that a message spells out.
    const PLACES: usize = 3;
    let weak_may_lack = format::weak_references_may_lack(link);
    let missing = |id: GlobalId| {
        let global = link.symbols.get(id);
        // No loader's table can say "the version, of whatever library".
        let versioned = global.version().is_some_and(|version| !version.is_empty());
        let left = global.traits.has(Traits::PREEMPTIBLE) && !all && !versioned;
        global.traits.has(Traits::UNDEFINED) && (versioned || !(weak_may_lack && global.is_weak_reference())) && !left
    };
    if !link.symbols.iter().any(|(id, _)| missing(id)) {
        return Ok(());
    }
    type References = (Vec<(ObjectId, SectionIndex, u64)>, usize);
    let mut references: indexmap::IndexMap<GlobalId, References> = indexmap::IndexMap::new();
    for (id, object) in link.objects() {
        for (index, section) in object.sections.iter().enumerate() {
            if !section.is_live() || !section.flags.has(SectionFlags::ALLOC) {
                continue;
            }
            for raw in reloc::decode(section, 0..section.relocs.len()) {
                let global = object.symbols.get(raw.symbol as usize).and_then(|symbol| symbol.global.get());
                let Some(global) = global.filter(|global| missing(*global)) else { continue };
                let (places, more) = references.entry(global).or_default();
                if places.len() < PLACES {
                    places.push((id, index as u32, raw.offset));
                } else {
                    *more += 1;
                }
            }
        }
    }
    let problem = |(id, (references, more)): (GlobalId, References)| {
        let global = link.symbols.get(id);
        let hint = format::undefined_hint(link, id, global).or_else(|| similar(link, global.name));
        let mut symbol = String::from_utf8_lossy(global.name).into_owned();
        if let Some(version) = global.version() {
            symbol = format!("{symbol}@{}", String::from_utf8_lossy(version));
        }
        let place = |(object, section, offset)| debug::place(link, object, section, offset);
        Error::Undefined { symbol, references: references.into_iter().map(place).collect(), more, hint }
    };
    let cut = references.len().saturating_sub(SHOWN);
    debug::explained(link, references.into_iter().take(SHOWN).map(problem).collect(), cut)
}

/// A defined symbol whose name differs from `name` only in case or leading underscores.
fn similar(link: &Link<'_>, name: &[u8]) -> Option<String> {
    let plain =
        |name: &[u8]| name.trim_ascii().to_ascii_lowercase().into_iter().skip_while(|c| *c == b'_').collect::<Vec<_>>();
    let wanted = plain(name);
    let (_, found) =
        link.symbols.iter().find(|(_, global)| global.is_defined_here() && plain(global.name) == wanted)?;
    Some(format!("did you mean: {}", String::from_utf8_lossy(found.name)))
}
