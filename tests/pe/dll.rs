//! A reader of DLLs for tests: nothing of the linker's is used.

use std::collections::BTreeMap;

/// A section header.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// Offset from the image's base, and sizes in memory and in the file.
    pub(crate) start: u32,
    pub(crate) size: u32,
    /// Its offset in the file.
    pub(crate) file: u32,
    file_size: u32,
    pub(crate) characteristics: u32,
}

/// A DLL.
#[derive(Debug)]
pub(crate) struct Dll {
    bytes: Vec<u8>,
    pub(crate) base: u64,
    pub(crate) entry: u32,
    /// The size of an address.
    pub(crate) word: u32,
    pub(crate) sections: Vec<Section>,
    directories: Vec<(u32, u32)>,
    /// Names by place, those of functions and data.
    symbols: BTreeMap<u32, Vec<String>>,
    headers: usize,
}

/// A place by the symbol before it, or by what is imported there.
pub(crate) type Place = (String, u32);

impl Dll {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(&bytes[..2], b"MZ");
        let header = u32_at(60) as usize;
        assert_eq!(&bytes[header..header + 4], b"PE\0\0");
        let optional = header + 24;
        let narrow = match u16_at(optional) {
            0x10b => true,
            0x20b => false,
            other => panic!("magic {other:x}"),
        };
        let base = if narrow {
            u32_at(optional + 28).into()
        } else {
            u64::from_le_bytes(bytes[optional + 24..optional + 32].try_into().unwrap())
        };
        let directories = optional + if narrow { 96 } else { 112 };
        let count = u32_at(directories - 4) as usize;
        let directories = (0..count).map(|n| (u32_at(directories + 8 * n), u32_at(directories + 8 * n + 4))).collect();
        let table = optional + usize::from(u16_at(header + 20));
        let (symtab, symbol_count) = (u32_at(header + 12) as usize, u32_at(header + 16) as usize);
        let strings = symtab + 18 * symbol_count;
        let string = |at: usize| {
            let end = bytes[at..].iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8_lossy(&bytes[at..at + end]).into_owned()
        };
        let short = |at: usize| String::from_utf8_lossy(&bytes[at..at + 8]).trim_end_matches('\0').to_owned();
        let sections: Vec<Section> = (0..usize::from(u16_at(header + 6)))
            .map(|number| {
                let at = table + 40 * number;
                let name = short(at);
                let long = name.strip_prefix('/').map(|offset| string(strings + offset.parse::<usize>().unwrap()));
                Section {
                    name: long.unwrap_or(name),
                    size: u32_at(at + 8),
                    start: u32_at(at + 12),
                    file_size: u32_at(at + 16),
                    file: u32_at(at + 20),
                    characteristics: u32_at(at + 36),
                }
            })
            .collect();
        let mut symbols: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for number in 0..symbol_count {
            let at = symtab + 18 * number;
            let section = u16_at(at + 12) as i16;
            assert_eq!(bytes[at + 17], 0, "images' symbols have no further records");
            let name = if u32_at(at) == 0 { string(strings + u32_at(at + 4) as usize) } else { short(at) };
            if section > 0 {
                symbols.entry(sections[section as usize - 1].start + u32_at(at + 8)).or_default().push(name);
            }
        }
        symbols.values_mut().for_each(|names| names.sort());
        let entry = u32_at(optional + 16);
        let word = if narrow { 4 } else { 8 };
        Self { entry, base, word, sections, directories, symbols, headers: header, bytes }
    }

    /// The bytes of the image at an offset from its base.
    pub(crate) fn at(&self, start: u32, size: u32) -> Vec<u8> {
        let section = self.sections.iter().find(|it| (it.start..it.start + it.size.max(1)).contains(&start));
        let section = section.unwrap_or_else(|| panic!("0x{start:x} is in no section"));
        let within = start - section.start;
        (within..within + size)
            .map(|at| if at < section.file_size { self.bytes[(section.file + at) as usize] } else { 0 })
            .collect()
    }

    pub(crate) fn u32(&self, at: u32) -> u32 {
        u32::from_le_bytes(self.at(at, 4).try_into().unwrap())
    }

    fn u16(&self, at: u32) -> u16 {
        u16::from_le_bytes(self.at(at, 2).try_into().unwrap())
    }

    /// The address that stands somewhere, as an offset from the base.
    pub(crate) fn address(&self, at: u32) -> u32 {
        let mut bytes = self.at(at, self.word);
        bytes.resize(8, 0);
        u64::from_le_bytes(bytes.try_into().unwrap()).wrapping_sub(self.base) as u32
    }

    fn string(&self, at: u32) -> String {
        let end = (at..).find(|at| self.at(*at, 1)[0] == 0).unwrap();
        String::from_utf8_lossy(&self.at(at, end - at)).into_owned()
    }

    pub(crate) fn section(&self, name: &str) -> &Section {
        self.sections.iter().find(|section| section.name == name).unwrap_or_else(|| panic!("no section {name}"))
    }

    pub(crate) fn directory(&self, number: usize) -> (u32, u32) {
        self.directories[number]
    }

    /// All symbols: where they are, and what is called so.
    pub(crate) fn symbols(&self) -> &BTreeMap<u32, Vec<String>> {
        &self.symbols
    }

    /// Where a symbol is.
    pub(crate) fn symbol(&self, name: &str) -> u32 {
        let found = self.symbols.iter().find(|(_, names)| names.iter().any(|it| it == name));
        *found.unwrap_or_else(|| panic!("no symbol {name}")).0
    }

    pub(crate) fn has_symbol(&self, name: &str) -> bool {
        self.symbols.values().flatten().any(|it| it == name)
    }

    /// The DLL's own name, and its exports: number, name, place.
    pub(crate) fn exports(&self) -> (String, Vec<(u32, String, u32)>) {
        let (start, size) = self.directory(0);
        if size == 0 {
            return Default::default();
        }
        let field = |at| self.u32(start + at);
        let (base, names, addresses) = (field(16), field(24), field(28));
        let (name_table, ordinals) = (field(32), field(36));
        let exports: Vec<(u32, String, u32)> = (0..names)
            .map(|number| {
                let index = u32::from(self.u16(ordinals + 2 * number));
                (base + index, self.string(self.u32(name_table + 4 * number)), self.u32(addresses + 4 * index))
            })
            .collect();
        assert!(exports.is_sorted_by_key(|(_, name, _)| name.as_bytes().to_vec()), "the loader halves the names");
        (self.string(field(12)), exports)
    }

    /// What is imported, by the place of its slot.
    pub(crate) fn imports(&self) -> BTreeMap<u32, (String, String)> {
        let mut imports = BTreeMap::new();
        let (mut entry, size) = self.directory(1);
        let end = entry + size;
        while entry < end && self.u32(entry + 12) != 0 {
            let (lookup, name, slots) = (self.u32(entry), self.string(self.u32(entry + 12)), self.u32(entry + 16));
            for number in 0.. {
                let (at, slot) = (lookup + self.word * number, slots + self.word * number);
                assert_eq!(self.at(at, self.word), self.at(slot, self.word), "both tables say the same in the file");
                let value = self.u32(at);
                let by_number = self.at(at, self.word).last().unwrap() & 0x80 != 0;
                let what = match (value, by_number) {
                    (value, true) => format!("#{}", value & 0xffff),
                    (0, false) => break,
                    (hint, false) => self.string(hint + 2),
                };
                imports.insert(slot, (name.to_ascii_lowercase(), what));
            }
            entry += 20;
        }
        if size > 0 {
            assert_eq!(self.at(entry, 20), [0; 20], "a null entry ends the directory");
        }
        imports
    }

    /// Base relocations: kind and place.
    pub(crate) fn base_relocations(&self) -> Vec<(u16, u32)> {
        let (mut at, size) = self.directory(5);
        let end = at + size;
        let mut all = Vec::new();
        while at < end {
            let (page, block) = (self.u32(at), self.u32(at + 4));
            assert!(page % 4096 == 0 && block % 4 == 0 && block >= 8 && at + block <= end, "block at 0x{at:x}");
            for entry in (at + 8..at + block).step_by(2).map(|at| self.u16(at)) {
                if entry >> 12 != 0 {
                    all.push((entry >> 12, page + u32::from(entry & 0xfff)));
                }
            }
            at += block;
        }
        assert!(all.is_sorted_by_key(|(_, place)| *place));
        all
    }

    /// Rows of Arm64's functions: start, size, and unwind data, which is the row itself or a record elsewhere, with the
    /// name of the function that handles exceptions after it (Microsoft, "ARM64 exception handling").
    pub(crate) fn functions_of_arm64(&self) -> Vec<(u32, u32, Vec<u8>)> {
        let (start, size) = self.directory(3);
        let rows: Vec<_> = (start..start + size).step_by(8).map(|at| (self.u32(at), self.u32(at + 4))).collect();
        assert!(rows.is_sorted(), "the loader halves the rows");
        let row = |(start, data): (u32, u32)| {
            if data & 3 != 0 {
                return (start, (data >> 2 & 0x7ff) * 4, data.to_le_bytes().to_vec());
            }
            let header = self.u32(data);
            let (handled, single) = (header >> 20 & 1 != 0, header >> 21 & 1 != 0);
            let (mut epilogs, mut codes, mut length) = (header >> 22 & 31, header >> 27, 4);
            if (epilogs, codes) == (0, 0) {
                let more = self.u32(data + 4);
                (epilogs, codes, length) = (more & 0xffff, more >> 16 & 0xff, 8);
            }
            length += 4 * (codes + if single { 0 } else { epilogs });
            let mut record = self.at(data, length);
            if handled {
                // Through a thunk: its first instruction's page and second's offset lead to the import.
                let at = self.u32(data + length);
                let (adrp, low) = (self.u32(at), self.u32(at + 4));
                let pages = (adrp >> 5 & 0x7_ffff) << 2 | adrp >> 29 & 3;
                let slot = (at & !0xfff).wrapping_add(pages << 12) + (low >> 10 & 0xfff) * 8;
                let handler = &self.imports()[&slot];
                record.extend(handler.1.bytes());
            }
            (start, (header & 0x3_ffff) * 4, record)
        };
        rows.into_iter().map(row).collect()
    }

    /// Rows of functions: start, end, and place of the unwind data.
    pub(crate) fn functions(&self) -> Vec<(u32, u32, u32)> {
        let (start, size) = self.directory(3);
        let rows: Vec<_> =
            (start..start + size).step_by(12).map(|at| (self.u32(at), self.u32(at + 4), self.u32(at + 8))).collect();
        assert!(rows.is_sorted(), "the loader halves the rows");
        rows
    }

    /// What is at a place: an import, or the symbol before it and the distance.
    pub(crate) fn place(&self, at: u32) -> Place {
        if let Some((dll, name)) = self.imports().get(&at) {
            return (format!("{dll}!{name}"), 0);
        }
        self.symbol_before(at)
    }

    /// The symbol before a place, and the distance.
    pub(crate) fn symbol_before(&self, at: u32) -> Place {
        let section = self.sections.iter().find(|it| (it.start..it.start + it.size).contains(&at));
        let start = section.map_or(0, |section| section.start);
        let symbol = self.symbols.range(start..=at).next_back();
        match (symbol, section) {
            (Some((start, names)), _) => {
                // Labels that one linker keeps and another does not.
                let plain = names.iter().find(|name| !name.starts_with('.')).unwrap_or(&names[0]);
                (plain.clone(), at - start)
            }
            (None, Some(section)) => (section.name.clone(), at - start),
            (None, None) => ("nowhere".to_owned(), at),
        }
    }

    /// The checksum that stands in the header, and the one that the bytes have: the sum of 16-bit words in which carries
    /// are added again, and the size.
    pub(crate) fn checksums(&self) -> (u32, u32) {
        let place = self.headers + 24 + 64;
        let stored = u32::from_le_bytes(self.bytes[place..place + 4].try_into().unwrap());
        let mut bytes = self.bytes.clone();
        bytes[place..place + 4].fill(0);
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) | pair.get(1).map_or(0, |high| u32::from(*high) << 8);
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (stored, sum + bytes.len() as u32)
    }

    pub(crate) fn machine(&self) -> u16 {
        u16::from_le_bytes(self.bytes[self.headers + 4..self.headers + 6].try_into().unwrap())
    }

    pub(crate) fn timestamp(&self) -> u32 {
        u32::from_le_bytes(self.bytes[self.headers + 8..self.headers + 12].try_into().unwrap())
    }

    pub(crate) fn characteristics(&self) -> (u16, u16) {
        let u16_at = |at: usize| u16::from_le_bytes(self.bytes[at..at + 2].try_into().unwrap());
        (u16_at(self.headers + 22), u16_at(self.headers + 24 + 70))
    }
}
