//! Reads images by Apple's headers alone, with nothing of the linker's own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{ExportData, LoadCommandVariant, MachHeader, Segment as _};
use sha2::{Digest, Sha256};

type Header = macho::MachHeader64<LE>;
type Nlist = macho::Nlist64<LE>;

/// For each object, by its path, what it has.
pub type DebugMap = BTreeMap<Vec<u8>, BTreeMap<(u8, Vec<u8>), u64>>;

/// A Mach-O image.
pub struct Image<'a> {
    bytes: &'a [u8],
    commands: Vec<(macho::LoadCommandType, LoadCommandVariant<'a, LE>, &'a [u8])>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn big(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn string(bytes: &[u8], at: usize) -> Vec<u8> {
    bytes[at..].iter().copied().take_while(|byte| *byte != 0).collect()
}

fn trimmed(name: &[u8]) -> Vec<u8> {
    name.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// Where a filled pointer leads to: an address of the image, or another image's name and what is added.
pub type Led = Result<u64, (Vec<u8>, u64)>;

impl<'a> Image<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let header = Header::parse(bytes, 0).unwrap();
        let mut iterator = header.load_commands(LE, bytes, 0).unwrap();
        let mut commands = Vec::new();
        while let Some(command) = iterator.next().unwrap() {
            commands.push((command.cmd(), command.variant().unwrap(), command.raw_data()));
        }
        Self { bytes, commands }
    }

    fn linkedit(&self, wanted: macho::LoadCommandType) -> Option<&'a [u8]> {
        self.commands.iter().find_map(|(kind, variant, _)| match variant {
            LoadCommandVariant::LinkeditData(data) if *kind == wanted => {
                let start = data.dataoff.get(LE) as usize;
                Some(&self.bytes[start..start + data.datasize.get(LE) as usize])
            }
            _ => None,
        })
    }

    /// Name, address and file offset of the segments.
    pub fn segments(&self) -> Vec<(Vec<u8>, u64, u64)> {
        let segments = self.commands.iter().filter_map(|(_, variant, _)| match variant {
            LoadCommandVariant::Segment64(segment, _) => {
                Some((trimmed(&segment.segname), segment.vmaddr.get(LE), segment.fileoff.get(LE)))
            }
            _ => None,
        });
        segments.collect()
    }

    /// What may be done with the segments, by name.
    pub fn protections(&self) -> BTreeMap<Vec<u8>, (u32, u32, u32)> {
        let segments = self.commands.iter().filter_map(|(_, variant, _)| match variant {
            LoadCommandVariant::Segment64(segment, _) => {
                let protections = (segment.maxprot.get(LE).0, segment.initprot.get(LE).0, segment.flags.get(LE).0);
                Some((trimmed(&segment.segname), protections))
            }
            _ => None,
        });
        segments.collect()
    }

    /// The names of segments and sections.
    pub fn places(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (_, variant, _) in &self.commands {
            let LoadCommandVariant::Segment64(segment, data) = variant else { continue };
            for section in segment.sections(LE, *data).unwrap() {
                let [segment, section] = [&section.segname, &section.sectname].map(|name| trimmed(name));
                all.insert(format!("{},{}", String::from_utf8_lossy(&segment), String::from_utf8_lossy(&section)));
            }
        }
        all
    }

    /// The strings of commands that are nothing else (`LC_SUB_CLIENT` and its like).
    pub fn strings(&self, wanted: macho::LoadCommandType) -> Vec<Vec<u8>> {
        self.commands.iter().filter(|(kind, ..)| *kind == wanted).map(|(.., raw)| string(raw, 12)).collect()
    }

    /// The type of the file.
    pub fn file_type(&self) -> u32 {
        word(self.bytes, 12)
    }

    /// The entries of the symbol table for debuggers of a kind.
    pub fn stabs(&self, kind: u8) -> Vec<Vec<u8>> {
        self.nlists().into_iter().filter(|(_, entry)| entry.n_type.0 == kind).map(|(name, _)| name).collect()
    }

    /// The sections in order: name and address.
    pub fn sections(&self) -> Vec<(Vec<u8>, u64, u64)> {
        let mut all = Vec::new();
        for (_, variant, _) in &self.commands {
            if let LoadCommandVariant::Segment64(segment, data) = variant {
                for section in segment.sections(LE, *data).unwrap() {
                    all.push((trimmed(&section.sectname), section.addr.get(LE), section.size.get(LE)));
                }
            }
        }
        all
    }

    /// Whether chains tell what the loader fills.
    pub fn is_chained(&self) -> bool {
        self.linkedit(macho::LC_DYLD_CHAINED_FIXUPS).is_some()
    }

    /// The program that lists the pointers which move with the image.
    pub fn rebase_program(&self) -> &'a [u8] {
        let info = self.commands.iter().find_map(|(_, variant, _)| match variant {
            LoadCommandVariant::DyldInfo(info) => Some(*info),
            _ => None,
        });
        let info = info.unwrap();
        &self.bytes[info.rebase_off.get(LE) as usize..][..info.rebase_size.get(LE) as usize]
    }

    /// The kinds of the load commands, in no order.
    pub fn commands(&self) -> Vec<u32> {
        let mut kinds: Vec<u32> = self.commands.iter().map(|(kind, ..)| kind.0).collect();
        kinds.sort_unstable();
        kinds
    }

    /// Where in the file the number of the system stands.
    pub fn build_version(&self) -> Option<usize> {
        let (mut at, mut found) = (32, None);
        for (kind, ..) in &self.commands {
            found = found.or((*kind == macho::LC_BUILD_VERSION).then_some(at + 8));
            at += word(self.bytes, at + 4) as usize;
        }
        found
    }

    /// The oldest system that the image is for, and the SDK.
    pub fn versions(&self) -> Option<(u32, u32)> {
        self.commands.iter().find_map(|(_, variant, _)| match variant {
            LoadCommandVariant::BuildVersion(version, _) => Some((version.minos.get(LE).0, version.sdk.get(LE).0)),
            LoadCommandVariant::VersionMin(version) => Some((version.version.get(LE).0, version.sdk.get(LE).0)),
            _ => None,
        })
    }

    /// Bytes between the load commands and the first section.
    pub fn header_room(&self) -> u64 {
        let first = self.sections().into_iter().map(|section| section.1).min().unwrap();
        first - 32 - u64::from(word(self.bytes, 20))
    }

    /// Data in code: the addresses, and what they are.
    pub fn data_in_code(&self) -> Vec<(Range<u64>, u16)> {
        let table = self.linkedit(macho::LC_DATA_IN_CODE).unwrap_or_default();
        let half = |entry: &[u8], at: usize| u16::from_le_bytes(entry[at..at + 2].try_into().unwrap());
        let entries = table.chunks_exact(8).map(|entry| {
            // From the first byte of the file, which is at address 0.
            let start = u64::from(word(entry, 0));
            (start..start + u64::from(half(entry, 4)), half(entry, 6))
        });
        entries.collect()
    }

    /// The flags of the header.
    pub fn flags(&self) -> u32 {
        word(self.bytes, 24)
    }

    /// Names of other images that may be missing, by the symbol table.
    pub fn weak_imports(&self) -> BTreeSet<Vec<u8>> {
        let weak =
            self.nlists().into_iter().filter(|(_, entry)| entry.n_sect == 0 && entry.n_desc.get(LE).0 & 0x40 != 0);
        weak.map(|(name, _)| name).collect()
    }

    /// Names for others, and the section each is in.
    pub fn exported(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.exports().into_iter().map(|(name, address)| (name, self.place(address).0)).collect()
    }

    /// Names for others with the offsets from the image's start.
    pub fn exports(&self) -> BTreeMap<Vec<u8>, u64> {
        let mut found = BTreeMap::new();
        self.each_export(|name, _, data| match data {
            ExportData::Regular { address } => drop(found.insert(name.to_vec(), *address)),
            ExportData::Reexport { .. } => {}
            other => panic!("{other:?}"),
        });
        found
    }

    /// Names that libraries have for others, each with its flags and the number of the library.
    pub fn passed_on(&self) -> BTreeMap<Vec<u8>, (u64, u64)> {
        let mut found = BTreeMap::new();
        self.each_export(|name, flags, data| {
            if let ExportData::Reexport { dylib_ordinal, import_name } = data {
                assert!(import_name.is_empty());
                found.insert(name.to_vec(), (flags, *dylib_ordinal));
            }
        });
        found
    }

    fn each_export(&self, mut each: impl FnMut(&[u8], u64, &ExportData<'_>)) {
        for (kind, variant, _) in &self.commands {
            let mut symbols = match variant {
                LoadCommandVariant::LinkeditData(data)
                    if *kind == macho::LC_DYLD_EXPORTS_TRIE && data.datasize.get(LE) > 0 =>
                {
                    data.exports_trie(LE, self.bytes).unwrap()
                }
                LoadCommandVariant::DyldInfo(info) => info.exports_trie(LE, self.bytes).unwrap(),
                _ => continue,
            };
            while let Some(symbol) = symbols.next().unwrap() {
                each(symbol.name(), symbol.flags().0, symbol.data());
            }
        }
    }

    fn dylibs(&self) -> Vec<(macho::LoadCommandType, Vec<u8>, u32, u32)> {
        let mut all = Vec::new();
        for (kind, variant, raw) in &self.commands {
            if let LoadCommandVariant::Dylib(dylib) | LoadCommandVariant::IdDylib(dylib) = variant {
                let name = string(raw, dylib.dylib.name.offset.get(LE) as usize);
                let versions = (dylib.dylib.current_version.get(LE).0, dylib.dylib.compatibility_version.get(LE).0);
                all.push((*kind, name, versions.0, versions.1));
            }
        }
        all
    }

    /// The libraries that the loader is to load, in order, with their versions.
    pub fn libraries(&self) -> Vec<(macho::LoadCommandType, Vec<u8>, u32, u32)> {
        self.dylibs().into_iter().filter(|dylib| dylib.0 != macho::LC_ID_DYLIB).collect()
    }

    /// The image's own name and versions.
    pub fn install_name(&self) -> (Vec<u8>, u32, u32) {
        let own = self.dylibs().into_iter().find(|dylib| dylib.0 == macho::LC_ID_DYLIB).unwrap();
        (own.1, own.2, own.3)
    }

    pub fn rpaths(&self) -> Vec<Vec<u8>> {
        let paths = self.commands.iter().filter_map(|(_, variant, raw)| match variant {
            LoadCommandVariant::Rpath(rpath) => Some(string(raw, rpath.path.offset.get(LE) as usize)),
            _ => None,
        });
        paths.collect()
    }

    pub fn uuid(&self) -> Option<[u8; 16]> {
        self.commands.iter().find_map(|(_, variant, _)| match variant {
            LoadCommandVariant::Uuid(uuid) => Some(uuid.uuid),
            _ => None,
        })
    }

    fn nlists(&self) -> Vec<(Vec<u8>, &'a Nlist)> {
        for (_, variant, _) in &self.commands {
            if let LoadCommandVariant::Symtab(table) = variant {
                let symbols = table.symbols::<Header, _>(LE, self.bytes).unwrap();
                let strings = table.stroff.get(LE) as usize;
                return symbols
                    .iter()
                    .map(|entry| (string(self.bytes, strings + entry.n_strx.get(LE) as usize), entry))
                    .collect();
            }
        }
        Vec::new()
    }

    /// What stands at an address, without saying where: section, and distance to its start.
    fn place(&self, address: u64) -> (Vec<u8>, u64) {
        let sections = self.sections();
        let (name, start, _) = sections.iter().rev().find(|section| section.1 <= address).unwrap();
        (name.clone(), address - start)
    }

    /// Names, and whether others see them.
    pub fn symbols(&self) -> BTreeSet<(Vec<u8>, bool)> {
        let plain = self.nlists().into_iter().filter(|(_, entry)| !entry.n_type.is_stab());
        plain.map(|(name, entry)| (name, entry.n_type.is_ext())).collect()
    }

    /// What the symbol table says of a name beside its place (`n_desc`).
    pub fn description(&self, wanted: &[u8]) -> Option<u16> {
        let mut plain = self.nlists().into_iter().filter(|(_, entry)| !entry.n_type.is_stab());
        plain.find(|(name, _)| name == wanted).map(|(_, entry)| entry.n_desc.get(LE).0)
    }

    /// The debug map: for each object its path, and for what it has, by kind and name, the size of a function.
    pub fn debug_map(&self) -> DebugMap {
        let mut map = DebugMap::new();
        let mut object = Vec::new();
        let mut last: Option<(u8, Vec<u8>)> = None;
        for (name, entry) in self.nlists() {
            if !entry.n_type.is_stab() {
                continue;
            }
            match entry.n_type.0 {
                0x66 => {
                    assert_eq!(entry.n_value.get(LE), 0, "a time stamp");
                    object = name;
                    map.entry(object.clone()).or_default();
                }
                0x24 if name.is_empty() => {
                    let (kind, name) = last.take().unwrap();
                    map.get_mut(&object).unwrap().insert((kind, name), entry.n_value.get(LE));
                }
                0x24 => last = Some((0x24, name)),
                kind @ (0x20 | 0x26) => {
                    map.get_mut(&object).unwrap().insert((kind, name), 0);
                }
                _ => {}
            }
        }
        map
    }

    /// What the loader fills from other images: the symbol, its library, the addend, and the section it is in.
    pub fn binds(&self) -> Vec<(Vec<u8>, i64, u64, Vec<u8>)> {
        let Some(table) = self.linkedit(macho::LC_DYLD_CHAINED_FIXUPS) else { return Vec::new() };
        let (imports, names) = (word(table, 8) as usize, word(table, 12) as usize);
        assert_eq!((word(table, 20), word(table, 24)), (1, 0), "the form of imports");
        let import = |number: usize| {
            let bits = word(table, imports + 4 * number);
            (string(table, names + (bits >> 9) as usize), i64::from(bits as u8 as i8))
        };
        let binds = self.fixups().into_iter().filter(|(_, pointer)| pointer >> 63 == 1);
        let binds = binds.map(|(address, pointer)| {
            let (name, library) = import((pointer & 0xff_ffff) as usize);
            (name, library, pointer >> 24 & 0xff, self.place(address).0)
        });
        let mut found: Vec<_> = binds.collect();
        found.sort();
        found
    }

    /// The pointers that the loader moves with the image: where they are and where they point to, by symbols.
    pub fn pointers(&self) -> Vec<[(Vec<u8>, u64); 2]> {
        let names = self.names();
        let by_symbol = |address: u64| {
            let (section, distance) = self.place(address);
            let named = names.range(address - distance..=address).next_back();
            named.map_or((section, distance), |(start, name)| (name.clone(), address - start))
        };
        let moved = self.fixups().into_iter().filter(|(_, pointer)| pointer >> 63 == 0);
        let mut found: Vec<_> = moved.map(|(at, to)| [at, to & 0xf_ffff_ffff].map(by_symbol)).collect();
        found.sort();
        found
    }

    /// What the loader fills: the address, and where that leads to, or the name of another image with what is added.
    pub fn filled(&self) -> Vec<(u64, Led)> {
        let table = self.linkedit(macho::LC_DYLD_CHAINED_FIXUPS).unwrap_or_default();
        let filled = self.fixups().into_iter().map(|(address, pointer)| {
            if pointer >> 63 == 0 {
                return (address, Ok(pointer & 0xf_ffff_ffff));
            }
            let bits = word(table, word(table, 8) as usize + 4 * (pointer & 0xff_ffff) as usize);
            let name = string(table, word(table, 12) as usize + (bits >> 9) as usize);
            (address, Err((name, pointer >> 24 & 0xff)))
        });
        filled.collect()
    }

    /// The addresses that have names, each with the first of these.
    pub fn names(&self) -> BTreeMap<u64, Vec<u8>> {
        let mut names: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (name, entry) in self.nlists() {
            if !entry.n_type.is_stab() && entry.n_sect != 0 {
                let kept = names.entry(entry.n_value.get(LE)).or_insert_with(|| name.clone());
                *kept = name.min(kept.clone());
            }
        }
        names
    }

    /// The sections that the file has: their names, addresses and contents.
    pub fn pieces(&self) -> Vec<(Vec<u8>, u64, &'a [u8])> {
        let mut all = Vec::new();
        for (_, variant, _) in &self.commands {
            let LoadCommandVariant::Segment64(segment, data) = variant else { continue };
            for section in segment.sections(LE, *data).unwrap() {
                // S_ZEROFILL and its like
                let zero = matches!(section.flags.get(LE).0 & 0xff, 0x1 | 0xc | 0x12);
                if !zero && section.size.get(LE) > 0 {
                    let contents = &self.bytes[section.offset.get(LE) as usize..][..section.size.get(LE) as usize];
                    all.push((trimmed(&section.sectname), section.addr.get(LE), contents));
                }
            }
        }
        all
    }

    /// The addresses of the pointers that the loader moves with the image.
    pub fn rebases(&self) -> Vec<u64> {
        let moved = self.fixups().into_iter().filter(|(_, pointer)| pointer >> 63 == 0);
        moved.map(|(address, _)| address).collect()
    }

    /// All chained fixups: the address, and what stands there.
    fn fixups(&self) -> Vec<(u64, u64)> {
        let Some(table) = self.linkedit(macho::LC_DYLD_CHAINED_FIXUPS) else { return Vec::new() };
        let starts = word(table, 4) as usize;
        let mut found = Vec::new();
        for (number, (_, address, offset)) in self.segments().into_iter().enumerate() {
            let info = word(table, starts + 4 + 4 * number) as usize;
            if info == 0 {
                continue;
            }
            let info = starts + info;
            let half = |at: usize| u64::from(u16::from_le_bytes(table[at..at + 2].try_into().unwrap()));
            assert_eq!(half(info + 6), 2, "the form of pointers");
            for page in 0..half(info + 20) {
                let start = half(info + 22 + 2 * page as usize);
                if start == 0xffff {
                    continue;
                }
                let mut at = half(info + 4) * page + start;
                loop {
                    let place = (offset + at) as usize;
                    let pointer = u64::from_le_bytes(self.bytes[place..place + 8].try_into().unwrap());
                    found.push((address + at, pointer));
                    let next = pointer >> 51 & 0xfff;
                    if next == 0 {
                        break;
                    }
                    at += 4 * next;
                }
            }
        }
        found
    }

    /// The size of a section; 0 without it.
    pub fn size_of(&self, name: &[u8]) -> u64 {
        self.sections().into_iter().find(|section| section.0 == name).map_or(0, |section| section.2)
    }

    /// Names with their libraries that programs bind: when the image is loaded, and at the first call.
    pub fn bound_by_programs(&self) -> [BTreeSet<(Vec<u8>, i64)>; 2] {
        let info = self.commands.iter().find_map(|(_, variant, _)| match variant {
            LoadCommandVariant::DyldInfo(info) => Some(*info),
            _ => None,
        });
        let info = info.unwrap();
        let parts = [(info.bind_off, info.bind_size), (info.lazy_bind_off, info.lazy_bind_size)];
        parts.map(|(start, size)| self.bound(start.get(LE) as usize, size.get(LE) as usize))
    }

    fn bound(&self, start: usize, size: usize) -> BTreeSet<(Vec<u8>, i64)> {
        let (mut at, mut name, mut library, mut found) = (start, Vec::new(), 0, BTreeSet::new());
        while at < start + size {
            let (opcode, small) = (self.bytes[at] & 0xf0, self.bytes[at] & 0x0f);
            at += 1;
            match opcode {
                0x10 => library = i64::from(small),
                0x30 => library = if small == 0 { 0 } else { i64::from((0xf0 | small) as i8) },
                0x40 => {
                    name = string(self.bytes, at);
                    at += name.len() + 1;
                }
                0x90 | 0xa0 | 0xb0 | 0xc0 => {
                    found.insert((name.clone(), library));
                }
                _ => {}
            }
            let numbers = match opcode {
                0x20 | 0x60 | 0x70 | 0x80 | 0xa0 => 1,
                0xc0 => 2,
                _ => 0,
            };
            for _ in 0..numbers {
                while self.bytes[at] & 0x80 != 0 {
                    at += 1;
                }
                at += 1;
            }
        }
        found
    }

    /// For each function in `LC_FUNCTION_STARTS`: its place in its section, and the encoding by which it is unwound, without
    /// the offset of a record in `__eh_frame`.
    pub fn functions(&self) -> Vec<(Vec<u8>, u64, u32)> {
        let mut functions = Vec::new();
        for address in self.function_starts() {
            let (section, offset) = self.place(address);
            // A label behind the last byte of code is none.
            if section == b"__text" {
                functions.push((section, offset, self.unwound_by(address)));
            }
        }
        assert!(!functions.is_empty());
        functions
    }

    /// The addresses in `LC_FUNCTION_STARTS`.
    pub fn function_starts(&self) -> Vec<u64> {
        let mut starts = Vec::new();
        let mut address = 0;
        let (mut value, mut shift) = (0_u64, 0);
        for byte in self.linkedit(macho::LC_FUNCTION_STARTS).unwrap_or_default() {
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if value == 0 {
                    break;
                }
                address += value;
                (value, shift) = (0, 0);
                starts.push(address);
            }
        }
        starts
    }

    /// The encoding by which a function is unwound, without the offset of a record in `__eh_frame`.
    pub fn unwound_by(&self, address: u64) -> u32 {
        let (_, start, size) = self.sections().into_iter().find(|section| section.0 == b"__unwind_info").unwrap();
        let (_, base, offset) = self.segments().remove(0);
        let table = &self.bytes[(start - base + offset) as usize..][..size as usize];
        let half = |at: usize| u16::from_le_bytes(table[at..at + 2].try_into().unwrap()) as usize;
        let (index, count) = (word(table, 20) as usize, word(table, 24) as usize);
        let row = (0..count).rev().find(|row| u64::from(word(table, index + 12 * row)) <= address).unwrap();
        let (first, page) = (word(table, index + 12 * row), word(table, index + 12 * row + 4) as usize);
        if page == 0 {
            return 0;
        }
        let (entries, count) = (page + half(page + 4), half(page + 6));
        let encoding = if word(table, page) == 2 {
            let row = (0..count).rev().find(|row| u64::from(word(table, entries + 8 * row)) <= address).unwrap();
            word(table, entries + 8 * row + 4)
        } else {
            let function = |row: usize| u64::from(first + (word(table, entries + 4 * row) & 0xff_ffff));
            let row = (0..count).rev().find(|row| function(*row) <= address).unwrap();
            let number = (word(table, entries + 4 * row) >> 24) as usize;
            let common = word(table, 8) as usize;
            if number < common {
                word(table, word(table, 4) as usize + 4 * number)
            } else {
                word(table, page + half(page + 8) + 4 * (number - common))
            }
        };
        let arm = word(self.bytes, 4) == macho::CPU_TYPE_ARM64.0;
        let dwarf = if arm { 0x0300_0000 } else { 0x0400_0000 };
        if encoding & 0x0f00_0000 == dwarf { encoding & 0xff00_0000 } else { encoding }
    }

    pub fn is_signed(&self) -> bool {
        self.linkedit(macho::LC_CODE_SIGNATURE).is_some()
    }

    /// Recomputes the hash of every page.
    pub fn check_signature(&self, identifier: &[u8]) {
        let blob = self.linkedit(macho::LC_CODE_SIGNATURE).unwrap();
        assert!(self.bytes.ends_with(blob));
        assert_eq!((big(blob, 0), big(blob, 8), big(blob, 12)), (0xfade_0cc0, 1, 0));
        let directory = &blob[big(blob, 16) as usize..];
        assert_eq!((big(directory, 0), big(directory, 12)), (0xfade_0c02, 0x2_0002));
        assert_eq!(string(directory, big(directory, 20) as usize), identifier);
        let limit = big(directory, 32) as usize;
        assert_eq!(limit, self.bytes.len() - blob.len());
        assert_eq!(directory[36..40], [32, 2, 0, 12]);
        let pages: Vec<_> = self.bytes[..limit].chunks(4096).collect();
        assert_eq!(big(directory, 28) as usize, pages.len());
        let hashes = &directory[big(directory, 16) as usize..];
        for (page, hash) in pages.iter().zip(hashes.chunks(32)) {
            assert_eq!(Sha256::digest(page)[..], *hash);
        }
    }
}
