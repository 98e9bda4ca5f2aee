//! An ELF object, of either class.

use super::{Choices, Out, Wish, unwind};

/// A processor: `e_machine`, `e_flags`, whether words have 64 bits, kinds of relocations (the pointer's and the relative
/// one's first).
struct Cpu {
    machine: u64,
    flags: u64,
    wide: bool,
    kinds: &'static [u32],
}

const CPUS: [Cpu; 6] = [
    Cpu {
        machine: 62,
        flags: 0,
        wide: true,
        kinds: &[1, 2, 4, 9, 10, 11, 3, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 34, 35, 41, 42, 12, 14],
    },
    Cpu {
        machine: 183,
        flags: 0,
        wide: true,
        kinds: &[
            257, 261, 258, 259, 260, 262, 263, 264, 265, 266, 269, 273, 274, 275, 276, 277, 278, 279, 280, 282, 283,
            284, 285, 286, 299, 309, 311, 312, 313, 513, 514, 539, 541, 542, 549, 551, 562, 563, 564, 569, 314, 315,
        ],
    },
    Cpu {
        machine: 243,
        flags: 5,
        wide: true,
        kinds: &[
            2, 57, 1, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33, 34, 35, 36, 37, 38, 39, 40, 43,
            44, 45, 51, 52, 53, 54, 55, 56, 60, 61,
        ],
    },
    Cpu {
        machine: 21,
        flags: 2,
        wide: true,
        kinds: &[
            38, 26, 1, 3, 4, 5, 6, 10, 11, 14, 44, 47, 48, 49, 50, 51, 57, 63, 64, 67, 68, 69, 72, 73, 74, 75, 77, 78,
            79, 80, 82, 83, 87, 88, 90, 107, 108, 116, 132, 133, 249, 250, 251, 252, 253,
        ],
    },
    Cpu {
        machine: 3,
        flags: 0,
        wide: false,
        kinds: &[1, 2, 3, 4, 9, 10, 43, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 32, 33, 34, 39, 40, 41],
    },
    Cpu {
        machine: 40,
        flags: 0x0500_0400,
        wide: false,
        kinds: &[
            2, 3, 1, 10, 24, 25, 26, 28, 29, 30, 38, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 95, 96, 102, 103,
            104, 105, 106, 107, 108, 0,
        ],
    },
];

/// `sh_type`s with a meaning here.
const RELA: u64 = 4;
const REL: u64 = 9;
const NOBITS: u64 = 8;
const GROUP: u64 = 17;

/// Sections: name, `sh_type`, `sh_flags`, `sh_entsize`, alignment.
const SECTIONS: [(&str, u64, u64, u64, u64); 30] = [
    (".text", 1, 6, 0, 16),
    (".data", 1, 3, 0, 8),
    (".rodata", 1, 2, 0, 8),
    (".bss", NOBITS, 3, 0, 32),
    (".eh_frame", 1, 2, 0, 8),
    (".eh_frame", 0x7000_0001, 2, 0, 8),
    (".text.f", 1, 6, 0, 4),
    (".data.rel.ro", 1, 3, 0, 8),
    (".tdata", 1, 0x403, 0, 8),
    (".tbss", NOBITS, 0x403, 0, 8),
    (".init_array", 14, 3, 0, 8),
    (".init_array.7", 14, 3, 0, 8),
    (".fini_array", 15, 3, 0, 8),
    (".ctors", 1, 3, 0, 8),
    (".rodata.str1.1", 1, 0x32, 1, 1),
    (".rodata.cst8", 1, 0x12, 8, 8),
    (".debug_info", 1, 0, 0, 1),
    (".debug_str", 1, 0x30, 1, 1),
    (".debug_line", 1, 0, 0, 1),
    (".debug_abbrev", 1, 0x800, 0, 1),
    (".note.gnu.property", 7, 2, 0, 8),
    (".note.stapsdt", 7, 0, 0, 4),
    (".gcc_except_table", 1, 2, 0, 4),
    ("foo", 1, 3, 0, 8),
    (".ldata", 1, 0x1000_0003, 0, 32),
    (".ARM.exidx", 0x7000_0001, 0x82, 0, 4),
    (".ARM.attributes", 0x7000_0003, 0, 0, 1),
    (".riscv.attributes", 0x7000_0003, 0, 0, 1),
    (".toc", 1, 3, 0, 8),
    (".note.GNU-stack", 1, 0, 0, 1),
];

struct Section {
    name: u64,
    kind: u64,
    flags: u64,
    data: Vec<u8>,
    size: u64,
    link: u64,
    info: u64,
    align: u64,
    entry: u64,
}

