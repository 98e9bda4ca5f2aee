#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;
use crate::model::{CommonKind, Traits};

/// An object with one section of code, of which each test changes something.
struct Builder {
    sections: Vec<(&'static str, &'static str, u64, Vec<u8>, u32)>,
    /// Name, type, section, description, value.
    symbols: Vec<(&'static str, u8, u8, u16, u64)>,
    /// Load commands of four words that tell the system.
    systems: Vec<[u32; 4]>,
    kind: u32,
}

impl Builder {
    fn new() -> Self {
        let code = ("__TEXT", "__text", 0, vec![0xc3; 16], 0x8000_0400);
        let data = ("__DATA", "__data", 16, vec![0; 8], 0);
        Self { sections: vec![code, data], symbols: Vec::new(), systems: Vec::new(), kind: 1 }
    }

    fn symbol(mut self, name: &'static str, kind: u8, section: u8, desc: u16, value: u64) -> Self {
        self.symbols.push((name, kind, section, desc, value));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let commands = 72 + 80 * self.sections.len() + 24 + 16 * self.systems.len();
        let start = 32 + commands;
        let size: usize = self.sections.iter().map(|section| section.3.len()).sum();
        let mut strings = vec![0];
        let mut nlists = Vec::new();
        for (name, kind, section, desc, value) in &self.symbols {
            nlists.extend((strings.len() as u32).to_le_bytes());
            nlists.extend([*kind, *section]);
            nlists.extend(desc.to_le_bytes());
            nlists.extend(value.to_le_bytes());
            strings.extend(name.bytes().chain([0]));
        }
        let mut out = Vec::new();
        let words = |out: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| out.extend(word.to_le_bytes()));
        words(
            &mut out,
            &[0xfeed_facf, 0x0100_0007, 3, self.kind, 2 + self.systems.len() as u32, commands as u32, 0x2000, 0],
        );
        words(&mut out, &[0x19, (72 + 80 * self.sections.len()) as u32]);
        out.extend([0; 16]);
        for long in [0, size as u64, start as u64, size as u64] {
            out.extend(long.to_le_bytes());
        }
        words(&mut out, &[7, 7, self.sections.len() as u32, 0]);
        let mut offset = start;
        for (segment, name, address, data, flags) in &self.sections {
            out.extend(crate::macho::plan::padded(name.as_bytes()));
            out.extend(crate::macho::plan::padded(segment.as_bytes()));
            out.extend(address.to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            words(&mut out, &[offset as u32, 3, 0, 0, *flags, 0, 0, 0]);
            offset += data.len();
        }
        let symbols = (start + size) as u32;
        words(
            &mut out,
            &[2, 24, symbols, self.symbols.len() as u32, symbols + nlists.len() as u32, strings.len() as u32],
        );
        self.systems.iter().for_each(|system| words(&mut out, system));
        self.sections.iter().for_each(|section| out.extend(&section.3));
        out.extend(nlists);
        out.extend(strings);
        out
    }
}

fn parsed(bytes: &[u8]) -> Result<Vec<Symbol>, String> {
    let name = InputName { file: "x.o", member: None };
    parse(name, bytes).map(|object| object.symbols).map_err(|error| error.to_string())
}

/// What is for macOS and for something else is for macOS.
#[test]
fn the_system_is_what_load_commands_tell() {
    // LC_VERSION_MIN_MACOSX, LC_VERSION_MIN_IPHONEOS, LC_VERSION_MIN_TVOS, LC_VERSION_MIN_WATCHOS
    let [mac, phone, tv, watch] = [0x24, 0x25, 0x2f, 0x30].map(|kind| [kind, 16, kind << 16, 1]);
    for (systems, wanted) in [
        (vec![], None),
        (vec![mac], Some((1, mac[2]))),
        (vec![phone], Some((2, phone[2]))),
        (vec![tv, watch], Some((3, tv[2]))),
        (vec![watch], Some((4, watch[2]))),
        (vec![mac, phone], Some((1, mac[2]))),
        (vec![phone, mac, watch], Some((1, mac[2]))),
    ] {
        let bytes = Builder { systems, ..Builder::new() }.bytes();
        let object = parse(InputName { file: "x.o", member: None }, &bytes).unwrap();
        let told = object.info.macho().unwrap().platform;
        assert_eq!(told.map(|told| (told.platform, told.minimum)), wanted);
    }
}

#[test]
fn symbols_are_what_their_bits_say() {
    let object = Builder::new()
        .symbol("_local", 0x0e, 1, 0, 4)
        .symbol("_global", 0x0f, 2, 0, 16)
        .symbol("_hidden", 0x1f, 1, 0, 16)
        .symbol("_weak", 0x0f, 1, 0x80, 0)
        .symbol("_auto", 0x0f, 1, 0xc0, 0)
        .symbol("_undefined", 0x01, 0, 0, 0)
        .symbol("_missing", 0x01, 0, 0x40, 0)
        .symbol("_common", 0x01, 0, 0x0400, 32)
        .symbol("_absolute", 0x03, 0, 0, 77)
        .symbol("_inside", 0x0e, 1, 0x200, 8)
        .symbol("stab", 0x24, 1, 0, 8);
    let symbols = parsed(&object.bytes()).unwrap();
    let facts = |symbol: &Symbol| (symbol.section(), symbol.value, symbol.binding, symbol.other & 3);
    let wanted = [
        (SymbolSection::In(1), 4, Binding::Local, 0),
        (SymbolSection::In(2), 0, Binding::Global, 0),
        // The label behind the last byte.
        (SymbolSection::In(1), 16, Binding::Global, other::HIDDEN),
        (SymbolSection::In(1), 0, Binding::Weak, 0),
        (SymbolSection::In(1), 0, Binding::Weak, other::HIDDEN),
        (SymbolSection::Undefined, 0, Binding::Global, 0),
        (SymbolSection::Undefined, 0, Binding::Weak, 0),
        (SymbolSection::Common(CommonKind::Data), 16, Binding::Global, 0),
        (SymbolSection::Absolute, 77, Binding::Global, 0),
        (SymbolSection::In(1), 8, Binding::Local, 0),
        (SymbolSection::Absolute, 0, Binding::Local, 0),
    ];
    assert_eq!(symbols[..11].iter().map(facts).collect::<Vec<_>>(), wanted);
    assert_eq!((symbols[7].size, symbols[9].other), (32, other::ALT_ENTRY));
    assert_eq!(
        (symbols[10].kind, symbols[0].kind, symbols[1].kind),
        (SymbolKind::File, SymbolKind::Function, SymbolKind::Object)
    );
    // A symbol for each section: minus its address.
    let of_sections: Vec<_> = symbols[11..].iter().map(|symbol| (symbol.section(), symbol.value)).collect();
    assert_eq!(of_sections, [(SymbolSection::In(1), 0), (SymbolSection::In(2), 16_u64.wrapping_neg())]);
    assert!(symbols.iter().all(|symbol| symbol.traits == Traits::default()));
}

#[test]
fn contradictions_are_refused() {
    let broken = |change: &dyn Fn(&mut Builder)| {
        let mut builder = Builder::new();
        change(&mut builder);
        parsed(&builder.bytes()).unwrap_err()
    };
    type Change<'c> = &'c dyn Fn(&mut Builder);
    let cases: [(Change<'_>, &str); 9] = [
        (&|b| b.symbols.push(("_x", 0x0f, 3, 0, 0)), "in section 3, which is not there"),
        (&|b| b.symbols.push(("_x", 0x0f, 0, 0, 0)), "in section 0, which is not there"),
        (&|b| b.symbols.push(("_x", 0x0f, 1, 0, 17)), "is not in its section"),
        (&|b| b.symbols.push(("_x", 0x0f, 2, 0, 0)), "is not in its section"),
        (&|b| b.symbols.push(("_x", 0x00, 0, 0, 0)), "undefined and local"),
        (&|b| b.symbols.push(("_x", 0x0b, 0, 0, 1 << 20)), "the name it stands for is not in the string table"),
        (&|b| b.sections[1].4 = 0x15, "run when a thread starts"),
        (&|b| b.sections[1].2 = u64::MAX, "beyond the address space"),
        (&|b| b.kind = 2, "executable"),
    ];
    for (change, what) in cases {
        let error = broken(change);
        assert!(error.contains(what), "{what}: {error}");
    }
    // Another name for a symbol is for other objects; nobody can mean one that is local.
    let mut builder = Builder::new();
    builder.symbols.push(("_x", 0x0a, 0, 0, 1));
    let bytes = builder.bytes();
    assert!(parsed(&bytes).unwrap().iter().any(|symbol| symbol.name == u32::MAX && symbol.kind == SymbolKind::File));
}

#[test]
fn overlapping_sections_are_refused() {
    let mut builder = Builder::new();
    builder.sections[1].2 = 15;
    let error = parsed(&builder.bytes()).unwrap_err();
    assert!(error.contains("section 2 (__DATA,__data): it overlaps section 1"), "{error}");
    // Where one ends, the next may begin; what is empty overlaps nothing.
    builder.sections[1].2 = 16;
    builder.sections.push(("__DATA", "__empty", 8, Vec::new(), 0));
    parsed(&builder.bytes()).unwrap();
}

#[test]
fn names_beyond_the_string_table_are_refused() {
    let object = Builder::new().symbol("_name", 0x0f, 1, 0, 0);
    let mut bytes = object.bytes();
    // The symbol's entry stands before the strings: a zero and the name.
    let at = bytes.len() - 1 - "_name\0".len() - 16;
    bytes[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
    assert!(parsed(&bytes).unwrap_err().contains("symbol 0: its name is not in the string table"));
    // A name that does not end.
    let mut bytes = object.bytes();
    *bytes.last_mut().unwrap() = b'x';
    assert!(parsed(&bytes).unwrap_err().contains("symbol 0: its name does not end"));
}

#[test]
fn no_cut_and_no_byte_makes_it_fall() {
    let whole = Builder::new().symbol("_a", 0x0f, 1, 0, 4).bytes();
    for length in 0..whole.len() {
        let _ = parsed(&whole[..length]);
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = parsed(&changed);
        }
    }
}
