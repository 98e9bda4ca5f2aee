//! Code and data of dylibs, symbol by symbol: the bytes are those in LLD's image of the same archive, and where they say an
//! address it is that of the same thing.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, Pointer, UnwindContext, UnwindSection as _};
use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use pkgld_corpus::Entry;
use pkgld_corpus::target::{MACOS_ARM64, Target};
use pkgld_differ::pages;

use super::image::Image;
use super::{all, link, link_by_lld, name};

/// A part of a symbol's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    /// An address, however the field says it, by what is there.
    Address(String),
}

/// A section: its name, its address and its bytes.
type Piece<'a> = (Vec<u8>, u64, &'a [u8]);

struct Contents<'a> {
    pieces: Vec<Piece<'a>>,
    names: BTreeMap<u64, Vec<u8>>,
    /// What the loader fills: with what is at a place, or with the address of a name of another image.
    fills: BTreeMap<u64, Fill>,
    /// Where there are data in code, ascending.
    data: Vec<Range<u64>>,
    arm: bool,
}

#[derive(Clone)]
enum Fill {
    Place(u64),
    Import(String),
}

impl<'a> Contents<'a> {
    fn new(image: &Image<'a>, target: Target) -> Self {
        let fills = image.filled().into_iter().map(|(at, to)| {
            let fill = match to {
                Ok(place) => Fill::Place(place),
                Err((name, addend)) => Fill::Import(format!("{} + {addend}", String::from_utf8_lossy(&name))),
            };
            (at, fill)
        });
        let mut data: Vec<Range<u64>> = image.data_in_code().into_iter().map(|data| data.0).collect();
        data.sort_by_key(|range| range.start);
        let (pieces, names, arm) = (image.pieces(), image.names(), target == MACOS_ARM64);
        Self { pieces, names, fills: fills.collect(), data, arm }
    }

