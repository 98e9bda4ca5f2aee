//! The little of ELF that packing an archive needs: sections and symbols of a relocatable object, little endian, of
//! either class.

/// An object, as far as it is read: any field may yet lie outside the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elf<'a> {
    bytes: &'a [u8],
    /// Whether it is of the 64-bit class.
    wide: bool,
}

/// Where a section's header stands and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// File offset of the header.
    pub(crate) header: usize,
    kind: u32,
    link: u32,
    /// File offset of the contents.
    pub(crate) offset: u64,
    /// Bytes of the contents.
    pub(crate) size: u64,
    /// Alignment in bytes.
    pub(crate) align: u64,
}

/// A symbol's place in the file and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    /// File offset of the field `st_size`.
    pub(crate) size_field: usize,
    pub(crate) value: u64,
    pub(crate) section: u16,
    info: u8,
}

impl<'a> Elf<'a> {
    /// `None` for bytes that are no little-endian ELF.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let wide = match bytes.get(..6)? {
            b"\x7fELF\x01\x01" => false,
            b"\x7fELF\x02\x01" => true,
            _ => return None,
        };
        Some(Self { bytes, wide })
    }

    /// Bytes of an address, offset or size.
    pub(crate) fn word_size(self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// File offset of the field `e_shoff`.
    pub(crate) fn headers_field(self) -> usize {
        if self.wide { 0x28 } else { 0x20 }
    }

    /// The number of a pointer's size at `at`.
    pub(crate) fn word(self, at: usize) -> Option<u64> {
        self.number(at, self.word_size())
    }

    /// File offsets of `sh_offset` and `sh_size` in a section's header.
    pub(crate) fn extent_fields(self) -> [usize; 2] {
        if self.wide { [0x18, 0x20] } else { [0x10, 0x14] }
    }

    pub(crate) fn sections(self) -> Option<Vec<Section>> {
        let first = self.word(self.headers_field())? as usize;
        let (entry, count, link, align) = if self.wide { (64, 0x3c, 0x28, 0x30) } else { (40, 0x30, 0x18, 0x20) };
        let [offset, size] = self.extent_fields();
        (0..self.number(count, 2)? as usize)
            .map(|index| {
                let header = first.checked_add(index * entry)?;
                Some(Section {
                    header,
                    kind: self.number(header + 4, 4)? as u32,
                    link: self.number(header + link, 4)? as u32,
                    offset: self.word(header + offset)?,
                    size: self.word(header + size)?,
                    align: self.word(header + align)?,
                })
            })
            .collect()
    }

    /// The symbols in the order of the symbol table.
    pub(crate) fn symbols(self) -> Option<Vec<Symbol<'a>>> {
        const SHT_SYMTAB: u32 = 2;
        let sections = self.sections()?;
        let mut symbols = Vec::new();
        // Fields and size of an entry: the two classes order them differently.
        let (entry, info, section, value, size) = if self.wide { (24, 4, 6, 8, 16) } else { (16, 12, 14, 4, 8) };
        for table in sections.iter().filter(|section| section.kind == SHT_SYMTAB) {
            let strings = sections.get(table.link as usize)?;
            let strings = self.bytes.get(strings.offset as usize..)?.get(..strings.size as usize)?;
            for index in 0..table.size as usize / entry {
                let at = table.offset as usize + index * entry;
                let name = strings.get(self.number(at, 4)? as usize..)?;
                symbols.push(Symbol {
                    name: &name[..name.iter().position(|&byte| byte == 0)?],
                    size_field: at + size,
                    value: self.word(at + value)?,
                    section: self.number(at + section, 2)? as u16,
                    info: *self.bytes.get(at + info)?,
                });
            }
        }
        Some(symbols)
    }

    /// The little-endian number of `size` bytes, at most eight, at `at`.
    fn number(self, at: usize, size: usize) -> Option<u64> {
        let mut number = [0; 8];
        number[..size].copy_from_slice(self.bytes.get(at..)?.get(..size)?);
        Some(u64::from_le_bytes(number))
    }
}

/// The global and weak symbols that an object defines, in the order of its symbol table; what an archive's own table
/// lists. `None` for bytes that are no such object.
pub(crate) fn defined_globals(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    let symbols = Elf::new(object)?.symbols()?;
    let defined = symbols.iter().filter(|symbol| symbol.info >> 4 != 0 && symbol.section != 0);
    Some(defined.map(|symbol| symbol.name.to_vec()).collect())
}
