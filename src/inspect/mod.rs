//! What is in an image, an archive or an object: for people, and as JSON.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = std::fs::read("MyPackage.so")?;
//! let told = pkgld::inspect::inspect("MyPackage.so", &file)?;
//! println!("{told}");
//! println!("{}", told.to_json());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is linked or run here: it is reading alone, of files that any linker made. A format's module maps the image as
//! its loader would (`memory`: pointers in data are what relocations store) and lists what the format has for linkers and
//! debuggers; what is told of it is the same for all of them. Julia's own structures are followed from its exports, and
//! its loader's demands are checked one by one, so that an image that Julia refuses can be told from one that it would
//! take, without Julia.
//!
//! Any bytes may be given. What contradicts its format is told in [`Inspection::notes`]; what is told of the rest is right
//! as far as it can be read. Time and memory are in proportion to the file's size.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod cache;
mod elf;
mod facts;
mod julia;
mod macho;
mod memory;
mod object;
mod parts;
mod pe;
mod targets;
#[cfg(test)]
mod tests;
mod text;

pub use facts::{
    Cache, CacheFlags, Checksum, Count, CpuTarget, Exports, Heap, Identity, Image, Imports, Inspection, Julia, Member,
    Section, Segment, Shard, Signature, Space, Symbol, Unwind,
};
pub use text::Text;

use crate::error::Error;
use crate::input::content::Content;
use parts::{Claim, Parts, Purpose};

/// How many of the biggest symbols are told, and of the functions that cannot be unwound.
const SHOWN: usize = 10;

