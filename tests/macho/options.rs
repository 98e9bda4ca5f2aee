//! Each option through the program: the image has what LLD's image has by the same options.

use std::fs;

use object::macho;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64};
use pkgld_corpus::{command_line, committed_for};

use super::common::scratch;
use super::image::Image;
use super::{link, link_by_lld, name, program};

/// Sets of options, of which both linkers make the same.
const CASES: [&[&str]; 44] = [
    &[],
    &["-platform_version", "macos", "10.15", "11.0"],
    &["-platform_version", "macos", "12.0", "14.2"],
    &["-platform_version", "1", "13.3.1", "15"],
    &["-install_name", "@rpath/libsome.dylib"],
    &["-compatibility_version", "1.2", "-current_version", "3.4.5", "-install_name", "a.dylib"],
    &["-rpath", "@loader_path/../lib", "-rpath", "/opt"],
    &["-headerpad", "0x3000"],
    &["-headerpad_max_install_names"],
    &["-fixup_chains"],
    &["-no_fixup_chains"],
    &["-no_fixup_chains", "-bind_at_load"],
    &["-adhoc_codesign"],
    &["-no_adhoc_codesign"],
    &["-exported_symbol", "_jl_system_image_data"],
    &["-exported_symbols_list", "LIST"],
    &["-unexported_symbols_list", "LIST"],
    &["-unexported_symbol", "*image*"],
    &["-dead_strip_dylibs"],
    &["-S"],
    &["-x"],
    &["-no_uuid", "-reproducible"],
    &["-platform_version", "macOS", "10.13", "11.0"],
    &["-platform_version", "macos", "10.13", "11.0", "-data_const"],
    &["-no_data_const"],
    &["-no_function_starts"],
    &["-no_data_in_code_info"],
    &["-mark_dead_strippable_dylib", "-application_extension"],
    &["-umbrella", "Thing", "-allowable_client", "One", "-allowable_client", "Two"],
    &["-no_exported_symbols"],
    &["-sectcreate", "__DATA", "__mine", "LIST", "-segcreate", "__OWN", "__yours", "LIST"],
    &["-add_empty_section", "__DATA", "__empty"],
    &["-rename_section", "__DATA", "__data", "__DATA", "__words"],
    &["-rename_section", "__DATA", "__const", "__FIXED", "__words"],
    &["-rename_segment", "__DATA", "__DATUM"],
    &["-sectalign", "__TEXT", "__const", "400"],
    &["-segprot", "__DATA_CONST", "r", "r", "-segprot", "__DATA", "rwx", "rwx"],
    &["-non_global_symbols_no_strip_list", "LIST"],
    &["-non_global_symbols_strip_list", "LIST"],
    &["-add_ast_path", "/a/b.swiftmodule"],
    &["-rpath", "/a", "-rpath", "/b", "-rpath", "/a", "--no-warn-duplicate-rpath"],
    &["--threads=2", "--icf=all", "--error-limit=0", "--color-diagnostics=never", "-no_deduplicate", "-demangle"],
    &["-dependency_info", "INFO"],
    &["-oso_prefix", "PREFIX", "-search_paths_first", "-demangle"],
];