    fn piece(&self, address: u64) -> Option<&Piece<'a>> {
        self.pieces.iter().find(|(_, start, bytes)| (*start..start + bytes.len() as u64).contains(&address))
    }

    /// What is at an address: a name of another image, a literal, or a symbol and the distance to it.
    fn place(&self, address: u64) -> String {
        match self.fills.get(&address) {
            Some(Fill::Import(name)) => return format!("slot of {name}"),
            Some(Fill::Place(to)) if self.piece(address).is_some_and(|piece| piece.0 == b"__got") => {
                return format!("slot of {}", self.place(*to));
            }
            _ => {}
        }
        let Some((section, start, bytes)) = self.piece(address) else {
            let named = self.names.range(..=address).next_back();
            let (start, name) = named.map_or((0, &b""[..]), |(start, name)| (*start, name));
            return format!("{}+{:#x}", String::from_utf8_lossy(name), address - start);
        };
        let here = &bytes[(address - start) as usize..];
        match section.as_slice() {
            b"__stubs" => format!("stub of {}", self.place(self.stub_slot(address, here))),
            b"__cstring" => format!("{:?}", String::from_utf8_lossy(here.split(|byte| *byte == 0).next().unwrap())),
            // LLD has one section of all widths.
            b"__literal4" => literal(here, 4),
            b"__literal8" => literal(here, 8),
            b"__literal16" | b"__literals" => literal(here, 16),
            _ => {
                let named = self.names.range(*start..=address).next_back();
                let (at, name) = named.map_or((*start, section), |(at, name)| (*at, name));
                format!("{}+{:#x}", String::from_utf8_lossy(name), address - at)
            }
        }
    }

    /// The slot that a stub jumps through.
    fn stub_slot(&self, address: u64, code: &[u8]) -> u64 {
        let word = |at: usize| u32::from_le_bytes(code[at..at + 4].try_into().unwrap());
        if !self.arm {
            return address.wrapping_add(6).wrapping_add_signed((word(2) as i32).into());
        }
        let pages = pages::signed((word(0) >> 5 & 0x7_ffff) << 2 | word(0) >> 29 & 3, 21);
        (address & !0xfff).wrapping_add_signed(pages * 0x1000) + u64::from(word(4) >> 10 & 0xfff) * 8
    }

    /// Symbols of a section with their bytes, up to the next symbol.
    fn symbols(&self, section: &[u8]) -> Vec<(String, u64, &'a [u8])> {
        let mut all = Vec::new();
        for (_, start, bytes) in self.pieces.iter().filter(|piece| piece.0 == section) {
            let end = start + bytes.len() as u64;
            let starts: Vec<u64> = self.names.range(*start..end).map(|(at, _)| *at).collect();
            let ends = starts.iter().skip(1).copied().chain([end]);
            for (at, end) in starts.iter().zip(ends) {
                let name = String::from_utf8_lossy(&self.names[at]).into_owned();
                all.push((name, *at, &bytes[(at - start) as usize..(end - start) as usize]));
            }
        }
        all
    }

    /// Data: what the loader fills are addresses.
    fn data(&self) -> BTreeMap<String, Vec<Part>> {
        let mut all = BTreeMap::new();
        let sections = [&b"__data"[..], b"__const"];
        for (name, start, bytes) in sections.into_iter().flat_map(|section| self.symbols(section)) {
            let mut parts = Vec::new();
            let mut plain = 0;
            for (at, fill) in self.fills.range(start..start + bytes.len() as u64) {
                let at = (at - start) as usize;
                parts.push(Part::Bytes(bytes[plain..at].to_vec()));
                parts.push(Part::Address(match fill {
                    Fill::Place(to) => self.place(*to),
                    Fill::Import(name) => name.clone(),
                }));
                plain = at + 8;
            }
            // Whatever stands between it and the next one is zero.
            let rest = bytes[plain..].iter().rposition(|byte| *byte != 0).map_or(plain, |last| plain + last + 1);
            parts.push(Part::Bytes(bytes[plain..rest].to_vec()));
            insert(&mut all, name, parts);
        }
        all
    }

    fn code(&self) -> BTreeMap<String, Vec<Part>> {
        let symbols = self.symbols(b"__text").into_iter();
        let mut all = BTreeMap::new();
        symbols.for_each(|(name, start, bytes)| insert(&mut all, name, self.function(start, bytes)));
        all
    }

    /// A function: its instructions, and the data among them as they are.
    fn function(&self, start: u64, bytes: &[u8]) -> Vec<Part> {
        let (mut parts, mut done) = (Vec::new(), 0);
        let end = start + bytes.len() as u64;
        let within = |range: &&Range<u64>| range.start >= start && range.end <= end;
        for range in self.data.iter().filter(within) {
            let [from, to] = [range.start, range.end].map(|at| (at - start) as usize);
            parts.extend(self.instructions(start + done as u64, &bytes[done..from]));
            parts.push(Part::Bytes(bytes[from..to].to_vec()));
            done = to;
        }
        parts.extend(self.instructions(start + done as u64, &bytes[done..]));
        parts
    }

    fn instructions(&self, start: u64, bytes: &[u8]) -> Vec<Part> {
        if self.arm { self.code_of_arm64(start, bytes) } else { self.code_of_x86_64(start, bytes) }
    }

    /// For each function that `__eh_frame` describes its address and, with its size, its language-specific data and the rows by
    /// which it is unwound, what that says.
    fn frames(&self) -> BTreeMap<String, (u64, String)> {
        let mut all = BTreeMap::new();
        let Some((_, start, bytes)) = self.pieces.iter().find(|piece| piece.0 == b"__eh_frame") else { return all };
        let mut section = EhFrame::new(bytes, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(*start);
        let mut found = Vec::new();
        let mut entries = section.entries(&bases);
        while let Some(entry) = entries.next().unwrap() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
            let function = fde.initial_address();
            let named = |pointer| match pointer {
                Some(Pointer::Direct(at) | Pointer::Indirect(at)) => self.place(at),
                None => String::new(),
            };
            let data = format!("{} {}", named(fde.personality()), named(fde.lsda()));
            let mut context = UnwindContext::new();
            let mut table = fde.rows(&section, &bases, &mut context).unwrap();
            let mut rows = Vec::new();
            while let Some(row) = table.next_row().unwrap() {
                let rules: Vec<_> = row.registers().collect();
                rows.push(format!("{:#x}: {:?} {rules:?}", row.start_address() - function, row.cfa()));
            }
            found.push((function, format!("{} bytes {data}{rows:#?}", fde.len())));
        }
        // By address, since linkers have the records in different orders, and symbols of several objects one name.
        found.sort();
        for (function, told) in found {
            insert(&mut all, self.place(function), (function, told));
        }
        all
    }

    /// An instruction's displacement from the program counter and its branch's target are addresses.
    fn code_of_x86_64(&self, start: u64, bytes: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        // Where filling begins: linkers differ in what it is.
        let mut end = 0;
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        while decoder.can_decode() {
            let position = decoder.position();
            let instruction = decoder.decode();
            let fields = decoder.get_constant_offsets(&instruction);
            let code = &bytes[position..decoder.position()];
            let near = (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::NearBranch64);
            let field = match () {
                () if near => {
                    Some((fields.immediate_offset(), fields.immediate_size(), instruction.near_branch_target()))
                }
                () if instruction.is_ip_rel_memory_operand() => {
                    let target = instruction.ip_rel_memory_address();
                    Some((fields.displacement_offset(), fields.displacement_size(), target))
                }
                () => None,
            };
            match field {
                Some((at, size, target)) => {
                    parts.push(Part::Bytes([&code[..at], &code[at + size..]].concat()));
                    parts.push(Part::Address(self.place(target)));
                }
                None => parts.push(Part::Bytes(code.to_vec())),
            }
            let fills = matches!(instruction.mnemonic(), Mnemonic::Int3 | Mnemonic::Nop | Mnemonic::INVALID);
            if !fills && code.iter().any(|byte| *byte != 0) {
                end = parts.len();
            }
        }
        parts.truncate(end);
        parts
    }

    /// Branches, and offsets in pages whose addresses instructions before them made, are addresses.
    fn code_of_arm64(&self, start: u64, bytes: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        // Filling: zeros and instructions without effect.
        for (plain, target) in pages::code(start, bytes, &[0, 0xd503_201f]) {
            parts.push(Part::Bytes(plain.to_le_bytes().to_vec()));
            parts.extend(target.map(|target| Part::Address(self.place(target.cast_unsigned()))));
        }
        parts
    }
}

