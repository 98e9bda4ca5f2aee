//! The keywords of `-z`.

use super::super::flag::{Flag, Given, Group, Takes};
use super::super::problem::Problem;
use super::super::reading::Reading;
use crate::options::number;
use crate::{MissingFeature, SymbolList};

/// What to say of objects that lack something.
const REPORTS: [(&str, MissingFeature); 3] =
    [("none", MissingFeature::Allow), ("warning", MissingFeature::Warn), ("error", MissingFeature::Error)];

pub(super) const HONOURED: Group = Group {
    title: "Keywords of -z",
    flags: &[
        Flag::on(&["defs"], "fail if a symbol is defined nowhere", |reading| &mut reading.report_undefined),
        Flag::off(&["undefs"], "leave undefined symbols to the loader (default)", |reading| {
            &mut reading.report_undefined
        }),
        Flag::on(&["muldefs"], "as --allow-multiple-definition", |reading| {
            &mut reading.options.allow_multiple_definition
        }),
        Flag::on(&["relro"], "protect relocated constants after loading (default)", |reading| {
            &mut reading.options.elf.relro
        }),
        Flag::off(&["norelro"], "do not protect them", |reading| &mut reading.options.elf.relro),
        Flag::on(&["now"], "have the loader bind all functions at once", |reading| &mut reading.options.elf.now),
        Flag::off(&["lazy"], "have the loader bind a function when it is first called (default)", |reading| {
            &mut reading.options.elf.now
        }),
        Flag::on(&["text"], "refuse relocations in read-only sections (default)", |reading| {
            &mut reading.options.elf.text
        }),
        Flag::off(&["notext", "textoff"], "allow them", |reading| &mut reading.options.elf.text),
        Flag::on(&["nodelete"], "never unload the library", |reading| &mut reading.options.elf.dynamic_flags.nodelete),
        Flag::on(&["nodlopen"], "dlopen may not load the library", |reading| {
            &mut reading.options.elf.dynamic_flags.nodlopen
        }),
        Flag::on(&["initfirst"], "initialise the library before others", |reading| {
            &mut reading.options.elf.dynamic_flags.initfirst
        }),
        Flag::on(&["loadfltr"], "load what a filter stands for with it, not when needed", |reading| {
            &mut reading.options.elf.dynamic_flags.loadfltr
        }),
        Flag::on(&["interpose"], "its symbols go before those of other libraries", |reading| {
            &mut reading.options.elf.dynamic_flags.interpose
        }),
        Flag::on(&["global"], "libraries loaded later see its symbols", |reading| {
            &mut reading.options.elf.dynamic_flags.global
        }),
        Flag::on(&["origin"], "the loader must know $ORIGIN", |reading| &mut reading.options.elf.dynamic_flags.origin),
        Flag::on(&["nodefaultlib"], "search no default directories at run time", |reading| {
            &mut reading.options.elf.dynamic_flags.nodefaultlib
        }),
        Flag::on(&["pack-relative-relocs"], "as --pack-dyn-relocs=relr", |reading| &mut reading.options.elf.relr),
        Flag::off(&["nopack-relative-relocs"], "as --pack-dyn-relocs=none (default)", |reading| {
            &mut reading.options.elf.relr
        }),
        Flag::does(&["execstack"], Takes::Nothing, "ask for an executable stack", |reading, _| {
            reading.options.elf.exec_stack = Some(true);
            Ok(())
        }),
        Flag::does(&["noexecstack"], Takes::Nothing, "ask for no executable stack", |reading, _| {
            reading.options.elf.exec_stack = Some(false);
            Ok(())
        }),
        Flag::does(
            &["start-stop-visibility"],
            Takes::Value("HOW"),
            "who sees the symbols __start_SECTION and __stop_SECTION: others too, if it is protected (default), or only the \
             library, if it is hidden or internal",
            |reading, given| {
                reading.options.elf.hide_section_bounds = match given.text()? {
                    "hidden" | "internal" => true,
                    "protected" => false,
                    "default" => {
                        return Err(
                            given.refused("no other library's bounds take the place of the own ones; use protected")
                        );
                    }
                    _ => return Err(given.bad("one of protected, hidden, internal")),
                };
                Ok(())
            },
        ),
        Flag::on(
            &["ibt"],
            "state that the library goes with indirect-branch tracking, whatever its objects state",
            |reading| &mut reading.options.elf.ibt,
        ),
        Flag::on(&["force-ibt"], "the same, with a warning for each object that does not", |reading| {
            &mut reading.options.elf.force_ibt
        }),
        Flag::on(&["shstk"], "state that the library goes with shadow stacks, whatever its objects state", |reading| {
            &mut reading.options.elf.shstk
        }),
        Flag::on(
            &["force-bti"],
            "state that the library goes with branch target identification, with a warning for each object that does not",
            |reading| &mut reading.options.elf.force_bti,
        ),
        Flag::does(
            &["cet-report"],
            Takes::Value("HOW"),
            "what to say of objects that do not go with both of x86's: none (default), warning or error",
            |reading, given| {
                reading.options.elf.report_cet = given.choice(&REPORTS)?;
                Ok(())
            },
        ),
        Flag::does(
            &["bti-report"],
            Takes::Value("HOW"),
            "what to say of objects without branch target identification: none (default), warning or error",
            |reading, given| {
                reading.options.elf.report_bti = given.choice(&REPORTS)?;
                Ok(())
            },
        ),
        Flag::does(
            &["gcs"],
            Takes::Value("HOW"),
            "whether the library goes with guarded control stacks (AArch64): accepted for implicit, if all objects state it \
             (default)",
            |_, given| match given.text()? {
                "implicit" => Ok(()),
                "always" | "never" => {
                    Err(given
                        .refused("it is stated where all inputs state it; compile them with -mbranch-protection=gcs"))
                }
                _ => Err(given.bad("implicit")),
            },
        ),
        Flag::does(
            &["dead-reloc-in-nonalloc"],
            Takes::Value("PATTERN=VALUE"),
            "what references from sections that PATTERN fits, which are not loaded, become where --gc-sections or a group left \
             out what they refer to (default: 0, and 1 in .debug_loc and .debug_ranges)",
            |reading, given| {
                let wrong = || given.bad("a pattern, an equals sign and a number");
                let (pattern, value) = given.text()?.rsplit_once('=').ok_or_else(wrong)?;
                let value = number(value).ok_or_else(wrong)?;
                let mut sections = SymbolList::default();
                sections.add(pattern).map_err(|_| wrong())?;
                reading.options.elf.dead_references.push((sections, value));
                Ok(())
            },
        ),
        Flag::does(
            &["max-page-size"],
            Takes::Value("SIZE"),
            "the largest page size that the library can be loaded with, in bytes",
            |reading, given| {
                reading.options.elf.max_page_size = Some(given.number()?);
                Ok(())
            },
        ),
        Flag::does(
            &[
                "pauth-report",
                "gcs-report",
                "gcs-report-dynamic",
                "zicfilp-unlabeled-report",
                "zicfilp-func-sig-report",
                "zicfiss-report",
                "execute-only-report",
                "lam-report",
                "lam-u48-report",
                "lam-u57-report",
            ],
            Takes::Value("HOW"),
            "accepted for none (default)",
            |_, given| match given.text()? {
                "none" => Ok(()),
                "warning" | "error" => Err(given.refused("use 'readelf -n' on the inputs")),
                _ => Err(given.bad("none")),
            },
        ),
    ],
};

