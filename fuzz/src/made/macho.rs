//! A Mach-O object.

use super::{Choices, Out, Wish, unwind};

/// A processor: `cputype`, `cpusubtype`, and its relocations: kind, binary logarithm of the width, whether it counts from its
/// place. The pointer's and the relative one's come first.
struct Cpu {
    kind: u64,
    subtype: u64,
    relocations: &'static [(u64, u64, u64)],
    subtractor: u64,
}

const CPUS: [Cpu; 2] = [
    Cpu {
        kind: 0x0100_000c,
        subtype: 0,
        relocations: &[
            (0, 3, 0),
            (7, 2, 1),
            (2, 2, 1),
            (3, 2, 1),
            (4, 2, 0),
            (5, 2, 1),
            (6, 2, 0),
            (0, 2, 0),
            (7, 3, 0),
            (8, 2, 1),
        ],
        subtractor: 1,
    },
    Cpu {
        kind: 0x0100_0007,
        subtype: 3,
        relocations: &[
            (0, 3, 0),
            (1, 2, 1),
            (2, 2, 1),
            (3, 2, 1),
            (4, 2, 1),
            (6, 2, 1),
            (7, 2, 1),
            (8, 2, 1),
            (0, 2, 0),
            (9, 2, 1),
        ],
        subtractor: 5,
    },
];

/// Section types of zeros.
const ZEROS: [u64; 2] = [1, 0x12];

/// Sections: segment, name, flags, alignment as a power of two.
const SECTIONS: [(&str, &str, u64, u64); 23] = [
    ("__TEXT", "__text", 0x8000_0400, 4),
    ("__DATA", "__data", 0, 3),
    ("__TEXT", "__const", 0, 4),
    ("__DATA", "__bss", 1, 3),
    ("__LD", "__compact_unwind", 0x0200_0000, 3),
    ("__TEXT", "__eh_frame", 0x6800_000b, 3),
    ("__DATA", "__const", 0, 3),
    ("__TEXT", "__cstring", 2, 0),
    ("__TEXT", "__literal8", 4, 3),
    ("__TEXT", "__literal16", 0xe, 4),
    ("__DATA", "__mod_init_func", 9, 3),
    ("__DATA", "__common", 1, 3),
    ("__DATA", "__thread_vars", 0x13, 3),
    ("__DATA", "__thread_data", 0x11, 3),
    ("__DATA", "__thread_bss", 0x12, 3),
    ("__TEXT", "__gcc_except_tab", 0, 2),
    ("__DWARF", "__debug_info", 0x0200_0000, 0),
    ("__DWARF", "__debug_abbrev", 0x0200_0000, 0),
    ("__DWARF", "__debug_line", 0x0200_0000, 0),
    ("__DWARF", "__debug_str", 0x0200_0000, 0),
    ("__DATA", "__objc_imageinfo", 0x1000_0000, 0),
    ("__TEXT", "__text2", 0x8000_0400, 2),
    ("__DATA", "__support", 0x0800_0000, 3),
];

struct Section {
    what: (&'static str, &'static str, u64, u64),
    address: u64,
    size: u64,
    data: Vec<u8>,
    relocations: Vec<u8>,
}

/// An object for the CPU of that number.
pub(crate) fn object(cpu: u8, choices: &mut Choices<'_>) -> Vec<u8> {
    let cpu = &CPUS[usize::from(cpu) % CPUS.len()];
    let mut sections: Vec<Section> = Vec::new();
    let mut wishes = Vec::new();
    let mut address: u64 = 0;
    for number in 0..choices.below(8) {
        let what = if number == 0 { SECTIONS[0] } else { choices.pick(&SECTIONS) };
        let (data, wish) = match what.1 {
            "__compact_unwind" => unwind::compact(choices),
            "__eh_frame" => unwind::eh_frame(choices, true),
            _ => {
                let size = choices.size();
                (choices.bytes(size), Vec::new())
            }
        };
        let align = choices.number(what.3);
        address = address.next_multiple_of(1 << align.min(12));
        let size = choices.number(data.len() as u64);
        let kind = if choices.rarely() { choices.number(what.2) } else { what.2 };
        let data = if ZEROS.contains(&(what.2 & 0xff)) { Vec::new() } else { data };
        sections.push(Section {
            what: (what.0, what.1, kind, align),
            address: choices.number(address),
            size,
            data,
            relocations: Vec::new(),
        });
        wishes.push(wish);
        address = address.wrapping_add(size & 0xff_ffff);
    }
    let mut names = Out(vec![b' ', 0]);
    let symbols: Vec<_> = (0..choices.below(16)).map(|_| symbol(&sections, choices, &mut names)).collect();
    for (index, wishes) in wishes.iter().enumerate() {
        let table = relocations(cpu, &sections, index, wishes, symbols.len(), choices);
        sections[index].relocations = table;
    }
    file(cpu, &sections, &symbols, &names.0, choices)
}

