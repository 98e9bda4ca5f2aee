//! Archives, byte for byte as LLVM's `writeArchive` makes them for Julia: GNU form, deterministic headers.

use std::io::{self, Seek, Write};

use crate::sysimg::Sysimg;

/// A member to be packed.
pub(crate) struct Member {
    /// At most 15 bytes, so that it stands in the header.
    pub(crate) name: String,
    pub(crate) contents: Contents,
    /// The global symbols that it defines, in the order of its symbol table.
    pub(crate) symbols: Vec<Vec<u8>>,
}

/// What a member holds.
pub(crate) enum Contents {
    Bytes(Vec<u8>),
    Sysimg(Sysimg),
}

impl Contents {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Sysimg(sysimg) => sysimg.size(),
        }
    }
}

/// Writes an archive. With `sym64`, or where a member begins beyond 4 GiB, the symbol table has 64-bit offsets and the
/// name `/SYM64/`.
pub(crate) fn write(out: &mut (impl Write + Seek), members: &[Member], sym64: bool) -> io::Result<()> {
    let table = symbol_table(members, if sym64 { 8 } else { 4 });
    let Some(table) = table else { return write(out, members, true) };
    out.write_all(b"!<arch>\n")?;
    header(out, if sym64 { "/SYM64/" } else { "/" }, "0", table.len() as u64)?;
    out.write_all(&table)?;
    for member in members {
        assert!(member.name.len() < 16, "{} does not fit a member header", member.name);
        header(out, &format!("{}/", member.name), "644", member.contents.size())?;
        match &member.contents {
            Contents::Bytes(bytes) => out.write_all(bytes)?,
            Contents::Sysimg(sysimg) => sysimg.write(out)?,
        }
        if member.contents.size() % 2 == 1 {
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// The symbol table with numbers of `width` bytes; `None` where an offset does not fit.
fn symbol_table(members: &[Member], width: usize) -> Option<Vec<u8>> {
    let names = || members.iter().flat_map(|member| &member.symbols);
    let count = names().count();
    // LLVM pads the table itself, with a zero that its size includes.
    let size = (width * (count + 1) + names().map(|name| name.len() + 1).sum::<usize>()).next_multiple_of(2);
    let mut table = Vec::with_capacity(size);
    let number = |table: &mut Vec<u8>, value: u64| table.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    number(&mut table, count as u64);
    let mut offset = 8 + 60 + size as u64;
    for member in members {
        if width == 4 && offset > u32::MAX.into() {
            return None;
        }
        for _ in &member.symbols {
            number(&mut table, offset);
        }
        offset += 60 + member.contents.size().next_multiple_of(2);
    }
    for name in names() {
        table.extend_from_slice(name);
        table.push(0);
    }
    table.resize(size, 0);
    Some(table)
}

/// A member header: name, then time, owner and group of zero, mode and size.
fn header(out: &mut impl Write, name: &str, mode: &str, size: u64) -> io::Result<()> {
    writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{mode:<8}{size:<10}`", 0, 0, 0)
}

/// The members of an archive that [`write()`] wrote: names without the slash, and contents.
pub(crate) fn members(archive: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut rest = archive.strip_prefix(b"!<arch>\n")?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let header = rest.get(..60)?;
        let name = std::str::from_utf8(&header[..16]).ok()?.trim_end();
        let size: usize = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
        let contents = rest.get(60..60usize.checked_add(size)?)?;
        if let Some(name) = name.strip_suffix('/').filter(|name| !name.is_empty() && *name != "/SYM64") {
            members.push((name, contents));
        }
        rest = rest.get(60 + size.next_multiple_of(2)..).unwrap_or_default();
    }
    Some(members)
}