pub(super) const IGNORED: Group = Group {
    title: "Keywords of -z that are accepted and change nothing",
    flags: &[
        Flag::ignored(
            &["combreloc", "nocombreloc"],
            Takes::Nothing,
            "dynamic relocations always stand in one table, sorted",
        ),
        Flag::ignored(&["copyreloc", "nocopyreloc"], Takes::Nothing, "shared libraries have no copy relocations"),
        Flag::ignored(
            &["common-page-size"],
            Takes::Value("SIZE"),
            "the largest page size (max-page-size) decides the layout",
        ),
        Flag::ignored(
            &["separate-code", "noseparate-code", "separate-loadable-segments"],
            Takes::Nothing,
            "code has a segment and pages of its own in memory; what shares its pages of the file does not matter to the loader",
        ),
        Flag::ignored(&["stack-size"], Takes::Value("SIZE"), "the executable decides the size of the stack"),
        Flag::ignored(
            &["rela", "rel"],
            Takes::Nothing,
            "relocations for the loader have the form that the machine's psABI gives them, with addends or without",
        ),
        Flag::ignored(
            &["rodynamic"],
            Takes::Nothing,
            "the dynamic section is protected after loading (relro): before that the GNU C library writes to it",
        ),
        Flag::ignored(&["common", "nocommon"], Takes::Nothing, "allocated common symbols are ordinary objects"),
        Flag::ignored(
            &["nounique", "nounique-symbol", "nomark-plt", "noextern-protected-data", "noindirect-extern-access"],
            Takes::Nothing,
            "this is what is done anyway",
        ),
        Flag::ignored(
            &["dynamic-undefined-weak"],
            Takes::Nothing,
            "undefined weak symbols of default visibility are always left to the loader",
        ),
        Flag::ignored(
            &[
                "keep-text-section-prefix",
                "nokeep-text-section-prefix",
                "keep-data-section-prefix",
                "nokeep-data-section-prefix",
            ],
            Takes::Nothing,
            "how sections are grouped changes nothing that the loader sees",
        ),
        Flag::ignored(
            &["start-stop-gc", "nostart-stop-gc"],
            Takes::Nothing,
            "what --gc-sections may leave out need not be left out",
        ),
        Flag::ignored(
            &["lrodata-after-bss", "nolrodata-after-bss"],
            Takes::Nothing,
            "large read-only data stands where 32-bit relocations to other sections still reach",
        ),
        Flag::ignored(&["sectionheader"], Takes::Nothing, "section headers are always written"),
        Flag::ignored(&["nodump"], Takes::Nothing, "no loader of the supported systems has dldump"),
    ],
};

