//! The options of the darwin dialect, as data.

use super::{Darwin, Flag, Given, Meaning, list};
use crate::cli::problem::Problem;
use crate::cli::reading::MapTo;
use crate::{LibraryRole, Mode, Source, Strip, SymbolValue, Target};

/// The options, by heading.
pub(super) const GROUPS: &[(&str, &[Flag])] = &[
    ("Inputs", INPUTS),
    ("Output", OUTPUT),
    ("Symbols", SYMBOLS),
    ("Messages", MESSAGES),
    ("Ignored", IGNORED),
    ("Refused", REFUSED),
];

/// All options.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|(_, flags)| flags.iter())
}

type Does = fn(&mut Darwin, &Given) -> Result<(), Problem>;

const fn does(names: &'static [&'static str], values: &'static [&'static str], help: &'static str, does: Does) -> Flag {
    Flag { names, values, joined: false, help, meaning: Meaning::Does(does) }
}

const fn joined(
    names: &'static [&'static str],
    values: &'static [&'static str],
    help: &'static str,
    does: Does,
) -> Flag {
    Flag { names, values, joined: true, help, meaning: Meaning::Does(does) }
}

const fn ignored(names: &'static [&'static str], values: &'static [&'static str], reason: &'static str) -> Flag {
    Flag { names, values, joined: false, help: reason, meaning: Meaning::Ignored }
}

const fn refused(names: &'static [&'static str], values: &'static [&'static str], instead: &'static str) -> Flag {
    Flag { names, values, joined: false, help: instead, meaning: Meaning::Refused }
}

/// Takes an input, with `change` made to how it takes part.
fn input(darwin: &mut Darwin, source: Source<'static>, change: fn(&mut Mode)) -> Result<(), Problem> {
    let mode = darwin.reading.mode;
    change(&mut darwin.reading.mode);
    darwin.reading.input(source);
    darwin.reading.mode = mode;
    Ok(())
}

/// Takes a library that is searched for.
fn searched(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    input(darwin, Source::Library(given.text()?.to_owned()), change)
}

/// Takes a file.
fn named(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    input(darwin, Source::Path(given.path()?), change)
}

/// Takes a framework. A suffix that follows a comma asks for a variant, which is looked for at no place but the usual one.
fn framework(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    let name = given.text()?;
    if name.contains(['/', ',']) {
        return Err(given.bad(0, "the name of a framework without a directory and a suffix"));
    }
    input(darwin, Source::Framework(name.to_owned()), change)
}