/// Adds what is under a name, which local symbols of several objects can have: then with its number among these.
fn insert<T>(all: &mut BTreeMap<String, T>, name: String, value: T) {
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}, number {number}")));
    let free = names.into_iter().find(|name| !all.contains_key(name)).unwrap();
    all.insert(free, value);
}

const LITERAL: &str = "literal ";

/// What a literal is called of which no more than `width` bytes count.
fn literal(bytes: &[u8], width: usize) -> String {
    let digits: String = bytes.iter().take(width).map(|byte| format!("{byte:02x}")).collect();
    format!("{LITERAL}{digits}")
}

/// Whether two parts mean the same: of a literal as many bytes as both count.
fn same(one: Option<&Part>, other: Option<&Part>) -> bool {
    match (one, other) {
        (Some(Part::Address(one)), Some(Part::Address(other))) if one.starts_with(LITERAL) => {
            other.starts_with(LITERAL) && (one.starts_with(other) || other.starts_with(one))
        }
        _ => one == other,
    }
}

/// Whether two lists of words differ by one and the same number wherever they differ: distances from one section to another.
fn is_shifted(one: &[Part], other: &[Part]) -> bool {
    let ([Part::Bytes(one)], [Part::Bytes(other)]) = (one, other) else { return false };
    let size = one.len().max(other.len()).next_multiple_of(4);
    let words = |bytes: &[u8]| -> Vec<u32> {
        let mut bytes = bytes.to_vec();
        bytes.resize(size, 0);
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let pairs = words(one).into_iter().zip(words(other));
    let mut shifts: Vec<u32> = pairs.map(|(one, other)| one.wrapping_sub(other)).filter(|shift| *shift != 0).collect();
    shifts.dedup();
    shifts.len() == 1
}

/// Tables of distances, which depend on where sections are.
const DISTANCES: [&str; 2] = ["_jl_gvar_offsets", "_jl_clone_slots"];

/// The symbols that are not alike, the first difference of each.
fn differences(theirs: &BTreeMap<String, Vec<Part>>, ours: &BTreeMap<String, Vec<Part>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, parts) in theirs {
        let Some(other) = ours.get(name) else {
            found.push(format!("{name}: not there"));
            continue;
        };
        if DISTANCES.iter().any(|table| name.starts_with(table)) && is_shifted(parts, other) {
            continue;
        }
        let length = parts.len().max(other.len());
        if let Some(at) = (0..length).find(|at| !same(parts.get(*at), other.get(*at))) {
            found.push(format!("{name}, part {at}: {:x?}, not {:x?}", other.get(at), parts.get(at)));
        }
    }
    found
}