/// An object for the CPU of that number.
pub(crate) fn object(cpu: u8, choices: &mut Choices<'_>) -> Vec<u8> {
    let cpu = &CPUS[usize::from(cpu) % CPUS.len()];
    let mut names = Out(vec![0]);
    let mut sections: Vec<Section> = Vec::new();
    let mut wishes: Vec<Vec<Wish>> = Vec::new();
    let count = choices.below(8);
    for number in 0..count {
        let what = if number == 0 { SECTIONS[0] } else { choices.pick(&SECTIONS) };
        let (section, wish) = section(cpu, what, choices, &mut names);
        sections.push(section);
        wishes.push(wish);
    }
    // Locals come first.
    let mut symbols: Vec<[u64; 6]> = (0..choices.below(16)).map(|_| symbol(&sections, choices, &mut names)).collect();
    if !choices.rarely() {
        symbols.sort_by_key(|[_, info, ..]| info >> 4 != 0);
    }
    let locals = symbols.iter().take_while(|[_, info, ..]| info >> 4 == 0).count() as u64;
    let groups = choices.pick(&[0, 0, 0, 1, 2]);
    let tables = sections.len();
    // Relocation tables follow the sections, then groups, the symbols and their names.
    let symtab = (1 + 2 * tables + groups) as u64;
    for (index, wishes) in wishes.iter().enumerate() {
        let table = relocations(cpu, &sections[index], wishes, symbols.len(), choices);
        let name = add(&mut names, if cpu.machine == 3 || cpu.machine == 40 { ".rel" } else { ".rela" });
        let kind = if cpu.machine == 3 || cpu.machine == 40 { REL } else { RELA };
        let word = if cpu.wide { 8 } else { 4 };
        sections.push(Section {
            name,
            kind,
            flags: 0x40,
            size: choices.number(table.len() as u64),
            data: table,
            link: choices.number(symtab),
            info: choices.number(index as u64 + 1),
            align: word,
            entry: choices.number(if kind == RELA { 3 * word } else { 2 * word }),
        });
    }
    for _ in 0..groups {
        let mut members = Out::default();
        members.u32(choices.number(1));
        for _ in 0..choices.below(5) {
            let member = 1 + choices.below(2 * tables + 1);
            members.u32(choices.number(member as u64));
        }
        let signature = 1 + choices.below(symbols.len()) as u64;
        sections.push(Section {
            name: add(&mut names, ".group"),
            kind: GROUP,
            flags: 0,
            size: choices.number(members.len()),
            data: members.0,
            link: choices.number(symtab),
            info: choices.number(signature),
            align: 4,
            entry: 4,
        });
    }
    let mut table = Out(vec![0; if cpu.wide { 24 } else { 16 }]);
    for [name, info, other, section, value, size] in symbols {
        table.u32(name);
        if cpu.wide {
            table.bytes(&[info as u8, other as u8]);
            table.u16(section);
            table.u64(value);
            table.u64(size);
        } else {
            table.u32(value);
            table.u32(size);
            table.bytes(&[info as u8, other as u8]);
            table.u16(section);
        }
    }
    let name = add(&mut names, ".symtab");
    sections.push(Section {
        name,
        kind: 2,
        flags: 0,
        size: choices.number(table.len()),
        data: table.0,
        link: choices.number(symtab + 1),
        info: choices.number(locals + 1),
        align: 8,
        entry: choices.number(if cpu.wide { 24 } else { 16 }),
    });
    let name = add(&mut names, ".strtab");
    sections.push(Section {
        name,
        kind: 3,
        flags: 0,
        size: choices.number(names.len()),
        data: names.0,
        link: 0,
        info: 0,
        align: 1,
        entry: 0,
    });
    file(cpu, &sections, choices)
}

/// Adds a name to the table of names; returns its place.
fn add(names: &mut Out, name: &str) -> u64 {
    let at = names.len();
    names.bytes(name.as_bytes());
    names.u8(0);
    at
}

fn section(
    cpu: &Cpu,
    (name, kind, flags, entry, align): (&str, u64, u64, u64, u64),
    choices: &mut Choices<'_>,
    names: &mut Out,
) -> (Section, Vec<Wish>) {
    let (data, wishes) = match name {
        ".eh_frame" => unwind::eh_frame(choices, cpu.wide),
        ".debug_abbrev" => (unwind::compressed(choices, cpu.wide), Vec::new()),
        ".note.gnu.property" => {
            let mut note = Out::default();
            for word in [4, 16, 5, 0x0055_4e47, 0xc000_0002, 4, 3, 0] {
                note.u32(choices.number(word));
            }
            (note.0, Vec::new())
        }
        _ => {
            let size = choices.size();
            (choices.bytes(size), Vec::new())
        }
    };
    let size = choices.number(data.len() as u64);
    let section = Section {
        name: add(names, name),
        kind: if choices.rarely() { choices.number(kind) } else { kind },
        flags: if choices.rarely() { choices.number(flags) } else { flags },
        data: if kind == NOBITS { Vec::new() } else { data },
        size,
        link: choices.number(u64::from(flags & 0x80 != 0)),
        info: choices.number(0),
        align: choices.number(align),
        entry: choices.number(entry),
    };
    (section, wishes)
}

