//! The options of the darwin dialect, as data.

use std::path::Path;

use super::{Darwin, Flag, Given, Meaning, list};
use crate::cli::problem::Problem;
use crate::cli::reading::{Color, MapTo};
use crate::{CreatedSection, LibraryRole, Mode, Source, Strip, SymbolValue, Target};

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
    Flag { names, values, joined: false, equals: None, help, meaning: Meaning::Does(does) }
}

const fn joined(
    names: &'static [&'static str],
    values: &'static [&'static str],
    help: &'static str,
    does: Does,
) -> Flag {
    Flag { names, values, joined: true, equals: None, help, meaning: Meaning::Does(does) }
}

const fn ignored(names: &'static [&'static str], values: &'static [&'static str], reason: &'static str) -> Flag {
    Flag { names, values, joined: false, equals: None, help: reason, meaning: Meaning::Ignored }
}

const fn refused(names: &'static [&'static str], values: &'static [&'static str], instead: &'static str) -> Flag {
    Flag { names, values, joined: false, equals: None, help: instead, meaning: Meaning::Refused }
}

/// An option whose value is part of the same word, behind an equals sign.
const fn equals(names: &'static [&'static str], value: &'static str, help: &'static str, does: Does) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help, meaning: Meaning::Does(does) }
}

const fn ignored_equals(names: &'static [&'static str], value: &'static str, reason: &'static str) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help: reason, meaning: Meaning::Ignored }
}

const fn equals_refused(names: &'static [&'static str], value: &'static str, instead: &'static str) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help: instead, meaning: Meaning::Refused }
}

/// Takes a section with contents of its own.
fn created(darwin: &mut Darwin, given: &Given, contents: Vec<u8>) -> Result<(), Problem> {
    let created = CreatedSection { segment: given.name(0)?, section: given.name(1)?, contents };
    darwin.reading.options.macho.created_sections.push(created);
    Ok(())
}

/// A value that says what may be done with pages: `VM_PROT_*`.
fn protection(given: &Given, index: usize) -> Result<u32, Problem> {
    let mut protection = 0;
    for letter in given.value(index).to_str().unwrap_or("?").chars() {
        protection |= match letter {
            'r' => 1,
            'w' => 2,
            'x' => 4,
            '-' => 0,
            _ => return Err(given.bad(index, "letters of rwx, or -")),
        };
    }
    Ok(protection)
}