#[test]
fn options_do_what_they_do_in_lld() {
    let directory = scratch("macho");
    let (list, info) = (directory.join("symbols.txt"), directory.join("dependencies"));
    fs::write(&list, "# data\n_jl_system_image_data\n_jl_*pointers\n_jl_*_idxs*\n\n").unwrap();
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let entry = committed_for(target).remove(0);
        let prefix = entry.path.parent().unwrap().to_str().unwrap();
        for (case, number) in CASES.iter().zip(0..) {
            let words: Vec<&str> = case
                .iter()
                .map(|word| match *word {
                    "LIST" => list.to_str().unwrap(),
                    "PREFIX" => prefix,
                    "INFO" => info.to_str().unwrap(),
                    word => word,
                })
                .collect();
            let ours = fs::read(link(&entry, &name(&entry, &format!("-option{number}")), &words)).unwrap();
            let theirs = link_by_lld(&entry, &name(&entry, &format!("-option{number}-lld")), &words);
            let theirs = fs::read(theirs).unwrap();
            let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
            let what = format!("{}: {case:?}", target.name);
            // LC_SOURCE_VERSION, which LLD writes if asked to, and the segment of the heap image.
            let mut commands = ours.commands();
            commands.retain(|kind| *kind != 0x2a);
            commands.remove(commands.iter().position(|kind| *kind == 0x19).unwrap());
            assert_eq!(commands, theirs.commands(), "{what}");
            assert_eq!((ours.file_type(), ours.flags()), (theirs.file_type(), theirs.flags()), "{what}");
            for kind in [macho::LC_SUB_CLIENT, macho::LC_SUB_FRAMEWORK] {
                assert_eq!(ours.strings(kind), theirs.strings(kind), "{what}");
            }
            assert_eq!(ours.stabs(0x32), theirs.stabs(0x32), "{what}");
            let mut protections = ours.protections();
            protections.remove(&b"__HEAP_IMAGE"[..]);
            assert_eq!(protections, theirs.protections(), "{what}");
            let [mut here, mut there] = [ours.places(), theirs.places()];
            for places in [&mut here, &mut there] {
                // LLD has one section of literals of all widths, and the heap image with other data.
                places.retain(|place| !place.contains("__literal") && !place.starts_with("__HEAP_IMAGE"));
                // LLD has the loader's own word among other data, and pointers of their own for functions whose slots are
                // filled when the image is loaded.
                let apart = [",__dyld_private", ",__la_symbol_ptr", ",__stub_helper"];
                places.retain(|place| !apart.iter().any(|name| place.ends_with(name)));
            }
            assert_eq!(here, there, "{what}");
            if case.contains(&"-sectalign") {
                assert!(
                    ours.sections().iter().any(|section| section.0 == b"__const" && section.1.is_multiple_of(0x400))
                );
            }
            assert_eq!(ours.versions(), theirs.versions(), "{what}");
            assert_eq!(ours.libraries(), theirs.libraries(), "{what}");
            assert_eq!(ours.rpaths(), theirs.rpaths(), "{what}");
            assert_eq!(ours.exported(), theirs.exported(), "{what}");
            // LLD names the word for the loader's own use. Up to version 22 it accepts -bind_at_load and does nothing about it.
            let (private, binder) = (b"__dyld_private".to_vec(), b"dyld_stub_binder".to_vec());
            let (mut names, now) = (theirs.symbols(), case.contains(&"-bind_at_load"));
            assert_eq!(names.remove(&(private, false)), !theirs.is_chained(), "{what}");
            assert!(!now || names.remove(&(binder.clone(), true)), "{what}");
            assert_eq!(ours.symbols(), names, "{what}");
            if theirs.is_chained() {
                assert_eq!(ours.binds(), theirs.binds(), "{what}");
                assert_eq!(ours.pointers(), theirs.pointers(), "{what}");
            } else {
                let [bound, lazy] = ours.bound_by_programs();
                let [mut their_bound, mut their_lazy] = theirs.bound_by_programs();
                if now {
                    their_bound.append(&mut their_lazy);
                    their_bound.retain(|function| function.0 != binder);
                } else {
                    // Of what has a slot too the stub jumps through that.
                    their_lazy.retain(|function| !bound.contains(function));
                }
                assert_eq!((bound, &lazy), (their_bound, &their_lazy), "{what}");
                assert_eq!(lazy.is_empty(), now, "{what}");
            }
            assert_eq!(
                ours.debug_map().into_keys().collect::<Vec<_>>(),
                theirs.debug_map().into_keys().collect::<Vec<_>>(),
                "{what}"
            );
            assert_eq!(ours.install_name().1, theirs.install_name().1, "{what}");
            assert_eq!(ours.install_name().2, theirs.install_name().2, "{what}");
            if case.contains(&"-install_name") {
                assert_eq!(ours.install_name(), theirs.install_name(), "{what}");
            }
            if case.iter().any(|word| word.starts_with("-headerpad")) {
                // LLD's install name is its output's path, so that code, which is aligned to 16 bytes, may begin farther on.
                let wanted = 0x3000.min(theirs.header_room() & !15);
                assert!(ours.header_room() >= wanted, "{what}: {:#x}", ours.header_room());
            }
        }
    }
}

/// Response files and empty arguments; what is wrong is told with what may be meant.
#[test]
fn command_lines_are_read_as_they_are_written() {
    let entry = committed_for(MACOS_ARM64).remove(0);
    let output = scratch("macho").join(name(&entry, "-response"));
    let words: Vec<String> =
        command_line::arguments(&entry, &output).iter().map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    assert!(words.contains(&"'-dylib'".to_owned()));
    let response = scratch("macho").join("response.txt");
    // What stands before the flavour's name is not for files.
    let rest: Vec<&str> = words.iter().map(String::as_str).skip(2).collect();
    fs::write(&response, rest.join("\n")).unwrap();
    let out = program(["-flavor", "darwin", "", &format!("@{}", response.display()), ""]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(fs::read(output).unwrap() == fs::read(link(&entry, &name(&entry, "-plain"), &[])).unwrap());
    for (option, what) in [
        ("-undefind", "did you mean '-undefined'"),
        ("-install_nam", "did you mean '-install_name'"),
        ("-why_live", "-why_live: a value is needed"),
        ("-interposable", "-interposable: not supported"),
        ("-order_file", "-order_file: a value is needed"),
        ("--threads=no", "--threads: 'no' is not a number from 1 to 4096"),
        ("--reproduce=x", "--reproduce: not supported"),
        ("-sub_library", "-sub_library: a value is needed"),
        ("-undefined=error", "-undefined=error"),
    ] {
        let out = program(["-flavor", "darwin", "-dylib", "-arch", "arm64", "x.o", option]);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && text.contains(what), "{option}: {text}");
    }
    let out = program(["-flavor", "darwin", "-version_details"]);
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("pkgld"));
}

/// Room that no image has is told, with what it is for.
#[test]
fn numbers_have_limits() {
    for (room, what) in [
        (u64::MAX, "the size of the headers"),
        (u64::MAX - 0x4000, "the size of the headers"),
        (1 << 41, "the size of the headers"),
        (15 << 30, "the image's size in the file"),
    ] {
        let mut options = pkgld::Options::default();
        options.target = Some(pkgld::Target::MACOS_AARCH64);
        options.macho.header_pad = Some(room);
        let blob = pkgld::Blob::new("data", b"12345678");
        let inputs = pkgld::Inputs::open(vec![pkgld::Input::blob(blob)], &options).unwrap();
        let said = pkgld::link(&inputs, &options).expect_err("no room").to_string();
        assert!(said.contains(what), "{room:#x}: {said}");
    }
}
