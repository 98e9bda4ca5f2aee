//! Libraries in their roles, those that others re-export, frameworks, and other names for symbols.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::macho;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::common::rust_lld;
use super::image::Image;
use super::{assemble, place};

/// A text stub of a library with these names, which re-exports others.
fn stub(path: &Path, install_name: &str, names: &str, reexports: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let targets = "targets: [ x86_64-macos, arm64-macos ]";
    let text = format!(
        "--- !tapi-tbd\ntbd-version: 4\n{targets}\ninstall-name: '{install_name}'\ncurrent-version: 3.2\n\
         reexported-libraries:\n  - {targets}\n    libraries: [ {reexports} ]\n\
         exports:\n  - {targets}\n    symbols: [ {names} ]\n...\n"
    );
    fs::write(path, text).unwrap();
}

/// `libouter` re-exports `libinner`, whose stub is below a system root only, and which re-exports `libouter` in its turn; and
/// the framework `Thing`, which re-exports its part `Part`.
pub fn libraries() -> PathBuf {
    let directory = place();
    libraries_of_version_4(&directory);
    directory
}

fn libraries_of_version_4(directory: &Path) {
    let frameworks = "/System/Library/Frameworks";
    let (outer, inner) = ("/usr/lib/libouter.dylib", "/usr/lib/inner/libinner.dylib");
    let part = format!("{frameworks}/Thing.framework/Frameworks/Part.framework/Part");
    stub(&directory.join("libouter.tbd"), outer, "_outer", inner);
    stub(&directory.join("root/usr/lib/inner/libinner.tbd"), inner, "_inner", outer);
    let thing = directory.join("frameworks/Thing.framework/Thing.tbd");
    stub(&thing, &format!("{frameworks}/Thing.framework/Versions/A/Thing"), "_thing", &part);
    stub(&directory.join("root").join(part.trim_start_matches('/')).with_extension("tbd"), &part, "_part", "");
}

/// An object of pointers to these names.
pub fn pointers(target: Target, names: &[&str]) -> PathBuf {
    let words: String = names.iter().map(|name| format!(".quad {name}\n")).collect();
    let name = format!("pointers{}", names.concat());
    assemble(target, &name, &format!(".section __DATA,__data\n.globl _pointers\n.p2align 3\n_pointers: {words}"))
}

/// Links by both linkers; what each says, and the images.
pub fn both(target: Target, arguments: &[&str]) -> [Result<Vec<u8>, String>; 2] {
    let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
    let common = ["-flavor", "darwin", "-arch", arch, "-platform_version", "macos", "13.0", "13.0", "-dylib"];
    [false, true].map(|lld| {
        let output = place().join("image.dylib");
        let mut command = Command::new(if lld { rust_lld() } else { env!("CARGO_BIN_EXE_pkgld").into() });
        let out = command.args(common).args(arguments).arg("-o").arg(&output).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() { Ok(fs::read(output).unwrap()) } else { Err(text) }
    })
}

/// Libraries, what is bound to which, and what is for others are the same as LLD has them.
pub fn as_lld(target: Target, arguments: &[&str]) -> Vec<u8> {
    let [ours, theirs] = both(target, arguments).map(|result| result.unwrap_or_else(|text| panic!("{text}")));
    let (image, reference) = (Image::new(&ours), Image::new(&theirs));
    assert_eq!(image.libraries(), reference.libraries(), "{arguments:?}");
    assert_eq!(image.binds(), reference.binds(), "{arguments:?}");
    assert_eq!(image.exported(), reference.exported(), "{arguments:?}");
    ours
}

