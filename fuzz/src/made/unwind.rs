//! Contents with a grammar: `.eh_frame`, compact unwind entries, `.pdata`, compressed sections.

use super::{Choices, Out, Wish};

/// `.eh_frame`: records of which most are right.
pub(super) fn eh_frame(choices: &mut Choices<'_>, wide: bool) -> (Vec<u8>, Vec<Wish>) {
    let (mut out, mut wishes) = (Out::default(), Vec::new());
    let mut cie = 0;
    let mut augmentation = "zR";
    for number in 0..1 + choices.below(8) {
        let start = out.len();
        let length_at = out.0.len();
        out.u32(0);
        if number == 0 || choices.rarely() {
            cie = start;
            augmentation = choices.pick(&["zR", "zR", "zPLR", "", "z", "eh", "zRS", "zQ"]);
            out.u32(choices.number(0));
            out.u8(choices.number(1) as u8);
            out.bytes(augmentation.as_bytes());
            out.u8(0);
            // Factors of code and data, and the column of the return address, as LEB128.
            out.bytes(&[choices.number(1) as u8, choices.number(0x78) as u8, choices.number(0x10) as u8]);
            if augmentation.starts_with('z') {
                out.u8(choices.number(if augmentation == "zPLR" { 7 } else { 1 }) as u8);
            }
            if augmentation == "zPLR" {
                // The personality's encoding, its place, the encoding of the data's place.
                out.u8(choices.number(0x9b) as u8);
                wishes.push(Wish::Relative32(out.len()));
                out.u32(0);
                out.u8(choices.number(0x1b) as u8);
            }
            out.u8(choices.pick(&[0x1b, 0x1b, 0x1b, 0, 0x1c, 0xff, 0x9b, 3, 0x50]));
        } else {
            out.u32(choices.number(out.len() - cie));
            wishes.push(if choices.rarely() { Wish::Pointer(out.len()) } else { Wish::Relative32(out.len()) });
            let size = choices.byte();
            out.u32(choices.number(0));
            out.u32(choices.number(size.into()));
            if augmentation.starts_with('z') {
                out.u8(choices.number(if augmentation == "zPLR" { 4 } else { 0 }) as u8);
            }
            if augmentation == "zPLR" {
                wishes.push(Wish::Relative32(out.len()));
                out.u32(0);
            }
        }
        let instructions = choices.below(12);
        let instructions = choices.bytes(instructions);
        out.bytes(&instructions);
        let align = if wide { 8 } else { 4 };
        out.0.resize(length_at + 4 + (out.0.len() - length_at - 4).next_multiple_of(align), 0);
        let length = choices.number(out.len() - start - 4) as u32;
        out.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    if choices.half() {
        out.u32(0);
    }
    (out.0, wishes)
}

/// `__compact_unwind`: entries of 32 bytes.
pub(super) fn compact(choices: &mut Choices<'_>) -> (Vec<u8>, Vec<Wish>) {
    let (mut out, mut wishes) = (Out::default(), Vec::new());
    for _ in 0..choices.below(8) {
        wishes.push(Wish::Pointer(out.len()));
        out.u64(choices.number(0));
        let length = choices.byte();
        out.u32(choices.number(length.into()));
        out.u32(choices.pick(&[0x0400_0000, 0x0200_0000, 0x0100_0000, 0x0300_0000, 0x5400_0000, 0, u64::MAX]));
        for _ in 0..2 {
            if choices.rarely() {
                wishes.push(Wish::Pointer(out.len()));
            }
            out.u64(choices.number(0));
        }
    }
    (out.0, wishes)
}

/// `.pdata` of x86-64: entries of three addresses.
pub(super) fn pdata(choices: &mut Choices<'_>) -> (Vec<u8>, Vec<Wish>) {
    let (mut out, mut wishes) = (Out::default(), Vec::new());
    for _ in 0..choices.below(8) {
        for usual in [0, 16, 0] {
            wishes.push(Wish::Image32(out.len()));
            out.u32(choices.number(usual));
        }
    }
    (out.0, wishes)
}

/// A compressed section: the header, and data that say less, more or other than that.
pub(super) fn compressed(choices: &mut Choices<'_>, wide: bool) -> Vec<u8> {
    let mut out = Out::default();
    // ELFCOMPRESS_ZLIB and ELFCOMPRESS_ZSTD.
    let kind = choices.pick(&[1, 2]);
    out.u32(choices.number(kind));
    if wide {
        out.u32(0);
    }
    out.word(choices.number(5), wide);
    out.word(choices.number(1), wide);
    if kind == 1 {
        // "hello" in a stored block, and its checksum.
        out.bytes(&[0x78, 0x01, 1, 5, 0, 0xfa, 0xff]);
        out.bytes(b"hello");
        out.bytes(&(choices.number(0x062c_0215) as u32).to_be_bytes());
    } else {
        // A frame of one raw block, of 5 bytes, the last.
        out.bytes(&[0x28, 0xb5, 0x2f, 0xfd, choices.number(0x20) as u8, 5, choices.number(0x29) as u8, 0, 0]);
        out.bytes(b"hello");
    }
    let more = choices.pick(&[0, 0, 0, 9]);
    let more = choices.bytes(more);
    out.bytes(&more);
    out.0
}
