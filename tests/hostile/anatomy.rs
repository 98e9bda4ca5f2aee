//! Where the fields of a good file are: what there is to damage, and where to cut.
//!
//! Written apart from the library's own parser, so that a mistake there does not blind the test.

use std::ops::Range;

/// What a field is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// An archive member's header, in ASCII.
    ArchiveHeader,
    /// The archive's symbol index.
    ArchiveIndex,
    /// The ELF file header.
    FileHeader,
    /// A program header.
    ProgramHeader,
    /// A load command of a Mach-O file.
    LoadCommand,
    /// A section header.
    SectionHeader,
    /// A symbol.
    Symbol,
    /// A relocation.
    Relocation,
    /// A word of a section group.
    Group,
    /// A length, id or first bytes of an unwind record.
    Unwind,
    /// A word of a note.
    Note,
    /// A word of the dynamic section.
    Dynamic,
    /// A word of a hash or version table.
    Lookup,
    /// A byte of a string table.
    Strings,
    /// The first words of any other section.
    Contents,
}

/// A number in the file, little-endian (or ASCII digits in an archive header).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) role: Role,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// What is known of a file.
#[derive(Debug, Default)]
pub(crate) struct Anatomy {
    /// The fields by role.
    pub(crate) fields: Vec<(Role, Vec<Field>)>,
    /// Tables of records of one size: the whole range, and the size.
    pub(crate) tables: Vec<(Range<usize>, usize)>,
    /// Where structures begin or end.
    pub(crate) bounds: Vec<usize>,
    /// The members of an archive, headers and padding included, and how many special ones come first.
    pub(crate) members: Vec<Range<usize>>,
    /// The contents of those: without headers, names and padding.
    pub(crate) contents: Vec<Range<usize>>,
    /// Whatever is part of a structure or of a section's contents; the rest is padding.
    pub(crate) used: Vec<Range<usize>>,
}

impl Anatomy {
    /// Looks into a good archive, object or shared library.
    pub(crate) fn of(file: &[u8]) -> Self {
        let mut anatomy = Self::default();
        if file.starts_with(b"!<arch>\n") {
            anatomy.archive(file);
        } else {
            anatomy.object(file, 0..file.len());
        }
        anatomy.bounds.extend([0, file.len()]);
        anatomy.bounds.sort_unstable();
        anatomy.bounds.dedup();
        anatomy.fields.sort_by_key(|(role, _)| *role);
        anatomy
    }

    fn field(&mut self, role: Role, offset: usize, size: usize) {
        let field = Field { role, offset, size };
        match self.fields.iter_mut().find(|(known, _)| *known == role) {
            Some((_, fields)) => fields.push(field),
            None => self.fields.push((role, vec![field])),
        }
    }

    /// A table of records whose fields have these sizes.
    fn records(&mut self, role: Role, range: Range<usize>, sizes: &[usize]) {
        let size: usize = sizes.iter().sum();
        self.used.push(range.clone());
        if range.is_empty() {
            return;
        }
        let mut at = range.start;
        while at + size <= range.end {
            let mut offset = at;
            for size in sizes {
                self.field(role, offset, *size);
                offset += size;
            }
            at += size;
        }
        self.bounds.extend([range.start, range.start + size.min(range.len()), range.end]);
        self.tables.push((range, size));
    }

    /// A member or a file of its own.
    fn object(&mut self, whole: &[u8], data: Range<usize>) {
        let word = |at: usize| whole.get(data.start + at..data.start + at + 4).map_or(0, |it| number(it, 0, 4));
        match word(0) {
            0x464c_457f => self.elf(whole, data.start, data.end),
            0xfeed_facf => self.macho(whole, data),
            // Machines with objects of COFF's common form: i386, x86-64, Arm64.
            first if matches!(first & 0xffff, 0x14c | 0x8664 | 0xaa64) => self.coff(whole, data),
            first if first & 0xffff == 0x5a4d => self.pe(whole, data),
            0xffff_0000 => self.short_import(whole, data),
            _ => self.opaque(data),
        }
    }

