//! Code of Arm64 without the addresses in it, whatever the format of its image: branches, and offsets in pages whose addresses
//! instructions before them made.

use std::collections::BTreeMap;

/// The instructions of `bytes`, which stand at address `start`, each without the field that tells an address, and with
/// that address. Those of `filling` at the end are left out.
#[must_use]
pub fn code(start: u64, bytes: &[u8], filling: &[u32]) -> Vec<(u32, Option<i64>)> {
    let mut words: Vec<u32> = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    while words.last().is_some_and(|word| filling.contains(word)) {
        words.pop();
    }
    let mut all = Vec::new();
    // The page that each register has.
    let mut pages: BTreeMap<u32, i64> = BTreeMap::new();
    for (word, at) in words.into_iter().zip((start..).step_by(4)) {
        let (to, from) = (word & 31, word >> 5 & 31);
        let place = at.cast_signed();
        all.push(if word & 0x7c00_0000 == 0x1400_0000 {
            (word & 0xfc00_0000, Some(place + signed(word, 26) * 4))
        } else if word & 0x9f00_0000 == 0x9000_0000 {
            let page = signed((word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3, 21) * 0x1000;
            pages.insert(to, (place & !0xfff) + page);
            (word & 0x9f00_001f, None)
        } else if let (Some(page), true) = (pages.get(&from), word & 0xffc0_0000 == 0x9100_0000) {
            (word & 0xffc0_03ff, Some(page + i64::from(word >> 10 & 0xfff)))
        } else if let (Some(page), true) = (pages.get(&from), word & 0x3b00_0000 == 0x3900_0000) {
            let scale = if word & 0x0480_0000 == 0x0480_0000 { 4 } else { word >> 30 };
            (word & 0xffc0_03ff, Some(page + i64::from((word >> 10 & 0xfff) << scale)))
        } else {
            (word, None)
        });
        // What is no load or store to memory may set its first register.
        let sets = word & 0x9f00_0000 != 0x9000_0000 && word & 0x7c00_0000 != 0x1400_0000;
        if sets && (word & 0x3b40_0000 == 0x3940_0000 || word & 0x3b00_0000 != 0x3900_0000) {
            pages.remove(&to);
        }
    }
    all
}

/// The number in the low bits of a word.
#[must_use]
pub fn signed(value: u32, bits: u32) -> i64 {
    i64::from(((value << (32 - bits)) as i32) >> (32 - bits))
}
