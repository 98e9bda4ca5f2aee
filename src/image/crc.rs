//! CRC-32C of bytes whose parts have been summed apart.
//!
//! A CRC is the remainder of the bytes, taken as a polynomial over the field of two elements, divided by P. Bytes that follow
//! multiply what stands before them by x^8 each; so the checksum of two parts is that of the first times x^(8n), n being the
//! size of the second, plus that of the second. The factor is the same for all parts of one size, and is computed once.
//! (P: RFC 3720, section 12.1; bits are reflected: the highest is the coefficient of x^0.)

/// P without its highest coefficient.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// The polynomial 1.
const ONE: u32 = 1 << 31;
/// The polynomial x^8.
const BYTE: u32 = 1 << 23;

/// Joins checksums of parts, nearly all of which have one size.
pub(super) struct Joiner {
    size: u64,
    /// x^8 to the power of `size`.
    factor: u32,
    whole: u32,
}

impl Joiner {
    /// For parts of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        Self { size, factor: power(size), whole: 0 }
    }

    /// Adds a part of so many bytes with this checksum.
    pub(super) fn add(&mut self, checksum: u32, size: u64) {
        let factor = if size == self.size { self.factor } else { power(size) };
        self.whole = multiply(self.whole, factor) ^ checksum;
    }

    /// The checksum of all parts.
    pub(super) fn whole(&self) -> u32 {
        self.whole
    }
}

/// x^8 to the power of `exponent`, modulo P.
fn power(mut exponent: u64) -> u32 {
    let (mut result, mut square) = (ONE, BYTE);
    while exponent != 0 {
        if exponent & 1 != 0 {
            result = multiply(result, square);
        }
        square = multiply(square, square);
        exponent >>= 1;
    }
    result
}

/// The product modulo P.
fn multiply(mut one: u32, mut other: u32) -> u32 {
    let mut product = 0;
    while one != 0 {
        if one & ONE != 0 {
            product ^= other;
        }
        one <<= 1;
        // Times x: what leaves at the top is P's.
        other = (other >> 1) ^ if other & 1 != 0 { POLYNOMIAL } else { 0 };
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let bytes: Vec<u8> = (0..10_000_u32).map(|number| ((number * number) >> 3) as u8).collect();
        for size in [1, 7, 64, 999, 4096, 9_999, 10_000, 20_000] {
            let mut joiner = Joiner::new(size as u64);
            bytes.chunks(size).for_each(|part| joiner.add(crc32c::crc32c(part), part.len() as u64));
            joiner.add(crc32c::crc32c(&[]), 0);
            assert_eq!(joiner.whole(), crc32c::crc32c(&bytes), "in parts of {size}");
        }
    }

    #[test]
    fn nothing_has_the_checksum_zero() {
        assert_eq!(Joiner::new(1 << 20).whole(), 0);
        assert_eq!(crc32c::crc32c(&[]), 0);
    }
}
