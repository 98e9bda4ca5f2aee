//! Writes `sysimg.o` (1.9: `data.o`), the member with the heap image, at any size and on x86-64 without a compiler.
//!
//! The bytes are those of `llc`, to the last: section order, alignment, string table and symbols are what LLVM's object
//! writer makes of the module (`tests/regenerate.rs` compares). The heap image is never held in memory, and where most
//! of it is zero it is a hole in the file.

mod grown;

use std::io::{self, Seek, SeekFrom, Write};

use crate::julia::{Julia, Tables};
use crate::mix::heap_word;
use crate::spec::Spec;
use crate::target::HeapPlacement;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_RELA: u32 = 4;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_INFO_LINK: u64 = 0x40;
const SHF_X86_64_LARGE: u64 = 0x1000_0000;
const R_X86_64_64: u64 = 1;
/// Binding and type of a symbol.
const LOCAL_FILE: u8 = 4;
const GLOBAL: u8 = 0x10;
const GLOBAL_OBJECT: u8 = 0x11;

/// The object: what stands before the heap image and after it.
#[derive(Debug)]
pub(crate) struct Sysimg {
    head: Vec<u8>,
    tail: Vec<u8>,
    heap: u64,
    stride: u64,
    seed: u64,
    /// The global symbols it defines.
    pub(crate) symbols: Vec<Vec<u8>>,
}

/// A section as the header table lists it.
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
}

/// A symbol: name, binding and type, section (65521 for none), value, size.
type Symbol = (&'static str, u8, u16, u64, u64);

impl Sysimg {
    /// Plans the object of `spec`, whose target is of x86-64.
    pub(crate) fn new(spec: &Spec) -> Self {
        let placement = spec.target.heap_placement(spec.julia, spec.llvm);
        let heap = spec.heap;
        let (heap_section, heap_flags) = match placement {
            HeapPlacement::Ordinary => (".data", 0),
            HeapPlacement::Section => (".ldata", 0),
            HeapPlacement::CodeModel => (".ldata", SHF_X86_64_LARGE),
        };
        // The medium code model makes all data large from LLVM 18 on.
        let medium = spec.target.code_model(spec.julia) == "medium" && spec.llvm >= 18;
        let (size_section, size_flags) = if medium { (".lrodata", SHF_X86_64_LARGE) } else { (".rodata", 0) };
        let unpacks = spec.julia >= Julia::V1_13;
        let name = if spec.julia.tables() == Tables::Sysimg { "data" } else { "sysimg" };

        let mut read_only = heap.to_le_bytes().to_vec();
        let mut symbols: Vec<Symbol> = vec![
            ("", 0, 0, 0, 0),
            (name, LOCAL_FILE, 0xfff1, 0, 0),
            ("jl_system_image_data", GLOBAL_OBJECT, 3, 0, heap),
            ("jl_system_image_size", GLOBAL_OBJECT, 4, 0, 8),
        ];
        if unpacks {
            symbols.push(("jl_image_unpack", GLOBAL_OBJECT, 5, 0, 8));
            symbols.push(("jl_image_unpack_uncomp", GLOBAL, 0, 0, 0));
        }
        if spec.julia >= Julia::V1_14 {
            read_only.extend(spec.checksum().to_le_bytes());
            symbols.push(("jl_system_image_checksum", GLOBAL_OBJECT, 4, 8, 4));
        }

        // Sections follow each other in the order of their creation, then symbols, relocations, strings, headers.
        let data_start = 64u64.next_multiple_of(spec.heap_align);
        let read_only_start = (data_start + heap).next_multiple_of(8);
        let mut tail = vec![0; (read_only_start - data_start - heap) as usize];
        let at = |tail: &Vec<u8>| data_start + heap + tail.len() as u64;
        let section = |name, kind, flags, offset, size, align| Section {
            name,
            kind,
            flags,
            offset,
            size,
            link: 0,
            info: 0,
            align,
            entry: 0,
        };
        let mut sections = vec![
            section("", 0, 0, 0, 0, 0),
            section(".strtab", SHT_STRTAB, 0, 0, 0, 1),
            section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 64, 0, 4),
            section(heap_section, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE | heap_flags, data_start, heap, spec.heap_align),
            section(size_section, SHT_PROGBITS, SHF_ALLOC | size_flags, read_only_start, read_only.len() as u64, 8),
        ];
        tail.extend(&read_only);
        let mut relocations = Vec::new();
        if unpacks {
            pad(&mut tail, data_start + heap, 8);
            // LLVM 20 and before: `.ldata.rel.ro` in the medium model.
            let (name, rela, flags) = if medium && spec.llvm < 22 {
                (".ldata.rel.ro", ".rela.ldata.rel.ro", SHF_X86_64_LARGE)
            } else {
                (".data.rel.ro", ".rela.data.rel.ro", 0)
            };
            sections.push(section(name, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE | flags, at(&tail), 8, 8));
            tail.extend([0; 8]);
            sections.push(Section { info: 5, entry: 24, ..section(rela, SHT_RELA, SHF_INFO_LINK, 0, 24, 8) });
            for word in [0, 5 << 32 | R_X86_64_64, 0] {
                relocations.extend(word.to_le_bytes());
            }
        }
        sections.push(section(".note.GNU-stack", SHT_PROGBITS, 0, at(&tail), 0, 1));
        pad(&mut tail, data_start + heap, 8);
        let symtab = sections.len() as u32;
        sections.push(Section {
            link: 1,
            info: 2,
            entry: 24,
            ..section(".symtab", SHT_SYMTAB, 0, at(&tail), 24 * symbols.len() as u64, 8)
        });

        let names: Vec<&str> =
            sections.iter().map(|section| section.name).chain(symbols.iter().map(|symbol| symbol.0)).collect();
        let strings = Strings::new(&names);
        for &(name, info, section, value, size) in &symbols {
            tail.extend(strings.offset(name).to_le_bytes());
            tail.extend([info, 0]);
            tail.extend(section.to_le_bytes());
            tail.extend(value.to_le_bytes());
            tail.extend(size.to_le_bytes());
        }
        for section in &mut sections {
            if section.kind == SHT_RELA {
                (section.offset, section.link) = (at(&tail), symtab);
            }
        }
        tail.extend(&relocations);
        (sections[1].offset, sections[1].size) = (at(&tail), strings.table.len() as u64);
        tail.extend(&strings.table);
        pad(&mut tail, data_start + heap, 8);
        let headers = at(&tail);
        for section in &sections {
            for word in [strings.offset(section.name), section.kind] {
                tail.extend(word.to_le_bytes());
            }
            for word in [section.flags, 0, section.offset, section.size] {
                tail.extend(word.to_le_bytes());
            }
            for word in [section.link, section.info] {
                tail.extend(word.to_le_bytes());
            }
            for word in [section.align, section.entry] {
                tail.extend(word.to_le_bytes());
            }
        }
        Self {
            head: file_header(spec.target.osabi, headers, sections.len() as u16, data_start as usize),
            tail,
            heap,
            stride: spec.heap_stride,
            seed: spec.seed,
            symbols: symbols
                .iter()
                .filter(|symbol| symbol.1 == GLOBAL_OBJECT)
                .map(|symbol| symbol.0.as_bytes().to_vec())
                .collect(),
        }
    }

    /// An object of `llc`, with its heap image, that defines the global `symbols`.
    pub(crate) fn compiled(symbols: Vec<Vec<u8>>, object: Vec<u8>) -> Self {
        Self { head: object, tail: Vec::new(), heap: 0, stride: 8, seed: 0, symbols }
    }

    /// The bytes of the heap image, without an object around them.
    pub(crate) fn heap_alone(spec: &Spec) -> Self {
        Self {
            head: Vec::new(),
            tail: Vec::new(),
            heap: spec.heap,
            stride: spec.heap_stride,
            seed: spec.seed,
            symbols: Vec::new(),
        }
    }

    /// Bytes of the object.
    pub(crate) fn size(&self) -> u64 {
        self.head.len() as u64 + self.heap + self.tail.len() as u64
    }

    /// Writes the object at the writer's position, leaving out what is zero by seeking over it.
    pub(crate) fn write(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        out.write_all(&self.head)?;
        let start = out.stream_position()?;
        let words = self.heap.div_ceil(8);
        if self.stride == 8 {
            let mut left = self.heap as usize;
            let mut chunk = Vec::with_capacity(1 << 20);
            for first in (0..words).step_by(1 << 17) {
                chunk.clear();
                for index in first..(first + (1 << 17)).min(words) {
                    chunk.extend(heap_word(self.seed, index).to_le_bytes());
                }
                chunk.truncate(left);
                left -= chunk.len();
                out.write_all(&chunk)?;
            }
        } else {
            for offset in (0..self.heap).step_by(self.stride as usize).chain(words.checked_sub(1).map(|word| 8 * word))
            {
                let bytes = heap_word(self.seed, offset / 8).to_le_bytes();
                out.seek(SeekFrom::Start(start + offset))?;
                out.write_all(&bytes[..(self.heap - offset).min(8) as usize])?;
            }
            out.seek(SeekFrom::Start(start + self.heap))?;
        }
        out.write_all(&self.tail)
    }
}

