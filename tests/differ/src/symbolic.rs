//! Names for addresses: which symbol an address lies in, and how far.

use std::collections::HashMap;
use std::fmt;

use object::elf;

use crate::elf::{Name, Place, Symbol};
use crate::fixups::{self, Meaning};
use crate::image::Image;

/// A symbol's name; symbols that share a name are numbered in the order of `.symtab`, which is link order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a> {
    /// The name.
    pub name: Name<'a>,
    /// 0 for the first symbol of the name.
    pub ordinal: u32,
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ordinal {
            0 => write!(f, "{}", self.name),
            ordinal => write!(f, "{}#{}", self.name, ordinal + 1),
        }
    }
}

/// A symbol with an address.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Its key.
    pub key: Key<'a>,
    /// Its address: for thread-local symbols, in the template.
    pub address: u64,
    /// The symbol itself.
    pub symbol: Symbol<'a>,
}

/// Names for the addresses of one image.
#[derive(Debug)]
pub struct Symbolic<'i, 'a> {
    /// The image.
    pub image: &'i Image<'a>,
    /// All named addresses, in the order of the symbol table.
    pub symbols: Vec<Named<'a>>,
    /// Indices into `symbols`, by address.
    order: Vec<u32>,
    /// For each of `order`, the greatest end of it and those before it.
    reach: Vec<u64>,
}

/// The names that an address has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The symbols that the address lies in, with the distance from their start.
    pub inside: Vec<(Key<'a>, u64)>,
    /// Symbols without size at the address: perhaps its name, perhaps a neighbour's.
    pub labels: Vec<Key<'a>>,
    /// The symbols that end at the address.
    pub end_of: Vec<Key<'a>>,
}

impl<'i, 'a> Symbolic<'i, 'a> {
    /// Indexes the image's symbols: `.symtab`, or `.dynsym` in a stripped image.
    pub fn new(image: &'i Image<'a>) -> Self {
        let table = if image.symbols.len() > 1 { &image.symbols } else { &image.dynamic_symbols };
        let tls = image.tls().map_or(0, |segment| segment.address);
        let mut seen: HashMap<Name<'a>, u32> = HashMap::new();
        let mut symbols = Vec::new();
        for symbol in table.iter().skip(1) {
            let placed = matches!(symbol.place, Place::Section(_));
            if !placed || symbol.is_section() || symbol.is_file() || symbol.name.0.is_empty() {
                continue;
            }
            // Each object has many; linkers add those of their own code.
            if symbol.name.is_mapping() {
                continue;
            }
            let count = seen.entry(symbol.name).or_default();
            let key = Key { name: symbol.name, ordinal: *count };
            *count += 1;
            let address = if symbol.is_tls() { tls.wrapping_add(symbol.value) } else { symbol.value };
            symbols.push(Named { key, address, symbol: *symbol });
        }
        let mut order: Vec<u32> =
            (0..symbols.len() as u32).filter(|index| names_address(image, &symbols[*index as usize])).collect();
        order.sort_by_key(|index| symbols[*index as usize].address);
        let mut reach = Vec::with_capacity(order.len());
        let mut greatest = 0;
        for index in &order {
            let named = &symbols[*index as usize];
            greatest = greatest.max(named.address.saturating_add(named.symbol.size));
            reach.push(greatest);
        }
        Symbolic { image, symbols, order, reach }
    }

