//! `.symtab` and `.dynsym`: gABI, "Symbol Table".

use std::collections::{HashMap, HashSet};

use object::elf::*;

use super::Faults;
use crate::elf::{Place, Symbol};
use crate::image::Image;
use crate::rules::{Check, Finding};
use crate::symbolic::is_linker_defined;

pub(super) fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) {
    let mut faults = Faults::new(Check::SymbolTable, findings);
    for (kind, symbols) in [(SHT_SYMTAB, &image.symbols), (SHT_DYNSYM, &image.dynamic_symbols)] {
        let Some(section) = image.file.sections.iter().find(|section| section.kind == kind.0) else { continue };
        let table = section.name.to_string();
        if let Some(null) = symbols.first() {
            let empty = null.name.0.is_empty() && null.value == 0 && null.size == 0 && !null.is_defined();
            if !(empty && null.kind == 0 && null.binding == 0 && null.visibility == 0) {
                faults.add(format!("{table}: symbol 0"), "all zero", format!("{null:?}"));
            }
        }
        let locals = symbols.iter().take_while(|symbol| symbol.is_local()).count();
        if symbols.iter().skip(locals).any(Symbol::is_local) {
            faults.add(table.clone(), "local symbols before others", "a local one after");
        }
        faults.equal(format!("{table}'s sh_info"), locals as u32, section.info);
        for symbol in symbols.iter().skip(1) {
            // Linkers give their own symbols any section that exists.
            if !is_linker_defined(symbol) {
                inside_section(image, &table, symbol, &mut faults);
            }
        }
    }
    dynamic(image, &mut faults);
}

fn inside_section(image: &Image<'_>, table: &str, symbol: &Symbol<'_>, faults: &mut Faults<'_>) {
    let subject = || format!("{table}: {}", symbol.name);
    let section = match symbol.place {
        Place::Section(section) => image.file.sections.get(section as usize),
        Place::Common => return faults.add(subject(), "no common symbol in a linked library", "one"),
        _ => return,
    };
    let Some(section) = section else {
        return faults.add(subject(), "a section that exists", format!("{:?}", symbol.place));
    };
    let (start, end) = if symbol.is_tls() {
        let base = image.tls().map_or(0, |tls| tls.address);
        (section.address.wrapping_sub(base), section.end().wrapping_sub(base))
    } else {
        (section.address, section.end())
    };
    let symbol_end = symbol.value.checked_add(symbol.size);
    if symbol.value < start || symbol_end.is_none_or(|reached| reached > end) {
        let expected = format!("inside {} ({start:#x}..{end:#x})", section.name);
        faults.add(subject(), expected, format!("{:#x}, {} bytes", symbol.value, symbol.size));
    }
    if symbol.kind == STT_FUNC.0 && symbol.size != 0 && !section.is_executable() {
        faults.add(subject(), "a function in code", section.name.to_string());
    }
}

fn dynamic(image: &Image<'_>, faults: &mut Faults<'_>) {
    let mut static_symbols: HashMap<_, Vec<&Symbol<'_>>> = HashMap::new();
    for symbol in &image.symbols {
        static_symbols.entry(symbol.name).or_default().push(symbol);
    }
    let mut seen = HashSet::new();
    for (index, symbol) in image.dynamic_symbols.iter().enumerate().skip(1) {
        let name = image.dynamic_symbol_name(index as u32);
        if [STV_HIDDEN.0, STV_INTERNAL.0].contains(&symbol.visibility) {
            faults.add(format!(".dynsym: {name}"), "no hidden symbol", "one");
        }
        if !symbol.is_local() && !seen.insert(name.clone()) {
            faults.add(format!(".dynsym: {name}"), "each name and version once", "twice");
        }
        if !symbol.is_defined() {
            // A value would make the symbol's PLT entry its address for the whole process.
            faults.equal(format!(".dynsym: value of undefined {name}"), 0, symbol.value);
            continue;
        }
        let same =
            |other: &&Symbol<'_>| (other.value, other.size, other.place) == (symbol.value, symbol.size, symbol.place);
        let twins = static_symbols.get(&symbol.name).map_or(&[][..], |symbols| &symbols[..]);
        if image.symbols.len() > 1 && symbol.kind != STT_SECTION.0 && !twins.iter().any(same) {
            faults.add(format!(".dynsym: {name}"), "the same symbol in .symtab", "none");
        }
    }
}