const INPUTS: &[Flag] = &[
    joined(
        &["l"],
        &["NAME"],
        "link with libNAME.tbd, libNAME.dylib or libNAME.a of the first directory that has one",
        |darwin, given| {
            let name = given.text()?.to_owned();
            darwin.reading.input(Source::Library(name));
            Ok(())
        },
    ),
    joined(&["L"], &["DIRECTORY"], "search DIRECTORY for libraries", |darwin, given| {
        darwin.reading.options.search_paths.push(given.path()?);
        Ok(())
    }),
    does(
        &["syslibroot"],
        &["DIRECTORY"],
        "look for the absolute directories of -L, and for /usr/lib and /usr/local/lib, in DIRECTORY first",
        |darwin, given| {
            darwin.reading.options.sysroot = Some(given.path()?);
            Ok(())
        },
    ),
    does(&["all_load"], &[], "link every member of every archive", |darwin, _| {
        darwin.all_load = true;
        Ok(())
    }),
    does(&["noall_load"], &[], "undo -all_load", |darwin, _| {
        darwin.all_load = false;
        Ok(())
    }),
    does(&["force_load"], &["FILE"], "link every member of the archive FILE", |darwin, given| {
        let path = given.path()?;
        let mode = darwin.reading.mode;
        darwin.reading.mode.whole_archive = true;
        darwin.reading.file(path.into());
        darwin.reading.mode = mode;
        Ok(())
    }),
    joined(&["weak-l"], &["NAME"], "as -l; the library may be missing when the image is loaded", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Weak)
    }),
    joined(&["reexport-l"], &["NAME"], "as -l; what the library has counts as the image's own", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Reexport)
    }),
    joined(&["upward-l"], &["NAME"], "as -l; the library uses the image in its turn", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    joined(&["needed-l"], &["NAME"], "as -l; -dead_strip_dylibs leaves the library in", |darwin, given| {
        searched(darwin, given, |mode| mode.needed = true)
    }),
    joined(&["hidden-l"], &["NAME"], "as -l; what the archive defines is not for others", |darwin, given| {
        searched(darwin, given, |mode| mode.hidden = true)
    }),
    does(
        &["weak_library"],
        &["FILE"],
        "link with FILE, which may be missing when the image is loaded",
        |darwin, given| named(darwin, given, |mode| mode.role = LibraryRole::Weak),
    ),
    does(&["reexport_library"], &["FILE"], "link with FILE; what it has counts as the image's own", |darwin, given| {
        named(darwin, given, |mode| mode.role = LibraryRole::Reexport)
    }),
    does(&["upward_library"], &["FILE"], "link with FILE, which uses the image in its turn", |darwin, given| {
        named(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    does(&["needed_library"], &["FILE"], "link with FILE; -dead_strip_dylibs leaves it in", |darwin, given| {
        named(darwin, given, |mode| mode.needed = true)
    }),
    does(
        &["load_hidden"],
        &["FILE"],
        "link with the archive FILE; what it defines is not for others",
        |darwin, given| named(darwin, given, |mode| mode.hidden = true),
    ),
    does(
        &["framework"],
        &["NAME"],
        "link with NAME.framework/NAME, or its .tbd, of the first directory of -F that has one",
        |darwin, given| framework(darwin, given, |_| {}),
    ),
    does(
        &["weak_framework"],
        &["NAME"],
        "as -framework; it may be missing when the image is loaded",
        |darwin, given| framework(darwin, given, |mode| mode.role = LibraryRole::Weak),
    ),
    does(
        &["reexport_framework"],
        &["NAME"],
        "as -framework; what it has counts as the image's own",
        |darwin, given| framework(darwin, given, |mode| mode.role = LibraryRole::Reexport),
    ),
    does(&["upward_framework"], &["NAME"], "as -framework; it uses the image in its turn", |darwin, given| {
        framework(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    does(&["needed_framework"], &["NAME"], "as -framework; -dead_strip_dylibs leaves it in", |darwin, given| {
        framework(darwin, given, |mode| mode.needed = true)
    }),
    joined(&["F"], &["DIRECTORY"], "search DIRECTORY for frameworks", |darwin, given| {
        darwin.reading.options.macho.framework_paths.push(given.path()?);
        Ok(())
    }),
    does(&["dead_strip_dylibs"], &[], "do not ask for libraries that nothing is used of", |darwin, _| {
        darwin.reading.options.macho.dead_strip_dylibs = true;
        Ok(())
    }),
];

const OUTPUT: &[Flag] = &[
    does(&["o"], &["FILE"], "write FILE (default: a.out)", |darwin, given| {
        darwin.reading.output = Some(given.path()?);
        Ok(())
    }),
    does(&["dylib"], &[], "make a dylib; needed, since nothing else is made", |darwin, _| {
        darwin.reading.shared = true;
        Ok(())
    }),
    does(&["arch"], &["CPU"], "link for CPU: arm64 or x86_64", |darwin, given| {
        darwin.reading.options.target = Some(match given.text()? {
            "arm64" => Target::MACOS_AARCH64,
            "x86_64" => Target::MACOS_X86_64,
            _ => return Err(given.bad(0, "one of arm64, x86_64")),
        });
        Ok(())
    }),
    does(
        &["platform_version"],
        &["PLATFORM", "MINIMUM", "SDK"],
        "link for macOS (macos, or 1) from version MINIMUM on, with the headers of version SDK",
        |darwin, given| {
            if !matches!(given.value(0).to_str(), Some("macos" | "1")) {
                return Err(given.bad(0, "macos, the only platform there are images for"));
            }
            darwin.reading.options.macho.platform_version = Some((given.version(1)?, given.version(2)?));
            Ok(())
        },
    ),
    does(
        &["macos_version_min", "macosx_version_min"],
        &["VERSION"],
        "link for macOS from VERSION on",
        |darwin, given| {
            let version = given.version(0)?;
            darwin.reading.options.macho.platform_version = Some((version, version));
            Ok(())
        },
    ),
    does(
        &["install_name", "dylib_install_name"],
        &["NAME"],
        "the name by which the loader knows the image (default: the name of FILE if that ends in .dylib, else image.dylib)",
        |darwin, given| {
            darwin.reading.options.macho.install_name = Some(given.text()?.to_owned());
            Ok(())
        },
    ),
    does(&["final_output"], &["NAME"], "take the install name from NAME instead of from FILE", |darwin, given| {
        darwin.final_output = Some(given.text()?.to_owned());
        Ok(())
    }),
    does(
        &["compatibility_version", "dylib_compatibility_version"],
        &["VERSION"],
        "the oldest version that the image can stand for",
        |darwin, given| {
            darwin.reading.options.macho.compatibility_version = given.version(0)?;
            Ok(())
        },
    ),
    does(&["current_version", "dylib_current_version"], &["VERSION"], "the image's version", |darwin, given| {
        darwin.reading.options.macho.current_version = given.version(0)?;
        Ok(())
    }),
    does(
        &["rpath"],
        &["DIRECTORY"],
        "look in DIRECTORY for libraries whose names begin with @rpath",
        |darwin, given| {
            darwin.reading.options.macho.rpath.push(given.text()?.to_owned());
            Ok(())
        },
    ),
    does(&["headerpad"], &["SIZE"], "leave SIZE bytes (hexadecimal) behind the load commands", |darwin, given| {
        let digits = given.text()?.trim_start_matches("0x");
        let size = u64::from_str_radix(digits, 16).ok().filter(|size| *size <= 1 << 24);
        darwin.reading.options.macho.header_pad =
            Some(size.ok_or_else(|| given.bad(0, "a hexadecimal number up to 0x1000000"))?);
        Ok(())
    }),
    does(
        &["headerpad_max_install_names"],
        &[],
        "leave room for every name in the load commands to grow to 1024 bytes",
        |darwin, _| {
            darwin.reading.options.macho.pad_install_names = true;
            Ok(())
        },
    ),
    does(&["fixup_chains"], &[], "tell the loader by chains what to fill", |darwin, _| {
        darwin.reading.options.macho.chained_fixups = Some(true);
        Ok(())
    }),
    does(&["no_fixup_chains"], &[], "tell the loader by programs what to fill", |darwin, _| {
        darwin.reading.options.macho.chained_fixups = Some(false);
        Ok(())
    }),
    does(
        &["bind_at_load"],
        &[],
        "with -no_fixup_chains, have the loader look up functions when the image is loaded, not at their first call",
        |darwin, _| {
            darwin.reading.options.macho.bind_at_load = true;
            Ok(())
        },
    ),
    does(&["init_offsets"], &[], "tell by offsets which functions run at first (default with chains)", |darwin, _| {
        darwin.reading.options.macho.init_offsets = true;
        Ok(())
    }),
    does(&["adhoc_codesign"], &[], "sign the image with hashes of its pages (default on arm64)", |darwin, _| {
        darwin.reading.options.macho.sign = Some(true);
        Ok(())
    }),
    does(&["no_adhoc_codesign"], &[], "do not sign the image (default on x86-64)", |darwin, _| {
        darwin.reading.options.macho.sign = Some(false);
        Ok(())
    }),
    does(&["no_uuid"], &[], "store no hash of the image", |darwin, _| {
        darwin.reading.options.macho.uuid = false;
        Ok(())
    }),
    does(&["S"], &[], "leave out the debug map, which leads to the objects with debug information", |darwin, _| {
        darwin.reading.options.strip = Strip::Debug;
        Ok(())
    }),
    does(&["x"], &[], "leave local symbols out of the symbol table", |darwin, _| {
        darwin.reading.options.macho.strip_locals = true;
        Ok(())
    }),
    does(
        &["dsym"],
        &["BUNDLE"],
        "link the debug information too, into BUNDLE (IMAGE.dSYM), and write no debug map: dsymutil has nothing left to do",
        |darwin, given| {
            darwin.reading.options.macho.dsym = Some(given.path()?);
            Ok(())
        },
    ),
    does(
        &["oso_prefix"],
        &["PREFIX"],
        "cut PREFIX off paths in the debug map; . is the working directory",
        |darwin, given| {
            let prefix = given.text()?;
            let here = || std::env::current_dir().ok().map(|path| format!("{}/", path.display()));
            darwin.reading.options.macho.oso_prefix = if prefix == "." { here() } else { Some(prefix.to_owned()) };
            Ok(())
        },
    ),
];

const SYMBOLS: &[Flag] = &[
    does(
        &["undefined"],
        &["TREATMENT"],
        "symbols that nothing defines are an error (error, the default), a warning (warning), or left to the loader (dynamic_lookup, suppress)",
        |darwin, given| {
            let (report, warns) = match given.text()? {
                "error" => (true, false),
                "warning" => (true, true),
                "dynamic_lookup" | "suppress" => (false, false),
                _ => return Err(given.bad(0, "one of error, warning, suppress, dynamic_lookup")),
            };
            (darwin.reading.report_undefined, darwin.reading.undefined_warns) = (report, warns);
            Ok(())
        },
    ),
    does(&["u"], &["SYMBOL"], "search archives for SYMBOL", |darwin, given| {
        darwin.reading.options.required_symbols.push(given.text()?.to_owned());
        Ok(())
    }),
    does(&["alias"], &["SYMBOL", "NAME"], "define NAME as SYMBOL", |darwin, given| {
        let symbol = given.text()?.to_owned();
        let name = given.value(1).to_str().filter(|name| !name.is_empty()).ok_or_else(|| given.bad(1, "a name"))?;
        darwin.reading.options.defined_symbols.push((name.to_owned(), SymbolValue::Symbol(symbol, 0)));
        Ok(())
    }),
    does(&["exported_symbol"], &["PATTERN"], "export only symbols that a PATTERN fits", |darwin, given| {
        let pattern = given.text()?.to_owned();
        darwin.exported.get_or_insert_default().push(pattern);
        Ok(())
    }),
    does(&["exported_symbols_list"], &["FILE"], "export only symbols that a pattern in FILE fits", |darwin, given| {
        let patterns = list(given)?;
        darwin.exported.get_or_insert_default().extend(patterns);
        Ok(())
    }),
    does(&["unexported_symbol"], &["PATTERN"], "do not export symbols that a PATTERN fits", |darwin, given| {
        let pattern = given.text()?.to_owned();
        darwin.unexported.get_or_insert_default().push(pattern);
        Ok(())
    }),
    does(
        &["unexported_symbols_list"],
        &["FILE"],
        "do not export symbols that a pattern in FILE fits",
        |darwin, given| {
            let patterns = list(given)?;
            darwin.unexported.get_or_insert_default().extend(patterns);
            Ok(())
        },
    ),
];

const MESSAGES: &[Flag] = &[
    does(&["v"], &[], "say the version, then link if there is something to link", |darwin, _| {
        darwin.reading.show.version = true;
        Ok(())
    }),
    does(&["version_details", "version"], &[], "say the version and nothing else", |darwin, _| {
        darwin.version_only = true;
        Ok(())
    }),
    does(&["verbose"], &[], "say what is linked and what came of it", |darwin, _| {
        darwin.reading.show.verbose = true;
        Ok(())
    }),
    does(&["help"], &[], "say what the options are", |darwin, _| {
        darwin.help = true;
        Ok(())
    }),
    does(&["t"], &[], "say the names of the inputs", |darwin, _| {
        darwin.reading.show.trace = true;
        Ok(())
    }),
    does(&["map"], &["FILE"], "write to FILE what stands where in the image", |darwin, given| {
        let path = given.path()?;
        darwin.reading.show.map_to(MapTo::File(path));
        Ok(())
    }),
    does(&["w"], &[], "tell no warnings", |darwin, _| {
        darwin.reading.show.warnings = false;
        Ok(())
    }),
    does(&["fatal_warnings"], &[], "fail if there is a warning", |darwin, _| {
        darwin.reading.show.fatal_warnings = true;
        Ok(())
    }),
];

const IGNORED: &[Flag] = &[
    ignored(&["reproducible"], &[], "images are reproducible in any case"),
    ignored(&["dynamic"], &[], "nothing else is linked"),
    ignored(&["demangle", "no_demangle"], &[], "names in messages stay as they are"),
    ignored(&["search_paths_first"], &[], "that is how libraries are searched"),
    ignored(&["twolevel_namespace"], &[], "that is how names are looked up"),
    ignored(&["no_deduplicate", "no_function_starts_dedup"], &[], "nothing is folded"),
    ignored(&["function_starts", "data_in_code_info"], &[], "the tables are written in any case"),
    ignored(&["no_implicit_dylibs", "no_compact_unwind_warnings"], &[], "there is nothing to turn off"),
    ignored(&["mark_dead_strippable_dylib"], &[], "images are loaded by name"),
    ignored(&["random_uuid"], &[], "the UUID is that of the contents"),
    ignored(&["lto_library", "object_path_lto", "cache_path_lto"], &["FILE"], "no link-time optimization is done"),
    ignored(&["mllvm"], &["OPTION"], "LLVM is no part of this linker"),
    Flag {
        names: &["O"],
        values: &["LEVEL"],
        joined: true,
        help: "any level makes the same image",
        meaning: Meaning::Ignored,
    },
];

const REFUSED: &[Flag] = &[
    refused(
        &["execute", "bundle", "r", "dylinker", "preload", "static", "kext"],
        &[],
        "only dylibs are made: use -dylib",
    ),
    refused(
        &["flat_namespace", "force_flat_namespace"],
        &[],
        "names are looked up in two levels; -undefined dynamic_lookup leaves single ones open",
    ),
    refused(&["dead_strip"], &[], "package images are all needed; leave it out"),
    refused(&["order_file", "order_file_statistics"], &["FILE"], "sections stay in the order of the inputs"),
    refused(&["e"], &["SYMBOL"], "a dylib has no entry point"),
    refused(&["init"], &["SYMBOL"], "put the function's address into __DATA,__mod_init_func"),
    refused(&["sectcreate", "rename_section"], &["SEGMENT", "SECTION", "FILE"], "sections come from objects"),
    refused(&["lazy_library"], &["FILE"], "the loader loads all libraries with the image: give the file alone"),
    Flag {
        names: &["lazy-l"],
        values: &["NAME"],
        joined: true,
        help: "the loader loads all libraries with the image: use -l",
        meaning: Meaning::Refused,
    },
    refused(
        &["no_weak_imports", "no_weak_exports"],
        &[],
        "weak names are linked as the objects have them; leave it out",
    ),
    refused(
        &["image_base", "seg1addr", "pagezero_size", "stack_size"],
        &["NUMBER"],
        "a dylib begins at address 0, and the loader moves it",
    ),
    refused(
        &["umbrella", "sub_library", "sub_umbrella", "client_name", "allowable_client"],
        &["NAME"],
        "package images are no parts of frameworks",
    ),
    refused(&["bitcode_bundle"], &[], "no bitcode is linked"),
];