    fn archive(&mut self, file: &[u8]) {
        let mut at = 8;
        let mut indexed = false;
        self.used.push(0..8);
        while at + 60 <= file.len() {
            let header = &file[at..at + 60];
            for (start, size) in [(0, 16), (16, 12), (28, 6), (34, 6), (40, 8), (48, 10), (58, 2)] {
                self.field(Role::ArchiveHeader, at + start, size);
            }
            let size: usize = std::str::from_utf8(&header[48..58]).unwrap().trim().parse().unwrap();
            let mut data = at + 60..at + 60 + size;
            if let Some(length) = header.strip_prefix(b"#1/") {
                // The name stands in front of the contents, as BSD's archives have it.
                let length: usize = std::str::from_utf8(&length[..13]).unwrap().trim().parse().unwrap();
                self.records(Role::Strings, data.start..data.start + length, &[1]);
                data.start += length;
            }
            let end = data.end.next_multiple_of(2).min(file.len());
            self.members.push(at..end);
            self.contents.push(data.clone());
            self.bounds.extend([at, data.start, data.end, end]);
            let index = header.starts_with(b"/ ") || header.starts_with(b"/SYM64/");
            if index && std::mem::replace(&mut indexed, true) {
                // Microsoft's own index follows the one that all have.
                self.records(Role::ArchiveIndex, data, &[4]);
            } else if index {
                let width = if header[1] == b' ' { 4 } else { 8 };
                let count = file[data.start..data.start + width].iter().fold(0, |n, b| n << 8 | usize::from(*b));
                self.records(Role::ArchiveIndex, data.start..data.start + width * (count + 1), &[width]);
            } else if header.starts_with(b"//") {
                self.records(Role::Strings, data, &[1]);
            } else if file[at + 60..data.start].starts_with(b"__.SYMDEF") {
                // The size of the pairs, the pairs, the size of the names, the names.
                let pairs = data.start + 4..data.start + 4 + number(file, data.start, 4);
                self.records(Role::ArchiveIndex, data.start..data.start + 4, &[4]);
                self.records(Role::ArchiveIndex, pairs.clone(), &[4]);
                self.records(Role::ArchiveIndex, pairs.end..pairs.end + 4, &[4]);
                self.records(Role::Strings, pairs.end + 4..data.end, &[1]);
            } else {
                self.object(file, data);
            }
            self.used.push(at..at + 60);
            self.used.push(end - 1..end);
            at = end;
        }
    }

    /// What is not looked into: headers stand at the start, symbols and relocations anywhere.
    fn opaque(&mut self, data: Range<usize>) {
        self.used.push(data.clone());
        const DENSE: usize = 2048;
        let words = |range: Range<usize>, step: usize| range.step_by(step).filter(|at| at + 4 <= data.end);
        let dense = data.start..data.end.min(data.start + DENSE);
        for at in words(dense.clone(), 4).chain(words(dense.end..data.end, 52)).collect::<Vec<_>>() {
            self.field(Role::Contents, at, 4);
        }
        self.bounds.extend([data.start, dense.end, data.end]);
        self.tables.push((dense, 16));
    }

    fn elf(&mut self, whole: &[u8], base: usize, end: usize) {
        let file = &whole[base..end];
        let number = |at: usize, size: usize| {
            file[at..at + size].iter().rfold(0_usize, |number, byte| number << 8 | usize::from(*byte))
        };
        // Words have 4 bytes in files of class 1, 8 in those of class 2.
        let wide = file[4] == 2;
        let word = if wide { 8 } else { 4 };
        let header = [4, 1, 1, 1, 1, 8, 2, 2, 4, word, word, word, 4, 2, 2, 2, 2, 2, 2];
        let header_size: usize = header.iter().sum();
        self.records(Role::FileHeader, base..base + header_size, &header);
        let (program, sections) = (number(24 + word, word), number(24 + 2 * word, word));
        let (programs, count) = (number(header_size - 8, 2), number(header_size - 4, 2));
        let fields: &[usize] = if wide { &[4, 4, 8, 8, 8, 8, 8, 8] } else { &[4; 8] };
        let size: usize = fields.iter().sum();
        self.records(Role::ProgramHeader, base + program..base + program + size * programs, fields);
        let fields = [4, 4, word, word, word, word, 4, 4, word, word];
        let size: usize = fields.iter().sum();
        self.records(Role::SectionHeader, base + sections..base + sections + size * count, &fields);
        let place = |at: usize| (number(at + 8 + 2 * word, word), number(at + 8 + 3 * word, word));
        let (names, _) = place(sections + size * number(header_size - 2, 2));
        for index in 1..count {
            let at = sections + size * index;
            let kind = number(at + 4, 4);
            let (offset, size) = place(at);
            if kind == 8 {
                continue;
            }
            let name = &file[names + number(at, 4)..];
            let name = &name[..name.iter().position(|byte| *byte == 0).unwrap()];
            let data = base + offset..base + offset + size;
            match (kind, name) {
                (2 | 11, _) if wide => self.records(Role::Symbol, data, &[4, 1, 1, 2, 8, 8]),
                (2 | 11, _) => self.records(Role::Symbol, data, &[4, 4, 4, 1, 1, 2]),
                (4, _) => self.records(Role::Relocation, data, &[word, word / 2, word / 2, word]),
                (9, _) => self.records(Role::Relocation, data, &[word, word / 2, word / 2]),
                (3, _) => self.records(Role::Strings, data, &[1]),
                (6, _) => self.records(Role::Dynamic, data, &[word, word]),
                (7, _) => self.records(Role::Note, data, &[4]),
                (17, _) => self.records(Role::Group, data, &[4]),
                (5, _) => self.records(Role::Lookup, data, &[4]),
                (0x6fff_fff6 | 0x6fff_fffd | 0x6fff_fffe, _) => self.records(Role::Lookup, data, &[4]),
                (0x6fff_ffff, _) => self.records(Role::Lookup, data, &[2]),
                (_, b".eh_frame") => self.unwind(whole, data),
                _ => self.contents(data),
            }
        }
    }