/// Pads `tail`, which begins at file offset `start`, to an offset that is a multiple of `align`.
fn pad(tail: &mut Vec<u8>, start: u64, align: u64) {
    let at = start + tail.len() as u64;
    tail.resize((at.next_multiple_of(align) - start) as usize, 0);
}

/// The ELF header and the padding up to `len`.
fn file_header(osabi: u8, headers: u64, sections: u16, len: usize) -> Vec<u8> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.push(osabi);
    head.resize(16, 0);
    // ET_REL, EM_X86_64, version, entry, program headers, section headers, flags
    for half in [1u16, 62] {
        head.extend(half.to_le_bytes());
    }
    head.extend(1u32.to_le_bytes());
    for word in [0, 0, headers] {
        head.extend(word.to_le_bytes());
    }
    head.extend(0u32.to_le_bytes());
    // Sizes of header and program header, program headers; size and number of section headers, their names' section
    for half in [64u16, 0, 0, 64, sections, 1] {
        head.extend(half.to_le_bytes());
    }
    head.resize(len, 0);
    head
}

/// A string table in which a string that is another's end is stored once, in the order of LLVM's `StringTableBuilder`.
struct Strings {
    table: Vec<u8>,
    offsets: Vec<(String, u32)>,
}

impl Strings {
    fn new(names: &[&str]) -> Self {
        let mut sorted: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        sorted.sort_by(|a, b| b.bytes().rev().cmp(a.bytes().rev()));
        sorted.dedup();
        let mut strings = Self { table: vec![0], offsets: vec![(String::new(), 0)] };
        let mut previous = "";
        for name in sorted {
            let offset = if previous.ends_with(name) {
                strings.table.len() - name.len() - 1
            } else {
                strings.table.extend(name.as_bytes());
                strings.table.push(0);
                previous = name;
                strings.table.len() - name.len() - 1
            };
            strings.offsets.push((name.to_owned(), offset as u32));
        }
        strings
    }

    fn offset(&self, name: &str) -> u32 {
        let found = self.offsets.iter().find(|(known, _)| known == name);
        found.expect("all names of the object were put into its table").1
    }
}
