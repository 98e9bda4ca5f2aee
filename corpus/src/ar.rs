//! Archives, byte for byte as LLVM's `writeArchive` makes them for Julia: GNU form, Darwin's for macOS, deterministic
//! headers.

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

    fn write(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Sysimg(sysimg) => sysimg.write(out),
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
        member.contents.write(out)?;
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

/// Writes an archive in Darwin's form: names after their headers (`#1/N`), contents padded to eight bytes, and a table
/// `__.SYMDEF`: bytes of its entries, entries of name's offset and member's offset, bytes of names, names; little
/// endian.
///
/// # Errors
/// An archive beyond 4 GiB, for which LLVM has `__.SYMDEF_64`, is not made.
pub(crate) fn write_darwin(out: &mut (impl Write + Seek), members: &[Member]) -> io::Result<()> {
    let names: u64 = members.iter().flat_map(|member| &member.symbols).map(|name| name.len() as u64 + 1).sum();
    let entries = members.iter().map(|member| member.symbols.len() as u64).sum::<u64>() * 8;
    let size = (4 + entries + 4 + names).next_multiple_of(8);
    let mut table = Vec::new();
    let number = |table: &mut Vec<u8>, value: u64| {
        let value = u32::try_from(value).map_err(|_| io::Error::other("a Darwin archive beyond 4 GiB is not made"))?;
        table.extend(value.to_le_bytes());
        Ok::<(), io::Error>(())
    };
    number(&mut table, entries)?;
    let mut offset = 8 + darwin_header(8, "__.SYMDEF").1 + size;
    let mut name_offset = 0;
    for member in members {
        for name in &member.symbols {
            number(&mut table, name_offset)?;
            number(&mut table, offset)?;
            name_offset += name.len() as u64 + 1;
        }
        offset += darwin_header(offset, &member.name).1 + member.contents.size().next_multiple_of(8);
    }
    number(&mut table, names)?;
    for name in members.iter().flat_map(|member| &member.symbols) {
        table.extend_from_slice(name);
        table.push(0);
    }
    table.resize(size as usize, 0);

    out.write_all(b"!<arch>\n")?;
    darwin_member(out, 8, "__.SYMDEF", "0", size)?;
    out.write_all(&table)?;
    let mut offset = 8 + darwin_header(8, "__.SYMDEF").1 + size;
    for member in members {
        let size = member.contents.size();
        let padded = size.next_multiple_of(8);
        darwin_member(out, offset, &member.name, "644", padded)?;
        member.contents.write(out)?;
        out.write_all(&b"\n\n\n\n\n\n\n\n"[..(padded - size) as usize])?;
        offset += darwin_header(offset, &member.name).1 + padded;
    }
    Ok(())
}

/// Of a member at `offset`: bytes of its name, padded so that its contents are aligned to eight; of header and name.
fn darwin_header(offset: u64, name: &str) -> (u64, u64) {
    let end = (offset + 60 + name.len() as u64).next_multiple_of(8);
    (end - offset - 60, end - offset)
}

/// A member header in Darwin's form, and the name after it.
fn darwin_member(out: &mut impl Write, offset: u64, name: &str, mode: &str, size: u64) -> io::Result<()> {
    let (padded, _) = darwin_header(offset, name);
    header(out, &format!("#1/{padded}"), mode, padded + size)?;
    out.write_all(name.as_bytes())?;
    out.write_all(&[0; 8][..padded as usize - name.len()])
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
