//! Export tables that are ready: those that a tool such as `dlltool` has made of a definition file, in sections `.edata` of
//! an object (often called `.exp`).
//!
//! As for other MinGW linkers they take the place of all that would be made here. What they say is looked at once it is
//! relocated: a loader or reader that follows them must not be led out of them.
//!
//! Source: PE/COFF specification, *The .edata Section (Image Only)*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::emit::relocated;
use super::exports::{is_forwarder, leads_somewhere};
use super::parse::base_name;
use crate::bytes;
use crate::error::{Error, Result};
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::model::{Object, ObjectId, Section, SectionIndex};

/// The name of the section.
const NAME: &[u8] = b".edata";

/// The object that brings tables, for a message.
pub(super) fn bringer(link: &Link<'_>) -> Option<String> {
    let is_table = |section: &Section<'_>| section.is_live() && section.size > 0 && base_name(section.name) == NAME;
    let brings = |object: &&Object<'_>| object.sections.iter().any(is_table);
    link.objects.iter().find(brings).map(|object| object.name.to_string())
}

/// What to warn of where the object `file` brings tables, given whether exports are asked for.
///
/// # Errors
/// A file is to be written that tells what is exported.
pub(super) fn warnings(link: &Link<'_>, file: &str, asked: bool) -> Result<Vec<String>, Error> {
    let files = [
        (link.options.pe.import_library.is_some(), "--out-implib"),
        (link.options.pe.definition_file.is_some(), "--output-def"),
    ];
    if let Some((_, option)) = files.into_iter().find(|(wanted, _)| *wanted) {
        let what = format!(
            "{option}: the export table is that of {file} (.edata), so what it exports is for the tool to write that has \
             made it (dlltool's --output-lib); or leave {file} out, and give the definition file instead"
        );
        return Err(Error::Options(what));
    }
    let warning = format!("{file}: its export table (.edata) takes the place of the exports that are asked for");
    Ok(if asked { vec![warning] } else { Vec::new() })
}

/// The output section of tables of the inputs, and these.
fn output<'l, 'a>(link: &'l Link<'a>) -> Option<(&'l OutputSection<'a>, &'l [(ObjectId, SectionIndex)])> {
    let mut outputs = link.outputs.iter().filter(|output| *output.name == *NAME);
    outputs.find_map(|output| match &output.content {
        Content::Inputs(inputs) => Some((output, &**inputs)),
        _ => None,
    })
}

/// Where tables of the inputs are, if there are some: address and size in bytes.
pub(super) fn place(link: &Link<'_>) -> Option<(u64, u64)> {
    output(link).map(|(output, _)| (output.address, output.size))
}

/// The names that tables of the inputs export, now that addresses are fixed.
///
/// # Errors
/// Tables that lead out of themselves.
pub(super) fn names(link: &Link<'_>) -> Result<Vec<Vec<u8>>> {
    let Some((output, inputs)) = output(link) else { return Ok(Vec::new()) };
    let bytes = relocated(link, output, inputs)?;
    let start = output.address.wrapping_sub(link.pe.base);
    let budget = (bytes.len() as u64).saturating_mul(8);
    let names = Tables { bytes: &bytes, start, budget }.names();
    Ok(names.map_err(|what| {
        let file = bringer(link).unwrap_or_default();
        Error::malformed(file, format!("its export table (.edata): {what}; make it anew"))
    })?)
}

/// Tables that are read.
struct Tables<'t> {
    bytes: &'t [u8],
    /// Where they start, in bytes from the image's base.
    start: u64,
    /// Bytes of names that may still be read: more of them than there is room for overlap.
    budget: u64,
}

impl<'t> Tables<'t> {
    fn names(&mut self) -> Result<Vec<Vec<u8>>, String> {
        let field = |at| bytes::u32(self.bytes, at).ok_or("it ends inside of its directory");
        let (dll, base, count, named) = (field(12)?, field(16)?, field(20)?, field(24)?);
        let (addresses, names, ordinals) = (field(28)?, field(32)?, field(36)?);
        self.text(dll).ok_or("the DLL's name is not in it")?;
        // An ordinal is the number in the table of addresses and the base; it has 16 bits where it is asked for.
        if u64::from(base).saturating_add(u64::from(count)) > 1 << 16 {
            return Err(format!("{count} exports from the ordinal {base} on are beyond 65535"));
        }
        let addresses = self.array::<4>(addresses, count).ok_or("the table of addresses is not in it")?;
        for address in addresses.iter().copied().map(u32::from_le_bytes) {
            // An address in the tables is the text of a forwarder.
            let is_text = u64::from(address).checked_sub(self.start).is_some_and(|at| at < self.bytes.len() as u64);
            if is_text && !self.text(address).is_some_and(|text| is_forwarder(text) && leads_somewhere(text)) {
                return Err(format!(
                    "what is at 0x{address:x} is neither exported nor the name of another DLL's export"
                ));
            }
        }
        if names != 0 && ordinals == 0 {
            return Err("it has a table of names, and none of their numbers".to_owned());
        }
        let names = self.array::<4>(names, named).ok_or("the table of names is not in it")?;
        let ordinals = self.array::<2>(ordinals, named).ok_or("the table of the names' numbers is not in it")?;
        if let Some(number) = ordinals.iter().copied().map(u16::from_le_bytes).find(|it| u32::from(*it) >= count) {
            return Err(format!("a name has the number {number} of {count}"));
        }
        let name = |name: &[u8; 4]| {
            let name = u32::from_le_bytes(*name);
            self.text(name).map(<[u8]>::to_vec).ok_or_else(|| format!("the name at 0x{name:x} is not in it"))
        };
        names.iter().map(name).collect()
    }

    /// The entries of `N` bytes of a table so many bytes from the image's base; 0 is no table. One without entries has
    /// a place, too, where it has an address: readers look there.
    fn array<const N: usize>(&self, at: u32, count: u32) -> Option<&'t [[u8; N]]> {
        if at == 0 && count == 0 {
            return Some(&[]);
        }
        let at = u64::from(at).checked_sub(self.start)?;
        let bytes = bytes::slice(self.bytes, at, u64::from(count).checked_mul(N as u64)?)?;
        Some(bytes.as_chunks().0)
    }

    /// The text so many bytes from the image's base, which a NUL byte ends.
    fn text(&mut self, at: u32) -> Option<&'t [u8]> {
        let text = bytes::string(self.bytes, u64::from(at).checked_sub(self.start)?)?;
        self.budget = self.budget.checked_sub(text.len() as u64)?;
        Some(text)
    }
}