/// `n_strx`, `n_type`, `n_sect`, `n_desc`, `n_value`.
fn symbol(sections: &[Section], choices: &mut Choices<'_>, names: &mut Out) -> [u64; 5] {
    let at = names.len();
    names.bytes(choices.name().as_bytes());
    names.u8(0);
    let index = choices.below(sections.len() + 1);
    let external = choices.pick(&[1, 1, 0, 0x11, 0x10]);
    let (kind, value) = match sections.get(index.wrapping_sub(1)) {
        Some(section) => (0xe, section.address.wrapping_add(u64::from(choices.byte()) % section.size.max(1))),
        None if choices.rarely() => (choices.pick(&[2, 0xa, 0xc]), u64::from(choices.byte())),
        // Undefined; with a value, common.
        None => (0, choices.pick(&[0, 0, 0, 8])),
    };
    let stab = if choices.rarely() { 0x20 } else { 0 };
    let description = choices.pick(&[0, 0, 0, 0x80, 0x40, 0x10, 0x20, 0x200, 0x300]);
    [choices.number(at), kind | external | stab, choices.number(index as u64), description, choices.number(value)]
}

fn relocations(
    cpu: &Cpu,
    sections: &[Section],
    index: usize,
    wishes: &[Wish],
    symbols: usize,
    choices: &mut Choices<'_>,
) -> Vec<u8> {
    let section = &sections[index];
    // Each with what comes before it at the same place.
    let mut entries: Vec<(u64, Vec<u64>)> = Vec::new();
    let info = |number: u64, (kind, length, relative): (u64, u64, u64), external: u64| {
        number & 0xff_ffff | relative << 24 | length << 25 | external << 27 | kind << 28
    };
    for wish in wishes {
        match wish {
            Wish::Pointer(offset) => {
                let of_section = choices.half();
                let bound = if of_section { sections.len() } else { symbols };
                let number = choices.below(bound.max(1)) as u64 + u64::from(of_section);
                entries.push((*offset, vec![info(choices.number(number), (0, 3, 0), u64::from(!of_section))]));
            }
            Wish::Relative32(offset) | Wish::Image32(offset) if choices.half() => {
                let (one, other) = (choices.below(symbols.max(1)) as u64, choices.below(symbols.max(1)) as u64);
                entries.push((*offset, vec![info(one, (cpu.subtractor, 2, 0), 1), info(other, (0, 2, 0), 1)]));
            }
            _ => {}
        }
    }
    for _ in 0..choices.below(if wishes.is_empty() { 12 } else { 2 }) {
        let offset = (u64::from(choices.byte()) << 2) % section.size.max(1);
        let form = choices.pick(cpu.relocations);
        let external = if choices.byte() < 200 { 1 } else { 0 };
        let number =
            if external == 1 { choices.below(symbols.max(1)) } else { 1 + choices.below(sections.len()) } as u64;
        let last = info(choices.number(number), form, external);
        let other = choices.below(symbols.max(1)) as u64;
        let before = match choices.byte() {
            200..=227 => vec![info(other, (cpu.subtractor, form.1, 0), 1)],
            228..=255 if cpu.subtractor == 1 => vec![info(choices.number(other), (10, 2, 0), 0)],
            _ => Vec::new(),
        };
        entries.push((choices.number(offset), before.into_iter().chain([last]).collect()));
    }
    if !choices.rarely() {
        entries.sort_by_key(|(offset, _)| std::cmp::Reverse(*offset));
    }
    let mut out = Out::default();
    for (offset, infos) in entries {
        for info in infos {
            out.u32(offset);
            out.u32(info);
        }
    }
    out.0
}

