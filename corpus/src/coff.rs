//! The little of COFF that packing an archive needs: the names a relocatable object defines.

use crate::bytes::{u16_at, u32_at};

/// The external symbols that an object defines, in the order of its symbol table; what an archive's own table lists.
/// `None` for bytes that are no such object.
pub(crate) fn defined_globals(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    const EXTERNAL: u8 = 2;
    const SYMBOL: usize = 18;
    if !matches!(u16_at(object, 0)?, 0x8664 | 0x014c | 0xaa64) {
        return None;
    }
    let (table, count) = (u32_at(object, 8)? as usize, u32_at(object, 12)? as usize);
    let strings = object.get(table + count * SYMBOL..)?;
    let mut names = Vec::new();
    let mut index = 0;
    while index < count {
        let symbol = object.get(table + index * SYMBOL..)?.get(..SYMBOL)?;
        if symbol[16] == EXTERNAL && (u16_at(symbol, 12)? != 0 || u32_at(symbol, 8)? != 0) {
            let name = if u32_at(symbol, 0)? == 0 { strings.get(u32_at(symbol, 4)? as usize..)? } else { &symbol[..8] };
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            names.push(name[..end].to_vec());
        }
        // Auxiliary records follow.
        index += 1 + usize::from(symbol[17]);
    }
    Some(names)
}
