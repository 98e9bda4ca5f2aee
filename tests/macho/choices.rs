//! Who gives a name where several could, and what becomes of what is left over: each as LLD has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::macho;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::image::Image;
use super::libraries::{as_lld, both, pointers};
use super::{assemble, place};

const TARGETS: [Target; 2] = [MACOS_X86_64, MACOS_ARM64];

/// A text stub called `libNAME.tbd` of a library that has names under this key.
fn stub(directory: &Path, name: &str, install_name: &str, key: &str, names: &str) {
    let targets = "targets: [ x86_64-macos, arm64-macos ]";
    let text = format!(
        "--- !tapi-tbd\ntbd-version: 4\n{targets}\ninstall-name: '{install_name}'\nexports:\n  - {targets}\n    \
         {key}: [ {names} ]\n...\n"
    );
    fs::write(directory.join(format!("lib{name}.tbd")), text).unwrap();
}

/// An archive called `libNAME.a` of an object of assembly.
fn archive(target: Target, directory: &Path, name: &str, text: &str) -> PathBuf {
    let object = assemble(target, name, text);
    let archive = directory.join(format!("lib{name}.a"));
    let _ = fs::remove_file(&archive);
    let out = Command::new("llvm-ar-19").args(["--format=darwin", "rcs"]).arg(&archive).arg(object).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    archive
}

const WEAK_HERE: &str = ".section __DATA,__data\n.globl _f\n.weak_definition _f\n.p2align 3\n_f: .quad 1\n";

/// A weak definition of a library gives way to one that is not weak, and to an archive; a weak reference asks archives, too.
#[test]
#[ignore = "needs the package llvm-19"]
fn weak_definitions_of_libraries_give_way() {
    for target in TARGETS {
        let directory = place();
        stub(&directory, "weak", "/usr/lib/libweak.dylib", "weak-symbols", "_f");
        stub(&directory, "strong", "/usr/lib/libstrong.dylib", "symbols", "_f");
        archive(target, &directory, "own", WEAK_HERE);
        let search = format!("-L{}", directory.display());
        let strong = pointers(target, &["_f"]);
        let weak = assemble(target, "weak", ".weak_reference _f\n.section __DATA,__data\n.globl _g\n_g: .quad _f\n");
        let here = assemble(target, "here", WEAK_HERE);
        for object in [&strong, &weak] {
            let object = object.to_str().unwrap();
            for libraries in [
                &["-lweak", "-lstrong"][..],
                &["-lstrong", "-lweak"],
                &["-lweak", "-lown"],
                &["-lown", "-lweak"],
                &["-lown", "-lstrong"],
                &["-lstrong", "-lown"],
                &["-lweak", "--start-lib", here.to_str().unwrap(), "--end-lib"],
                &["-lweak", here.to_str().unwrap()],
            ] {
                for arguments in [[&[object], libraries].concat(), [libraries, &[object]].concat()] {
                    let image = as_lld(target, &[&[&*search], &arguments[..]].concat());
                    let image = Image::new(&image);
                    // Between what is not weak and an archive the first one counts.
                    let own = libraries[0] != "-lstrong" && libraries[1] != "-lstrong" || libraries[0] == "-lown";
                    assert_eq!(image.exports().contains_key(&b"_f"[..]), own, "{arguments:?}");
                }
            }
        }
    }
}

/// A library that nothing is used of is asked for as others are; that the loader's own function for lazy binding is in it is
/// no use.
#[test]
#[ignore = "needs the package llvm-19"]
fn unused_libraries_are_asked_for_plainly() {
    let directory = place();
    stub(&directory, "System", "/usr/lib/libSystem.B.dylib", "symbols", "dyld_stub_binder, _used");
    let search = format!("-L{}", directory.display());
    for target in TARGETS {
        for name in ["_pointers", "_used"] {
            let object = pointers(target, &[name]);
            let plain = [object.to_str().unwrap(), &search, "-lSystem", "-no_fixup_chains"];
            let image = as_lld(target, &plain);
            assert_eq!(Image::new(&image).libraries()[0].0, macho::LC_LOAD_DYLIB, "{name}");
        }
    }
}

