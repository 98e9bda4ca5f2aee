//! Archives, byte for byte as LLVM's `writeArchive` makes them for Julia: GNU form, deterministic headers.

use std::io::{self, Write};

/// A member to be packed.
pub(crate) struct Member<'a> {
    /// At most 15 bytes, so that it stands in the header.
    pub(crate) name: String,
    pub(crate) bytes: &'a [u8],
    /// The global symbols that it defines, in the order of its symbol table.
    pub(crate) symbols: Vec<Vec<u8>>,
}

/// Writes an archive. With `sym64` the symbol table has 64-bit offsets and the name `/SYM64/`.
pub(crate) fn write(out: &mut dyn Write, members: &[Member<'_>], sym64: bool) -> io::Result<()> {
    out.write_all(b"!<arch>\n")?;
    let width = if sym64 { 8 } else { 4 };
    let count: usize = members.iter().map(|member| member.symbols.len()).sum();
    let names: usize = members.iter().flat_map(|member| &member.symbols).map(|name| name.len() + 1).sum();
    // LLVM pads the table itself, with zeroes that its size includes.
    let size = (width * (count + 1) + names).next_multiple_of(2);
    let mut offset = 8 + 60 + size as u64;
    let mut table = Vec::with_capacity(size);
    let number = |table: &mut Vec<u8>, value: u64| table.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    number(&mut table, count as u64);
    for member in members {
        for _ in &member.symbols {
            number(&mut table, offset);
        }
        offset += 60 + (member.bytes.len() as u64).next_multiple_of(2);
    }
    for name in members.iter().flat_map(|member| &member.symbols) {
        table.extend_from_slice(name);
        table.push(0);
    }
    table.resize(size, 0);
    header(out, if sym64 { "/SYM64/" } else { "/" }, "0", size as u64)?;
    out.write_all(&table)?;
    for member in members {
        assert!(member.name.len() < 16, "{} does not fit a member header", member.name);
        header(out, &format!("{}/", member.name), "644", member.bytes.len() as u64)?;
        out.write_all(member.bytes)?;
        if member.bytes.len() % 2 == 1 {
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// A member header: name, then time, owner and group of zero, mode and size.
pub(crate) fn header(out: &mut dyn Write, name: &str, mode: &str, size: u64) -> io::Result<()> {
    write!(out, "{name:<16}{:<12}{:<6}{:<6}{mode:<8}{size:<10}`\n", 0, 0, 0)
}
