//! The little of Mach-O that packing an archive needs: the names a relocatable object defines.

use crate::bytes::{u32_at, u64_at};

/// The external symbols, private external ones among them, that a 64-bit little-endian object defines, in the order of
/// its symbol table; what an archive's own table lists. `None` for bytes that are no such object.
pub(crate) fn defined_globals(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    const MH_MAGIC_64: u32 = 0xfeed_facf;
    const LC_SYMTAB: u32 = 2;
    const N_STAB: u8 = 0xe0;
    const N_TYPE: u8 = 0x0e;
    const N_EXT: u8 = 1;
    if u32_at(object, 0)? != MH_MAGIC_64 {
        return None;
    }
    let mut command = 32;
    for _ in 0..u32_at(object, 16)? {
        if u32_at(object, command)? == LC_SYMTAB {
            let [symbols, count, strings] =
                [8, 12, 16].map(|at| u32_at(object, command + at).map(|word| word as usize));
            let mut names = Vec::new();
            for symbol in object.get(symbols?..)?.chunks_exact(16).take(count?) {
                let (kind, value) = (symbol[4], u64_at(symbol, 8)?);
                // An undefined symbol with a value is a common one: a definition.
                if kind & N_STAB == 0 && kind & N_EXT != 0 && (kind & N_TYPE != 0 || value != 0) {
                    let name = object.get(strings? + u32_at(symbol, 0)? as usize..)?;
                    names.push(name[..name.iter().position(|&byte| byte == 0)?].to_vec());
                }
            }
            return Some(names);
        }
        command += u32_at(object, command + 4)? as usize;
    }
    Some(Vec::new())
}
