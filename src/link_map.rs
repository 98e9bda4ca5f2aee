//! The link map: what stands where in the image, as text.
//!
//! One line each for the image's sections, the input sections in them, and the symbols in those, in the columns that
//! LLD's maps have: address twice (virtual and load address, which are the same), size, both in hexadecimal bytes, and
//! alignment; then the name, indented by what it names. Sections that are not loaded have address 0.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::collections::HashMap;
use std::fmt::Write;

use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::model::{CommonKind, Object, ObjectId, SectionIndex, Symbol, SymbolIndex, SymbolKind, SymbolSection};
use crate::symbols::Definition;

/// The most bytes of a symbol's name that are shown: names of a hostile object may overlap.
const NAME_LIMIT: usize = 1024;

/// The map of a link whose addresses are fixed.
pub(crate) fn link_map(link: &Link<'_>) -> String {
    let mut map = Map { text: String::new() };
    map.text.push_str("             VMA              LMA     Size Align Out     In      Symbol\n");
    let symbols: Vec<_> = link.objects().map(|(id, object)| symbols_by_section(link, id, object)).collect();
    for output in &link.outputs {
        map.line(0, output.address, output.size, output.align, &output.name);
        match &output.content {
            Content::Inputs(inputs) => {
                for &(object, index) in inputs {
                    let symbols = symbols.get(object.index()).and_then(|sections| sections.get(&index));
                    map.input(link, output, object, index, symbols.map_or(&[], Vec::as_slice));
                }
            }
            Content::Commons(kind) => map.commons(link, output, *kind),
            Content::Table(_) => {}
        }
    }
    map.text
}

/// The symbols to show of an object, by section and ascending value.
fn symbols_by_section(link: &Link<'_>, id: ObjectId, object: &Object<'_>) -> HashMap<SectionIndex, Vec<Symbol>> {
    let mut sections: HashMap<SectionIndex, Vec<Symbol>> = HashMap::new();
    for (index, symbol) in (0..).zip(&object.symbols) {
        let SymbolSection::In(section) = symbol.section() else { continue };
        if !matches!(symbol.kind, SymbolKind::Section | SymbolKind::File) && counts(link, id, index, symbol) {
            sections.entry(section).or_default().push(*symbol);
        }
    }
    for symbols in sections.values_mut() {
        symbols.sort_by_key(|symbol| symbol.value); // stable: as in the symbol table where values are equal
    }
    sections
}

/// Whether the symbol is local, or the definition that its name has got.
fn counts(link: &Link<'_>, id: ObjectId, index: SymbolIndex, symbol: &Symbol) -> bool {
    symbol.global.get().is_none_or(|global| link.symbols.get(global).definition == Definition::Object(id, index))
}

struct Map {
    text: String,
}

impl Map {
    fn input(
        &mut self,
        link: &Link<'_>,
        output: &OutputSection<'_>,
        object: ObjectId,
        index: SectionIndex,
        symbols: &[Symbol],
    ) {
        let section = link.section(object, index);
        let place = |offset: u64| {
            let offset = section.offset.saturating_add(crate::format::moved_offset(link, object, index, offset));
            output.address.saturating_add(offset)
        };
        let start = output.address.saturating_add(section.offset);
        let size = place(section.size).saturating_sub(start);
        let file = &link.object(object).name;
        let name = format!("{file}:({})", String::from_utf8_lossy(section.name));
        self.line(8, start, size, section.align, name.as_bytes());
        for symbol in symbols {
            let name = link.object(object).symbol_name_start(symbol, NAME_LIMIT);
            self.line(16, place(symbol.value), symbol.size, 1, name);
        }
    }

    fn commons(&mut self, link: &Link<'_>, output: &OutputSection<'_>, kind: CommonKind) {
        let mut symbols: Vec<(u64, u64, &[u8])> = Vec::new();
        for (_, global) in link.symbols.iter() {
            if let Definition::Allotted(of, offset) = global.definition
                && of == kind
            {
                let mention =
                    global.mention.and_then(|(object, index)| link.object(object).symbols.get(index as usize));
                symbols.push((offset, mention.map_or(0, |symbol| symbol.size), global.name));
            }
        }
        symbols.sort_unstable();
        for (offset, size, name) in symbols {
            self.line(16, output.address.saturating_add(offset), size, 1, name);
        }
    }

    fn line(&mut self, indent: usize, address: u64, size: u64, align: u64, name: &[u8]) {
        let _ = write!(self.text, "{address:16x} {address:16x} {size:8x} {align:5} {:indent$}", "");
        // A name is any bytes, and a line is a line.
        for char in String::from_utf8_lossy(name).chars() {
            if char.is_control() {
                self.text.extend(char.escape_default());
            } else {
                self.text.push(char);
            }
        }
        self.text.push('\n');
    }
}
