//! Which kinds of relocation and which sections the committed archives have. Needs nothing but Rust.

#![allow(clippy::unwrap_used)]

#[path = "common/count.rs"]
mod count;

use std::collections::BTreeMap;

use count::count;
use pkgld_corpus::presets::KINDS;
use pkgld_corpus::{Julia, committed};

/// Kinds by section as LLVM emits them for Julia's code: for the code model, what `.text` may have; the names of the
/// data sections.
fn expected(llvm: u32, medium: bool) -> BTreeMap<&'static str, Vec<&'static str>> {
    let text: &[&str] = match (medium, llvm) {
        (false, ..16) => &["GOTPCREL", "PC32", "PLT32"],
        (false, _) => &["PC32", "PLT32", "REX_GOTPCRELX"],
        (true, _) => &["GOTOFF64", "GOTPC32", "PC32", "PLT32", "REX_GOTPCRELX"],
    };
    let large = medium && llvm >= 18;
    let mut kinds = BTreeMap::from([
        (".text", text.to_vec()),
        (".rodata", vec!["PC32"]),
        (".eh_frame", vec!["PC32"]),
        (".debug_info", vec!["32", "64"]),
        (".debug_line", vec!["64"]),
        (if large { ".ldata" } else { ".data" }, vec!["64"]),
        (if large && llvm < 22 { ".ldata.rel.ro" } else { ".data.rel.ro" }, vec!["64"]),
    ]);
    if large {
        kinds.insert(".lrodata", vec!["PC32"]);
    }
    if llvm <= 16 {
        kinds.extend([(".debug_gnu_pubnames", vec!["32"]), (".debug_gnu_pubtypes", vec!["32"])]);
    }
    kinds
}

#[test]
fn sections_have_the_kinds_that_llvm_emits() {
    for entry in committed() {
        let counts = count(&entry.path, "text");
        let medium = entry.target.code_model(entry.julia) == "medium";
        let mut expected = expected(entry.llvm, medium);
        // LLVM 16 reaches its own data by GOTOFF64 throughout, constant pools too; PC32 is left for other shards' functions.
        let lone = entry.llvm == 16 && entry.manifest.shards == 1;
        for (section, kinds) in &mut expected {
            if section.starts_with(".debug") && !counts.kinds.contains_key(".debug_info") {
                kinds.clear();
            }
            if *section == ".text" && medium && lone {
                kinds.retain(|kind| *kind != "PC32");
            }
        }
        expected.retain(|_, kinds| !kinds.is_empty());
        let found: BTreeMap<&str, Vec<&str>> = (counts.kinds.iter())
            .map(|(section, kinds)| (section.as_str(), kinds.clone()))
            .filter(|(section, _)| *section != ".debug_ranges" && *section != ".debug_loc")
            .collect();
        assert_eq!(found, expected, "{}", entry.path.display());
    }
}

#[test]
fn medium_model_archives_have_exactly_the_seven_kinds_counted_on_real_ones() {
    let mut archives = 0;
    for entry in committed() {
        let counts = count(&entry.path, "text");
        if entry.target.code_model(entry.julia) == "medium" && counts.sections.contains_key(".debug_info") {
            let mut seven = KINDS;
            seven.sort_unstable();
            assert_eq!(counts.relocations.keys().copied().collect::<Vec<_>>(), seven, "{}", entry.path.display());
            archives += 1;
        }
    }
    assert!(archives >= 8, "only {archives} archives");
}

#[test]
fn only_the_newest_generations_mark_large_sections() {
    for entry in committed() {
        let counts = count(&entry.path, if entry.julia == Julia::V1_9 { "data" } else { "sysimg" });
        let linux = entry.target.name == "linux-x86_64";
        let in_ldata = counts.sections.contains_key(".ldata");
        assert_eq!(in_ldata, entry.llvm >= 18 || linux && entry.llvm == 16, "{}", entry.path.display());
    }
}