/// A hexadecimal number, with `0x` before it or not.
fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).ok()
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
        if !darwin.forced.insert(path.clone()) {
            return Ok(());
        }
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
    does(
        &["filelist"],
        &["FILE[,DIRECTORY]"],
        "link with the files that FILE names, one a line; in DIRECTORY if it is given",
        |darwin, given| {
            let value = given.text()?;
            // A comma may be part of the file's name.
            let whole = Path::new(value).exists();
            let (file, directory) = value.rsplit_once(',').filter(|_| !whole).unwrap_or((value, ""));
            let bytes = super::contents(given, Path::new(file))?;
            for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()) {
                darwin.reading.file(Path::new(directory).join(line).into());
            }
            Ok(())
        },
    ),
    does(
        &["sub_library", "sub_umbrella"],
        &["NAME"],
        "what the library libNAME, given as NAME with its lib, or the framework NAME has counts as the image's own",
        |darwin, given| {
            let name = given.name(0)?;
            darwin.sub_libraries.push((given.option.clone(), name));
            Ok(())
        },
    ),
    does(
        &["start-lib"],
        &[],
        "link the objects that follow only where they define what is referenced, as the members of an archive",
        |darwin, given| darwin.reading.start_lib(&given.option),
    ),
    does(&["end-lib"], &[], "undo --start-lib", |darwin, given| darwin.reading.end_lib(&given.option)),
    does(&["ignore_auto_link"], &[], "do not link with libraries that only objects ask for", |darwin, _| {
        darwin.reading.options.macho.auto_link = false;
        Ok(())
    }),
    equals(
        &["ignore-auto-link-option"],
        "-lNAME",
        "do not link with the library or framework NAME if only objects ask for it",
        |darwin, given| {
            let name = given.name(0)?;
            let name = name.strip_prefix("-l").unwrap_or(&name).to_owned();
            darwin.reading.options.macho.auto_link_ignored.push(name);
            Ok(())
        },
    ),
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
    does(&["dylib"], &[], "make a dylib", |darwin, _| {
        (darwin.reading.shared, darwin.reading.options.macho.bundle) = (true, false);
        Ok(())
    }),
    does(&["bundle"], &[], "make a bundle, which has no install name", |darwin, _| {
        (darwin.reading.shared, darwin.reading.options.macho.bundle) = (true, true);
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
            let platform = given.value(0).to_ascii_lowercase();
            if !matches!(platform.to_str(), Some("macos" | "1")) {
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
        &["install_name", "dylib_install_name", "dylinker_install_name"],
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
        let size = hexadecimal(given.text()?).filter(|size| *size <= 1 << 24);
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
    does(
        &["data_const"],
        &[],
        "keep what the loader alone writes in __DATA_CONST (default from macOS 10.15 on)",
        |darwin, _| {
            darwin.reading.options.macho.data_const = Some(true);
            Ok(())
        },
    ),
    does(&["no_data_const"], &[], "have no __DATA_CONST but for what objects put there", |darwin, _| {
        darwin.reading.options.macho.data_const = Some(false);
        Ok(())
    }),
    does(&["function_starts"], &[], "list where functions start (default)", |darwin, _| {
        darwin.reading.options.macho.function_starts = true;
        Ok(())
    }),
    does(&["no_function_starts"], &[], "do not list where functions start", |darwin, _| {
        darwin.reading.options.macho.function_starts = false;
        Ok(())
    }),
    does(&["data_in_code_info"], &[], "list data in code (default)", |darwin, _| {
        darwin.reading.options.macho.data_in_code = true;
        Ok(())
    }),
    does(&["no_data_in_code_info"], &[], "do not list data in code", |darwin, _| {
        darwin.reading.options.macho.data_in_code = false;
        Ok(())
    }),
    does(
        &["mark_dead_strippable_dylib"],
        &[],
        "images that use nothing of it need not ask for the image",
        |darwin, _| {
            darwin.reading.options.macho.dead_strippable = true;
            Ok(())
        },
    ),
    does(&["application_extension"], &[], "mark the image as fit for extensions of apps", |darwin, _| {
        darwin.reading.options.macho.application_extension = true;
        Ok(())
    }),
    does(&["no_application_extension"], &[], "do not mark it so (default)", |darwin, _| {
        darwin.reading.options.macho.application_extension = false;
        Ok(())
    }),
    does(
        &["umbrella"],
        &["NAME"],
        "others may link with the image through the framework NAME only",
        |darwin, given| {
            darwin.reading.options.macho.umbrella = Some(given.name(0)?);
            Ok(())
        },
    ),
    does(
        &["allowable_client"],
        &["NAME"],
        "only NAME, and others that are given so, may link with the image",
        |darwin, given| {
            let name = given.name(0)?;
            darwin.reading.options.macho.allowable_clients.push(name);
            Ok(())
        },
    ),
    does(
        &["sectcreate", "segcreate"],
        &["SEGMENT", "SECTION", "FILE"],
        "make a section with the contents of FILE",
        |darwin, given| {
            let contents = super::contents(given, Path::new(given.value(2)))?;
            created(darwin, given, contents)
        },
    ),
    does(&["add_empty_section"], &["SEGMENT", "SECTION"], "make a section without contents", |darwin, given| {
        created(darwin, given, Vec::new())
    }),
    does(
        &["rename_section"],
        &["SEGMENT", "SECTION", "SEGMENT", "SECTION"],
        "give the first section of objects the name of the second in the image",
        |darwin, given| {
            let from = [given.name(0)?, given.name(1)?];
            let to = [given.name(2)?, given.name(3)?];
            darwin.reading.options.macho.renamed_sections.push([from, to]);
            Ok(())
        },
    ),
    does(
        &["rename_segment"],
        &["SEGMENT", "SEGMENT"],
        "give the first segment of objects the name of the second in the image",
        |darwin, given| {
            let names = [given.name(0)?, given.name(1)?];
            darwin.reading.options.macho.renamed_segments.push(names);
            Ok(())
        },
    ),
    does(
        &["sectalign"],
        &["SEGMENT", "SECTION", "SIZE"],
        "align a section to SIZE bytes (hexadecimal) at least",
        |darwin, given| {
            let size = given.value(2).to_str().and_then(hexadecimal);
            let size = size.ok_or_else(|| given.bad(2, "a hexadecimal number"))?;
            let place = (given.name(0)?, given.name(1)?, size);
            darwin.reading.options.macho.alignments.push(place);
            Ok(())
        },
    ),
    does(
        &["segprot"],
        &["SEGMENT", "MOST", "FIRST"],
        "have the pages of a segment be readable, writable and executable as the letters r, w, x say, of which both values have \
         the same",
        |darwin, given| {
            let asked = protection(given, 1)?;
            if asked != protection(given, 2)? {
                return Err(given.bad(2, "the same as the one before: on these CPUs nothing is added later"));
            }
            let name = given.name(0)?;
            darwin.reading.options.macho.protections.push((name, asked));
            Ok(())
        },
    ),
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
        &["non_global_symbols_no_strip_list"],
        &["FILE"],
        "have of local symbols only those in the symbol table that a pattern in FILE fits",
        |darwin, given| {
            let patterns = list(given)?;
            darwin.locals_kept.get_or_insert_default().extend(patterns);
            Ok(())
        },
    ),
    does(
        &["non_global_symbols_strip_list"],
        &["FILE"],
        "leave local symbols that a pattern in FILE fits out of the symbol table",
        |darwin, given| {
            let patterns = list(given)?;
            darwin.locals_left.get_or_insert_default().extend(patterns);
            Ok(())
        },
    ),
    does(&["add_ast_path"], &["FILE"], "name the Swift module FILE to debuggers", |darwin, given| {
        let path = given.name(0)?;
        darwin.reading.options.macho.ast_paths.push(path);
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
    does(&["U"], &["SYMBOL"], "leave SYMBOL to the loader if nothing defines it", |darwin, given| {
        let name = given.name(0)?;
        darwin.reading.options.macho.dynamic_lookup.push(name);
        Ok(())
    }),
    does(&["no_exported_symbols"], &[], "export no symbols", |darwin, _| {
        darwin.exported.get_or_insert_default();
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
    joined(
        &["limit="],
        &["NAME=N"],
        "fail beyond N of what may be output_size, symbols, sections, decompressed_size, lookups or relocations",
        |darwin, given| {
            let set = darwin.reading.limit(given.value(0).to_str());
            set.map_err(|expected| given.bad(0, &expected))
        },
    ),
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
    does(&["dependency_info"], &["FILE"], "write to FILE what files were read and written", |darwin, given| {
        darwin.reading.show.dependency_info = Some(given.path()?);
        Ok(())
    }),
    equals(&["threads"], "N", "use N threads (default: as many as processors may be used)", |darwin, given| {
        let set = darwin.reading.threads(given.value(0).to_str());
        set.map_err(|expected| given.bad(0, expected))
    }),
    equals(&["error-limit"], "N", "spell out N problems at most; 0 for all that are known", |darwin, given| {
        let set = darwin.reading.error_limit(given.value(0).to_str());
        set.map_err(|expected| given.bad(0, expected))
    }),
    equals(
        &["color-diagnostics"],
        "WHEN",
        "colour messages: always, never or auto, if they go to a terminal",
        |darwin, given| {
            darwin.reading.show.color = match given.value(0).to_str() {
                Some("always" | "") => Color::Always,
                Some("never") => Color::Never,
                Some("auto") => Color::Auto,
                _ => return Err(given.bad(0, "one of always, never, auto")),
            };
            Ok(())
        },
    ),
    does(&["no-color-diagnostics"], &[], "do not colour messages", |darwin, _| {
        darwin.reading.show.color = Color::Never;
        Ok(())
    }),
    does(&["warn-duplicate-rpath"], &[], "warn if an -rpath is given twice (default)", |darwin, _| {
        darwin.duplicate_rpaths = false;
        Ok(())
    }),
    does(&["no-warn-duplicate-rpath"], &[], "do not warn if an -rpath is given twice", |darwin, _| {
        darwin.duplicate_rpaths = true;
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
    ignored_equals(&["icf"], "LEVEL", "nothing is folded"),
    ignored_equals(&["keep-icf-stabs"], "WHETHER", "nothing is folded"),
    ignored(
        &["deduplicate-strings", "no-deduplicate-strings", "tail-merge-strings", "no-tail-merge-strings"],
        &[],
        "strings stay as the objects have them",
    ),
    ignored(&["no-deduplicate-symbol-strings"], &[], "names in the symbol table stay as the objects have them"),
    ignored(&["no-separate-cstring-literal-sections"], &[], "sections stay as the objects have them"),
    ignored(&["no_implicit_dylibs", "no_compact_unwind_warnings"], &[], "there is nothing to turn off"),
    ignored(&["arch_errors_fatal"], &[], "an input for another CPU is an error in any case"),
    ignored(&["arch_multiple"], &[], "messages name the input"),
    ignored(
        &[
            "ignore_optimization_hints",
            "no_objc_category_merging",
            "no_objc_relative_method_lists",
            "no-call-graph-profile-sort",
        ],
        &[],
        "code and data stay as the objects have them",
    ),
    ignored(&["call-graph-profile-sort"], &[], "sections stay in the order of the inputs"),
    ignored(&["no_encryption", "no_dtrace_dof", "no_source_version"], &[], "that is so in any case"),
    ignored(&["export_dynamic", "pie", "no_pie", "no_new_main"], &[], "that is about programs"),
    ignored(&["e"], &["SYMBOL"], "a dylib has no entry point"),
    ignored(&["client_name"], &["NAME"], "it is not looked at what libraries say of who may link with them"),
    ignored(
        &["dead-strip-duplicates", "allow_dead_duplicates", "no_dead_strip_inits_and_terms", "keep_private_externs"],
        &[],
        "nothing is left out",
    ),
    ignored(&["no_warn_duplicate_libraries", "no_warn_inits", "no_arch_warnings"], &[], "there is no such warning"),
    ignored(&["warn-thin-archive-missing-members", "no-warn-thin-archive-missing-members"], &[], "they are an error"),
    ignored(&["warn-dylib-install-name", "no-warn-dylib-install-name"], &[], "a bundle's signature has the name"),
    ignored_equals(&["read-workers"], "N", "inputs are mapped"),
    ignored_equals(&["slop_scale"], "N", "thunks are placed where they are needed"),
    ignored(
        &["single_module", "multi_module", "prebind", "noprebind", "nofixprebinding", "seglinkedit", "d"],
        &[],
        "no system since Mac OS X 10.4 knows it",
    ),
    ignored(&["random_uuid"], &[], "the UUID is that of the contents"),
    ignored(&["objc_abi_version"], &["N"], "there is one for these CPUs"),
    ignored(&["debug_variant"], &[], "there are no warnings for images that are shipped"),
    ignored(&["lto_library", "object_path_lto", "cache_path_lto"], &["FILE"], "no link-time optimization is done"),
    ignored(
        &["max_relative_cache_size_lto", "prune_after_lto", "prune_interval_lto", "mcpu"],
        &["VALUE"],
        "no link-time optimization is done",
    ),
    ignored_equals(
        &["thinlto-jobs", "thinlto-cache-policy", "lto-O", "lto-CGO"],
        "VALUE",
        "no link-time optimization is done",
    ),
    ignored(&["mllvm"], &["OPTION"], "LLVM is no part of this linker"),
    Flag {
        names: &["O"],
        values: &["LEVEL"],
        joined: true,
        equals: None,
        help: "any level makes the same image",
        meaning: Meaning::Ignored,
    },
];

const REFUSED: &[Flag] = &[
    refused(
        &["execute", "r", "dylinker", "preload", "static", "kext"],
        &[],
        "only dylibs and bundles are made: use -dylib",
    ),
    refused(
        &["flat_namespace", "force_flat_namespace"],
        &[],
        "names are looked up in two levels; -undefined dynamic_lookup leaves single ones open",
    ),
    refused(&["dead_strip"], &[], "package images are all needed; leave it out"),
    refused(&["why_live"], &["SYMBOL"], "nothing is left out"),
    refused(&["why_load", "whyload", "print-dylib-search"], &[], "-t names what is linked, -map what stands where"),
    refused(&["order_file", "order_file_statistics"], &["FILE"], "sections stay in the order of the inputs"),
    refused(&["interposable"], &[], "what the image defines it uses itself"),
    refused(
        &["ObjC"],
        &[],
        "archives are not searched for classes of Objective-C: use -all_load, or -force_load for those that have some",
    ),
    refused(
        &["bundle_loader"],
        &["FILE"],
        "leave the program's symbols to the loader: -undefined dynamic_lookup or -U",
    ),
    refused(&["dyld_env"], &["VARIABLE"], "that is about programs"),
    refused(&["encryptable"], &[], "images for macOS are not encrypted"),
    refused(&["Z", "search_dylibs_first"], &[], "name the directories in order by -L, or the libraries' files"),
    refused(
        &[
            "ios_version_min",
            "iphoneos_version_min",
            "tvos_version_min",
            "watchos_version_min",
            "maccatalyst_version_min",
        ],
        &["VERSION"],
        "only images for macOS are made",
    ),
    equals_refused(&["reproduce"], "FILE", "copy the inputs that -t names, and the command line"),
    refused(&["init"], &["SYMBOL"], "put the function's address into __DATA,__mod_init_func"),
    refused(&["lazy_library"], &["FILE"], "the loader loads all libraries with the image: give the file alone"),
    Flag {
        names: &["lazy-l"],
        values: &["NAME"],
        joined: true,
        equals: None,
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
    refused(&["bitcode_bundle"], &[], "no bitcode is linked"),
];
