//! A COFF object, of the usual form or with 32-bit section numbers.

use super::{Choices, Out, Wish, tables, unwind};

/// A processor: machine, kinds of relocations. Those for a pointer, for a distance and for a distance from the image's start
/// come first.
const CPUS: [(u64, &[u64]); 3] = [
    (0x8664, &[1, 4, 3, 2, 5, 6, 7, 8, 9, 10, 11, 0]),
    (0x14c, &[6, 20, 7, 10, 11, 0]),
    (0xaa64, &[14, 17, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 0]),
];

/// The class id of objects with 32-bit section numbers: `{D1BAA1C7-BAEE-4BA9-AF20-FAF66AA4DCB8}`.
const BIG: [u8; 16] = [0xc7, 0xa1, 0xba, 0xd1, 0xee, 0xba, 0xa9, 0x4b, 0xaf, 0x20, 0xfa, 0xf6, 0x6a, 0xa4, 0xdc, 0xb8];

/// `IMAGE_SCN_CNT_UNINITIALIZED_DATA`, `IMAGE_SCN_LNK_COMDAT`.
const ZEROS: u64 = 0x80;
const COMDAT: u64 = 0x1000;

/// Sections: name, characteristics.
const SECTIONS: [(&str, u64); 29] = [
    (".text", 0x6050_0020),
    (".data", 0xc040_0040),
    (".rdata", 0x4040_0040),
    (".bss", 0xc040_0080),
    (".pdata", 0x4030_0040),
    (".xdata", 0x4030_0040),
    (".drectve", 0x0010_0a00),
    (".text$f", 0x6050_1020),
    (".data$f", 0xc040_1040),
    (".pdata$f", 0x4030_1040),
    (".xdata$f", 0x4030_1040),
    (".rdata$.refptr.data", 0x4040_1040),
    (".idata$2", 0xc030_0040),
    (".idata$4", 0xc040_0040),
    (".idata$5", 0xc040_0040),
    (".idata$6", 0xc020_0040),
    (".idata$7", 0xc030_0040),
    (".CRT$XCU", 0x4040_0040),
    (".ctors", 0xc040_0040),
    (".tls$", 0xc040_0040),
    (".eh_frame", 0xc030_0040),
    (".debug_info", 0x4210_0040),
    (".debug_line", 0x4210_0040),
    (".edata", 0x4030_0040),
    (".rsrc", 0x4030_0040),
    (".rsrc$01", 0x4030_0040),
    (".rsrc$02", 0x4030_0040),
    (".reloc", 0x4200_0040),
    (".lheap", 0xc040_0040),
];

const DIRECTIVES: [&str; 14] = [
    "-export:f",
    "-export:\"g\",data",
    "/export:h=f,@7,noname",
    "-exclude-symbols:f,g",
    "-include:data",
    "-alternatename:h=f",
    "-merge:.rdata=.data",
    "-merge:.data=.rdata",
    "-aligncomm:data,5",
    "-entry:f",
    "-defaultlib:msvcrt",
    "-nothing:at=all",
    "-export:f,@0",
    "\"",
];

struct Section {
    name: &'static str,
    flags: u64,
    data: Vec<u8>,
    size: u64,
    /// The number of its symbol.
    symbol: Option<u64>,
    relocations: Vec<[u64; 3]>,
}

/// An object for the CPU of that number.
pub(crate) fn object(cpu: u8, choices: &mut Choices<'_>) -> Vec<u8> {
    let (machine, kinds) = CPUS[usize::from(cpu) % CPUS.len()];
    let big = choices.rarely();
    let mut sections = Vec::new();
    let mut wishes = Vec::new();
    for number in 0..choices.below(8) {
        let what = if number == 0 { SECTIONS[0] } else { choices.pick(&SECTIONS) };
        let (section, wish) = section(what, choices);
        sections.push(section);
        wishes.push(wish);
    }
    let mut names = Out::default();
    let mut symbols = Out::default();
    let mut count = 0;
    // Symbols of sections, with the auxiliary records that COMDATs need, then others.
    for number in 1..=sections.len() {
        let of_itself = wishes[number - 1].iter().any(|wish| matches!(wish, Wish::Own32(_)));
        if sections[number - 1].flags & COMDAT != 0 || of_itself || choices.half() {
            section_symbol(&sections, number, big, choices, &mut symbols);
            sections[number - 1].symbol = Some(count);
            count += 2;
            if sections[number - 1].flags & COMDAT != 0 && !choices.rarely() {
                let name = choices.name();
                symbol(&name, [0, number as u64, 0x20, 2, 0], big, choices, &mut symbols, &mut names);
                count += 1;
            }
        }
    }
    for _ in 0..choices.below(16) {
        count += any_symbol(&sections, count, big, choices, &mut symbols, &mut names);
    }
    for (section, wishes) in sections.iter_mut().zip(&wishes) {
        relocations(kinds, section, wishes, count, choices);
    }
    file(machine, big, &sections, &symbols.0, count, &names.0, choices)
}

