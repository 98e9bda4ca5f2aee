//! The comparison of two libraries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use object::elf::*;

use crate::check::check_against_inputs;
use crate::content::Contents;
use crate::elf::Symbol;
use crate::exidx;
use crate::fixups::{self, Meaning};
use crate::image::{Dynamic, Image};
use crate::inputs::Inputs;
use crate::lines;
use crate::lint::lint;
use crate::rules::{Check, Finding, Report, Rule, Side};
use crate::symbolic::{Key, Named, Symbolic};
use crate::unwind::{self, without_address};

/// Compares `ours` with `reference`. With `inputs`, both are checked against them, too, field by field.
pub fn compare(reference: &Image<'_>, ours: &Image<'_>, inputs: Option<&Inputs<'_>>, rules: &[Rule]) -> Report {
    let mut comparison = Comparison { findings: lint(ours), counts: BTreeMap::new() };
    if let Some(inputs) = inputs {
        comparison.against_inputs(reference, ours, inputs);
    }
    let (left, right) = (Symbolic::new(reference), Symbolic::new(ours));
    comparison.header(reference, ours);
    let mut contents = Contents::new(&left, &right, inputs.is_some());
    comparison.dynamic(&mut contents);
    comparison.dynamic_symbols(reference, ours);
    comparison.symbols(contents);
    match unwind::compare(&left, &right, &mut comparison.findings) {
        Ok(count) => comparison.count("functions whose unwinding was compared", count),
        Err(error) => comparison.differ(Check::Unwind, ".eh_frame", "readable", error.0),
    }
    match exidx::compare(&left, &right, &mut comparison.findings) {
        Ok(0) => {}
        Ok(count) => comparison.count("rows of .ARM.exidx compared", count),
        Err(error) => comparison.differ(Check::Unwind, ".ARM.exidx", "readable", error.0),
    }
    match lines::compare(&left, &right, &mut comparison.findings) {
        Ok(count) => comparison.count("line rows compared", count),
        Err(error) => comparison.differ(Check::Debug, "DWARF", "readable", error.0),
    }
    Report::new(comparison.findings, comparison.counts, rules)
}

struct Comparison {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, usize>,
}

impl Comparison {
    fn count(&mut self, what: &'static str, number: usize) {
        *self.counts.entry(what).or_default() += number;
    }

    fn differ(
        &mut self,
        check: Check,
        subject: impl Into<String>,
        reference: impl Into<String>,
        ours: impl Into<String>,
    ) {
        self.findings.push(Finding::new(check, subject, reference, ours).about(Side::Both));
    }

    fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        check: Check,
        subject: impl Into<String>,
        reference: T,
        ours: T,
    ) {
        if reference != ours {
            self.differ(check, subject, format!("{reference:x?}"), format!("{ours:x?}"));
        }
    }

    fn against_inputs(&mut self, reference: &Image<'_>, ours: &Image<'_>, inputs: &Inputs<'_>) {
        let checked = check_against_inputs(reference, inputs);
        self.findings.extend(checked.findings.into_iter().map(|finding| finding.about(Side::Reference)));
        let checked = check_against_inputs(ours, inputs);
        self.findings.extend(checked.findings);
        self.counts.extend(checked.counts);
    }

    fn header(&mut self, reference: &Image<'_>, ours: &Image<'_>) {
        let facts = |image: &Image<'_>| (image.file.machine, image.file.is_64, image.file.endian, image.file.flags);
        self.equal(Check::Dynamic, "machine, class, byte order, e_flags", facts(reference), facts(ours));
        self.equal(Check::Dynamic, "EI_OSABI", reference.file.os_abi, ours.file.os_abi);
    }

    fn dynamic(&mut self, contents: &mut Contents<'_, '_, '_>) {
        let (left, right) = (contents.reference, contents.ours);
        let (reference, ours) = (left.image, right.image);
        for (name, tag) in
            [("DT_NEEDED", DT_NEEDED), ("DT_SONAME", DT_SONAME), ("DT_RPATH", DT_RPATH), ("DT_RUNPATH", DT_RUNPATH)]
        {
            let strings = |image: &Image<'_>| -> Vec<String> {
                let names = image.dynamic_values(tag).map(|offset| image.dynamic_string(offset));
                names.map(|name| name.map_or("?".into(), |name| name.to_string())).collect()
            };
            self.equal(Check::Needed, name, strings(reference), strings(ours));
        }
        for (name, tag) in [("DT_FLAGS", DT_FLAGS), ("DT_FLAGS_1", DT_FLAGS_1)] {
            let flags = |image: &Image<'_>| image.dynamic_value(tag).unwrap_or_default();
            self.equal(Check::Dynamic, name, flags(reference), flags(ours));
        }
        let powerpc = Machine(reference.file.machine) == EM_PPC64;
        if powerpc {
            let options = |image: &Image<'_>| image.dynamic_value(DT_PPC64_OPT).unwrap_or_default();
            self.equal(Check::Dynamic, "DT_PPC64_OPT", options(reference), options(ours));
        }
        // No options are none set.
        let compared = |entry: &&Dynamic| !powerpc || entry.tag != DT_PPC64_OPT.0;
        let tags =
            |image: &Image<'_>| image.dynamic.iter().filter(compared).map(|entry| entry.tag).collect::<BTreeSet<_>>();
        for tag in tags(reference).symmetric_difference(&tags(ours)) {
            let present = |image: &Image<'_>| image.dynamic.iter().any(|entry| entry.tag == *tag).to_string();
            self.differ(Check::Dynamic, tag_name(reference.file.machine, *tag), present(reference), present(ours));
        }
        for (name, tag) in [("DT_INIT", DT_INIT), ("DT_FINI", DT_FINI)] {
            let place = |symbolic: &Symbolic<'_, '_>| {
                symbolic.image.dynamic_value(tag).map(|address| without_address(&symbolic.describe(address)))
            };
            self.equal(Check::InitArray, name, place(left), place(right));
        }
        for (name, tag, size) in [
            ("DT_PREINIT_ARRAY", DT_PREINIT_ARRAY, DT_PREINIT_ARRAYSZ),
            ("DT_INIT_ARRAY", DT_INIT_ARRAY, DT_INIT_ARRAYSZ),
            ("DT_FINI_ARRAY", DT_FINI_ARRAY, DT_FINI_ARRAYSZ),
        ] {
            self.array(contents, name, (tag, size));
        }
    }

    fn array(&mut self, contents: &mut Contents<'_, '_, '_>, name: &str, tags: (DynamicTag, DynamicTag)) {
        let (left, right) = (contents.reference, contents.ours);
        let words = |image: &Image<'_>| -> Vec<Option<Meaning>> {
            let start = image.dynamic_value(tags.0).unwrap_or_default();
            let size = image.dynamic_value(tags.1).unwrap_or_default().min(image.file.bytes.len() as u64);
            let word = image.word_size();
            (0..size).step_by(word).map(|offset| fixups::word_at(image, start.wrapping_add(offset))).collect()
        };
        let (a, b) = (words(left.image), words(right.image));
        let same = a.len() == b.len()
            && a.iter().zip(&b).all(|(a, b)| match (a, b) {
                (Some(a), Some(b)) => contents.same_meaning(*a, *b),
                _ => false,
            });
        if !same {
            let show = |symbolic: &Symbolic<'_, '_>, words: &[Option<Meaning>]| {
                let words = words.iter().map(|word| word.map_or("?".into(), |word| symbolic.describe_meaning(word)));
                words.collect::<Vec<_>>().join(", ")
            };
            self.differ(Check::InitArray, name, format!("[{}]", show(left, &a)), format!("[{}]", show(right, &b)));
        }
    }

    fn dynamic_symbols(&mut self, reference: &Image<'_>, ours: &Image<'_>) {
        let (left, right) = (exports(reference), exports(ours));
        self.count("exports compared", left.len());
        for name in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            match (left.get(name), right.get(name)) {
                (Some(a), Some(b)) if a == b => {}
                (a, b) => self.differ(Check::Export, name.clone(), show(a), show(b)),
            }
        }
        let (left, right) = (imports(reference), imports(ours));
        self.count("imports compared", left.len());
        for name in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
            match (left.get(name), right.get(name)) {
                // A reference has no type of its own; linkers may take the definition's.
                (Some(a), Some(b)) if a.0 == b.0 && (a.1 == b.1 || a.1 == STT_NOTYPE.0 || b.1 == STT_NOTYPE.0) => {}
                (a, b) => self.differ(Check::Import, name.clone(), show(a), show(b)),
            }
        }
    }

    fn symbols(&mut self, mut contents: Contents<'_, '_, '_>) {
        let (left, right) = (contents.reference, contents.ours);
        self.undefined_symbols(left.image, right.image);
        let ours: HashMap<Key<'_>, &Named<'_>> = right.symbols.iter().map(|named| (named.key, named)).collect();
        let known: BTreeSet<Key<'_>> = left.symbols.iter().map(|named| named.key).collect();
        for named in &left.symbols {
            let subject = named.key.to_string();
            let Some(other) = ours.get(&named.key) else {
                self.differ(Check::Symbol, subject, "defined", "not defined");
                continue;
            };
            self.count("symbols compared", 1);
            let facts = |symbol: &Symbol<'_>| (symbol.kind, symbol.size, symbol.is_weak());
            if facts(&named.symbol) != facts(&other.symbol) {
                let show = |symbol: &Symbol<'_>| {
                    format!("type {}, size {}, binding {}", symbol.kind, symbol.size, symbol.binding)
                };
                self.differ(Check::Symbol, subject.clone(), show(&named.symbol), show(&other.symbol));
            }
            if named.symbol.is_tls() != other.symbol.is_tls() {
                continue;
            }
            if named.symbol.size != 0 && !named.symbol.is_tls() {
                let rights = (protection(left.image, named.address), protection(right.image, other.address));
                if rights.0 != rights.1 {
                    self.differ(Check::Protection, subject, rights.0, rights.1);
                }
            }
            if !is_zeros(left.image, named) || !is_zeros(right.image, other) {
                contents.symbol(named, other);
            }
        }
        for named in right.symbols.iter().filter(|named| !known.contains(&named.key)) {
            self.differ(Check::Symbol, named.key.to_string(), "not defined", "defined");
        }
        contents.finish();
        self.count("bytes of symbols compared", contents.bytes);
        self.findings.extend(contents.findings);
    }
}

