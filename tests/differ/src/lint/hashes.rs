//! `.hash` (gABI, "Hash Table") and `.gnu.hash`: every export must be found, and nothing else.

use object::elf::*;

use super::Faults;
use crate::elf::{Cursor, Name};
use crate::image::Image;
use crate::rules::{Check, Finding};

pub(super) fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) {
    let mut faults = Faults::new(Check::Hash, findings);
    let table = |kind: SectionType| image.file.sections.iter().find(|section| section.kind == kind.0);
    let (gnu, sysv) = (table(SHT_GNU_HASH), table(SHT_HASH));
    if gnu.is_none() && sysv.is_none() && image.dynamic_symbols.len() > 1 {
        faults.add("hash tables", ".gnu.hash or .hash", "neither");
    }
    if let Some(section) = gnu {
        match Gnu::parse(image, &section.data) {
            Some(table) => lint_gnu(image, &table, &mut faults),
            None => faults.add(".gnu.hash", "a table that fits its section", "one that does not"),
        }
    }
    if let Some(section) = sysv {
        match Sysv::parse(image.file.cursor(&section.data)) {
            Some(table) => lint_sysv(image, &table, &mut faults),
            None => faults.add(".hash", "a table that fits its section", "one that does not"),
        }
    }
}

struct Gnu {
    first: u32,
    shift: u32,
    bits: u32,
    bloom: Vec<u64>,
    buckets: Vec<u32>,
    chain: Vec<u32>,
}

impl Gnu {
    fn parse(image: &Image<'_>, bytes: &[u8]) -> Option<Gnu> {
        let mut cursor = image.file.cursor(bytes);
        let (buckets, first) = (cursor.u32()?, cursor.u32()?);
        let (words, shift) = (cursor.u32()?, cursor.u32()?);
        let width = image.word_size();
        let bloom = (0..words).map(|_| cursor.number(width)).collect::<Option<_>>()?;
        let buckets = (0..buckets).map(|_| cursor.u32()).collect::<Option<_>>()?;
        let mut chain = Vec::new();
        while cursor.remaining() != 0 {
            chain.push(cursor.u32()?);
        }
        Some(Gnu { first, shift, bits: 8 * width as u32, bloom, buckets, chain })
    }

    /// The symbol that a loader finds under `name`.
    fn find(&self, image: &Image<'_>, name: Name<'_>) -> Option<u32> {
        let hash = object::elf::gnu_hash(name.0);
        let word = self.bloom.get(hash as usize / self.bits as usize % self.bloom.len().max(1))?;
        let second = hash.checked_shr(self.shift).unwrap_or_default();
        if word >> (hash % self.bits) & word >> (second % self.bits) & 1 == 0 {
            return None;
        }
        let mut index = *self.buckets.get(hash as usize % self.buckets.len().max(1))?;
        if index < self.first {
            return None;
        }
        loop {
            let entry = *self.chain.get((index - self.first) as usize)?;
            let same = image.dynamic_symbols.get(index as usize).is_some_and(|symbol| symbol.name == name);
            if entry | 1 == hash | 1 && same {
                return Some(index);
            }
            if entry & 1 == 1 {
                return None;
            }
            index += 1;
        }
    }
}

fn lint_gnu(image: &Image<'_>, table: &Gnu, faults: &mut Faults<'_>) {
    let count = image.dynamic_symbols.len();
    if !table.bloom.len().is_power_of_two() {
        faults.add(".gnu.hash", "a Bloom filter of 2^n words", format!("{}", table.bloom.len()));
    }
    let hashed = count.saturating_sub(table.first as usize);
    // A table of no symbols may name a first symbol past or at the end, and hold a chain of no or one word.
    if hashed != table.chain.len() && !(hashed == 0 && table.chain.len() <= 1) {
        faults.add(".gnu.hash", format!("{hashed} chain entries"), format!("{}", table.chain.len()));
    }
    for (index, symbol) in image.dynamic_symbols.iter().enumerate().skip(1) {
        let found = table.find(image, symbol.name);
        let exported = symbol.is_defined() && !symbol.is_local();
        let same_name = found.is_some_and(|found| image.dynamic_symbols[found as usize].name == symbol.name);
        if exported && !same_name {
            faults.add(format!(".gnu.hash: {}", symbol.name), format!("found as symbol {index}"), "not found");
        }
        if !exported && index >= table.first as usize {
            faults.add(format!(".gnu.hash: {}", symbol.name), "exports alone", "a symbol that is not defined");
        }
    }
    let mut bloom = vec![0u64; table.bloom.len()];
    for symbol in image.dynamic_symbols.iter().skip(table.first as usize) {
        let hash = object::elf::gnu_hash(symbol.name.0);
        let words = bloom.len().max(1);
        if let Some(word) = bloom.get_mut(hash as usize / table.bits as usize % words) {
            *word |= 1 << (hash % table.bits) | 1 << (hash.checked_shr(table.shift).unwrap_or_default() % table.bits);
        }
    }
    if hashed != 0 && bloom != table.bloom {
        faults.add(".gnu.hash", "the Bloom filter of its symbols", "another");
    }
    for number in 0..64 {
        let name = format!("no such symbol {number}");
        if table.find(image, Name(name.as_bytes())).is_some() {
            faults.add(".gnu.hash", "nothing under a name that does not exist", name);
        }
    }
}

struct Sysv {
    buckets: Vec<u32>,
    chain: Vec<u32>,
}

impl Sysv {
    fn parse(mut cursor: Cursor<'_>) -> Option<Sysv> {
        let (buckets, chain) = (cursor.u32()?, cursor.u32()?);
        let buckets = (0..buckets).map(|_| cursor.u32()).collect::<Option<_>>()?;
        let chain = (0..chain).map(|_| cursor.u32()).collect::<Option<_>>()?;
        (cursor.remaining() == 0).then_some(Sysv { buckets, chain })
    }

    fn find(&self, image: &Image<'_>, name: Name<'_>) -> Option<u32> {
        let hash = object::elf::hash(name.0);
        let mut index = *self.buckets.get(hash as usize % self.buckets.len().max(1))?;
        for _ in 0..=self.chain.len() {
            if index == 0 {
                return None;
            }
            // Loaders pass over undefined symbols.
            let symbol = image.dynamic_symbols.get(index as usize)?;
            if symbol.name == name && symbol.is_defined() {
                return Some(index);
            }
            index = *self.chain.get(index as usize)?;
        }
        None
    }
}

fn lint_sysv(image: &Image<'_>, table: &Sysv, faults: &mut Faults<'_>) {
    faults.equal(".hash: number of symbols", image.dynamic_symbols.len(), table.chain.len());
    let mut chained = vec![false; table.chain.len()];
    for bucket in &table.buckets {
        let mut index = *bucket;
        while let Some(seen) = chained.get_mut(index as usize).filter(|seen| index != 0 && !**seen) {
            *seen = true;
            index = table.chain[index as usize];
        }
        if index != 0 {
            faults.add(".hash", "chains that end and do not meet", format!("symbol {index} twice or outside"));
        }
    }
    if chained.iter().skip(1).any(|seen| !seen) {
        faults.add(".hash", "every symbol in a chain", "some in none");
    }
    if table.chain.first().is_some_and(|first| *first != 0) {
        faults.add(".hash", "no chain from the null symbol", format!("{}", table.chain[0]));
    }
    for symbol in image.dynamic_symbols.iter().skip(1) {
        let exported = symbol.is_defined() && !symbol.is_local();
        if exported && table.find(image, symbol.name).is_none() {
            faults.add(format!(".hash: {}", symbol.name), "found", "not found");
        }
    }
}