fn file(cpu: &Cpu, sections: &[Section], symbols: &[[u64; 5]], names: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let data_in_code = choices.rarely();
    let linker_option = choices.rarely();
    let commands = 3 + u64::from(data_in_code) + u64::from(linker_option);
    let segment_size = 72 + 80 * sections.len() as u64;
    let option_size = 24;
    let size = segment_size + 24 + 24 + if data_in_code { 16 } else { 0 } + if linker_option { option_size } else { 0 };
    let mut out = Out::default();
    for word in [0xfeed_facf, cpu.kind, cpu.subtype, 1, commands, size, 0x2000, 0] {
        out.u32(choices.number(word));
    }
    // What follows the commands, in order: contents, relocations, symbols, names.
    let mut end = 32 + size;
    let mut place = |size: usize, align: u64| {
        let start = end.next_multiple_of(align);
        end = start + size as u64;
        start
    };
    let contents: Vec<u64> = sections.iter().map(|section| place(section.data.len(), 16)).collect();
    let tables: Vec<u64> = sections.iter().map(|section| place(section.relocations.len(), 8)).collect();
    let code_table = place(if data_in_code { 16 } else { 0 }, 8);
    let symbol_table = place(16 * symbols.len(), 8);
    let strings = place(names.len(), 1);

    out.u32(0x19);
    out.u32(choices.number(segment_size));
    out.name("", 16);
    let memory = sections.iter().map(|section| section.address.wrapping_add(section.size)).max().unwrap_or(0);
    for word in [0, memory, 32 + size, strings - 32 - size] {
        out.u64(choices.number(word));
    }
    for word in [7, 7, sections.len() as u64, 0] {
        out.u32(choices.number(word));
    }
    for ((section, offset), table) in sections.iter().zip(&contents).zip(&tables) {
        out.name(section.what.1, 16);
        out.name(section.what.0, 16);
        out.u64(section.address);
        out.u64(section.size);
        let zeros = ZEROS.contains(&(section.what.2 & 0xff));
        out.u32(choices.number(if zeros { 0 } else { *offset }));
        out.u32(section.what.3);
        out.u32(choices.number(*table));
        out.u32(choices.number(section.relocations.len() as u64 / 8));
        out.u32(section.what.2);
        out.bytes(&[0; 12]);
    }
    for word in [0x32, 24, 1, 0xd_0000, 0xe_0000, 0] {
        out.u32(choices.number(word));
    }
    for word in [2, 24, symbol_table, symbols.len() as u64, strings, names.len() as u64] {
        out.u32(choices.number(word));
    }
    if data_in_code {
        for word in [0x29, 16, code_table, 16] {
            out.u32(choices.number(word));
        }
    }
    if linker_option {
        for word in [0x2d, option_size, 1] {
            out.u32(choices.number(word));
        }
        out.name("-lSystem", 12);
    }

    let mut put = |at: u64, bytes: &[u8]| {
        let start = at as usize;
        out.0.resize(start.max(out.0.len()), super::PADDING);
        out.bytes(bytes);
    };
    for (section, offset) in sections.iter().zip(&contents) {
        put(*offset, &section.data);
    }
    for (section, offset) in sections.iter().zip(&tables) {
        put(*offset, &section.relocations);
    }
    if data_in_code {
        let mut entries = Out::default();
        for _ in 0..2 {
            let at = choices.byte();
            entries.u32(choices.number(at.into()));
            entries.u16(choices.number(4));
            entries.u16(choices.number(1));
        }
        put(code_table, &entries.0);
    }
    let mut table = Out::default();
    for [name, kind, section, description, value] in symbols {
        table.u32(*name);
        table.bytes(&[*kind as u8, *section as u8]);
        table.u16(*description);
        table.u64(*value);
    }
    put(symbol_table, &table.0);
    put(strings, names);
    out.0
}
