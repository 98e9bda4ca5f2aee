//! The little of ELF that packing an archive needs: the names a relocatable object defines.

/// The global and weak symbols that a 64-bit little-endian object defines, in the order of its symbol table; what an
/// archive's own table lists. `None` for bytes that are no such object.
pub(crate) fn defined_globals(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    const SHT_SYMTAB: u32 = 2;
    if object.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (shoff, shnum) = (u64_at(object, 0x28)?, u16_at(object, 0x3c)?);
    let section = |index: usize| object.get(usize::try_from(shoff).ok()? + index * 64..);
    let contents = |header: &[u8]| {
        let (offset, size) = (u64_at(header, 0x18)? as usize, u64_at(header, 0x20)? as usize);
        object.get(offset..offset.checked_add(size)?)
    };
    let mut names = Vec::new();
    for index in 0..usize::from(shnum) {
        let header = section(index)?;
        if u32_at(header, 4)? != SHT_SYMTAB {
            continue;
        }
        let strings = contents(section(u32_at(header, 0x28)? as usize)?)?;
        for symbol in contents(header)?.chunks_exact(24) {
            let (binding, section) = (symbol[4] >> 4, u16_at(symbol, 6)?);
            if binding != 0 && section != 0 {
                let name = strings.get(u32_at(symbol, 0)? as usize..)?;
                names.push(name[..name.iter().position(|&byte| byte == 0)?].to_vec());
            }
        }
    }
    Some(names)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
