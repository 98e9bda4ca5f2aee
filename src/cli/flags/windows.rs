//! What only Windows DLLs have: the options that MinGW's linkers know besides the common ones.
//!
//! For images of other formats they change nothing: a driver that gives them means Windows.

use super::super::flag::{Flag, Given, Group, Takes, number};
use super::super::problem::Problem;
use super::super::reading::Reading;
use crate::AutoExport;

pub(super) const GROUP: Group = Group {
    title: "Windows DLLs (-m i386pep, -m i386pe, -m arm64pe)",
    flags: &[
        Flag::does(
            &["export-all-symbols"],
            Takes::Nothing,
            "export every symbol of one's own objects (default if nothing says what is exported)",
            |reading, _| {
                reading.options.pe.auto_export = AutoExport::All;
                Ok(())
            },
        ),
        Flag::does(
            &["exclude-all-symbols"],
            Takes::Nothing,
            "export only what objects say is exported",
            |reading, _| {
                reading.options.pe.auto_export = AutoExport::None;
                Ok(())
            },
        ),
        Flag::does(
            &["exclude-symbols"],
            Takes::Value("SYMBOLS"),
            "do not export these automatically; with commas between them",
            |reading, given| {
                let names = given.text()?.split([',', ':']).filter(|name| !name.is_empty()).map(str::to_owned);
                reading.options.pe.excluded_symbols.extend(names);
                Ok(())
            },
        ),
        Flag::does(
            &["out-implib"],
            Takes::Value("FILE"),
            "write an import library, by which others link against the DLL",
            |reading, given| {
                reading.options.pe.import_library = Some(given.path()?);
                Ok(())
            },
        ),
        Flag::does(
            &["output-def"],
            Takes::Value("FILE"),
            "write a definition file, with the name and the exports of the DLL",
            |reading, given| {
                reading.options.pe.definition_file = Some(given.path()?);
                Ok(())
            },
        ),
        Flag::does(
            &["subsystem"],
            Takes::Value("NAME"),
            "windows (default), console, native, posix, an efi_ name or a number; perhaps a version behind a colon",
            subsystem,
        ),
        Flag::does(
            &["major-subsystem-version"],
            Takes::Value("N"),
            "the version of Windows that is needed (default: 6)",
            |reading, given| {
                reading.options.pe.subsystem_version.0 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(
            &["minor-subsystem-version"],
            Takes::Value("N"),
            "its second number (default: 0)",
            |reading, given| {
                reading.options.pe.subsystem_version.1 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(
            &["major-image-version"],
            Takes::Value("N"),
            "the image's own version (default: 0)",
            |reading, given| {
                reading.options.pe.image_version.0 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(&["minor-image-version"], Takes::Value("N"), "its second number (default: 0)", |reading, given| {
            reading.options.pe.image_version.1 = short(given)?;
            Ok(())
        }),
        Flag::on(&["dynamicbase"], "let the loader choose the image's address (default)", |reading| {
            &mut reading.options.pe.dynamic_base
        }),
        Flag::off(&["disable-dynamicbase", "no-dynamicbase"], "do not say that it may", |reading| {
            &mut reading.options.pe.dynamic_base
        }),
        Flag::on(&["high-entropy-va"], "let it choose among all 64-bit addresses (default)", |reading| {
            &mut reading.options.pe.high_entropy_va
        }),
        Flag::off(&["disable-high-entropy-va"], "do not say that it may", |reading| {
            &mut reading.options.pe.high_entropy_va
        }),
        Flag::on(&["nxcompat"], "say that data are never executed (default)", |reading| {
            &mut reading.options.pe.nx_compat
        }),
        Flag::off(&["disable-nxcompat"], "do not say so", |reading| &mut reading.options.pe.nx_compat),
        Flag::does(
            &["large-address-aware"],
            Takes::Nothing,
            "say that addresses beyond 2 GiB are no problem (default for 64-bit images)",
            |reading, _| {
                reading.options.pe.large_address_aware = Some(true);
                Ok(())
            },
        ),
        Flag::does(&["disable-large-address-aware"], Takes::Nothing, "do not say so", |reading, _| {
            reading.options.pe.large_address_aware = Some(false);
            Ok(())
        }),
        Flag::on(
            &["insert-timestamp"],
            "have a time stamp, made of the contents and not of the time (default)",
            |reading| &mut reading.options.pe.timestamp,
        ),
        Flag::off(&["no-insert-timestamp"], "leave the time stamp zero", |reading| &mut reading.options.pe.timestamp),
        Flag::on(
            &["allow-large-image"],
            "link an image of more than 2 GiB, which no loader is known to take",
            |reading| &mut reading.options.pe.large_image,
        ),
        Flag::does(&["section-alignment"], Takes::Value("BYTES"), "accepted for 4096 only, the page", |_, given| {
            alignment(given, 4096)
        }),
        Flag::does(&["file-alignment"], Takes::Value("BYTES"), "accepted for 512 only", |_, given| {
            alignment(given, 512)
        }),
        Flag::ignored(
            &["enable-auto-image-base"],
            Takes::Optional("BASE"),
            "the loader chooses the address, so the preferred one may be that of all DLLs",
        ),
        Flag::ignored(&["disable-auto-image-base"], Takes::Nothing, "the preferred address is that of all DLLs anyway"),
        Flag::on(
            &["enable-auto-import"],
            "let code refer to data of DLLs as if they were the image's own (default)",
            |reading| &mut reading.options.pe.auto_import,
        ),
        Flag::off(&["disable-auto-import"], "have data of DLLs be declared as imported", |reading| {
            &mut reading.options.pe.auto_import
        }),
        Flag::on(
            &["enable-runtime-pseudo-reloc"],
            "have MinGW's start code correct references to data of DLLs that cannot do without (default)",
            |reading| &mut reading.options.pe.pseudo_relocs,
        ),
        Flag::off(&["disable-runtime-pseudo-reloc"], "make such references an error", |reading| {
            &mut reading.options.pe.pseudo_relocs
        }),
        Flag::ignored(
            &["enable-reloc-section", "no-leading-underscore", "leading-underscore"],
            Takes::Nothing,
            "this is what is done where it is right",
        ),
        Flag::ignored(&["warn-duplicate-exports"], Takes::Nothing, "what is asked for twice is exported once"),
        Flag::ignored(&["compat-implib"], Takes::Nothing, "import libraries have both names of a function anyway"),
        Flag::does(
            &["dll-search-prefix"],
            Takes::Value("PREFIX"),
            "let -lNAME find PREFIXNAME.dll, before libNAME.dll",
            |reading, given| {
                reading.options.pe.dll_search_prefix = Some(given.name()?);
                Ok(())
            },
        ),
        Flag::does(
            &["dependent-load-flag"],
            Takes::Value("N"),
            "have the loader search for DLLs where these flags say, if the image has a load configuration",
            |reading, given| {
                reading.options.pe.dependent_load_flags = Some(short(given)?);
                Ok(())
            },
        ),
        Flag::ignored(
            &["functionpadmin"],
            Takes::Optional("BYTES"),
            "room before functions is for tools that change them in memory",
        ),
        Flag::ignored(&["full-shutdown"], Takes::Nothing, "it concerns the linker's own memory"),
        Flag::ignored(&["enable-extra-pe-debug"], Takes::Nothing, "--verbose and -Map tell what is done"),
        Flag::ignored(&["support-old-code"], Takes::Nothing, "it concerns Arm processors of another age"),
        Flag::ignored(&["tsaware", "disable-tsaware"], Takes::Nothing, "it concerns programs, not DLLs"),
        Flag::on(&["no-seh"], "say that no structured exception is handled in the image", |reading| {
            &mut reading.options.pe.no_seh
        }),
        Flag::off(&["disable-no-seh"], "do not say so (default)", |reading| &mut reading.options.pe.no_seh),
        Flag::on(&["no-bind"], "say that imports are not to be bound in advance", |reading| {
            &mut reading.options.pe.no_bind
        }),
        Flag::off(&["disable-no-bind"], "do not say so (default)", |reading| &mut reading.options.pe.no_bind),
        Flag::on(&["no-isolation"], "say that the image has no use for a manifest", |reading| {
            &mut reading.options.pe.no_isolation
        }),
        Flag::off(&["disable-no-isolation"], "do not say so (default)", |reading| &mut reading.options.pe.no_isolation),
        Flag::on(&["forceinteg"], "have the loader check the signature of the image", |reading| {
            &mut reading.options.pe.force_integrity
        }),
        Flag::off(&["disable-forceinteg"], "do not ask for that (default)", |reading| {
            &mut reading.options.pe.force_integrity
        }),
        Flag::on(&["appcontainer"], "say that the image runs in an app container", |reading| {
            &mut reading.options.pe.app_container
        }),
        Flag::off(&["disable-appcontainer"], "do not say so (default)", |reading| {
            &mut reading.options.pe.app_container
        }),
        Flag::on(&["wdmdriver"], "say that the image is a driver", |reading| &mut reading.options.pe.wdm_driver),
        Flag::off(&["disable-wdmdriver"], "do not say so (default)", |reading| &mut reading.options.pe.wdm_driver),
        Flag::on(
            &["enable-long-section-names"],
            "keep names of debug sections of more than eight bytes (default)",
            |reading| &mut reading.options.pe.long_section_names,
        ),
        Flag::off(&["disable-long-section-names"], "cut them, so that debuggers do not find them", |reading| {
            &mut reading.options.pe.long_section_names
        }),
        Flag::on(&["kill-at"], "export __stdcall functions of i386 without the size of their arguments", |reading| {
            &mut reading.options.pe.kill_at
        }),
        Flag::does(
            &["enable-stdcall-fixup"],
            Takes::Nothing,
            "let exports of i386 leave out the size of arguments (default: with a warning)",
            |reading, _| {
                reading.options.pe.stdcall_fixup = Some(true);
                Ok(())
            },
        ),
        Flag::does(&["disable-stdcall-fixup"], Takes::Nothing, "do not", |reading, _| {
            reading.options.pe.stdcall_fixup = Some(false);
            Ok(())
        }),
        Flag::does(
            &["major-os-version"],
            Takes::Value("N"),
            "the version of the system, which no loader looks at (default: 6)",
            |reading, given| {
                reading.options.pe.os_version.0 = short(given)?;
                Ok(())
            },
        ),
        Flag::does(&["minor-os-version"], Takes::Value("N"), "its second number (default: 0)", |reading, given| {
            reading.options.pe.os_version.1 = short(given)?;
            Ok(())
        }),
        Flag::does(
            &["stack"],
            Takes::Value("BYTES[,BYTES]"),
            "the address space, and the memory, of a program's stack; a DLL's is not looked at",
            |reading, given| {
                reading.options.pe.stack = Some(sizes(given)?);
                Ok(())
            },
        ),
        Flag::does(&["heap"], Takes::Value("BYTES[,BYTES]"), "the same of a program's heap", |reading, given| {
            reading.options.pe.heap = Some(sizes(given)?);
            Ok(())
        }),
        Flag::refused(
            &["guard-cf", "guard-longjmp"],
            Takes::Nothing,
            "no tables for Control Flow Guard are made; leave it out",
        ),
        Flag::ignored(&["no-guard-cf", "no-guard-longjmp"], Takes::Nothing, "there are no such tables"),
        Flag::refused(&["delayload"], Takes::Value("DLL"), "imports are bound when the image is loaded; leave it out"),
        Flag::refused(&["add-stdcall-alias"], Takes::Nothing, "give both names in a definition file"),
        Flag::refused(&["disable-reloc-section"], Takes::Nothing, "DLLs are moved, which takes base relocations"),
        Flag::refused(
            &["no-default-excludes"],
            Takes::Nothing,
            "name in a definition file what is to be exported beside one's own symbols",
        ),
        Flag::refused(
            &["exclude-modules-for-implib"],
            Takes::Value("FILES"),
            "give these files to those who link against the DLL, and --exclude-libs or --exclude-symbols here",
        ),
        Flag::refused(
            &["Xlink"],
            Takes::Value("ARG"),
            "this is for LLD's own linker of another kind; use the option of MinGW's linkers for it",
        ),
        Flag::refused(&["pdb"], Takes::Value("FILE"), "debug information is DWARF, in the image"),
    ],
};

fn short(given: &Given) -> Result<u16, Problem> {
    u16::try_from(given.number()?).map_err(|_| given.bad("a number up to 65535"))
}

fn alignment(given: &Given, only: u64) -> Result<(), Problem> {
    match given.number()? {
        number if number == only => Ok(()),
        _ => Err(given.refused("the alignment is that of all DLLs; leave it out")),
    }
}

/// `RESERVED[,COMMITTED]`, in bytes.
fn sizes(given: &Given) -> Result<(u64, u64), Problem> {
    let bad = || given.bad("a number of bytes, as 0x100000, perhaps with a second behind a comma");
    let text = given.text()?;
    let (reserved, committed) = text.split_once(',').map_or((text, None), |(one, other)| (one, Some(other)));
    let reserved = number(reserved).ok_or_else(bad)?;
    let committed = committed.map_or(Some(reserved.min(4096)), number).ok_or_else(bad)?;
    Ok((reserved, committed))
}

/// `NAME[:MAJOR[.MINOR]]`.
fn subsystem(reading: &mut Reading, given: &Given) -> Result<(), Problem> {
    let bad = || {
        given.bad("windows, console, native, posix, an efi_ name or a number, perhaps with a version as in windows:6.0")
    };
    let text = given.text()?;
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    // As LLD, whatever the case of letters.
    let name = name.to_ascii_lowercase();
    reading.options.pe.subsystem = match &*name {
        "native" => 1,
        "windows" => 2,
        "console" => 3,
        "posix" => 7,
        "efi_application" => 10,
        "efi_boot_service_driver" => 11,
        "efi_runtime_driver" => 12,
        "efi_rom" => 13,
        "xbox" => 14,
        "boot_application" => 16,
        number => number.parse().map_err(|_| bad())?,
    };
    if let Some(version) = version {
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        let number = |text: &str| text.parse().map_err(|_| bad());
        reading.options.pe.subsystem_version = (number(major)?, number(minor)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_stacks() {
        let read = |value: &str| sizes(&Given { option: "--stack".into(), value: Some(value.into()) });
        assert_eq!(read("0x100000").unwrap(), (1 << 20, 4096));
        assert_eq!(read("65536,0x2000").unwrap(), (1 << 16, 1 << 13));
        for value in ["", ",", "1,", ",1", "1,2,3", "x"] {
            assert!(read(value).is_err(), "{value}");
        }
    }

    #[test]
    fn subsystems() {
        let read = |value: &str| {
            let mut reading = Reading::default();
            let given = Given { option: "--subsystem".into(), value: Some(value.into()) };
            subsystem(&mut reading, &given)
                .map(|()| (reading.options.pe.subsystem, reading.options.pe.subsystem_version))
        };
        assert_eq!(read("windows").unwrap(), (2, (6, 0)));
        assert_eq!(read("console:10.2").unwrap(), (3, (10, 2)));
        assert_eq!(read("Windows").unwrap(), (2, (6, 0)));
        assert_eq!(read("EFI_ROM").unwrap(), (13, (6, 0)));
        assert_eq!(read("16").unwrap(), (16, (6, 0)));
        for value in ["", "efi", "windows:", "windows:6.x", "70000"] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