impl Inspection {
    /// The document as JSON, indented by two spaces. Its keys are the fields of [`Inspection`].
    pub fn to_json(&self) -> String {
        // Maps with keys that are no strings, and writers that fail, are what it fails for: there are none.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Notes what could not be read, up to a number.
    fn note(&mut self, note: String) {
        const NOTES: usize = 100;
        match self.notes.len() {
            0..NOTES => self.notes.push(note),
            NOTES => self.notes.push("and more".to_owned()),
            _ => {}
        }
    }

    /// Tells of the `.ji` file `file` beside this image, whose bytes are `image`; `flags` is a flags byte that is asked
    /// about ([`CacheFlags::parse`]).
    ///
    /// # Errors
    /// A file that is not in the form of Julia 1.9 to 1.14.
    pub fn add_cache(&mut self, name: &str, file: &[u8], image: &[u8], flags: Option<u8>) -> Result<(), Error> {
        let cache = cache::read(name, file, Some(image), flags)?;
        if let Some(julia) = &self.julia
            && !julia.targets.is_empty()
            && !cache.targets.is_empty()
        {
            let names = |targets: &[CpuTarget]| targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>();
            if names(&julia.targets) != names(&cache.targets) {
                self.notes.push("the .ji file lists other CPU targets than the image".to_owned());
            }
        }
        self.cache = Some(cache);
        Ok(())
    }
}

/// Tells what is in `file`, which is called `name`.
///
/// # Errors
/// A file that is no archive, object or shared library of a kind that is linked here.
pub fn inspect(name: &str, file: &[u8]) -> Result<Inspection, Error> {
    let mut told = Inspection { schema: 1, file: name.to_owned(), size: file.len() as u64, ..Inspection::default() };
    if crate::macho::content::of(file) == Some(crate::macho::content::Content::Universal) {
        let what = "universal file: take the part for one CPU out of it (lipo -thin arm64 -output PART FILE)";
        return Err(Error::unsupported(name, what));
    }
    match Content::of(file) {
        Content::Archive => object::archive(name, file, &mut told)?,
        Content::Object => object::object(name, file, &mut told),
        Content::SharedLibrary => image(name, file, &mut told)?,
        Content::Refused(what) => return Err(Error::unsupported(name, what)),
        _ => {
            let what = "neither an archive with its members inside nor an object nor a shared library";
            return Err(Error::unsupported(name, what));
        }
    }
    Ok(told)
}

fn image(name: &str, file: &[u8], told: &mut Inspection) -> Result<(), Error> {
    let parts = if let Some(class) = elf::Class::of(file) {
        Some(elf::read(file, class))
    } else if macho::is_macho(file) {
        Some(macho::read(file))
    } else if file.starts_with(b"MZ") {
        pe::read(file)
    } else {
        None
    };
    let what = "a library of a form that is not looked into: 64-bit Mach-O, PE, and little-endian ELF are";
    let mut parts = parts.ok_or_else(|| Error::unsupported(name, what))?;
    parts.arrange();
    told.kind = "shared library";
    told.format = Some(parts.format);
    told.target = parts.target.clone();
    told.julia = julia::read(&parts, file);
    told.image = Some(facts_of(&mut parts, told.julia.as_ref(), file));
    told.notes = parts.notes;
    Ok(())
}

fn facts_of(parts: &mut Parts<'_>, julia: Option<&Julia>, file: &[u8]) -> Image {
    // What a hostile file's names may cost together: they may overlap in it.
    let mut left = file.len().saturating_mul(4).saturating_add(1 << 16);
    let mut name = |bytes: &[u8]| {
        left = left.saturating_sub(bytes.len());
        if left == 0 { "(too many long names)".to_owned() } else { text_of(bytes) }
    };
    parts.symbols.sort_by(|one, other| (other.size, one.address, one.name).cmp(&(one.size, other.address, other.name)));
    let biggest = parts.symbols.iter().take(SHOWN);
    let biggest = biggest.map(|symbol| Symbol { name: name(symbol.name), address: symbol.address, size: symbol.size });
    let biggest = biggest.collect();
    let mut imports: Vec<Imports> = Vec::new();
    let mut library = None;
    for (from, what) in &parts.imports {
        if library != Some(*from) || imports.is_empty() {
            imports.push(Imports { library: from.map(&mut name), names: Vec::new() });
            library = Some(*from);
        }
        if let Some(last) = imports.last_mut() {
            last.names.push(name(what));
        }
    }
    Image {
        name: parts.name.map(&mut name),
        identity: parts.identity.take(),
        signature: parts.signature.take(),
        space: space(parts, julia, file.len() as u64),
        segments: std::mem::take(&mut parts.segments),
        sections: std::mem::take(&mut parts.sections),
        biggest,
        symbols: parts.symbols.len() as u64,
        exports: Exports {
            count: parts.exports.len() as u64,
            names: parts.exports.iter().map(|(exported, _)| name(exported)).collect(),
        },
        imports,
        needed: parts.needed.iter().map(|needed| name(needed)).collect(),
        relocation_form: parts.relocation_form,
        relocations: parts
            .relocations
            .iter()
            .map(|(kind, count)| Count { kind: kind.to_string(), count: *count })
            .collect(),
        unwind: unwind(parts),
    }
}

/// Where the file's bytes go. A byte that several things claim belongs to the one that begins first.
fn space(parts: &Parts<'_>, julia: Option<&Julia>, size: u64) -> Vec<Space> {
    let mut claims: Vec<Claim> = Vec::new();
    let heap = julia.and_then(|julia| julia.heap.as_ref());
    let heap = heap.map(|heap| Claim::new(heap.file_offset, heap.size, Purpose::Heap));
    for claim in &parts.claims {
        match heap.filter(|heap| claim.start < heap.end && heap.start < claim.end) {
            // The section of the heap image may have more in it.
            Some(heap) => {
                claims.push(Claim { end: heap.start.max(claim.start), ..*claim });
                claims.push(Claim { start: heap.end.min(claim.end), ..*claim });
            }
            None => claims.push(*claim),
        }
    }
    claims.extend(heap);
    claims.sort_unstable();
    let mut totals = std::collections::BTreeMap::new();
    let mut covered = 0;
    let mut end = 0_u64;
    for claim in claims {
        let bytes = claim.end.min(size).saturating_sub(claim.start.max(end));
        let total: &mut u64 = totals.entry(claim.purpose).or_default();
        *total = total.saturating_add(bytes);
        covered = bytes.saturating_add(covered);
        end = end.max(claim.end.min(size));
    }
    totals.insert(Purpose::Padding, size.saturating_sub(covered));
    let mut space: Vec<Space> = totals
        .into_iter()
        .map(|(purpose, bytes)| Space { what: purpose.name(), bytes })
        .filter(|space| space.bytes > 0)
        .collect();
    space.sort_by_key(|space| std::cmp::Reverse(space.bytes));
    space
}

fn unwind(parts: &Parts<'_>) -> Unwind {
    // Rows are sorted by where they begin, and may overlap in a hostile file: the furthest end so far decides.
    let mut ends = Vec::with_capacity(parts.rows.len());
    let mut furthest = 0;
    for (_, end) in &parts.rows {
        furthest = furthest.max(*end);
        ends.push(furthest);
    }
    let covers = |address: u64| {
        let next = parts.rows.partition_point(|(start, _)| *start <= address);
        next.checked_sub(1).and_then(|index| ends.get(index)).is_some_and(|end| *end > address)
    };
    let uncovered: Vec<u64> = parts.functions.iter().copied().filter(|function| !covers(*function)).collect();
    let name = |address: &u64| {
        let mut there = parts.symbols.iter().filter(|symbol| symbol.address & !1 == *address);
        // Assemblers mark places by names of their own, which say nothing.
        let is_label =
            |symbol: &&parts::SymbolPart<'_>| symbol.name.starts_with(b"$") || symbol.name.starts_with(b".L");
        let symbol = there.clone().find(|symbol| !is_label(symbol)).or_else(|| there.next());
        symbol.map_or_else(|| format!("0x{address:x}"), |symbol| text_of(symbol.name))
    };
    Unwind {
        tables: parts.tables.clone(),
        rows: parts.rows.len() as u64,
        functions: parts.functions.len() as u64,
        covered: (parts.functions.len() as u64).saturating_sub(uncovered.len() as u64),
        uncovered: uncovered.iter().take(SHOWN).map(name).collect(),
    }
}

/// Text for people: at most 4 KiB of `bytes`, of which what is no UTF-8 is replaced.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes)).into_owned()
}