/// Compares the contents of two images and how their functions are unwound, which `what` was linked to; returns the number of addresses in them.
pub fn compare(theirs: &[u8], ours: &[u8], target: Target, what: &Path) -> usize {
    let (image, reference) = (Image::new(ours), Image::new(theirs));
    let [theirs, ours] = [&reference, &image].map(|image| Contents::new(image, target));
    let dwarf = if target == MACOS_ARM64 { 3 } else { 4 };
    let mut found = differences(&theirs.code(), &ours.code());
    found.extend(differences(&theirs.data(), &ours.data()));
    let (frames, wanted) = (ours.frames(), theirs.frames());
    for (name, (_, frame)) in &wanted {
        match frames.get(name) {
            Some((_, other)) if other == frame => {}
            other => found.push(format!("frame of {name}: {other:?}, not {frame}")),
        }
    }
    // LLD leaves out records of functions that an encoding describes as well; here `__eh_frame` stays as it is.
    for (name, (function, _)) in frames.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        let mode = image.unwound_by(*function) >> 24 & 0x0f;
        if mode == 0 || mode == dwarf {
            found.push(format!("frame of {name}: new, and not described elsewhere"));
        }
    }
    assert!(found.is_empty(), "{}: {} differences: {found:#?}", what.display(), found.len());
    let parts = ours.code().into_values().chain(ours.data().into_values()).flatten();
    parts.filter(|part| matches!(part, Part::Address(_))).count()
}

/// Not with the rewriting of code by hints, which is LLD's own.
fn by_lld(entry: &Entry) -> Vec<u8> {
    fs::read(link_by_lld(entry, &name(entry, "-lld-contents"), &["-ignore_optimization_hints"])).unwrap()
}

#[test]
fn symbols_of_dylibs_are_those_of_lld() {
    for entry in all() {
        let (theirs, ours) = (by_lld(&entry), fs::read(link(&entry, &name(&entry, "-contents"), &[])).unwrap());
        let addresses = compare(&theirs, &ours, entry.target, &entry.path);
        let records = Contents::new(&Image::new(&ours), entry.target).frames().len();
        // On arm64 an encoding tells all there is to say of most frames.
        let wanted = if entry.target == MACOS_ARM64 { 1 } else { 50 };
        assert!(records >= wanted, "{}: only {records} records", entry.path.display());
        assert!(addresses > 300, "{}: only {addresses} addresses", entry.path.display());
    }
}

/// Any bit of code that is changed is noticed.
#[test]
fn changes_are_noticed() {
    for target in [pkgld_corpus::target::MACOS_X86_64, MACOS_ARM64] {
        let entry = pkgld_corpus::committed_for(target).pop().unwrap();
        let bytes = fs::read(link(&entry, &name(&entry, "-changed"), &[])).unwrap();
        let image = Image::new(&bytes);
        let plain = Contents::new(&image, target);
        let (_, start, code) = plain.symbols(b"__text").into_iter().find(|(_, _, code)| code.len() > 300).unwrap();
        let decode = |contents: &Contents<'_>, code: &[u8]| contents.function(start, code);
        let before = decode(&plain, code);
        for bit in (0..8 * 256).step_by(7) {
            let mut changed = code.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&plain, &changed) != before, "{}: bit {bit}", target.name);
        }
    }
}