fn section((name, flags): (&'static str, u64), choices: &mut Choices<'_>) -> (Section, Vec<Wish>) {
    let (data, wishes) = match name {
        ".pdata" | ".pdata$f" => unwind::pdata(choices),
        ".eh_frame" => unwind::eh_frame(choices, true),
        ".edata" => tables::exports(choices),
        ".rsrc" | ".rsrc$01" => tables::resources(choices),
        ".drectve" => {
            let words: Vec<_> = (0..choices.below(6)).map(|_| choices.pick(&DIRECTIVES)).collect();
            (words.join(" ").into_bytes(), Vec::new())
        }
        _ => {
            let size = choices.size();
            (choices.bytes(size), Vec::new())
        }
    };
    let size = choices.number(data.len() as u64);
    let data = if flags & ZEROS != 0 { Vec::new() } else { data };
    let flags = if choices.rarely() { choices.number(flags) } else { flags };
    (Section { name, flags, data, size, symbol: None, relocations: Vec::new() }, wishes)
}

/// A name of up to eight bytes, or its place among the long ones.
fn short_name(name: &str, choices: &mut Choices<'_>, out: &mut Out, names: &mut Out) {
    if name.len() <= 8 && !choices.rarely() {
        return out.name(name, 8);
    }
    out.u32(0);
    out.u32(choices.number(4 + names.len()));
    names.bytes(name.as_bytes());
    names.u8(0);
}

/// Value, section, type, storage class, number of auxiliary records.
fn symbol(name: &str, fields: [u64; 5], big: bool, choices: &mut Choices<'_>, out: &mut Out, names: &mut Out) {
    let [value, section, kind, class, auxiliary] = fields;
    short_name(name, choices, out, names);
    out.u32(choices.number(value));
    let section = choices.number(section);
    if big {
        out.u32(section)
    } else {
        out.u16(section)
    }
    out.u16(kind);
    out.bytes(&[class as u8, choices.number(auxiliary) as u8]);
}

/// PE/COFF specification, *Auxiliary Format 5: Section Definitions*.
fn section_symbol(sections: &[Section], number: usize, big: bool, choices: &mut Choices<'_>, out: &mut Out) {
    let section = &sections[number - 1];
    let mut unused = Out::default();
    let name = &section.name[..section.name.len().min(8)];
    symbol(name, [0, number as u64, 0, 3, 1], big, choices, out, &mut unused);
    let start = out.0.len();
    out.u32(choices.number(section.size));
    out.u16(0);
    out.u16(0);
    out.u32(choices.word());
    let other = 1 + choices.below(sections.len()) as u64;
    let other = choices.number(other);
    out.u16(other);
    out.u8(choices.pick(&[2, 2, 1, 3, 4, 5, 6, 0, 7, 200]));
    out.u8(0);
    out.u16(other >> 16);
    out.0.resize(start + if big { 20 } else { 18 }, 0);
}

/// Any symbol; returns the number of its records.
fn any_symbol(
    sections: &[Section],
    count: u64,
    big: bool,
    choices: &mut Choices<'_>,
    out: &mut Out,
    names: &mut Out,
) -> u64 {
    let name = choices.name();
    let index = choices.below(sections.len() + 1);
    let value = match sections.get(index.wrapping_sub(1)) {
        Some(section) => u64::from(choices.byte()) % section.size.max(1),
        // Undefined; with a value, common.
        None => choices.pick(&[0, 0, 0, 0, 16]),
    };
    let kind = choices.pick(&[0, 0x20]);
    match choices.byte() {
        0..=191 => {
            symbol(&name, [value, index as u64, kind, 2, 0], big, choices, out, names);
            1
        }
        192..=215 => {
            symbol(
                &name,
                [value, index as u64, kind, choices.pick(&[3, 6, 101, 105, 104]), 0],
                big,
                choices,
                out,
                names,
            );
            1
        }
        216..=223 => {
            // Absolute, and for debuggers.
            let section = choices.pick(&[0xffff_ffff, 0xffff_fffe]);
            symbol(&name, [value, section, kind, 2, 0], big, choices, out, names);
            1
        }
        224..=231 => {
            symbol(".file", [0, 0xffff_fffe, 0, 103, 1], big, choices, out, names);
            out.name("source.c", if big { 20 } else { 18 });
            2
        }
        _ => {
            // A weak external: PE/COFF specification, *Auxiliary Format 3*.
            symbol(&name, [0, 0, 0, 105, 1], big, choices, out, names);
            let start = out.0.len();
            let fallback = choices.below(count as usize + 1) as u64;
            out.u32(choices.number(fallback));
            out.u32(choices.pick(&[1, 2, 3, 4, 9]));
            out.0.resize(start + if big { 20 } else { 18 }, 0);
            2
        }
    }
}

fn relocations(kinds: &[u64], section: &mut Section, wishes: &[Wish], symbols: u64, choices: &mut Choices<'_>) {
    let mut entries = Vec::new();
    for wish in wishes {
        let (offset, kind) = match wish {
            Wish::Pointer(offset) => (offset, kinds[0]),
            Wish::Relative32(offset) => (offset, kinds[1]),
            Wish::Image32(offset) | Wish::Own32(offset) => (offset, kinds[2]),
        };
        let own = section.symbol.filter(|_| matches!(wish, Wish::Own32(_)));
        let symbol = own.unwrap_or_else(|| choices.below(symbols as usize) as u64);
        entries.push([choices.number(*offset), choices.number(symbol), kind]);
    }
    for _ in 0..choices.below(if wishes.is_empty() { 12 } else { 2 }) {
        let offset = (u64::from(choices.byte()) << 2) % section.size.max(1);
        let kind = if choices.rarely() { u64::from(choices.byte()) } else { choices.pick(kinds) };
        let symbol = choices.below(symbols as usize) as u64;
        entries.push([choices.number(offset), choices.number(symbol), kind]);
    }
    if !choices.rarely() {
        entries.sort_unstable();
    }
    section.relocations = entries;
}

fn file(
    machine: u64,
    big: bool,
    sections: &[Section],
    symbols: &[u8],
    count: u64,
    names: &[u8],
    choices: &mut Choices<'_>,
) -> Vec<u8> {
    let header = if big { 56 } else { 20 };
    let mut long_names = Out(names.to_vec());
    let mut end = header + 40 * sections.len() as u64;
    let mut place = |size: u64, align: u64| {
        let start = end.next_multiple_of(align);
        end = start + size;
        start
    };
    let places: Vec<(u64, u64)> = sections
        .iter()
        .map(|section| (place(section.data.len() as u64, 4), place(10 * section.relocations.len() as u64, 2)))
        .collect();
    let table = place(symbols.len() as u64, 4);
    let mut out = Out::default();
    if big {
        out.u16(0);
        out.u16(0xffff);
        out.u16(choices.number(2));
        out.u16(machine);
        out.u32(0);
        out.bytes(&BIG);
        out.bytes(&[0; 16]);
        out.u32(choices.number(sections.len() as u64));
        out.u32(choices.number(table));
        out.u32(choices.number(count));
    } else {
        out.u16(machine);
        out.u16(choices.number(sections.len() as u64));
        out.u32(0);
        out.u32(choices.number(table));
        out.u32(choices.number(count));
        out.u16(0);
        out.u16(0);
    }
    for (section, (data, relocations)) in sections.iter().zip(&places) {
        if section.name.len() <= 8 {
            out.name(section.name, 8);
        } else {
            out.name(&format!("/{}", choices.number(4 + long_names.len())), 8);
            long_names.bytes(section.name.as_bytes());
            long_names.u8(0);
        }
        out.u32(0);
        out.u32(0);
        out.u32(section.size);
        out.u32(choices.number(if section.flags & ZEROS != 0 { 0 } else { *data }));
        out.u32(choices.number(*relocations));
        out.u32(0);
        out.u16(choices.number(section.relocations.len() as u64));
        out.u16(0);
        out.u32(section.flags);
    }
    let mut put = |at: u64, bytes: &[u8]| {
        out.0.resize((at as usize).max(out.0.len()), super::PADDING);
        out.bytes(bytes);
    };
    for (section, (data, relocations)) in sections.iter().zip(&places) {
        put(*data, &section.data);
        let mut table = Out::default();
        for [offset, symbol, kind] in &section.relocations {
            table.u32(*offset);
            table.u32(*symbol);
            table.u16(*kind);
        }
        put(*relocations, &table.0);
    }
    put(table, symbols);
    out.u32(choices.number(4 + long_names.len()));
    out.bytes(&long_names.0);
    out.0
}
