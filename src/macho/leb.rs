//! Writing variable-length numbers (DWARF 5, §7.6), of which Mach-O's tables are made.

/// Appends an unsigned number.
pub(crate) fn uleb(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// The number of bytes of an unsigned number.
pub(crate) fn uleb_size(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

/// Appends a signed number.
pub(crate) fn sleb(bytes: &mut Vec<u8>, mut value: i64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        // The last byte's bit 6 is the sign.
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_dwarf_5_figure_22_and_23() {
        for (value, wanted) in [(2, &[2][..]), (127, &[127]), (128, &[0x80, 1]), (12857, &[0xb9, 0x64]), (0, &[0])] {
            let mut bytes = Vec::new();
            uleb(&mut bytes, value);
            assert_eq!(bytes, wanted);
            assert_eq!(uleb_size(value), wanted.len() as u64);
        }
        assert_eq!(uleb_size(u64::MAX), 10);
        for (value, wanted) in [
            (2, &[2][..]),
            (-2, &[0x7e]),
            (127, &[0xff, 0]),
            (-127, &[0x81, 0x7f]),
            (128, &[0x80, 1]),
            (-129, &[0xff, 0x7e]),
        ] {
            let mut bytes = Vec::new();
            sleb(&mut bytes, value);
            assert_eq!(bytes, wanted);
        }
    }
}
