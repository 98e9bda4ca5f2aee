//! What existing linkers make of one set of inputs must be found to be right, and equal in meaning.

mod common;

use common::{File, Linker, OTHERS, USUAL, corpus, inputs, library, link, sets};
use pkgld_differ::check::check_against_inputs;
use pkgld_differ::compare::compare;
use pkgld_differ::image::Image;
use pkgld_differ::lint::lint;
use pkgld_differ::rules::{self, Check, Finding, Rule};

/// Differences between linkers that are no defects of either.
const BETWEEN_LINKERS: &[Rule] = &[
    rules::ASSEMBLER_LOCALS,
    rules::LINKER_SYMBOLS,
    rules::PLT_FRAMES,
    rules::RELRO_EXTENT,
    rules::INDIRECT_FUNCTION_ENTRY,
    rules::BOOKKEEPING_ENTRIES,
    rules::SLOT_SYMBOLS,
    rules::GNU_OS_ABI,
    rules::STATED_ALIGNMENT,
    rules::SLOT_TABLES,
    Rule {
        name: "mold-debug-addresses",
        reason: "mold gives DWARF the PLT entry of a function whose address its indirect references go through",
        allows: |finding: &Finding| {
            finding.check == Check::Relocation
                && finding.subject.contains(":(.debug_info)")
                && finding.subject.contains("R_X86_64_64 _ZN7ProblemD1Ev")
        },
    },
];

/// Checks one output alone; the counts show that the check was not idle.
fn right(what: &str, files: &[File], output: &[u8], extra: &[Rule]) {
    let image = Image::parse(output).expect("a library");
    let findings = lint(&image);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    let checked = check_against_inputs(&image, &inputs(files));
    let left: Vec<_> =
        checked.findings.iter().filter(|finding| !extra.iter().any(|rule| (rule.allows)(finding))).collect();
    assert!(left.is_empty(), "{what}: {left:#?}");
    assert!(checked.counts["relocations checked"] > 30, "{what}: {:?}", checked.counts);
    assert!(checked.counts["sections located"] >= 3, "{what}: {:?}", checked.counts);
}

#[test]
fn rust_lld_is_right() {
    for (name, files) in sets() {
        right(name, &files, &link(Linker::RustLld, &files, USUAL, &[library()]), &[]);
    }
}

#[test]
fn rust_lld_is_right_with_other_options() {
    let none: &[Rule] = &[];
    let cases: &[(&[&str], &[Rule])] = &[
        (&["-z", "pack-relative-relocs"], none),
        (&["-z", "now"], none),
        (&["-z", "norelro"], none),
        (&["-z", "separate-code"], none),
        (&["-z", "max-page-size=65536"], none),
        (&["-O2"], none),
        (&["--build-id"], none),
        (&["--hash-style=gnu"], none),
        (&["--hash-style=sysv"], none),
        (&["--compress-debug-sections=zlib"], none),
        (&["-Bsymbolic"], none),
        (&["-Bsymbolic-functions"], &[rules::BOUND_AT_LINK_TIME]),
        (&["-S"], &[rules::STRIPPED_DEBUG]),
        (&["-x"], &[rules::STRIPPED_SYMBOLS]),
        (&["-s"], &[rules::STRIPPED_DEBUG]),
        (&["--gc-sections"], &[rules::COLLECTED_SECTIONS]),
    ];
    let sets = sets();
    let (_, files) = &sets[0];
    for (options, rules) in cases {
        let options: Vec<&str> = USUAL.iter().chain(*options).copied().collect();
        right(&format!("{options:?}"), files, &link(Linker::RustLld, files, &options, &[library()]), rules);
    }
}

#[test]
fn rust_lld_is_right_about_the_corpus() {
    let archives = corpus();
    assert!(!archives.is_empty());
    for (archive, libraries) in archives {
        let files = [archive];
        right(&files[0].0, &files, &link(Linker::RustLld, &files, USUAL, &libraries), &[]);
    }
}

#[test]
fn an_output_equals_itself_without_rules() {
    for (name, files) in sets() {
        let output = link(Linker::RustLld, &files, USUAL, &[library()]);
        let image = Image::parse(&output).expect("a library");
        let report = compare(&image, &image, Some(&inputs(&files)), &[]);
        assert!(report.is_equal(), "{name}: {report}");
    }
}

#[test]
fn another_layout_is_equal() {
    let options: Vec<&str> = USUAL.iter().chain(&["-z", "separate-code", "--image-base=0"]).copied().collect();
    for (name, files) in sets() {
        let reference = link(Linker::RustLld, &files, USUAL, &[library()]);
        let other = link(Linker::RustLld, &files, &options, &[library()]);
        assert_ne!(reference, other);
        let (reference, other) = (Image::parse(&reference).expect("one"), Image::parse(&other).expect("two"));
        for inputs in [Some(inputs(&files)), None] {
            let report = compare(&reference, &other, inputs.as_ref(), &[]);
            assert!(report.is_equal(), "{name}: {report}");
        }
    }
}

#[test]
#[ignore = "needs lld-16, lld-19, mold and binutils: run with --include-ignored"]
fn linkers_agree() {
    // GNU ld and mold of this machine link for it only.
    let native = corpus().into_iter().filter(|((name, _), _)| name.contains("x86_64"));
    let archives = native.map(|(archive, libraries)| (archive.0.clone(), vec![archive], libraries));
    let sets = sets().into_iter().map(|(name, files)| (name.to_string(), files, vec![library()]));
    for (name, files, libraries) in sets.chain(archives) {
        let reference = link(Linker::RustLld, &files, USUAL, &libraries);
        let reference = Image::parse(&reference).expect("a library");
        for linker in OTHERS {
            // Linkers that do not know CREL take its sections for data, in silence, or refuse the object.
            if name == "crel" && *linker != Linker::Program("ld.lld-19", "lld-19") {
                continue;
            }
            // Only LLD takes FreeBSD's EI_OSABI from the objects.
            if name.starts_with("freebsd") && !matches!(linker, Linker::Program("ld.lld-16" | "ld.lld-19", _)) {
                continue;
            }
            let output = link(*linker, &files, USUAL, &libraries);
            let output = Image::parse(&output).expect("a library");
            for inputs in [Some(inputs(&files)), None] {
                let report = compare(&reference, &output, inputs.as_ref(), BETWEEN_LINKERS);
                assert!(report.is_equal(), "{name}, {linker:?}: {report}");
            }
        }
    }
}

#[test]
#[ignore = "needs lld-16: run with --include-ignored"]
fn ignored_relocations_are_found() {
    let sets = sets();
    let (_, files) = sets.iter().find(|(name, _)| *name == "crel").expect("a set with CREL");
    let output = link(Linker::Program("ld.lld-16", "lld-16"), files, USUAL, &[library()]);
    let checked = check_against_inputs(&Image::parse(&output).expect("a library"), &inputs(files));
    assert!(checked.findings.iter().any(|finding| finding.check == Check::Relocation), "{:#?}", checked.findings);
}

#[test]
fn rules_without_use_are_told() {
    let sets = sets();
    let (_, files) = &sets[0];
    let output = link(Linker::RustLld, files, USUAL, &[library()]);
    let image = Image::parse(&output).expect("a library");
    let report = compare(&image, &image, None, &[rules::PLT_FRAMES]);
    assert_eq!(report.unused_rules, ["plt-frames"]);
    assert!(report.to_string().contains("rule without use: plt-frames"));
}