    /// The contents of a section of which no more is known.
    fn contents(&mut self, data: Range<usize>) {
        self.bounds.extend([data.start, data.end]);
        for at in data.clone().step_by(8).take(16).filter(|at| at + 8 <= data.end) {
            self.field(Role::Contents, at, 8);
        }
        self.used.push(data);
    }

    /// `mach-o/loader.h`, `mach-o/nlist.h`, `mach-o/reloc.h`.
    fn macho(&mut self, whole: &[u8], data: Range<usize>) {
        let (file, base) = (&whole[data.clone()], data.start);
        let range = |start: usize, size: usize| base + start..base + start + size;
        self.records(Role::FileHeader, range(0, 32), &[4; 8]);
        let mut at = 32;
        for _ in 0..number(file, 16, 4) {
            let (command, size) = (number(file, at, 4), number(file, at + 4, 4));
            let word = |offset: usize| number(file, at + offset, 4);
            match command {
                // LC_SEGMENT_64
                0x19 => {
                    let fields = [4, 4, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4];
                    self.records(Role::LoadCommand, range(at, 72), &fields);
                    let fields = [8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 4];
                    self.records(Role::SectionHeader, range(at + 72, 80 * word(64)), &fields);
                    for section in (0..word(64)).map(|number| at + 72 + 80 * number) {
                        self.macho_section(whole, file, base, section);
                    }
                }
                // LC_SYMTAB
                0x02 => {
                    self.records(Role::LoadCommand, range(at, size), &[4; 6]);
                    self.records(Role::Symbol, range(word(8), 16 * word(12)), &[4, 1, 1, 2, 8]);
                    self.records(Role::Strings, range(word(16), word(20)), &[1]);
                }
                // LC_DATA_IN_CODE
                0x29 => {
                    self.records(Role::LoadCommand, range(at, size), &[4; 4]);
                    self.records(Role::Lookup, range(word(8), word(12)), &[4, 2, 2]);
                }
                _ => self.records(Role::LoadCommand, range(at, size), &[4]),
            }
            match command {
                // LC_DYLD_INFO, LC_DYLD_INFO_ONLY: opcodes, and a trie.
                0x22 | 0x8000_0022 => {
                    for field in [8, 16, 24, 32, 40] {
                        self.records(Role::Lookup, range(word(field), word(field + 4)), &[1]);
                    }
                }
                // LC_DYLD_EXPORTS_TRIE, LC_DYLD_CHAINED_FIXUPS
                0x8000_0033 => self.records(Role::Lookup, range(word(8), word(12)), &[1]),
                0x8000_0034 => self.records(Role::Dynamic, range(word(8), word(12) / 4 * 4), &[4]),
                _ => {}
            }
            at += size;
        }
    }

    fn macho_section(&mut self, whole: &[u8], file: &[u8], base: usize, header: usize) {
        let (size, offset) = (number(file, header + 40, 8), number(file, header + 48, 4));
        let (relocations, count) = (number(file, header + 56, 4), number(file, header + 60, 4));
        let relocations = base + relocations..base + relocations + 8 * count;
        self.records(Role::Relocation, relocations, &[4, 4]);
        let data = base + offset..base + offset + size;
        match &file[header..header + 16] {
            // S_ZEROFILL
            _ if number(file, header + 64, 1) == 1 => {}
            b"__eh_frame\0\0\0\0\0\0" => self.unwind(whole, data),
            b"__compact_unwind" => self.records(Role::Unwind, data, &[8, 4, 4, 8, 8]),
            _ => self.contents(data),
        }
    }