/// Stubs may say that they are of one library: it is loaded once.
#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_of_one_name_are_one() {
    let directory = place();
    for (name, symbol) in [("one", "_a"), ("two", "_b")] {
        stub(&directory, name, "/usr/lib/libboth.dylib", "symbols", symbol);
    }
    stub(&directory, "three", "/usr/lib/libthree.dylib", "symbols", "_c");
    let search = format!("-L{}", directory.display());
    for target in TARGETS {
        let object = pointers(target, &["_a", "_b", "_c"]);
        for form in ["-fixup_chains", "-no_fixup_chains"] {
            let image = as_lld(target, &[object.to_str().unwrap(), &search, "-lone", "-ltwo", "-lthree", form]);
            assert_eq!(Image::new(&image).libraries().len(), 2);
        }
    }
}

/// What an archive's member asks for is looked for, and what that asks for; a path that is not below the system root is
/// taken as it is.
#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_that_are_asked_for_ask_in_their_turn() {
    for target in TARGETS {
        let directory = place();
        let text = |own: &str, needs: &str, asks: &str| {
            format!(
                ".linker_option \"-l{asks}\"\n.section __DATA,__data\n.globl {own}\n.p2align 3\n{own}: .quad {needs}\n"
            )
        };
        archive(target, &directory, "second", &text("_b", "_c", "third"));
        archive(target, &directory, "third", &text("_c", "_d", "fourth"));
        stub(&directory, "fourth", "/usr/lib/libfourth.dylib", "symbols", "_d");
        let object = assemble(target, "first", &text("_a", "_b", "second"));
        let (object, search) = (object.to_str().unwrap(), format!("-L{}", directory.display()));
        let image = as_lld(target, &[object, &search]);
        assert_eq!(Image::new(&image).libraries().len(), 1);

        // A library that re-exports another one, both just made, and linked with from somewhere else.
        let inner = directory.join("libinner.dylib");
        let made = both(
            target,
            &[pointers(target, &["_pointers"]).to_str().unwrap(), "-install_name", inner.to_str().unwrap()],
        );
        fs::write(&inner, made[0].as_ref().unwrap()).unwrap();
        let outer = directory.join("libouter.dylib");
        let empty = assemble(target, "empty", ".globl _empty\n_empty: ret\n");
        let inner = ["-reexport_library", inner.to_str().unwrap(), "-install_name", "/usr/lib/libouter.dylib"];
        let made = both(target, &[&[empty.to_str().unwrap()], &inner[..]].concat());
        fs::write(&outer, made[0].as_ref().unwrap()).unwrap();
        let user =
            assemble(target, "user", ".section __DATA,__data\n.globl _user\n.p2align 3\n_user: .quad _pointers\n");
        let root = directory.join("root");
        as_lld(target, &[user.to_str().unwrap(), outer.to_str().unwrap(), "-syslibroot", root.to_str().unwrap()]);
    }
}

/// An archive is linked whole once, however often that is asked for; `-l` finds objects by their names.
#[test]
#[ignore = "needs the package llvm-19"]
fn files_count_once() {
    for target in TARGETS {
        let directory = place();
        let archive = archive(target, &directory, "own", ".globl _own\n_own: ret\n");
        let object = assemble(target, "start", ".globl _start\n_start: ret\n");
        fs::rename(object, directory.join("start.o")).unwrap();
        let (archive, search) = (archive.to_str().unwrap(), format!("-L{}", directory.display()));
        let image = as_lld(target, &[&search, "-lstart.o", "-force_load", archive, "-force_load", archive, archive]);
        let names: Vec<Vec<u8>> = Image::new(&image).exports().into_keys().collect();
        assert_eq!(names, [&b"_own"[..], b"_start"]);
        // Whatever asks for it, and by whatever name.
        let again = directory.join(".").join("libown.a");
        for arguments in [
            &["-all_load", archive, archive][..],
            &["-all_load", archive, again.to_str().unwrap()],
            &["-all_load", "-lown", "-lown"],
            &[archive, "-force_load", archive],
            &["-lown", "-force_load", archive],
        ] {
            let [ours, _] = both(target, &[&[&*search, "-lstart.o"], arguments].concat());
            let ours = ours.unwrap_or_else(|said| panic!("{arguments:?}: {said}"));
            assert_eq!(Image::new(&ours).exports().into_keys().collect::<Vec<_>>(), names, "{arguments:?}");
        }
    }
}

