//! Islands as parts of the file, and their symbols.

use std::borrow::Cow;

use super::{Destination, Instruction, LONG_TO_PAD, PAD, Piece};
use crate::apply::Stretch;
use crate::arch::{self, ThunkKind};
use crate::error::{Error, Result};
use crate::format;
use crate::image::{Extent, Source};
use crate::link::Link;
use crate::options::Arch;
use crate::slots::SymbolRef;
use crate::symbols::Anchor;

/// The thunks as parts of the image's file, and the branches in the places of instructions that have moved.
///
/// # Errors
/// A target that is farther from its thunk than that reaches, a place that is too far from the nearest island.
pub(crate) fn write(link: &Link<'_>) -> Result<Vec<Extent>, Error> {
    let mut extents = Vec::new();
    for island in link.thunks.islands.iter().filter(|island| island.size > 0) {
        let start = link.outputs.get(island.output as usize).map_or(0, |output| output.offset);
        let start = start.saturating_add(island.offset);
        let mut bytes = Vec::new();
        // What stands between two instructions that have moved, and behind the last one, is made as one part.
        let made = |bytes: &mut Vec<u8>, extents: &mut Vec<Extent>, end: u64| {
            let size = bytes.len() as u64;
            let source = Source::Owned(std::mem::take(bytes));
            let extent = Extent { offset: start.saturating_add(end).saturating_sub(size), size, source };
            extents.extend(Some(extent).filter(|extent| extent.size > 0));
        };
        for (piece, offset) in &island.pieces {
            let address = island.address.wrapping_add(*offset);
            match piece {
                Piece::Thunk(kind, to) => bytes.extend(code(link, address, *kind, *to)?),
                Piece::Moved(instruction) => {
                    made(&mut bytes, &mut extents, *offset);
                    let source = Source::Section(stretch(link, *instruction));
                    extents.push(Extent { offset: start.saturating_add(*offset), size: 4, source });
                    let next = instruction.address(link).wrapping_add(4);
                    bytes.extend(branch(address.wrapping_add(4), next)?);
                }
            }
        }
        made(&mut bytes, &mut extents, island.size);
    }
    for instruction in &link.thunks.moved {
        let address = instruction.address(link);
        let Some(to) = link.thunks.find(address, &Piece::Moved(*instruction)) else { continue };
        let section = link.section(instruction.object, instruction.section);
        let start = link.outputs.get(section.output as usize).map_or(0, |output| output.offset);
        let offset = start.saturating_add(section.offset).saturating_add(instruction.offset);
        extents.push(Extent { offset, size: 4, source: Source::Owned(branch(address, to)?.to_vec()) });
    }
    Ok(extents)
}

/// An instruction that has moved, relocated as it would be where it stood: what is counted from its place stays so.
fn stretch(link: &Link<'_>, instruction: Instruction) -> Stretch {
    let Instruction { object, section, offset } = instruction;
    Stretch { object, section, start: offset, address: instruction.address(link) }
}

/// The branch between the place of an instruction that has moved and its island.
fn branch(address: u64, to: u64) -> Result<[u8; 4], Error> {
    arch::aarch64::branch(address, to).ok_or_else(|| Error::Limit {
        name: "reach of a branch",
        what: "the distance from an instruction that has to move to the nearest place between two sections".to_owned(),
        wanted: to.abs_diff(address),
        limit: arch::aarch64::REACH.bytes,
    })
}

/// The code of a thunk at `address`.
fn code(link: &Link<'_>, address: u64, kind: ThunkKind, to: Destination) -> Result<Vec<u8>, Error> {
    let mut target = target(link, kind, to);
    if link.target.arch == Arch::Arm && !to.plt && !link.is_function(to.symbol) {
        // What is no function has no state: it is entered in that of the thunk.
        target = target & !1 | kind.state();
    }
    let pad = || link.thunks.find(target, &Piece::Thunk(PAD, to));
    let next = if kind == LONG_TO_PAD { pad() } else { Some(target) };
    let got_base = format::anchor_address(link, Anchor::GotBase);
    next.and_then(|next| kind.code(address, next, got_base)).ok_or_else(|| Error::Limit {
        name: "reach of a thunk",
        what: format!("the distance from a thunk to {}", String::from_utf8_lossy(name(link, to))),
        wanted: target.abs_diff(address),
        limit: kind.reach(),
    })
}

/// A symbol that tells readers of the image about thunks.
#[derive(Debug)]
pub(crate) struct ThunkSymbol<'a> {
    /// The number of its output section.
    pub(crate) output: u32,
    /// Its address.
    pub(crate) address: u64,
    /// Size in bytes; 0 for one that only marks what follows.
    pub(crate) size: u64,
    /// Its name, in two parts.
    pub(crate) name: [Cow<'a, [u8]>; 2],
}

/// The symbols of all thunks.
pub(crate) fn symbols<'l>(link: &'l Link<'_>) -> impl Iterator<Item = ThunkSymbol<'l>> {
    link.thunks.islands.iter().flat_map(move |island| {
        let output = island.output;
        let mut marked = None;
        island.pieces.iter().flat_map(move |(piece, offset)| {
            let address = island.address.wrapping_add(*offset);
            let (prefix, rest, state) = match piece {
                Piece::Thunk(kind, to) => (kind.symbol_prefix(), name(link, *to).into(), kind.state()),
                Piece::Moved(instruction) => {
                    let place = format!("{:X}", instruction.address(link));
                    (arch::aarch64::MOVED_PREFIX, place.into_bytes().into(), 0)
                }
            };
            let name = [prefix.as_bytes().into(), rest];
            let thunk = ThunkSymbol { output, address: address | state, size: piece.size(), name };
            // What stands behind one of the same kind needs no mark.
            let same = marked.replace(piece.mark()) == Some(piece.mark());
            let mark = piece.mark().filter(|_| !same);
            let name = |mark: &'static str| [mark.as_bytes().into(), Cow::default()];
            let mark = mark.map(|mark| ThunkSymbol { output, address, size: 0, name: name(mark) });
            mark.into_iter().chain([thunk])
        })
    })
}

/// The address that a thunk to a destination leads to.
fn target(link: &Link<'_>, kind: ThunkKind, to: Destination) -> u64 {
    let address = match to.symbol {
        symbol if to.plt => link.slots.of(symbol).plt.map_or(0, |entry| format::plt_address(link, entry)),
        SymbolRef::Global(id) => link.global_address(id),
        SymbolRef::Local(object, index) => {
            let symbol = link.object(object).symbols.get(index as usize);
            symbol.and_then(|symbol| link.symbol_address(object, symbol)).unwrap_or(0)
        }
    };
    format::thunk_target(link, kind, to, address).wrapping_add_signed(to.addend)
}

/// The name of a destination's symbol.
fn name<'a>(link: &Link<'a>, to: Destination) -> &'a [u8] {
    match to.symbol {
        SymbolRef::Global(id) => link.symbols.get(id).name,
        SymbolRef::Local(object, index) => {
            let object = link.object(object);
            let Some(symbol) = object.symbols.get(index as usize) else { return &[] };
            match (object.symbol_name(symbol), object.symbol_section(symbol)) {
                // A nameless symbol stands for its section.
                ([], Some(section)) => section.name,
                (name, _) => name,
            }
        }
    }
}