fn with<'w>(plain: &[&'w str], more: &[&'w str]) -> Vec<&'w str> {
    [plain, more].concat()
}

#[test]
#[ignore = "needs the package llvm-19"]
fn libraries_are_linked_with_in_their_roles() {
    let directory = libraries();
    let at = |path: &str| directory.join(path).to_str().unwrap().to_owned();
    let (search, root, outer) = (format!("-L{}", at("")), at("root"), at("libouter.tbd"));
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = pointers(target, &["_outer", "_inner"]);
        let object = object.to_str().unwrap();
        let plain = [object, &search, "-syslibroot", &root];
        // A library that another one re-exports is found without being named, and what it has is the other one's.
        let image = as_lld(target, &with(&plain, &["-louter"]));
        let image = Image::new(&image);
        let names: Vec<(Vec<u8>, i64)> = image.binds().into_iter().map(|bind| (bind.0, bind.1)).collect();
        assert_eq!(names, [(b"_inner".to_vec(), 1), (b"_outer".to_vec(), 1)]);
        assert_eq!(image.libraries()[0].1, b"/usr/lib/libouter.dylib");
        for (options, command) in [
            (&["-weak-louter"][..], macho::LC_LOAD_WEAK_DYLIB),
            (&["-weak_library", &outer], macho::LC_LOAD_WEAK_DYLIB),
            (&["-louter", "-weak_library", &outer], macho::LC_LOAD_WEAK_DYLIB),
            (&["-reexport-louter"], macho::LC_REEXPORT_DYLIB),
            (&["-reexport_library", &outer], macho::LC_REEXPORT_DYLIB),
            (&["-needed-louter"], macho::LC_LOAD_DYLIB),
            (&["-needed_library", &outer, "-dead_strip_dylibs"], macho::LC_LOAD_DYLIB),
        ] {
            let image = as_lld(target, &with(&plain, options));
            let image = Image::new(&image);
            assert_eq!(image.libraries()[0].0, command, "{options:?}");
            // MH_NO_REEXPORTED_DYLIBS
            assert_eq!(image.flags() & 0x10_0000 == 0, command == macho::LC_REEXPORT_DYLIB, "{options:?}");
            assert_eq!(
                image.weak_imports().len(),
                if command == macho::LC_LOAD_WEAK_DYLIB { 2 } else { 0 },
                "{options:?}"
            );
        }
        // LLD knows no upward libraries.
        for options in [&["-upward-louter"][..], &["-upward_library", &outer]] {
            let [image, _] = both(target, &with(&plain, options));
            assert_eq!(Image::new(&image.unwrap()).libraries()[0].0, macho::LC_LOAD_UPWARD_DYLIB);
        }
        // Nothing is used of it.
        let own = pointers(target, &["_pointers"]);
        let own = own.to_str().unwrap();
        let unused = with(&[own, &search, "-syslibroot", &root], &["-dead_strip_dylibs"]);
        for (options, count) in [("-louter", 0), ("-needed-louter", 1)] {
            let image = as_lld(target, &with(&unused, &[options]));
            assert_eq!(Image::new(&image).libraries().len(), count, "{options}");
        }
        // What is asked for stays, other than with LLD.
        let [image, _] = both(target, &with(&unused, &["-reexport-louter"]));
        assert_eq!(Image::new(&image.unwrap()).libraries().len(), 1);
        // What is re-exported and nowhere to be found has no names.
        let [ours, _] = both(target, &[object, &outer]);
        assert!(ours.unwrap_err().contains("undefined symbol: _inner"));
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn frameworks_are_linked_with() {
    let directory = libraries();
    let at = |path: &str| directory.join(path).to_str().unwrap().to_owned();
    let (frameworks, root) = (format!("-F{}", at("frameworks")), at("root"));
    let object = pointers(MACOS_ARM64, &["_thing", "_part"]);
    let plain = [object.to_str().unwrap(), &frameworks, "-syslibroot", &root];
    for (options, command) in [
        (["-framework", "Thing"], macho::LC_LOAD_DYLIB),
        (["-weak_framework", "Thing"], macho::LC_LOAD_WEAK_DYLIB),
        (["-needed_framework", "Thing"], macho::LC_LOAD_DYLIB),
        (["-reexport_framework", "Thing"], macho::LC_REEXPORT_DYLIB),
    ] {
        let image = as_lld(MACOS_ARM64, &[&plain[..], &options].concat());
        let libraries = Image::new(&image).libraries();
        let name = b"/System/Library/Frameworks/Thing.framework/Versions/A/Thing".to_vec();
        assert_eq!((libraries[0].0, &libraries[0].1), (command, &name), "{options:?}");
    }
    let [ours, _] = both(MACOS_ARM64, &[&plain[..], &["-framework", "Nothing"]].concat());
    let text = ours.unwrap_err();
    assert!(text.contains("framework not found: Nothing") && text.contains(&at("frameworks")), "{text}");
}

/// A stub says the same in the form of version 5.
#[test]
#[ignore = "needs the package llvm-19"]
fn stubs_of_both_versions_mean_the_same() {
    let directory = libraries();
    let (outer, inner) = (directory.join("libouter.tbd"), directory.join("root/usr/lib/inner/libinner.tbd"));
    let (root, search) = (directory.join("root"), format!("-L{}", directory.display()));
    let json = |name: &str, symbol: &str, reexported: &str| {
        format!(
            r#"{{ "tapi_tbd_version": 5, "main_library": {{
              "target_info": [ {{ "target": "x86_64-macos", "min_deployment": "11" }}, {{ "target": "arm64-macos" }} ],
              "install_names": [ {{ "name": "{name}" }} ], "current_versions": [ {{ "version": "3.2" }} ],
              "reexported_libraries": [ {{ "names": [ "{reexported}" ] }} ],
              "exported_symbols": [ {{ "targets": [ "x86_64-macos", "arm64-macos" ], "text": {{ "global": [ "{symbol}" ] }} }} ]
            }} }}"#
        )
    };
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = pointers(target, &["_outer", "_inner"]);
        let arguments = [object.to_str().unwrap(), &search, "-louter", "-syslibroot", root.to_str().unwrap()];
        libraries_of_version_4(&directory);
        let of_version_4 = as_lld(target, &arguments);
        let names = ["/usr/lib/libouter.dylib", "/usr/lib/inner/libinner.dylib"];
        fs::write(&outer, json(names[0], "_outer", names[1])).unwrap();
        fs::write(&inner, json(names[1], "_inner", names[0])).unwrap();
        assert!(as_lld(target, &arguments) == of_version_4, "{}", target.name);
    }
}