/// An archive without an index is searched all the same.
#[test]
#[ignore = "needs the package llvm-19"]
fn archives_without_an_index_are_searched() {
    for target in TARGETS {
        let member =
            assemble(target, "unlisted", ".globl _unlisted, _also\n.comm _also, 8, 3\n.data\n_unlisted: .quad _also\n");
        let archive = member.with_extension("a");
        let _ = fs::remove_file(&archive);
        let out = Command::new("llvm-ar-19").args(["--format=darwin", "rcS"]).arg(&archive).arg(&member).output();
        assert!(out.unwrap().status.success());
        for name in ["_unlisted", "_also"] {
            let object = pointers(target, &[name]);
            let [ours, _] = both(target, &[object.to_str().unwrap(), archive.to_str().unwrap()]);
            let ours = ours.unwrap();
            assert!(Image::new(&ours).exports().contains_key(&b"_unlisted"[..]), "{name}");
        }
    }
}

/// The largest of common symbols says whether it is for others. Names of places in lists that the linker rewrites are for
/// nobody, and what only the linker reads is no part of the image.
#[test]
#[ignore = "needs the package llvm-19"]
fn names_for_others() {
    for target in TARGETS {
        let small = assemble(target, "small", ".comm _c, 4, 2\n");
        let private = assemble(target, "private", ".private_extern _c\n.comm _c, 8, 3\n");
        let large = assemble(target, "large", ".comm _c, 16, 4\n");
        for (objects, exported) in [([&small, &private], 0), ([&private, &small], 0), ([&private, &large], 1)] {
            let objects = objects.map(|object| object.to_str().unwrap());
            let image = as_lld(target, &objects);
            assert_eq!(Image::new(&image).exports().len(), exported);
        }
        let text = ".globl _start, _list\n_start: ret\n.section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n\
             _list: .quad _start\n.section __DATA,__llvm_addrsig\n.quad _start\n";
        let object = assemble(target, "list", text);
        for form in [&["-init_offsets", "-no_fixup_chains"][..], &["-fixup_chains"]] {
            let image = as_lld(target, &[&[object.to_str().unwrap()], form].concat());
            let image = Image::new(&image);
            assert_eq!(image.exports().into_keys().collect::<Vec<_>>(), [b"_start"]);
            assert!(image.sections().iter().all(|(name, ..)| !name.ends_with(b"__llvm_addrsig")));
        }
    }
}

/// What a common symbol stands for is any definition, a weak one too, whichever comes first.
#[test]
#[ignore = "needs the package llvm-19"]
fn definitions_take_the_place_of_common_symbols() {
    for target in TARGETS {
        let common = assemble(target, "common", ".comm _f, 24, 3\n");
        let strong = WEAK_HERE.replace(".weak_definition _f\n", "");
        for (text, weak) in [(WEAK_HERE, true), (&strong, false)] {
            let here = assemble(target, "here", text);
            for objects in [[&common, &here], [&here, &common]] {
                let image = as_lld(target, &objects.map(|object| object.to_str().unwrap()));
                let image = Image::new(&image);
                let at = image.exports()[&b"_f"[..]];
                let found = image
                    .pieces()
                    .into_iter()
                    .find(|(_, start, bytes)| (*start..start + bytes.len() as u64).contains(&at));
                assert_eq!(
                    found.map(|(name, start, bytes)| (name, bytes[(at - start) as usize])),
                    Some((b"__data".to_vec(), 1))
                );
                assert_eq!(image.size_of(b"__common"), 0);
                // MH_WEAK_DEFINES
                assert_eq!(image.flags() & 0x8000 != 0, weak);
            }
        }
    }
}

