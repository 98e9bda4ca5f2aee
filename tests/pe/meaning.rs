//! What a DLL means, wherever its parts are.

use std::collections::BTreeMap;

use crate::dll::{Dll, Place};

/// What two linkers must agree on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) entry: Place,
    pub(crate) exports: Vec<(u32, String, Place)>,
    pub(crate) imports: Vec<(String, String)>,
    pub(crate) functions: Vec<(Place, u32, Vec<u8>)>,
    /// Fields that the loader changes, by what stands in them: how many of each kind.
    pub(crate) relocations: BTreeMap<(u16, Place), usize>,
    pub(crate) permissions: BTreeMap<String, u32>,
}

impl Meaning {
    /// Of a DLL.
    pub(crate) fn of(dll: &Dll) -> Self {
        let mut imports: Vec<_> = dll.imports().into_values().collect();
        imports.sort();
        let mut relocations = BTreeMap::new();
        // Where nobody keeps a symbol's name the place is named by what is near it, which differs.
        for (kind, field) in dll.base_relocations() {
            let place = dll.place(dll.address(field));
            *relocations.entry((kind, place)).or_default() += 1;
        }
        let functions: Vec<_> = if dll.machine() == 0xaa64 {
            dll.functions_of_arm64().into_iter().map(|(start, size, data)| (dll.place(start), size, data)).collect()
        } else {
            let rows = dll.functions().into_iter();
            rows.map(|(start, end, data)| (dll.place(start), end - start, dll.at(data, 4))).collect()
        };
        let loaded =
            dll.sections.iter().filter(|section| matches!(&*section.name, ".text" | ".rdata" | ".data" | ".pdata"));
        Self {
            entry: dll.place(dll.entry),
            exports: dll.exports().1.into_iter().map(|(number, name, at)| (number, name, dll.place(at))).collect(),
            imports,
            functions,
            relocations,
            permissions: loaded.map(|section| (section.name.clone(), section.characteristics & 0xe000_0000)).collect(),
        }
    }
}