/// A library may be re-exported by another name than its own.
#[test]
#[ignore = "needs the package llvm-19"]
fn reexports_by_other_names_are_followed() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let directory = place().join(format!("renamed-{}", target.name));
        fs::create_dir_all(&directory).unwrap();
        let made = |name: &str, symbol: &str, more: &[&str]| {
            let text = format!(".section __DATA,__data\n.globl {symbol}\n.p2align 3\n{symbol}: .quad 1\n");
            let object = assemble(target, &format!("renamed-{name}"), &text);
            let [ours, _] = both(target, &[&[object.to_str().unwrap()], more].concat());
            let path = directory.join(name);
            fs::write(&path, ours.unwrap_or_else(|text| panic!("{text}"))).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let inner = made("libB.dylib", "_inner", &["-install_name", "@loader_path/libB.dylib"]);
        let outer = made("libA.dylib", "_outer", &["-install_name", "@rpath/libA.dylib", "-reexport_library", &inner]);
        // Now it is called otherwise.
        let inner = made("libB.dylib", "_inner", &["-install_name", "@rpath/libB.dylib"]);
        let user = pointers(target, &["_inner", "_outer"]);
        as_lld(target, &[user.to_str().unwrap(), &outer]);
        as_lld(target, &[user.to_str().unwrap(), &outer, &inner]);
    }
}

/// What an archive's members define stays for the image alone.
#[test]
#[ignore = "needs the package llvm-19"]
fn archives_are_hidden() {
    let directory = libraries();
    let text = ".section __DATA,__data\n.globl _outer, _member\n.p2align 3\n_outer: .quad 1\n_member: .quad _outer\n";
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let (object, member) = (pointers(target, &["_outer"]), assemble(target, "member", text));
        let archive = directory.join(format!("libmember-{}.a", target.name));
        let _ = fs::remove_file(&archive);
        let out =
            Command::new("llvm-ar-19").args(["--format=darwin", "rcs"]).arg(&archive).arg(member).output().unwrap();
        assert!(out.status.success());
        let (object, search) = (object.to_str().unwrap(), format!("-L{}", directory.display()));
        let file = archive.to_str().unwrap();
        let name = format!("-hidden-lmember-{}", target.name);
        for (options, seen) in [(vec![file], true), (vec!["-load_hidden", file], false), (vec![&name], false)] {
            let image = as_lld(target, &[&[object, &search], &options[..]].concat());
            assert_eq!(Image::new(&image).exports().contains_key(&b"_member"[..]), seen, "{options:?}");
        }
    }
}

/// Another name for a symbol means what that means, in the image or in a library.
#[test]
#[ignore = "needs the package llvm-19"]
fn symbols_have_other_names() {
    let directory = libraries();
    let outer = directory.join("libouter.tbd");
    let outer = outer.to_str().unwrap();
    let names = ".globl _again, _once_more\n_again = _pointers\n_once_more = _again\n\
                 .globl _elsewhere\n.private_extern _elsewhere\n_elsewhere = _outer\n";
    let uses =
        ".section __DATA,__data\n.globl _uses\n.p2align 3\n_uses: .quad _again\n.quad _once_more\n.quad _elsewhere\n";
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let pointers = pointers(target, &["_outer"]);
        let [names, uses] = [("names", names), ("uses", uses)].map(|(name, text)| assemble(target, name, text));
        let inputs = [&pointers, &names, &uses].map(|path| path.to_str().unwrap());
        let [ours, _] = both(target, &[&inputs[..], &[outer, "-alias", "_uses", "_used"]].concat());
        let ours = ours.unwrap();
        let image = Image::new(&ours);
        let exports = image.exports();
        let address = |name: &str| exports.get(name.as_bytes()).copied();
        assert_eq!([address("_again"), address("_once_more")], [address("_pointers"); 2]);
        assert_eq!((address("_used"), address("_elsewhere")), (address("_uses"), None));
        let led: Vec<u64> = image.pointers().iter().map(|[_, (_, distance)]| *distance).collect();
        assert_eq!(led, [0, 0]);
        let bound: Vec<Vec<u8>> = image.binds().into_iter().map(|bind| bind.0).collect();
        assert_eq!(bound, [b"_outer", b"_outer"]);
        // What is for others cannot be another image's.
        let shown = assemble(target, "shown", ".globl _elsewhere\n_elsewhere = _outer\n");
        let [ours, _] = both(target, &[inputs[0], shown.to_str().unwrap(), outer]);
        assert!(ours.unwrap_err().contains("_elsewhere is another name for _outer, which is not in the image"));
        let around = assemble(target, "around", ".globl _a, _b\n_a = _c\n");
        let back = assemble(target, "back", ".globl _c\n_c = _a\n");
        let [ours, _] = both(target, &[inputs[0], around.to_str().unwrap(), back.to_str().unwrap(), outer]);
        assert!(ours.unwrap_err().contains("is another name for itself"));
    }
}