/// The loader fills pointers at multiples of 4 bytes, and on one page, only if chains lead to them. Where an image has others it
/// is told of them by programs, unless chains were asked for.
#[test]
#[ignore = "needs the package llvm-19"]
fn pointers_that_chains_cannot_reach_are_told_by_programs() {
    for target in TARGETS {
        let page = if target == MACOS_ARM64 { 0x4000 } else { 0x1000 };
        let (odd, straddling) = (".byte 1\n".to_owned(), format!(".zero {}\n", page - 4));
        let early = format!(
            ".section __DATA,__early\n.p2align 2\n.long 7\n.section __DATA,__late\n.p2align 2\n.zero {}\n.quad _here\n",
            page - 8
        );
        for (align, before, chained) in [
            (0, &odd, false),
            (3, &odd, false),
            (2, &straddling, false),
            (2, &".long 1\n".to_owned(), true),
            (3, &format!(".zero {}\n", page - 8), true),
            (3, &early, false),
        ] {
            let text = format!(
                ".section __DATA,__data\n.globl _here\n.p2align {align}\n_here: {before}.quad _there\n.quad _here\n"
            );
            let object = assemble(target, "packed", &text);
            let arguments = [object.to_str().unwrap(), "-undefined", "dynamic_lookup"];
            let [ours, _] = both(target, &arguments);
            let ours = ours.unwrap_or_else(|text| panic!("{text}"));
            let image = Image::new(&ours);
            assert_eq!(image.is_chained(), chained, "{text}");
            if !chained {
                assert!(image.bound_by_programs()[0].contains(&(b"_there".to_vec(), -2)), "{text}");
                let [asked, _] = both(target, &[&arguments[..], &["-fixup_chains"]].concat());
                assert!(asked.unwrap_err().contains("the loader fills"), "{text}");
            }
        }
    }
}

/// Names of C++ in a stub of version 3, as SDKs up to macOS 10.14 have them.
#[test]
#[ignore = "needs the package llvm-19"]
fn stubs_of_early_versions() {
    let directory = place();
    let text = "--- !tapi-tbd-v3\narchs: [ x86_64, arm64 ]\nplatform: macosx\ninstall-name: /usr/lib/libold.dylib\n\
        current-version: 4.1\nexports:\n  - archs: [ x86_64, arm64 ]\n    symbols: [ _old ]\n    \
        weak-def-symbols: [ __Znwm ]\n    objc-classes: [ Old ]\n...\n";
    fs::write(directory.join("libold.tbd"), text).unwrap();
    let search = format!("-L{}", directory.display());
    for target in TARGETS {
        let object = pointers(target, &["_old", "__Znwm", "_OBJC_CLASS_$_Old"]);
        let image = as_lld(target, &[object.to_str().unwrap(), &search, "-lold"]);
        assert_eq!(Image::new(&image).libraries()[0].1, b"/usr/lib/libold.dylib");
    }
}

/// Libraries of the system are there for arm64e as well, which programs of arm64 use them by.
#[test]
#[ignore = "needs the package llvm-19"]
fn stubs_for_arm64e_are_for_arm64() {
    let directory = place();
    let new = |all: &str| {
        format!(
            "--- !tapi-tbd\ntbd-version: 4\ntargets: [ {all} ]\ninstall-name: /usr/lib/libe.dylib\nexports:\n  \
             - targets: [ arm64e-macos, x86_64-macos ]\n    symbols: [ _e ]\n...\n"
        )
    };
    let old = "--- !tapi-tbd-v3\narchs: [ x86_64, arm64e ]\nplatform: macosx\ninstall-name: /usr/lib/libe.dylib\n\
        exports:\n  - archs: [ x86_64, arm64e ]\n    symbols: [ _e ]\n...\n";
    let texts = [new("arm64e-macos, x86_64-macos"), new("arm64-macos, arm64e-macos, x86_64-macos"), old.to_owned()];
    for (text, target) in texts.iter().flat_map(|text| TARGETS.map(|target| (text, target))) {
        fs::write(directory.join("libe.tbd"), text).unwrap();
        let object = pointers(target, &["_e"]);
        let image = as_lld(target, &[object.to_str().unwrap(), &format!("-L{}", directory.display()), "-le"]);
        assert_eq!(Image::new(&image).libraries()[0].1, b"/usr/lib/libe.dylib");
    }
}