impl Comparison {
    /// `.symtab` names what the library asks for, too.
    fn undefined_symbols(&mut self, reference: &Image<'_>, ours: &Image<'_>) {
        if reference.symbols.len() <= 1 || ours.symbols.len() <= 1 {
            return;
        }
        let undefined = |image: &Image<'_>| -> BTreeSet<String> {
            let symbols = image.symbols.iter().skip(1).filter(|symbol| !symbol.is_defined());
            // GNU ld appends the version.
            symbols.map(|symbol| symbol.name.to_string().split('@').next().unwrap_or_default().to_string()).collect()
        };
        let (left, right) = (undefined(reference), undefined(ours));
        for name in left.symmetric_difference(&right) {
            let show = |set: &BTreeSet<String>| if set.contains(name) { "undefined" } else { "absent" };
            self.differ(Check::Symbol, format!("undefined {name}"), show(&left), show(&right));
        }
    }
}

/// Whether the symbol lies in the zeros of the thread-local template, which are not in memory.
fn is_zeros(image: &Image<'_>, named: &Named<'_>) -> bool {
    let zeros = |section: &crate::elf::Section<'_>| section.is_tls() && section.is_nobits();
    match named.symbol.place {
        crate::elf::Place::Section(section) => image.file.sections.get(section as usize).is_some_and(zeros),
        _ => false,
    }
}

fn protection(image: &Image<'_>, address: u64) -> String {
    let Some(segment) = image.segment_at(address) else { return "not in memory".to_string() };
    let mut rights = String::new();
    for (flag, letter) in [(PF_R, 'r'), (PF_W, 'w'), (PF_X, 'x')] {
        rights.push(if segment.flags & flag.0 != 0 { letter } else { '-' });
    }
    if image.is_relro(address) {
        rights.push_str(", read-only after relocation");
    }
    rights
}

/// Tags that rules speak of have names.
fn tag_name(machine: u16, tag: i64) -> String {
    // CPUs' own tags are the same numbers.
    if Machine(machine) == EM_AARCH64 && tag == DT_AARCH64_BTI_PLT.0 {
        return "DT_AARCH64_BTI_PLT".to_string();
    }
    let known = [
        ("DT_RELACOUNT", DT_RELACOUNT),
        ("DT_RELCOUNT", DT_RELCOUNT),
        ("DT_HASH", DT_HASH),
        ("DT_GNU_HASH", DT_GNU_HASH),
        ("DT_FLAGS_1", DT_FLAGS_1),
        ("DT_FLAGS", DT_FLAGS),
        ("DT_RELR", DT_RELR),
        ("DT_TEXTREL", DT_TEXTREL),
        ("DT_SYMBOLIC", DT_SYMBOLIC),
        ("DT_BIND_NOW", DT_BIND_NOW),
        ("DT_PLTGOT", DT_PLTGOT),
        ("DT_JMPREL", DT_JMPREL),
        ("DT_PLTREL", DT_PLTREL),
        ("DT_PLTRELSZ", DT_PLTRELSZ),
        ("DT_TLSDESC_PLT", DT_TLSDESC_PLT),
        ("DT_TLSDESC_GOT", DT_TLSDESC_GOT),
    ];
    known.iter().find(|(_, known)| known.0 == tag).map_or_else(|| format!("tag {tag:#x}"), |(name, _)| name.to_string())
}

/// Defined dynamic symbols: `name@version` → type, binding, visibility, size, and whether only a reference with the version
/// finds it.
fn exports(image: &Image<'_>) -> BTreeMap<String, (u8, u8, u8, u64, bool)> {
    let symbols = image.dynamic_symbols.iter().enumerate().skip(1);
    symbols
        .filter(|(_, symbol)| symbol.is_defined() && !symbol.is_local())
        .map(|(index, symbol)| {
            let name = image.dynamic_symbol_name(index as u32);
            let hidden = image.symbol_versions.get(index).is_some_and(|version| version & 0x8000 != 0);
            (name, (symbol.kind, symbol.binding, symbol.visibility, symbol.size, hidden))
        })
        .collect()
}

/// Undefined dynamic symbols: `name@version (library)` → binding, type.
fn imports(image: &Image<'_>) -> BTreeMap<String, (u8, u8)> {
    let symbols = image.dynamic_symbols.iter().enumerate().skip(1);
    symbols
        .filter(|(_, symbol)| !symbol.is_defined())
        .map(|(index, symbol)| {
            let mut name = image.dynamic_symbol_name(index as u32);
            if let Some(library) = image.symbol_version(index).and_then(|version| version.library) {
                name.push_str(&format!(" ({library})"));
            }
            (name, (symbol.binding, symbol.kind))
        })
        .collect()
}

fn show<T: std::fmt::Debug>(facts: Option<&T>) -> String {
    facts.map_or("none".to_string(), |facts| format!("{facts:?}"))
}
