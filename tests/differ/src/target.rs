//! What a relocation's symbol means in one linked library.

use std::collections::HashMap;

use object::elf;

use crate::elf::{Name, Place, Symbol};
use crate::image::Image;
use crate::inputs::{Inputs, SectionId};
use crate::place::{Location, Placement, symbol_table};

/// What a symbol of an object came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An absolute number.
    Number(u64),
    /// An address of the image; in sections without address, an offset.
    Address(u64),
    /// The resolver of an indirect function that cannot be preempted.
    Resolver(u64),
    /// An offset in the image's thread-local block.
    Tls(u64),
    /// A dynamic symbol, bound at run time; and what this image itself defines under the name.
    Dynamic(u32, Option<Box<Target>>),
    /// A place in a section whose pieces may have been merged.
    Piece {
        /// The input section.
        section: SectionId,
        /// The offset in it.
        offset: u64,
        /// Whether the relocation's addend selects the piece (a section symbol), rather than counting from it.
        addend_selects: bool,
    },
    /// An undefined weak symbol that nothing can define at run time.
    Zero,
    /// A local symbol of a COMDAT member that another object's copy replaced.
    Replaced,
    /// Not known, for this reason.
    Unknown(String),
}

/// Resolves symbols of the inputs in one image.
#[derive(Debug)]
pub struct Resolver<'r, 'a> {
    inputs: &'r Inputs<'a>,
    image: &'r Image<'a>,
    placement: &'r Placement,
    dynamic: HashMap<Name<'a>, u32>,
    named: HashMap<Name<'a>, Symbol<'a>>,
}

impl<'r, 'a> Resolver<'r, 'a> {
    /// Prepares the look-up.
    pub fn new(inputs: &'r Inputs<'a>, image: &'r Image<'a>, placement: &'r Placement) -> Self {
        let mut dynamic = HashMap::new();
        for (index, symbol) in image.dynamic_symbols.iter().enumerate().skip(1) {
            if !symbol.is_local() {
                dynamic.entry(symbol.name).or_insert(index as u32);
            }
        }
        let mut named = HashMap::new();
        for symbol in symbol_table(image) {
            if symbol.is_defined() && !symbol.is_section() && !symbol.is_file() {
                named.entry(symbol.name).or_insert(*symbol);
            }
        }
        Resolver { inputs, image, placement, dynamic, named }
    }

    /// The dynamic symbol of this name.
    pub fn dynamic_symbol(&self, name: Name<'a>) -> Option<u32> {
        self.dynamic.get(&name).copied()
    }

    /// What symbol `index` of object `object` means.
    pub fn target(&self, object: usize, index: u32) -> Target {
        if index == 0 {
            return Target::Number(0);
        }
        let Some(symbol) = self.inputs.objects[object].symbols.get(index as usize) else {
            return Target::Unknown(format!("symbol {index} does not exist"));
        };
        if symbol.is_local() {
            return self.definition(object, symbol);
        }
        self.global(symbol.name)
    }

    /// The definition of symbol `index` of object `object`, in whichever object it is.
    pub fn defining_symbol(&self, object: usize, index: u32) -> Option<&'r Symbol<'a>> {
        let symbol = self.inputs.objects[object].symbols.get(index as usize)?;
        if symbol.is_local() {
            return Some(symbol);
        }
        let (object, index) = self.inputs.globals.get(&symbol.name)?.definition?;
        self.inputs.objects[object].symbols.get(index)
    }

    /// What the global name means.
    pub fn global(&self, name: Name<'a>) -> Target {
        let Some(global) = self.inputs.globals.get(&name) else {
            return Target::Unknown(format!("{name} is not in the inputs"));
        };
        let dynamic = self.dynamic_symbol(name);
        if let Some((object, index)) = global.definition {
            let definition = self.definition(object, &self.inputs.objects[object].symbols[index]);
            return match dynamic {
                Some(dynamic)
                    if global.visibility == elf::STV_DEFAULT.0 && self.image.is_preemptible(dynamic as usize) =>
                {
                    Target::Dynamic(dynamic, Some(Box::new(definition)))
                }
                _ => definition,
            };
        }
        if &name == "_TLS_MODULE_BASE_" {
            return Target::Tls(0);
        }
        if let Some(address) = self.linker_defined(name) {
            return Target::Address(address);
        }
        match dynamic {
            Some(dynamic) if global.visibility == elf::STV_DEFAULT.0 => Target::Dynamic(dynamic, None),
            _ if global.weakly_referenced => Target::Zero,
            _ => Target::Unknown(format!("{name} is defined nowhere and is no dynamic symbol")),
        }
    }

    /// Where the object's own definition went.
    pub fn definition(&self, object: usize, symbol: &Symbol<'a>) -> Target {
        let section = match symbol.place {
            Place::Absolute => return Target::Number(symbol.value),
            Place::Common => {
                return match self.named.get(&symbol.name) {
                    Some(output) => Target::Address(output.value),
                    None => Target::Unknown(format!("common symbol {} is not in .symtab", symbol.name)),
                };
            }
            Place::Section(section) => section as usize,
            other => return Target::Unknown(format!("{} has the place {other:?}", symbol.name)),
        };
        let id = SectionId { object, section };
        match self.placement.location(id) {
            Location::Replaced => Target::Replaced,
            Location::Merged => {
                Target::Piece { section: id, offset: symbol.value, addend_selects: symbol.is_section() }
            }
            Location::At { .. } => {
                let base = self.placement.address(self.image, id).unwrap_or_default();
                let address = base.wrapping_add(symbol.address());
                if symbol.is_ifunc() {
                    return Target::Resolver(address);
                }
                // A section symbol of thread-local data stands for an offset, too.
                match self.image.tls() {
                    Some(tls) if self.inputs.section(id).is_tls() => Target::Tls(address.wrapping_sub(tls.address)),
                    _ => Target::Address(address),
                }
            }
            Location::Records => Target::Unknown("a place in .eh_frame".to_string()),
            Location::Skipped(_) | Location::Unknown => {
                Target::Unknown(format!("{} was not found in the output", self.inputs.section_name(id)))
            }
        }
    }

    /// Names that linkers define. Bounds of sections are recomputed; the few others are taken from `.symtab`.
    fn linker_defined(&self, name: Name<'a>) -> Option<u64> {
        let bytes = name.0;
        let section = |name: &[u8]| self.image.file.sections.iter().find(|section| section.name.0 == name);
        if let Some(name) = bytes.strip_prefix(b"__start_") {
            return section(name).map(|section| section.address);
        }
        if let Some(name) = bytes.strip_prefix(b"__stop_") {
            return section(name).map(|section| section.end());
        }
        match bytes {
            b"_GLOBAL_OFFSET_TABLE_" => self.image.got_base(),
            b".TOC." => self.image.toc_base(),
            b"_DYNAMIC" => self.image.segments_of(elf::PT_DYNAMIC).next().map(|segment| segment.address),
            b"__ehdr_start" | b"__executable_start" => Some(0),
            b"__dso_handle" | b"_end" | b"end" | b"_edata" | b"edata" | b"_etext" | b"etext" | b"__bss_start" => {
                self.named.get(&name).map(|symbol| symbol.value)
            }
            _ => None,
        }
    }
}