pub(super) const WARNED: Group = Group {
    title: "Keywords of -z that are known and not done, with a warning: LLD does not know them either",
    flags: &[
        Flag::does(
            &["noreloc-overflow"],
            Takes::Nothing,
            "not done: a relocation that does not fit is an error",
            |reading, given| not_done(reading, given, "a relocation that does not fit is an error"),
        ),
        Flag::does(
            &["ibtplt"],
            Takes::Nothing,
            "not done: -z ibt, or objects that all state it, have the procedure linkage table do its part",
            |reading, given| not_done(reading, given, "use -z ibt, or compile all inputs with -fcf-protection"),
        ),
        Flag::does(
            &["mark-plt"],
            Takes::Nothing,
            "not done: the procedure linkage table has one form",
            |reading, given| not_done(reading, given, "the procedure linkage table has one form"),
        ),
        Flag::does(
            &["x86-64-baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4", "lam-u48", "lam-u57"],
            Takes::Nothing,
            "not done: what processor an image needs is what its objects state",
            |reading, given| not_done(reading, given, "what processor an image needs is what its objects state"),
        ),
        Flag::does(
            &["indirect-extern-access", "report-relative-reloc", "unique", "unique-symbol", "globalaudit"],
            Takes::Nothing,
            "not done: nothing that Linux's or FreeBSD's loaders need",
            |reading, given| not_done(reading, given, "nothing that Linux's or FreeBSD's loaders need"),
        ),
        Flag::does(
            &["memory-tag", "memtag-mode"],
            Takes::Optional("HOW"),
            "not done: memory is not tagged",
            |reading, given| not_done(reading, given, "memory is not tagged"),
        ),
    ],
};

/// Says that a keyword changes nothing.
fn not_done(reading: &mut Reading, given: &Given, why: &str) -> Result<(), Problem> {
    reading.show.remarks.push(format!("'{}' has no effect: {why}", given.option));
    Ok(())
}

pub(super) const REFUSED: Group = Group {
    title: "Keywords of -z that are known and refused",
    flags: &[
        Flag::refused(
            &["nognustack"],
            Takes::Nothing,
            "the permissions of the stack are always stated; use noexecstack or execstack",
        ),
        Flag::refused(&["nosectionheader"], Takes::Nothing, "debuggers need the section headers; leave it out"),
        Flag::refused(&["nodynamic-undefined-weak"], Takes::Nothing, "define the symbols, by --defsym NAME=0"),
        Flag::refused(&["wxneeded"], Takes::Nothing, "leave it out"),
        Flag::refused(
            &["pac-plt", "zicfilp", "zicfiss"],
            Takes::Optional("HOW"),
            "control-flow protection is stated where all inputs state it; compile them with -fcf-protection or -mbranch-protection",
        ),
        Flag::refused(
            &["retpolineplt", "hazardplt", "ifunc-noplt"],
            Takes::Nothing,
            "the procedure linkage table has one form; use -z now and compile with -fno-plt to avoid it",
        ),
    ],
};
