//! Options that say what is made.

use std::path::Path;

use super::{does, sets};
use crate::cli::darwin::{Darwin, Flag, Given, list};
use crate::cli::named_file;
use crate::cli::problem::Problem;
use crate::{CreatedSection, Strip, Target};
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

pub(super) const OUTPUT: &[Flag] = &[
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
    sets(
        &["headerpad_max_install_names"],
        "leave room for every name in the load commands to grow to 1024 bytes",
        |darwin| &mut darwin.reading.options.macho.pad_install_names,
        true,
    ),
    does(&["fixup_chains"], &[], "tell the loader by chains what to fill", |darwin, _| {
        darwin.reading.options.macho.chained_fixups = Some(true);
        Ok(())
    }),
    does(&["no_fixup_chains"], &[], "tell the loader by programs what to fill", |darwin, _| {
        darwin.reading.options.macho.chained_fixups = Some(false);
        Ok(())
    }),
    sets(
        &["bind_at_load"],
        "with -no_fixup_chains, have the loader look up functions when the image is loaded, not at their first call",
        |darwin| &mut darwin.reading.options.macho.bind_at_load,
        true,
    ),
    sets(
        &["init_offsets"],
        "tell by offsets which functions run at first (default with chains)",
        |darwin| &mut darwin.reading.options.macho.init_offsets,
        true,
    ),
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
    sets(
        &["function_starts"],
        "list where functions start (default)",
        |darwin| &mut darwin.reading.options.macho.function_starts,
        true,
    ),
    sets(
        &["no_function_starts"],
        "do not list where functions start",
        |darwin| &mut darwin.reading.options.macho.function_starts,
        false,
    ),
    sets(
        &["data_in_code_info"],
        "list data in code (default)",
        |darwin| &mut darwin.reading.options.macho.data_in_code,
        true,
    ),
    sets(
        &["no_data_in_code_info"],
        "do not list data in code",
        |darwin| &mut darwin.reading.options.macho.data_in_code,
        false,
    ),
    sets(
        &["mark_dead_strippable_dylib"],
        "images that use nothing of it need not ask for the image",
        |darwin| &mut darwin.reading.options.macho.dead_strippable,
        true,
    ),
    sets(
        &["application_extension"],
        "mark the image as fit for extensions of apps",
        |darwin| &mut darwin.reading.options.macho.application_extension,
        true,
    ),
    sets(
        &["no_application_extension"],
        "do not mark it so (default)",
        |darwin| &mut darwin.reading.options.macho.application_extension,
        false,
    ),
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
            // No section is larger: offsets in a Mach-O file have 32 bits.
            let contents = named_file::read(&given.option, Path::new(given.value(2)), u32::MAX.into())?;
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
    sets(&["no_uuid"], "store no hash of the image", |darwin| &mut darwin.reading.options.macho.uuid, false),
    does(&["S"], &[], "leave out the debug map, which leads to the objects with debug information", |darwin, _| {
        darwin.reading.options.strip = Strip::Debug;
        Ok(())
    }),
    sets(
        &["x"],
        "leave local symbols out of the symbol table",
        |darwin| &mut darwin.reading.options.macho.strip_locals,
        true,
    ),
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
