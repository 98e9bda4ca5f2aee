//! What makers of libraries ask for beside Julia: bundles, lists of files, symbols left to the loader, libraries that are
//! named only if they are used. Each as LLD does it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use object::macho;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::common::rust_lld;
use super::image::Image;
use super::libraries::{as_lld, both, libraries, pointers};
use super::{assemble, place, program};

const TARGETS: [Target; 2] = [MACOS_X86_64, MACOS_ARM64];

#[test]
#[ignore = "needs the package llvm-19"]
fn bundles_have_no_name() {
    for target in TARGETS {
        let object = pointers(target, &["_pointers"]);
        for form in ["-fixup_chains", "-no_fixup_chains"] {
            let named = [object.to_str().unwrap(), "-bundle", "-install_name", "x.bundle", form];
            // Marks that only dylibs have.
            let marks = ["-application_extension", "-mark_dead_strippable_dylib"];
            let images = both(target, &[&named[..], &marks].concat());
            let [ours, theirs] = images.map(|image| image.unwrap_or_else(|text| panic!("{text}")));
            let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
            assert_eq!((ours.file_type(), ours.flags()), (macho::MH_BUNDLE.0, theirs.flags()));
            let mut commands = ours.commands();
            commands.retain(|kind| *kind != macho::LC_SOURCE_VERSION.0);
            assert_eq!((commands, theirs.file_type()), (theirs.commands(), macho::MH_BUNDLE.0));
            assert_eq!(ours.exported(), theirs.exported());
        }
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn symbols_are_left_to_the_loader_by_name() {
    for target in TARGETS {
        let object = pointers(target, &["_left", "_pointers"]);
        let object = object.to_str().unwrap();
        let images = both(target, &[object, "-U", "_other"]);
        assert!(images.iter().all(|image| image.as_ref().is_err_and(|text| text.contains("undefined symbol: _left"))));
        let image = as_lld(target, &[object, "-U", "_left"]);
        let binds = Image::new(&image).binds();
        assert_eq!(binds.iter().map(|bind| (bind.0.as_slice(), bind.1)).collect::<Vec<_>>(), [(&b"_left"[..], -2)]);
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_are_reexported_by_name() {
    let directory = libraries();
    let (search, root) = (format!("-L{}", directory.display()), directory.join("root"));
    for target in TARGETS {
        let object = pointers(target, &["_outer"]);
        let plain = [object.to_str().unwrap(), &search, "-louter", "-syslibroot", root.to_str().unwrap()];
        let image = as_lld(target, &[&plain[..], &["-sub_library", "libouter"]].concat());
        assert_eq!(Image::new(&image).libraries()[0].0, macho::LC_REEXPORT_DYLIB);
        let [ours, theirs] = both(target, &[&plain[..], &["-sub_library", "libother"]].concat());
        assert!(ours.unwrap_err().contains("-sub_library libother: no library of this name") && theirs.is_err());
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn files_are_named_in_lists() {
    let directory = place();
    for target in TARGETS {
        let objects = ["_here", "_there"].map(|name| {
            let text = format!(".section __DATA,__data\n.globl {name}\n.p2align 3\n{name}: .quad {name}\n");
            let object = directory.join(format!("{}{name}.o", target.name));
            fs::rename(assemble(target, "listed", &text), &object).unwrap();
            object
        });
        let list = directory.join(format!("{}.filelist", target.name));
        let whole: Vec<&str> = objects.iter().map(|path| path.to_str().unwrap()).collect();
        fs::write(&list, whole.join("\n")).unwrap();
        let image = as_lld(target, &["-filelist", list.to_str().unwrap()]);
        let names: Vec<Vec<u8>> = Image::new(&image).exports().into_keys().collect();
        assert_eq!(names, [&b"_here"[..], b"_there"]);
        let short: Vec<&str> = objects.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        fs::write(&list, short.join("\n")).unwrap();
        let argument = format!("{},{}", list.display(), directory.display());
        // LLD has no directory there, other than Apple's linker.
        let [ours, _] = both(target, &["-filelist", &argument]);
        assert!(ours.unwrap() == image, "{}", target.name);
    }
}

/// A library that says so itself is left out if nothing of it is used.
#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_that_are_not_used_are_left_out_if_they_allow_it() {
    let text = ".section __DATA,__data\n.globl _useful\n_useful: .long 0\n";
    for target in TARGETS {
        let object = assemble(target, "useful", text);
        let [used, unused] = ["_useful", "_pointers"].map(|name| pointers(target, &[name]));
        for (option, kept) in [("-mark_dead_strippable_dylib", 0), ("-no_uuid", 1)] {
            let more = [object.to_str().unwrap(), "-install_name", "/usr/lib/libuseful.dylib", option];
            for library in both(target, &more) {
                let path = place().join("libuseful.dylib");
                fs::write(&path, library.unwrap()).unwrap();
                let path = path.to_str().unwrap();
                let image = as_lld(target, &[unused.to_str().unwrap(), path]);
                assert_eq!(Image::new(&image).libraries().len(), kept, "{option}");
                let image = as_lld(target, &[used.to_str().unwrap(), path]);
                assert_eq!(Image::new(&image).libraries().len(), 1, "{option}");
            }
        }
    }
}

/// The files that were read and written, in the form of Apple's build system.
#[test]
#[ignore = "needs the package llvm-19"]
fn files_are_told_to_build_systems() {
    let directory = libraries();
    let outer = directory.join("root/usr/lib/inner/libinner.tbd");
    fs::copy(directory.join("libouter.tbd"), directory.join("root/usr/lib/libouter.tbd")).unwrap();
    let object = pointers(MACOS_ARM64, &["_inner"]);
    let root = directory.join("root");
    let told = [false, true].map(|lld| {
        let (info, output) = (place().join("info"), directory.join("told.dylib"));
        let mut command = Command::new(if lld { rust_lld() } else { env!("CARGO_BIN_EXE_pkgld").into() });
        command.args(["-flavor", "darwin", "-arch", "arm64", "-platform_version", "macos", "13.0", "13.0", "-dylib"]);
        command.args([Path::new("-syslibroot"), &root, &object, &outer, Path::new("-o"), &output]);
        let out = command.arg("-dependency_info").arg(&info).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let bytes = fs::read(info).unwrap();
        assert!(bytes[0] == 0 && bytes.ends_with(b"\0"));
        // What was looked for and not found, and the linker's name, differ.
        let entries = bytes.split_inclusive(|byte| *byte == 0).skip(2).filter(|entry| entry[0] != 0x11);
        entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect::<BTreeSet<_>>()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].len(), 4, "{told:?}");
}

#[test]
#[ignore = "needs the package llvm-19"]
fn a_directory_is_searched_once() {
    let object = pointers(MACOS_ARM64, &["_pointers"]);
    let output = place().join("searched.dylib");
    let common = ["-flavor", "darwin", "-arch", "arm64", "-dylib", "-rpath", "/a", "-rpath", "/a", "-o"];
    let arguments = || common.iter().map(Path::new).chain([output.as_path(), &object]);
    let out = program(arguments());
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("warning: -rpath /a: given twice"), "{text}");
    assert_eq!(Image::new(&fs::read(&output).unwrap()).rpaths(), [b"/a"]);
    let out = program(arguments().chain([Path::new("-fatal_warnings")]));
    assert!(!out.status.success());
}

/// `section$start$…` and its like: a section's and a segment's first address and the one behind the last. What is not there
/// has no byte.
#[test]
#[ignore = "needs the package llvm-19"]
fn boundaries_have_names() {
    for target in TARGETS {
        let names = [
            "section$start$__DATA$__mine",
            "section$end$__DATA$__mine",
            "segment$start$__TEXT",
            "segment$end$__TEXT",
            "section$start$__DATA$__absent",
            "section$end$__DATA$__absent",
        ];
        let words: String = names.iter().map(|name| format!(".quad \"{name}\"\n")).collect();
        let text = format!(
            ".section __DATA,__data\n.globl _bounds\n.p2align 3\n_bounds:\n{words}\
             .section __DATA,__mine\n.p2align 3\n.globl _mine\n_mine: .quad 1, 2, 3\n"
        );
        let object = assemble(target, "bounds", &text);
        let images = both(target, &[object.to_str().unwrap()]);
        for (image, ours) in images.into_iter().zip([true, false]) {
            let image = image.unwrap_or_else(|text| panic!("{text}"));
            let image = Image::new(&image);
            let (bounds, mine) = (image.exports()[&b"_bounds"[..]], image.exports()[&b"_mine"[..]]);
            let filled = image.filled();
            let led = |number: u64| {
                let at = bounds + 8 * number;
                *filled.iter().find(|(place, _)| *place == at).unwrap().1.as_ref().unwrap()
            };
            assert_eq!([led(0), led(1), led(2)], [mine, mine + 24, 0], "{}: {ours}", target.name);
            let next = image.segments().into_iter().map(|segment| segment.1).find(|start| *start > 0).unwrap();
            assert_eq!((led(3), led(4)), (next, led(5)), "{}: {ours}", target.name);
            assert!(image.symbols().iter().all(|(name, _)| !name.starts_with(b"se")));
        }
    }
}

/// Sections and segments that the linker moves or renames have the boundaries of what they have become, by their old names
/// and by their new ones; and so have those that it makes.
#[test]
#[ignore = "needs the package llvm-19"]
fn boundaries_move_with_their_sections() {
    let options = ["-rename_section", "__DATA", "__old", "__DATA", "__new", "-rename_segment", "__FROM", "__TO"];
    let sections = [
        "__DATA$__const",
        "__DATA_CONST$__const",
        "__DATA$__old",
        "__DATA$__new",
        "__FROM$__moved",
        "__TEXT$__StaticInit",
        "__TO$__moved",
        "__DATA$__got",
    ];
    for target in TARGETS {
        let load = match target == MACOS_ARM64 {
            true => "adrp x0, _far@GOTPAGE\nldr x0, [x0, _far@GOTPAGEOFF]\n",
            false => "movq _far@GOTPCREL(%rip), %rax\n",
        };
        // LLD has none by the new name of a segment or of sections that it makes, and leaves out what only boundaries lead to.
        for (dead_strip, all) in [(false, false), (false, true), (true, true)] {
            let mut words = ".quad \"segment$start$__FROM\", \"segment$end$__FROM\"\n".to_owned();
            for name in &sections[..if all { sections.len() } else { sections.len() - 2 }] {
                words += &format!(".quad \"section$start${name}\", \"section$end${name}\"\n");
            }
            let text = format!(
                ".text\n.p2align 2\n.globl _code\n_code: {load}ret\n\
                 .section __TEXT,__StaticInit,regular,pure_instructions\n.p2align 2\n_initialise: ret\n\
                 .section __DATA,__const\n.p2align 3\n_c: .quad _code, 1\n\
                 .section __DATA,__old\n.p2align 3\n_o: .quad _code, 1, 2\n\
                 .section __FROM,__moved\n.p2align 3\n_m: .quad _code, 1, 2, 3\n\
                 .section __DATA,__data\n.globl _bounds\n.p2align 3\n_bounds:\n{words}_end: .quad 0\n"
            );
            let object = assemble(target, "moved", &text);
            let plain = ["-undefined", "dynamic_lookup", object.to_str().unwrap()];
            let more = [&plain[..], &options[..], if dead_strip { &["-dead_strip"][..] } else { &[] }].concat();
            for (image, ours) in both(target, &more).into_iter().zip([true, false]).filter(|(_, ours)| *ours || !all) {
                let image = image.unwrap_or_else(|text| panic!("{text}"));
                let image = Image::new(&image);
                let (mut at, filled) = (image.exports()[&b"_bounds"[..]], image.filled());
                let mut sizes = Vec::new();
                while let Some((_, Ok(start))) = filled.iter().find(|(place, _)| *place == at) {
                    let (_, end) = filled.iter().find(|(place, _)| *place == at + 8).unwrap();
                    sizes.push(end.as_ref().unwrap() - start);
                    at += 16;
                }
                let code = image.size_of(b"__text");
                let page = if target == MACOS_ARM64 { 0x4000 } else { 0x1000 };
                let wanted = [page, 16, 16, 24, 24, 32, code, 32, 8];
                assert_eq!(sizes, wanted[..sizes.len()], "{}: {ours} {dead_strip}", target.name);
                assert_eq!(sizes.len(), if all { 9 } else { 7 }, "{}: {ours}", target.name);
            }
        }
    }
}

/// Objects ask for libraries, which are linked with if they are found and used.
#[test]
#[ignore = "needs the package llvm-19"]
fn objects_ask_for_libraries() {
    let directory = libraries();
    let (search, root) = (format!("-L{}", directory.display()), directory.join("root"));
    let frameworks = format!("-F{}", directory.join("frameworks").display());
    for target in TARGETS {
        let text = ".linker_option \"-louter\"\n.linker_option \"-framework\", \"Thing\"\n.linker_option \"-lnowhere\"\n\
                    .section __DATA,__data\n.globl _wants\n.p2align 3\n_wants: .quad _outer\n";
        let object = assemble(target, "wants", text);
        let plain = [object.to_str().unwrap(), &search, &frameworks, "-syslibroot", root.to_str().unwrap()];
        let image = as_lld(target, &plain);
        let libraries: Vec<Vec<u8>> = Image::new(&image).libraries().into_iter().map(|library| library.1).collect();
        assert_eq!(libraries, [b"/usr/lib/libouter.dylib"], "{}", target.name);
        for option in ["-ignore_auto_link", "--ignore-auto-link-option=outer"] {
            let [ours, _] = both(target, &[&plain[..], &[option]].concat());
            assert!(ours.unwrap_err().contains("undefined symbol: _outer"), "{option}");
        }
    }
}

/// A library may do nothing but re-export others, and a bundle has its own name for its start.
#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_may_have_nothing_of_their_own() {
    let directory = libraries();
    let (search, root) = (format!("-L{}", directory.display()), directory.join("root"));
    for target in TARGETS {
        let image = as_lld(target, &[&search, "-reexport-louter", "-syslibroot", root.to_str().unwrap()]);
        assert_eq!(Image::new(&image).libraries()[0].0, macho::LC_REEXPORT_DYLIB);
        let object = pointers(target, &["__mh_bundle_header"]);
        let [ours, theirs] = both(target, &[object.to_str().unwrap(), "-bundle"]).map(Result::unwrap);
        assert_eq!(Image::new(&ours).binds(), Image::new(&theirs).binds());
    }
}

/// What does not fit is told, and what is not found by the option that finds it.
#[test]
#[ignore = "needs the package llvm-19"]
fn what_cannot_be_had_is_told() {
    let empty = place().join("empty");
    fs::write(&empty, "").unwrap();
    for target in TARGETS {
        let object = pointers(target, &["_pointers"]);
        let refusal = |arguments: &[&str]| {
            both(target, &[&[object.to_str().unwrap()], arguments].concat())[0].clone().unwrap_err()
        };
        for (arguments, wanted) in [
            (&["-current_version", "70000"][..], "up to 65535.255.255"),
            (&["-compatibility_version", "1.300"], "up to 65535.255.255"),
            (
                &["-sectcreate", "__LINKEDIT", "__x", empty.to_str().unwrap()],
                "__LINKEDIT has the loader's tables alone",
            ),
            (&["-rename_segment", "__DATA", "__LINKEDIT"], "__LINKEDIT has the loader's tables alone"),
            (&["-rename_section", "__DATA", "__data", "__LINKEDIT", "__x"], "__LINKEDIT has the loader's tables alone"),
            (&["-framework", "Nowhere"], "framework not found: Nowhere: no directory to search, give one with -F"),
            (&["-lnowhere"], "library not found: -lnowhere: no directory to search, give one with -L"),
        ] {
            let said = refusal(arguments);
            assert!(said.contains(wanted), "{arguments:?}: {said}");
        }
    }
    let object = assemble(MACOS_ARM64, "in-linkedit", ".section __LINKEDIT,__foo\n.byte 1\n");
    let [ours, _] = both(MACOS_ARM64, &[object.to_str().unwrap()]);
    assert!(ours.unwrap_err().contains("the segment has the loader's tables alone"));
}

/// Another name is one that nothing else defines.
#[test]
#[ignore = "needs the package llvm-19"]
fn other_names_are_free() {
    for target in TARGETS {
        let object = assemble(target, "taken", ".globl _f, _taken\n_f: ret\n_taken: ret\n");
        let [ours, theirs] = both(target, &[object.to_str().unwrap(), "-alias", "_f", "_taken"]);
        let said = ours.unwrap_err();
        assert!(said.contains("_taken: defined by an option and at ") && said.contains("taken-"), "{said}");
        assert!(theirs.is_err());
    }
}

/// Symbols that are asked for by name have to be there, and archives are searched for them.
#[test]
#[ignore = "needs the package llvm-19"]
fn what_is_asked_for_has_to_be_there() {
    for target in TARGETS {
        let object = pointers(target, &["_pointers"]);
        let object = object.to_str().unwrap();
        let member = assemble(target, "asked", ".globl _member, _other\n.data\n_member: .long 1\n_other: .long 2\n");
        let archive = member.with_extension("a");
        let out = Command::new("llvm-ar-19").args(["--format=darwin", "rcs"]).arg(&archive).arg(&member).output();
        assert!(out.unwrap().status.success());
        let archive = archive.to_str().unwrap();
        for options in [["-u", "_nowhere"], ["-exported_symbol", "_nowhere"]] {
            let images = both(target, &[&[object, archive], &options[..]].concat());
            for text in images.map(Result::unwrap_err) {
                assert!(text.contains("undefined symbol: _nowhere"), "{options:?}: {text}");
            }
            let [ours, _] = both(target, &[&[object, "-undefined", "dynamic_lookup"], &options[..]].concat());
            ours.unwrap();
        }
        for (options, names) in [
            (["-u", "_member"], &[&b"_member"[..], b"_other", b"_pointers"][..]),
            (["-exported_symbol", "_member"], &[b"_member"]),
            (["-exported_symbol", "_nowhere*"], &[]),
        ] {
            let image = as_lld(target, &[&[object, archive], &options[..]].concat());
            assert!(Image::new(&image).exports().keys().eq(names), "{options:?}");
        }
    }
}

/// What is hidden is not exported, though it is asked for by its name; a pattern asks for what there is.
#[test]
#[ignore = "needs the package llvm-19"]
fn hidden_symbols_that_are_asked_for_are_told_of() {
    for target in TARGETS {
        let text = ".globl _f, _g\n.private_extern _g\n.data\n.p2align 3\n_f: .quad 1\n_g: .quad 2\n";
        let object = assemble(target, "hidden", text);
        let asked = |name| [object.to_str().unwrap(), "-fatal_warnings", "-exported_symbol", name];
        let [ours, theirs] = both(target, &asked("_g")).map(Result::unwrap_err);
        assert!(ours.contains("_g: is not exported") && theirs.contains("cannot export hidden symbol _g"), "{ours}");
        let [ours, _] = both(target, &asked("_[fg]"));
        assert!(Image::new(&ours.unwrap()).exports().keys().eq([&b"_f"[..]]));
    }
}

/// Objects between `--start-lib` and `--end-lib` are as an archive's members.
#[test]
#[ignore = "needs the package llvm-19"]
fn objects_may_be_taken_as_members() {
    for target in TARGETS {
        let [one, other] = ["_one", "_other"].map(|name| {
            let text = format!(".section __DATA,__data\n.globl {name}\n.p2align 3\n{name}: .quad {name}\n");
            assemble(target, "member", &text)
        });
        let user = pointers(target, &["_one"]);
        let [user, one, other] = [&user, &one, &other].map(|path| path.to_str().unwrap());
        let image = as_lld(target, &[user, "--start-lib", one, other, "--end-lib"]);
        assert!(Image::new(&image).exports().keys().eq([&b"_one"[..], b"_pointers"]), "{}", target.name);
        let image = as_lld(target, &[user, "--start-lib", one, "--end-lib", other]);
        assert_eq!(Image::new(&image).exports().len(), 3, "{}", target.name);
    }
}
