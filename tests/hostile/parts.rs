//! Mach-O objects made to be divided into as many parts as they have room for, where what nothing refers to is left out.

use pkgld::{Mode, Options};

use super::link::{link, options, quiet_panics};

/// A section: segment, name, flags, bytes, relocations.
struct Section {
    names: [&'static str; 2],
    flags: u32,
    data: Vec<u8>,
    relocs: Vec<[u32; 2]>,
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend(word.to_le_bytes()));
}

fn padded(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

/// An object for x86-64 that may be divided; of each symbol the offset of its name, its type, its section and its address.
fn object(sections: &[Section], symbols: &[(u32, u8, u8, u64)], strings: &[u8]) -> Vec<u8> {
    let commands = 72 + 80 * sections.len() + 24;
    let start = 32 + commands;
    let size: usize = sections.iter().map(|section| section.data.len()).sum();
    let mut out = Vec::new();
    words(&mut out, &[0xfeed_facf, 0x0100_0007, 3, 1, 2, commands as u32, 0x2000, 0]);
    words(&mut out, &[0x19, (72 + 80 * sections.len()) as u32]);
    out.extend([0; 16]);
    for long in [0, size as u64, start as u64, size as u64] {
        out.extend(long.to_le_bytes());
    }
    words(&mut out, &[7, 7, sections.len() as u32, 0]);
    let (mut at, mut table) = (0, start + size);
    for section in sections {
        out.extend(padded(section.names[1]));
        out.extend(padded(section.names[0]));
        out.extend((at as u64).to_le_bytes());
        out.extend((section.data.len() as u64).to_le_bytes());
        words(&mut out, &[(start + at) as u32, 0, table as u32, section.relocs.len() as u32, section.flags, 0, 0, 0]);
        at += section.data.len();
        table += 8 * section.relocs.len();
    }
    let [names, nlists] = [table + 16 * symbols.len(), table].map(|at| at as u32);
    words(&mut out, &[2, 24, nlists, symbols.len() as u32, names, strings.len() as u32]);
    sections.iter().for_each(|section| out.extend(&section.data));
    sections.iter().flat_map(|section| &section.relocs).for_each(|entry| words(&mut out, entry));
    for (name, kind, section, value) in symbols {
        words(&mut out, &[*name]);
        out.extend([*kind, *section, 0, 0]);
        out.extend(value.to_le_bytes());
    }
    out.extend(strings);
    out
}

/// Options by which what nothing refers to goes.
fn stripping() -> Options {
    let mut options = options();
    options.target = Some(pkgld::Target::MACOS_X86_64);
    options.gc_sections = true;
    options
}

fn run(name: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    quiet_panics();
    let outcome = link(name, &[("a.o", bytes, Mode::default())], &stripping());
    let outcome = outcome.unwrap_or_else(|what| panic!("{name}: {what}"));
    println!("{name}: {} bytes of input, {:.2?}, factor {}", bytes.len(), outcome.time, outcome.factor);
    outcome.result
}

const MANY: u32 = 60_000;

/// A symbol at every byte of code; every second is for others.
#[test]
fn a_part_for_every_byte() {
    let code =
        Section { names: ["__TEXT", "__text"], flags: 0x8000_0400, data: vec![0xc3; MANY as usize], relocs: vec![] };
    let strings: Vec<u8> = (0..MANY).flat_map(|number| format!("_{number}\0").into_bytes()).collect();
    let mut name = 0;
    let symbols = (0..MANY).map(|number| {
        let at = name;
        name += format!("_{number}\0").len() as u32;
        (at, 0xe | (number & 1) as u8, 1, number.into())
    });
    let image = run("parts", &object(&[code], &symbols.collect::<Vec<_>>(), &strings)).unwrap();
    assert!(
        !image.windows(7).any(|window| window == b"\0_1000\0") && image.windows(7).any(|window| window == b"\0_1001\0")
    );
}

/// The same, of which all are asked for by boundaries of sections that have other names, and each name is the end of another.
#[test]
fn boundaries_and_names_within_names() {
    let code =
        Section { names: ["__TEXT", "__text"], flags: 0x8000_0400, data: vec![0xc3; MANY as usize], relocs: vec![] };
    let mut strings = vec![b'a'; MANY as usize];
    strings.push(0);
    let mut symbols: Vec<_> = (0..MANY).map(|number| (number, 0xe, 1, number.into())).collect();
    for number in 0..MANY / 4 {
        symbols.push((strings.len() as u32, 1, 0, 0));
        strings.extend(format!("section$start$__X{number}$__Y\0").bytes());
    }
    let image = run("boundaries", &object(&[code], &symbols, &strings)).unwrap();
    assert!(image.len() < 1 << 20);
}

/// Every place of one string that does not end, and of many that end at once, is referred to.
#[test]
fn strings_that_do_not_end() {
    for (what, byte) in [("one string", b'x'), ("no string", 0)] {
        let mut data = Vec::new();
        let mut relocs = Vec::new();
        for number in 0..MANY {
            data.extend(u64::from(8 * MANY + number).to_le_bytes());
            relocs.push([8 * number, 2 | 3 << 25]);
        }
        relocs.reverse();
        let pointers = Section { names: ["__DATA", "__data"], flags: 0x1000_0000, data, relocs };
        let strings = vec![byte; MANY as usize];
        let strings = Section { names: ["__TEXT", "__cstring"], flags: 2, data: strings, relocs: vec![] };
        let image = run(what, &object(&[pointers, strings], &[], b"\0")).unwrap();
        assert!(image.windows(100).any(|window| window == [byte; 100]));
    }
}

/// Sections that stay if one of those does which they refer to, one after the other.
#[test]
fn one_chain_of_support() {
    let mut data = Vec::new();
    let mut relocs = Vec::new();
    let mut symbols = Vec::new();
    for number in 0..MANY {
        data.extend([0; 8]);
        relocs.push([8 * number, (number + 1).min(MANY - 1) | 3 << 25 | 1 << 27]);
        symbols.push((0, if number + 1 == MANY { 0xf } else { 0xe }, 1, u64::from(8 * number)));
    }
    relocs.reverse();
    let chain = Section { names: ["__DATA", "__chain"], flags: 0x0800_0000, data, relocs };
    let image = run("support", &object(&[chain], &symbols, b"_a\0")).unwrap();
    assert!(image.len() > 8 * MANY as usize);
}
