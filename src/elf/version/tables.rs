//! What the loader reads of versions: `.gnu.version`, `.gnu.version_d` and `.gnu.version_r`.
//!
//! Each dynamic symbol has a number in `.gnu.version`. The first numbers are those of the versions that the image defines,
//! from 2 on in the order of the script; behind them come those that it wants of libraries. Version 1 is the image itself.
//!
//! Source: LSB Core, *Symbol Versioning*.

// Nothing is read here: what is counted is what the link has, of which there is less than memory.
#![allow(clippy::arithmetic_side_effects)]

use std::collections::HashMap;

use object::elf;

use super::{GLOBAL, LIMIT};
use crate::elf::dynamic::Strings;
use crate::elf::library::VersionId;
use crate::error::Error;
use crate::link::{Link, over};
use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;
use crate::model::GlobalId;
use crate::symbols::Definition;

/// The tables of versions.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// `.gnu.version`, if any symbol has a version or the image defines one.
    pub(crate) symbols: Vec<u16>,
    /// `.gnu.version_d`, and the number of its versions.
    pub(crate) definitions: (Vec<u8>, u32),
    /// `.gnu.version_r`, and the number of its libraries.
    pub(crate) needs: (Vec<u8>, u32),
}

impl Versions {
    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.symbols) + of_vec(&self.definitions.0) + of_vec(&self.needs.0)
    }

    /// Of the dynamic symbols, from index 1 on.
    ///
    /// # Errors
    /// More versions than `.gnu.version` can tell apart.
    pub(crate) fn new(
        link: &Link<'_>,
        symbols: impl Iterator<Item = GlobalId>,
        strings: &mut Strings,
    ) -> Result<Self, Error> {
        let definitions = definitions(link, strings);
        // Per library, the versions in order of first use, with their number in this image.
        let mut used: Vec<Vec<(VersionId, u16)>> = vec![Vec::new(); link.libraries.len()];
        let mut numbers: HashMap<(u32, VersionId), u16> = HashMap::new();
        let mut next = definitions.1.max(GLOBAL.into()).saturating_add(1);
        let mut versions = vec![0_u16];
        for id in symbols {
            let global = link.symbols.get(id);
            let Definition::Library(library, Some(version)) = global.definition else {
                versions.push(if global.is_defined_here() { global.version_number } else { GLOBAL });
                continue;
            };
            // A library that the image does not ask for cannot be asked for a version.
            if !link.libraries[library as usize].needed {
                versions.push(GLOBAL);
                continue;
            }
            let number = *numbers.entry((library, version)).or_insert_with(|| {
                let number = next as u16;
                next = next.saturating_add(1);
                used[library as usize].push((version, number));
                number
            });
            versions.push(number);
        }
        // glibc loads an image with `.relr.dyn` only if the image asks it for this version, of which no symbol is.
        if link.elf.relocations.packed > 0 {
            for (library, versions) in link.libraries.iter().zip(&mut used).filter(|(_, versions)| !versions.is_empty())
            {
                if let Some(version) = library.shared.elf().and_then(|of| of.version_named(b"GLIBC_ABI_DT_RELR")) {
                    versions.push((version, next as u16));
                    next = next.saturating_add(1);
                }
            }
        }
        over("ELF symbol versions", "the number of versions", next.into(), LIMIT)?;
        if numbers.is_empty() && definitions.1 == 0 {
            return Ok(Self::default());
        }
        if malfunction::on(Malfunction::VersionsDropped) {
            versions.iter_mut().skip(1).for_each(|version| *version = GLOBAL);
        }
        Ok(Self { symbols: versions, definitions, needs: needs(link, &used, strings) })
    }
}

/// `.gnu.version_d`: the image itself, then each version with those that it comes after.
fn definitions(link: &Link<'_>, strings: &mut Strings) -> (Vec<u8>, u32) {
    /// `VER_FLG_BASE`: the entry names the file.
    const BASE: u16 = 1;
    if link.elf.versions.named().next().is_none() {
        return (Vec::new(), 0);
    }
    // Where the image is written does not show in it: without a name of its own it has none.
    let soname = link.options.elf.soname.as_deref().unwrap_or_default();
    let itself = (GLOBAL, BASE, vec![soname.as_bytes()]);
    let named = link.elf.versions.named().map(|(number, node)| {
        let names = std::iter::once(&node.name).chain(&node.parents);
        (number, 0, names.map(|name| name.as_bytes()).collect::<Vec<_>>())
    });
    let entries: Vec<(u16, u16, Vec<&[u8]>)> = std::iter::once(itself).chain(named).collect();
    let mut table = Vec::new();
    for (index, (number, flags, names)) in entries.iter().enumerate() {
        let size = 20 + 8 * names.len() as u32;
        // Elf64_Verdef: version, flags, number, count of names, hash, offset of the first name, offset of the next version.
        table.extend(1_u16.to_le_bytes());
        table.extend(flags.to_le_bytes());
        table.extend(number.to_le_bytes());
        table.extend((names.len() as u16).to_le_bytes());
        table.extend(elf::hash(names[0]).to_le_bytes());
        table.extend(20_u32.to_le_bytes());
        table.extend(if index + 1 == entries.len() { 0 } else { size }.to_le_bytes());
        for (index, name) in names.iter().enumerate() {
            // Elf64_Verdaux: name, offset of the next one.
            table.extend(strings.add(name).to_le_bytes());
            table.extend(if index + 1 == names.len() { 0_u32 } else { 8 }.to_le_bytes());
        }
    }
    (table, entries.len() as u32)
}

/// `.gnu.version_r`: which versions of which library the image wants.
fn needs(link: &Link<'_>, used: &[Vec<(VersionId, u16)>], strings: &mut Strings) -> (Vec<u8>, u32) {
    let mut table = Vec::new();
    let mut libraries = 0;
    let last = used.iter().rposition(|versions| !versions.is_empty());
    for (number, (library, versions)) in link.libraries.iter().zip(used).enumerate() {
        let Some(library) = library.shared.elf().filter(|_| !versions.is_empty()) else { continue };
        libraries += 1;
        let file = strings.add(library.soname());
        let size = 16 + 16 * versions.len() as u32;
        // Elf64_Verneed: version, count, file name, offset of the first version, offset of the next library.
        table.extend(1_u16.to_le_bytes());
        table.extend((versions.len() as u16).to_le_bytes());
        table.extend(file.to_le_bytes());
        table.extend(16_u32.to_le_bytes());
        table.extend(if Some(number) == last { 0 } else { size }.to_le_bytes());
        for (index, (version, number)) in versions.iter().enumerate() {
            let name = library.version_name(*version);
            let offset = strings.add(name);
            let next = if index + 1 == versions.len() { 0_u32 } else { 16 };
            // Elf64_Vernaux: hash, flags, number in `.gnu.version`, name, offset of the next version.
            table.extend(elf::hash(name).to_le_bytes());
            table.extend(0_u16.to_le_bytes());
            table.extend(number.to_le_bytes());
            table.extend(offset.to_le_bytes());
            table.extend(next.to_le_bytes());
        }
    }
    (table, libraries)
}