    /// All names of `address`, apart from those of thread-local symbols: zero-filled thread-local sections take no addresses,
    /// so that other sections lie there.
    pub fn names(&self, address: u64) -> Names<'a> {
        self.names_of(address, false)
    }

    /// All thread-local names of `address` in the template.
    pub fn thread_names(&self, address: u64) -> Names<'a> {
        self.names_of(address, true)
    }

    fn names_of(&self, address: u64, thread_local: bool) -> Names<'a> {
        let mut names = Names::default();
        let mut position = self.order.partition_point(|index| self.symbols[*index as usize].address <= address);
        while position > 0 && self.reach[position - 1] >= address {
            position -= 1;
            let named = &self.symbols[self.order[position] as usize];
            if named.symbol.is_tls() != thread_local {
                continue;
            }
            let distance = address - named.address;
            if distance < named.symbol.size {
                names.inside.push((named.key, distance));
            } else if distance == 0 {
                names.labels.push(named.key);
            } else if distance == named.symbol.size {
                names.end_of.push(named.key);
            }
        }
        names
    }

    /// Whether any symbol starts at `address`.
    pub fn starts_symbol(&self, address: u64) -> bool {
        let position = self.order.partition_point(|index| self.symbols[*index as usize].address < address);
        self.order.get(position).is_some_and(|index| self.symbols[*index as usize].address == address)
    }

    /// The first symbol start after `address`.
    pub fn next_start(&self, address: u64) -> Option<u64> {
        let position = self.order.partition_point(|index| self.symbols[*index as usize].address <= address);
        self.order.get(position).map(|index| self.symbols[*index as usize].address)
    }

    /// What the PLT entry at `address` jumps to; `None` if there is none. A function of the inputs may begin like an entry.
    pub fn plt_entry(&self, address: u64) -> Option<Meaning> {
        let in_plt = || self.image.section_at(address).is_some_and(|section| is_linker_section(section.name));
        let names = self.names(address);
        if in_plt() || (names.inside.is_empty() && names.labels.is_empty()) {
            fixups::plt_target(self.image, address)
        } else {
            None
        }
    }

    /// The symbols that start at or hold `address`, with distances.
    pub fn all_names(&self, address: u64) -> Vec<(Key<'a>, u64)> {
        let mut names = self.names(address);
        names.inside.extend(names.labels.into_iter().map(|label| (label, 0)));
        names.inside
    }

    /// The address in words, for messages: `symbol+0x10 (0x1234)`.
    pub fn describe(&self, address: u64) -> String {
        let names = self.names(address);
        if let Some((key, distance)) = names.inside.first() {
            return match distance {
                0 => format!("{key} ({address:#x})"),
                distance => format!("{key}+{distance:#x} ({address:#x})"),
            };
        }
        if let Some(label) = names.labels.first() {
            return format!("{label} ({address:#x})");
        }
        if let Some(meaning) = self.plt_entry(address) {
            return format!("PLT entry of {} ({address:#x})", self.describe_meaning(meaning));
        }
        match self.image.section_at(address) {
            Some(section) if section.name.starts_with(".got") => {
                let meaning = fixups::word_at(self.image, address).unwrap_or(Meaning::Number(0));
                match meaning {
                    Meaning::Number(value) => format!("slot that holds {value:#x} ({address:#x})"),
                    meaning => format!("slot of {} ({address:#x})", self.describe_meaning(meaning)),
                }
            }
            Some(section) => format!("{}+{:#x} ({address:#x})", section.name, address - section.address),
            None => format!("no section ({address:#x})"),
        }
    }

    /// The meaning in words.
    pub fn describe_meaning(&self, meaning: Meaning) -> String {
        let dynamic = |symbol: u32, addend: i64| {
            let name = if symbol == 0 { "this image".to_string() } else { self.image.dynamic_symbol_name(symbol) };
            match addend {
                0 => name,
                addend => format!("{name}{addend:+#x}"),
            }
        };
        match meaning {
            Meaning::Number(value) => format!("number {value:#x}"),
            Meaning::Address(address) => self.describe(address),
            Meaning::Dynamic(symbol, addend) => format!("dynamic symbol {}", dynamic(symbol, addend)),
            Meaning::Resolved(address) => format!("result of resolver {}", self.describe(address)),
            Meaning::TlsModule(symbol) => format!("TLS module of {}", dynamic(symbol, 0)),
            Meaning::TlsOffset(symbol, addend) => format!("TLS offset of {}", dynamic(symbol, addend)),
            Meaning::ThreadOffset(symbol, addend) => format!("thread pointer offset of {}", dynamic(symbol, addend)),
            Meaning::TlsDescriptor(symbol, addend) => format!("TLS descriptor of {}", dynamic(symbol, addend)),
            Meaning::Size(symbol, addend) => format!("size of {}", dynamic(symbol, addend)),
            Meaning::Distance(symbol, addend) => format!("distance to {}", dynamic(symbol, addend)),
            Meaning::Several => "several relocations".to_string(),
        }
    }
}

/// Whether a symbol stands for something that the inputs have. Linkers' own symbols, those of slots and PLT entries, and the
/// assembler's are in one library's table and not in another's: they name no address.
fn names_address(image: &Image<'_>, named: &Named<'_>) -> bool {
    let Place::Section(section) = named.symbol.place else { return false };
    let section = image.file.sections.get(section as usize);
    let made_by_linker = is_linker_name(named.symbol.name)
        || is_thunk_name(named.symbol.name)
        || section.is_some_and(|s| is_linker_section(s.name));
    !made_by_linker && !named.symbol.name.is_assembler_local()
}

/// Whether a section of this name holds PLT entries or slots of the GOT.
pub fn is_linker_section(name: Name<'_>) -> bool {
    [".plt", ".iplt", ".got", ".igot", ".glink", ".branch_lt"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a name is one that linkers give to code of their own: stubs and thunks.
pub fn is_thunk_name(name: Name<'_>) -> bool {
    let prefixes = ["__plt_", "__long_branch_", "__AArch64", "__ARM", "__Thumb"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a name is one of those that linkers define.
pub fn is_linker_name(name: Name<'_>) -> bool {
    const NAMES: &[&str] = &[
        "_DYNAMIC",
        ".TOC.",
        "_GLOBAL_OFFSET_TABLE_",
        "_PROCEDURE_LINKAGE_TABLE_",
        "_TLS_MODULE_BASE_",
        "__GNU_EH_FRAME_HDR",
        "__bss_start",
        "__dso_handle",
        "__global_pointer$",
        "__exidx_end",
        "__exidx_start",
        "__ehdr_start",
        "__executable_start",
        "__fini_array_end",
        "__fini_array_start",
        "__init_array_end",
        "__init_array_start",
        "__preinit_array_end",
        "__preinit_array_start",
        "__rela_iplt_end",
        "__rela_iplt_start",
        "__rel_iplt_end",
        "__rel_iplt_start",
        "_edata",
        "_end",
        "_etext",
        "edata",
        "end",
        "etext",
    ];
    name.starts_with("__start_") || name.starts_with("__stop_") || NAMES.iter().any(|known| &name == *known)
}

/// Whether a symbol is one that linkers make for themselves, in `.symtab`.
pub fn is_linker_defined(symbol: &Symbol<'_>) -> bool {
    is_linker_name(symbol.name) && [elf::STT_NOTYPE.0, elf::STT_OBJECT.0, elf::STT_TLS.0].contains(&symbol.kind)
}
