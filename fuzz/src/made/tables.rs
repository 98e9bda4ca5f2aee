//! Tables of Windows images that objects bring ready: exports and resources.

use super::{Choices, Out, Wish};

/// A table of exports: PE/COFF specification, *The .edata Section*.
pub(super) fn exports(choices: &mut Choices<'_>) -> (Vec<u8>, Vec<Wish>) {
    const DIRECTORY: u64 = 40;
    let (functions, names) = (choices.below(5) as u64, choices.below(5) as u64);
    let addresses = DIRECTORY;
    let pointers = addresses + 4 * functions;
    let numbers = pointers + 4 * names;
    let strings = numbers + 2 * names;
    let (mut out, mut wishes) = (Out::default(), Vec::new());
    // Flags, time stamp, version.
    out.bytes(&[0; 12]);
    own(choices.number(strings), &mut out, &mut wishes);
    for count in [1, functions, names] {
        out.u32(choices.number(count));
    }
    for table in [addresses, pointers, numbers] {
        own(choices.number(table), &mut out, &mut wishes);
    }
    for _ in 0..functions {
        if choices.rarely() {
            // What leads into the table is passed on to another DLL.
            own(strings, &mut out, &mut wishes);
        } else {
            wishes.push(Wish::Image32(out.len()));
            out.u32(choices.number(0));
        }
    }
    for number in 0..names {
        own(choices.number(strings + 2 * (1 + number)), &mut out, &mut wishes);
    }
    for number in 0..names {
        out.u16(choices.number(number));
    }
    for letter in (b'a'..).take(1 + names as usize) {
        out.bytes(&[letter, 0]);
    }
    (out.0, wishes)
}

/// A tree of resources: PE/COFF specification, *The .rsrc Section*.
pub(super) fn resources(choices: &mut Choices<'_>) -> (Vec<u8>, Vec<Wish>) {
    const DATA_ENTRY: u64 = 16;
    // How many entries the directories of each level have.
    let mut level = |directories: usize| -> Vec<usize> { (0..directories).map(|_| choices.below(4)).collect() };
    let kinds = level(1);
    let names = level(kinds.iter().sum());
    let languages = level(names.iter().sum());
    let leaves: usize = languages.iter().sum();
    let all = |level: &[usize]| -> u64 { level.iter().map(|entries| directory(*entries)).sum() };
    let second = all(&kinds);
    let third = second + all(&names);
    let entries = third + all(&languages);
    let strings = entries + DATA_ENTRY * leaves as u64;
    let data = strings + 8;
    let (mut out, mut wishes) = (Out::default(), Vec::new());
    list(&kinds, &places(&names, second), strings, choices, &mut out);
    list(&names, &places(&languages, third), strings, choices, &mut out);
    let leaf_places: Vec<u64> = (0..leaves as u64).map(|leaf| entries + DATA_ENTRY * leaf).collect();
    list(&languages, &leaf_places, strings, choices, &mut out);
    for leaf in 0..leaves as u64 {
        own(choices.number(data + leaf % 8), &mut out, &mut wishes);
        out.u32(choices.number(8));
        // Code page, reserved.
        out.u32(choices.number(0));
        out.u32(0);
    }
    // One unit of UTF-16, and two; they overlap.
    for unit in [1, 2, u64::from(b'a'), u64::from(choices.byte())] {
        out.u16(unit);
    }
    let bytes = choices.bytes(16);
    out.bytes(&bytes);
    (out.0, wishes)
}

/// The size of a directory of resources, in bytes.
fn directory(entries: usize) -> u64 {
    16 + 8 * entries as u64
}

/// Where the directories of a level stand, one behind the other, as entries have it: with the highest bit.
fn places(level: &[usize], start: u64) -> Vec<u64> {
    let mut end = start;
    let place = |entries: &usize| {
        let place = end;
        end += directory(*entries);
        place | 1 << 31
    };
    level.iter().map(place).collect()
}

/// The directories of a level, of which the entries lead to `places` one after the other.
fn list(level: &[usize], places: &[u64], strings: u64, choices: &mut Choices<'_>, out: &mut Out) {
    let mut places = places.iter();
    for entries in level {
        // Flags, time stamp, version; names and numbers need not be counted apart.
        out.bytes(&[0; 12]);
        out.u16(0);
        out.u16(choices.number(*entries as u64));
        for place in places.by_ref().take(*entries) {
            let key = match choices.byte() {
                byte @ 0..=223 => u64::from(byte % 32),
                byte => (strings + 2 * u64::from(byte & 1)) | 1 << 31,
            };
            out.u32(choices.number(key));
            out.u32(choices.number(*place));
        }
    }
}

/// The place of something in the same section, relative to the image.
fn own(offset: u64, out: &mut Out, wishes: &mut Vec<Wish>) {
    wishes.push(Wish::Own32(out.len()));
    out.u32(offset);
}