/// A weak reference is to what a library has: that it may be missing is about the time when the image is loaded.
#[test]
#[ignore = "needs the package llvm-19"]
fn weak_references_are_to_something() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let text =
            ".weak_reference _absent\n.section __DATA,__data\n.globl _wants\n.p2align 3\n_wants: .quad _absent\n";
        let object = assemble(target, "weakly", text);
        let object = object.to_str().unwrap();
        for result in both(target, &[object]) {
            assert!(result.unwrap_err().contains("undefined symbol: _absent"));
        }
        for more in [&["-undefined", "dynamic_lookup"][..], &["-U", "_absent"]] {
            as_lld(target, &[&[object], more].concat());
        }
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn other_names_stand_in_lists() {
    let list = place().join("names");
    fs::write(&list, "# others\n_pointers _other\n\n  _pointers\t_third # and one more\n").unwrap();
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = pointers(target, &["_pointers"]);
        let given = |more: &[&str]| both(target, &[&[object.to_str().unwrap()], more].concat())[0].clone();
        let listed = given(&["-alias_list", list.to_str().unwrap()]).unwrap();
        assert!(given(&["-alias", "_pointers", "_other", "-alias", "_pointers", "_third"]).unwrap() == listed);
        assert_eq!(Image::new(&listed).exports().len(), 3);
        // What changes nothing.
        let more =
            ["-multiply_defined", "suppress", "-weak_reference_mismatches", "weak", "-read_only_relocs", "suppress"];
        assert!(given(&more).unwrap() == given(&[]).unwrap());
    }
    fs::write(&list, "_one\n").unwrap();
    let [ours, _] = both(MACOS_ARM64, &["-alias_list", list.to_str().unwrap(), "x.o"]);
    assert!(ours.unwrap_err().contains("it has the line '_one'"));
}

/// What a library has and is asked for by its name is passed on to others.
#[test]
#[ignore = "needs the package llvm-19"]
fn names_of_libraries_are_passed_on() {
    let directory = place();
    let targets = "targets: [ x86_64-macos, arm64-macos ]";
    let text = format!(
        "--- !tapi-tbd\ntbd-version: 4\n{targets}\ninstall-name: '/usr/lib/libhas.dylib'\nexports:\n  - {targets}\n    \
         symbols: [ _used, _unused, _other ]\n    weak-symbols: [ _weak ]\n    thread-local-symbols: [ _local ]\n...\n"
    );
    fs::write(directory.join("libhas.tbd"), text).unwrap();
    let search = format!("-L{}", directory.display());
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = pointers(target, &["_used", "_other"]);
        let empty = assemble(target, "nothing", ".globl _nothing\n.text\n_nothing: ret\n");
        let asked = ["_used", "_unused", "_weak", "_local"].map(|name| ["-exported_symbol", name]).concat();
        for more in
            [&["-exported_symbol", "_point*"][..], &["-dead_strip"], &["-dead_strip_dylibs"], &["-no_fixup_chains"]]
        {
            for input in [&object, &empty] {
                let plain = [input.to_str().unwrap(), &search, "-lhas"];
                let images = both(target, &[&plain[..], &asked, more].concat()).map(Result::unwrap);
                let [ours, theirs] = images.each_ref().map(|image| Image::new(image).passed_on());
                assert_eq!(ours, theirs, "{more:?}");
                let names: Vec<(&[u8], u64)> = ours.iter().map(|(name, (_, library))| (&name[..], *library)).collect();
                assert_eq!(names, [(&b"_local"[..], 1), (b"_unused", 1), (b"_used", 1), (b"_weak", 1)], "{more:?}");
                let [ours, theirs] = images.each_ref().map(|image| Image::new(image));
                assert_eq!((ours.libraries(), ours.exported()), (theirs.libraries(), theirs.exported()), "{more:?}");
            }
        }
    }
}
