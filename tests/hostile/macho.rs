//! Mach-O objects made to cost far more than their size.

use pkgld::Mode;

use super::link::{link, options, quiet_panics};

/// Functions of an object.
const FUNCTIONS: u32 = 60_000;

/// An object of functions of one instruction, each with a row of `__compact_unwind` in which the personality routine is told
/// by its address alone, as what is in the same section: it is one of the object's own functions.
fn personalities(personality: impl Fn(u32) -> u32) -> Vec<u8> {
    let words = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
    let longs = |out: &mut Vec<u8>, longs: &[u64]| longs.iter().for_each(|long| out.extend(long.to_le_bytes()));
    let field = |out: &mut Vec<u8>, name: &str| {
        let mut field = [0; 16];
        field[..name.len()].copy_from_slice(name.as_bytes());
        out.extend(field);
    };
    let count = u64::from(FUNCTIONS);
    let (code, rows) = (4 * count, 32 * count);
    let start = 32 + 72 + 2 * 80 + 24;
    let (relocations, symbols) = (start + code + rows, start + code + rows + 16 * count);
    let mut strings = vec![0];
    let names: Vec<u32> = (0..FUNCTIONS)
        .map(|number| {
            let at = strings.len() as u32;
            strings.extend(format!("_f{number}\0").bytes());
            at
        })
        .collect();
    let mut out = Vec::new();
    // mach_header_64 of arm64, LC_SEGMENT_64
    words(&mut out, &[0xfeed_facf, 0x0100_000c, 0, 1, 2, 72 + 2 * 80 + 24, 0, 0, 0x19, 72 + 2 * 80]);
    field(&mut out, "");
    longs(&mut out, &[0, code + rows, start, code + rows]);
    words(&mut out, &[7, 7, 2, 0]);
    field(&mut out, "__text");
    field(&mut out, "__TEXT");
    longs(&mut out, &[0, code]);
    words(&mut out, &[start as u32, 2, 0, 0, 0x8000_0400, 0, 0, 0]);
    field(&mut out, "__compact_unwind");
    field(&mut out, "__LD");
    longs(&mut out, &[code, rows]);
    words(&mut out, &[(start + code) as u32, 3, relocations as u32, 2 * FUNCTIONS, 0x0200_0000, 0, 0, 0]);
    words(&mut out, &[2, 24, symbols as u32, FUNCTIONS, (symbols + 16 * count) as u32, strings.len() as u32]);
    assert_eq!(out.len() as u64, start);
    (0..FUNCTIONS).for_each(|_| words(&mut out, &[0xd65f_03c0]));
    for number in 0..FUNCTIONS {
        longs(&mut out, &[4 * u64::from(number)]);
        words(&mut out, &[4, 0x0400_0000]);
        longs(&mut out, &[4 * u64::from(personality(number)), 0]);
    }
    // UNSIGNED of 8 bytes against section 1; descending.
    for number in (0..FUNCTIONS).rev() {
        words(&mut out, &[32 * number + 16, 1 | 3 << 25, 32 * number, 1 | 3 << 25]);
    }
    for (name, number) in names.into_iter().zip(0_u64..) {
        words(&mut out, &[name, 0x0f | 1 << 8]);
        longs(&mut out, &[4 * number]);
    }
    out.extend(strings);
    out
}

/// One personality routine, which is the last of many functions; and as many of them as functions.
#[test]
fn macho_personalities_by_their_places() {
    quiet_panics();
    for (name, personality) in [("one", (|_| FUNCTIONS - 1) as fn(u32) -> u32), ("many", |number| number)] {
        let bytes = personalities(personality);
        let outcome = link(name, &[("a.o", &bytes, Mode::default())], &options());
        let outcome = outcome.unwrap_or_else(|what| panic!("{name}: {what}"));
        println!("{name}: {} bytes of input, {:.2?}, factor {}", bytes.len(), outcome.time, outcome.factor);
        match outcome.result {
            Ok(_) => assert_eq!(name, "one"),
            Err(message) => assert!(name == "many" && message.contains("personality routines"), "{message}"),
        }
    }
}
