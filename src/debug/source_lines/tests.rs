//! The source lines of an object that the host's C compiler makes, whole and broken.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use std::collections::HashMap;
use std::process::Command;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionKind};
use proptest::prelude::*;

use super::*;

const SOURCE: &str = "\
static inline __attribute__((always_inline)) int inlined(int x) {
    return x * 3;
}
int first(int x) {
    return inlined(x) + 1;
}
int second(int x) {
    int y = x;
    for (int i = 0; i < x; i++)
        y += first(i);
    return y;
}
";

/// Debug sections, relocated, and the code's addresses by symbol.
struct Compiled {
    sections: HashMap<String, Vec<u8>>,
    symbols: HashMap<String, u64>,
}

impl Compiled {
    fn lines(&self) -> SourceLines<'_> {
        SourceLines::new(|id| self.sections.get(id.name()).map_or(&[], |section| section))
    }
}

/// Compiles [`SOURCE`] and gives each code section the base address `index << 32`.
fn compile(arguments: &[&str]) -> Compiled {
    let directory = tempfile::tempdir().unwrap();
    let (source, output) = (directory.path().join("source.c"), directory.path().join("object.o"));
    std::fs::write(&source, SOURCE).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(&directory).args(["-c", "source.c", "-o"]).arg(&output).args(arguments);
    let status = compiler.status().expect("`cc` does not start: install the package gcc");
    assert!(status.success());
    let bytes = std::fs::read(&output).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let base = |index: object::SectionIndex| {
        let code = file.section_by_index(index).unwrap().kind() == SectionKind::Text;
        if code { (index.0 as u64) << 32 } else { 0 }
    };
    let mut sections = HashMap::new();
    for section in file.sections().filter(|section| section.name().unwrap().starts_with(".debug_")) {
        let mut data = section.data().unwrap().to_vec();
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { panic!("{relocation:?}") };
            let symbol = file.symbol_by_index(symbol).unwrap();
            let target = base(symbol.section_index().unwrap()) + symbol.address();
            let value = target.wrapping_add_signed(relocation.addend());
            let size = usize::from(relocation.size() / 8);
            data[offset as usize..][..size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
        sections.insert(section.name().unwrap().to_owned(), data);
    }
    let code = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
    let symbols = code
        .map(|symbol| (symbol.name().unwrap().to_owned(), base(symbol.section_index().unwrap()) + symbol.address()));
    Compiled { symbols: symbols.collect(), sections }
}

/// The lines of all addresses from `start` on, without repetition, as long as the function is the same.
fn lines_from(lines: &mut SourceLines<'_>, start: u64) -> Vec<u64> {
    let function = lines.function(start).unwrap();
    let mut found = Vec::new();
    let mut address = start;
    while lines.function(address).as_ref() == Some(&function) {
        let position = lines.position(address).unwrap();
        assert_eq!(position.file, "source.c");
        found.push(position.line);
        address += 1;
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn lines_and_functions_are_found() {
    for arguments in [
        &["-g", "-O0", "-gdwarf-4"][..],
        &["-g", "-O0", "-gdwarf-5"],
        &["-g", "-O1", "-gdwarf-5", "-ffunction-sections"],
        &["-g", "-O1", "-gdwarf-4", "-ffunction-sections"],
        &["-g", "-O2", "-gdwarf-3"],
    ] {
        let compiled = compile(arguments);
        let mut lines = compiled.lines();
        for (name, own) in [("first", 4..=6), ("second", 7..=12)] {
            let start = compiled.symbols[name];
            assert_eq!(lines.function(start).as_deref(), Some(name), "{arguments:?}");
            let line = lines.position(start).unwrap().line;
            assert!(
                if arguments[1] == "-O0" { line == *own.start() } else { own.contains(&line) },
                "{arguments:?} {line}"
            );
            let found = lines_from(&mut lines, start);
            // What is inlined has the lines of its own source.
            let allowed = |line: &u64| own.contains(line) || (1..=3).contains(line) || (4..=6).contains(line);
            assert!(found.len() >= 2 && found.iter().all(allowed), "{arguments:?} {name} {found:?}");
        }
        assert_eq!(lines.position(u64::MAX / 2), None);
        assert_eq!(lines.function(u64::MAX / 2), None);
    }
}

#[test]
fn directories_are_named() {
    let compiled = compile(&["-g", "-gdwarf-5"]);
    let lines = compiled.lines();
    let unit = lines.dwarf.units().next().unwrap().unwrap();
    let unit = lines.dwarf.unit(unit).unwrap();
    let header = unit.line_program.clone().unwrap();
    let position = lines.source_position(&unit, header.header(), Row { address: 0, file: 1, line: 9 });
    assert_eq!(position, Some(SourcePosition { file: "source.c".to_owned(), line: 9 }));
    for file in [1000, u64::MAX, 1 << 32] {
        assert_eq!(lines.source_position(&unit, header.header(), Row { address: 0, file, line: 9 }), None);
    }
}

#[test]
fn without_debug_information_nothing_is_known() {
    let mut lines = SourceLines::new(|_| &[]);
    assert_eq!((lines.position(0), lines.function(0)), (None, None));
}

#[test]
fn the_budget_ends_the_search() {
    let compiled = compile(&["-g", "-gdwarf-5"]);
    let start = compiled.symbols["first"];
    let mut lines = compiled.lines();
    let mut asked = 0;
    while lines.position(start).is_some() {
        asked += 1;
    }
    let size: usize = compiled.sections.values().map(Vec::len).sum();
    assert!(asked > 64, "{asked} questions");
    assert!(asked < 64 * size + (1 << 16));
    assert_eq!(lines.function(start), None);
}

/// Attributes without bytes, in an entry of one byte, repeated: work that is not in proportion to the bytes.
#[test]
fn attributes_without_bytes_are_paid_for() {
    let mut abbreviations = vec![1, 0x11, 1];
    abbreviations.extend([0; 2]);
    abbreviations.extend([2, 0x2e, 0]);
    // DW_AT_external, DW_FORM_flag_present.
    abbreviations.extend([0x3f, 0x19].repeat(100_000));
    abbreviations.extend([0; 3]);
    let entries = 1_000_000;
    let mut info = (8 + entries as u32).to_le_bytes().to_vec();
    info.extend([4, 0, 0, 0, 0, 0, 8, 1]);
    info.resize(info.len() + entries, 2);
    let mut lines = SourceLines::new(|id| match id {
        SectionId::DebugAbbrev => &abbreviations,
        SectionId::DebugInfo => &info,
        _ => &[],
    });
    let before = lines.budget;
    assert_eq!(lines.function(0), None);
    assert!(lines.budget < 200_000 && before > 64_000_000, "{} of {before} steps are left", lines.budget);
}

#[test]
fn long_tables_are_not_read() {
    let table = [1, 0x2e, 0].into_iter().chain([0x3f, 0x19].repeat(1 << 19)).chain([0; 4]).collect::<Vec<u8>>();
    assert!(abbreviations_size(&table, 0).is_err());
    assert!(matches!(abbreviations_size(&table, table.len() as u64 - 1), Ok(1)));
    let mut header = vec![0xff; 4];
    header.extend([0; 8]);
    header.extend([5, 0, 8, 0]);
    header.extend((TABLE_LIMIT + 1).to_le_bytes());
    assert!(line_header_size(&header, 0).is_err());
    header[16..24].copy_from_slice(&7_u64.to_le_bytes());
    assert!(matches!(line_header_size(&header, 0), Ok(7)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_changes_are_survived(changes in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u8>()), 1..20)) {
        static COMPILED: std::sync::OnceLock<[Compiled; 2]> = std::sync::OnceLock::new();
        let both = COMPILED.get_or_init(|| {
            [compile(&["-g", "-O1", "-gdwarf-5", "-ffunction-sections"]), compile(&["-g", "-gdwarf-4"])]
        });
        for compiled in both {
            let mut names: Vec<_> = compiled.sections.keys().collect();
            names.sort();
            let mut sections = compiled.sections.clone();
            for (section, at, value) in &changes {
                let section = sections.get_mut(names[usize::from(*section) % names.len()]).unwrap();
                let at = usize::from(*at) % section.len();
                section[at] = *value;
            }
            let mut lines = SourceLines::new(|id| sections.get(id.name()).map_or(&[], |section| section));
            for address in compiled.symbols.values() {
                lines.position(*address);
                lines.function(*address + 4);
            }
        }
    }
}