/// `st_name`, `st_info`, `st_other`, `st_shndx`, `st_value`, `st_size`.
fn symbol(sections: &[Section], choices: &mut Choices<'_>, names: &mut Out) -> [u64; 6] {
    let name = add(names, &choices.name());
    let binding = choices.pick(&[0, 1, 1, 1, 2, 2, 10]);
    let index = choices.below(sections.len() + 2) as u64;
    let section = if choices.rarely() { choices.pick(&[0xfff1, 0xfff2, 0xff02, 0xffff]) } else { index };
    let of = sections.get((index as usize).wrapping_sub(1));
    let thread = of.is_some_and(|section| section.flags & 0x400 != 0);
    let kind = if thread { 6 } else { choices.pick(&[0, 1, 2, 2, 2, 3, 5, 10, 6]) };
    let value = of.map_or(8, |section| (u64::from(choices.byte()) << 3) % section.size.max(1));
    let size = choices.byte();
    [
        choices.number(name),
        binding << 4 | kind,
        choices.pick(&[0, 0, 0, 2, 3, 1, 0x60, 0x80]),
        choices.number(section),
        choices.number(value),
        choices.number(size.into()),
    ]
}

fn relocations(cpu: &Cpu, section: &Section, wishes: &[Wish], symbols: usize, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut entries: Vec<(u64, u64, u64, u64)> = Vec::new();
    let kinds = cpu.kinds;
    for wish in wishes {
        let (kind, offset) = match wish {
            Wish::Pointer(offset) => (kinds[0], *offset),
            Wish::Relative32(offset) | Wish::Image32(offset) | Wish::Own32(offset) => (kinds[1], *offset),
        };
        let symbol = 1 + choices.below(symbols.max(1)) as u64;
        entries.push((choices.number(offset), kind.into(), choices.number(symbol), choices.number(0)));
    }
    if wishes.is_empty() {
        for _ in 0..choices.below(12) {
            let offset = (u64::from(choices.byte()) << 2) % section.size.max(1);
            let kind = u64::from(if choices.rarely() { choices.byte().into() } else { choices.pick(kinds) });
            let symbol = choices.below(symbols + 1) as u64;
            let addend = choices.pick(&[0, (-4_i64).cast_unsigned(), 8, 0x8000]);
            let entry = (choices.number(offset), kind, choices.number(symbol), choices.number(addend));
            entries.push(entry);
            // Several of one place belong together: ADD and SUB, a call and its relaxation.
            if choices.byte() >= 200 {
                entries.push((entry.0, choices.pick(kinds).into(), choices.number(symbol), 0));
            }
        }
        if !choices.rarely() {
            entries.sort_by_key(|(offset, ..)| *offset);
        }
    }
    let mut out = Out::default();
    let with_addend = cpu.machine != 3 && cpu.machine != 40;
    for (offset, kind, symbol, addend) in entries {
        out.word(offset, cpu.wide);
        if cpu.wide {
            out.u32(kind);
            out.u32(symbol);
        } else {
            out.u32(symbol << 8 | kind & 0xff);
        }
        if with_addend {
            out.word(addend, cpu.wide);
        }
    }
    out.0
}

fn file(cpu: &Cpu, sections: &[Section], choices: &mut Choices<'_>) -> Vec<u8> {
    let header_size = if cpu.wide { 64 } else { 52 };
    let mut out = Out(vec![0; header_size]);
    let mut offsets = Vec::new();
    for section in sections {
        out.align(section.align.clamp(1, 32).next_power_of_two() as usize);
        offsets.push(out.len());
        out.bytes(&section.data);
    }
    out.align(8);
    let headers = out.len();
    let entry = if cpu.wide { 64 } else { 40 };
    out.bytes(&vec![0; entry]);
    for (section, offset) in sections.iter().zip(offsets) {
        out.u32(choices.number(section.name));
        out.u32(section.kind);
        out.word(section.flags, cpu.wide);
        out.word(0, cpu.wide);
        out.word(choices.number(offset), cpu.wide);
        out.word(section.size, cpu.wide);
        out.u32(section.link);
        out.u32(section.info);
        out.word(section.align, cpu.wide);
        out.word(section.entry, cpu.wide);
    }
    let mut header = Out(b"\x7fELF".to_vec());
    header.bytes(&[if cpu.wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.u16(1);
    header.u16(cpu.machine);
    header.u32(1);
    header.word(0, cpu.wide);
    header.word(0, cpu.wide);
    header.word(headers, cpu.wide);
    header.u32(choices.number(cpu.flags));
    header.u16(header_size as u64);
    header.u32(0);
    header.u16(entry as u64);
    header.u16(choices.number(sections.len() as u64 + 1));
    // The names of sections and of symbols share a table, the last section.
    header.u16(choices.number(sections.len() as u64));
    out.0[..header_size].copy_from_slice(&header.0);
    out.0
}