    /// PE/COFF specification, *COFF File Header* and what follows it.
    fn coff(&mut self, whole: &[u8], data: Range<usize>) {
        let (file, base) = (&whole[data.clone()], data.start);
        let range = |start: usize, size: usize| base + start..base + start + size;
        self.records(Role::FileHeader, range(0, 20), &[2, 2, 4, 4, 4, 2, 2]);
        let (sections, symbols, count) = (number(file, 2, 2), number(file, 8, 4), number(file, 12, 4));
        self.records(Role::SectionHeader, range(20, 40 * sections), &[4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 4]);
        self.records(Role::Symbol, range(symbols, 18 * count), &[4, 4, 4, 2, 2, 1, 1]);
        // Without symbols there are no strings, either.
        if symbols != 0 {
            let strings = symbols + 18 * count;
            self.records(Role::Contents, range(strings, 4), &[4]);
            self.records(Role::Strings, range(strings + 4, number(file, strings, 4).saturating_sub(4)), &[1]);
        }
        for header in (0..sections).map(|number| 20 + 40 * number) {
            let (size, offset) = (number(file, header + 16, 4), number(file, header + 20, 4));
            let (relocations, count) = (number(file, header + 24, 4), number(file, header + 32, 2));
            self.records(Role::Relocation, range(relocations, 10 * count), &[4, 4, 2]);
            match &file[header..header + 8] {
                // No contents in the file.
                _ if offset == 0 => {}
                b".pdata\0\0" => self.records(Role::Unwind, range(offset, size), &[4, 4, 4]),
                b".xdata\0\0" => self.records(Role::Unwind, range(offset, size), &[1]),
                b".drectve" => self.records(Role::Strings, range(offset, size), &[1]),
                _ => self.contents(range(offset, size)),
            }
        }
    }

    /// An image: PE specification, *Overview*, and *The .edata Section*.
    fn pe(&mut self, whole: &[u8], data: Range<usize>) {
        let (file, base) = (&whole[data.clone()], data.start);
        let range = |start: usize, size: usize| base + start..base + start + size;
        let header = number(file, 0x3c, 4);
        self.records(Role::FileHeader, range(0, 64), &[2, 2, 2, 2, 2, 2, 2, 2, 8, 8, 8, 8, 8, 4, 4, 4]);
        self.records(Role::FileHeader, range(header, 24), &[4, 2, 2, 4, 4, 4, 2, 2]);
        let (count, optional) = (number(file, header + 6, 2), number(file, header + 20, 2));
        let (optional, sections) = (header + 24..header + 24 + optional, header + 24 + optional);
        let directories = optional.start + if number(file, optional.start, 2) == 0x20b { 112 } else { 96 };
        self.records(Role::ProgramHeader, range(optional.start, directories - optional.start), &[4]);
        self.records(Role::Dynamic, range(directories, optional.end - directories), &[4, 4]);
        self.records(Role::SectionHeader, range(sections, 40 * count), &[4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 4]);
        let headers = (0..count).map(|number| sections + 40 * number);
        let places: Vec<[usize; 3]> = headers.map(|at| [12, 16, 20].map(|field| number(file, at + field, 4))).collect();
        for [_, size, offset] in &places {
            self.contents(range(*offset, *size));
        }
        let offset_of = |address: usize| {
            let inside = |[start, size, _]: &&[usize; 3]| (*start..start + size).contains(&address);
            places.iter().find(inside).map(|[start, _, offset]| address - start + offset)
        };
        if let Some(table) = offset_of(number(file, directories, 4)) {
            self.records(Role::Lookup, range(table, 40), &[4, 4, 2, 2, 4, 4, 4, 4, 4, 4, 4]);
            let field = |at: usize| number(file, table + at, 4);
            for (list, count, width) in [(28, 20, 4), (32, 24, 4), (36, 24, 2)] {
                if let Some(list) = offset_of(field(list)) {
                    self.records(Role::Lookup, range(list, width * field(count)), &[width]);
                }
            }
        }
    }

    /// A member of an import library: PE specification, *Import Library Format*.
    fn short_import(&mut self, whole: &[u8], data: Range<usize>) {
        self.records(Role::FileHeader, data.start..data.start + 20, &[2, 2, 2, 2, 4, 4, 2, 2]);
        let strings = data.start + 20..data.end.min(data.start + 20 + number(whole, data.start + 12, 4));
        self.records(Role::Strings, strings, &[1]);
    }

    fn unwind(&mut self, file: &[u8], data: Range<usize>) {
        self.used.push(data.clone());
        let mut at = data.start;
        while at + 4 <= data.end {
            let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
            self.field(Role::Unwind, at, 4);
            self.bounds.push(at);
            if length == 0 {
                break;
            }
            self.field(Role::Unwind, at + 4, 4);
            for place in at + 8..(at + 4 + length).min(at + 28) {
                self.field(Role::Unwind, place, 1);
            }
            at += 4 + length;
        }
        self.bounds.extend([data.start, data.end]);
    }
}

/// A little-endian number of the file.
fn number(file: &[u8], at: usize, size: usize) -> usize {
    file[at..at + size].iter().rfold(0, |number, byte| number << 8 | usize::from(*byte))
}
