#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::options::Target;

/// The header of an ELF file for x86-64, of type `kind` (1 relocatable, 3 shared), and nothing else.
fn elf(kind: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = kind;
    bytes[18] = 62;
    bytes
}

/// The same, for 32-bit x86.
fn elf32(kind: u8) -> Vec<u8> {
    let mut bytes = elf(kind);
    bytes[4] = 1;
    bytes[18] = 3;
    bytes
}

/// An archive of one object.
fn archive(object: &[u8]) -> Vec<u8> {
    let header = format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "a.o/", 0, 0, 0, 644, object.len());
    [b"!<arch>\n", header.as_bytes(), object].concat()
}

/// A directory with the files given; directories in their names are made.
fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

fn options(directory: &Path, search_paths: &[&str]) -> Options {
    let search_paths = search_paths.iter().map(|path| directory.join(path)).collect();
    Options { search_paths, ..Options::default() }
}

fn path<'a>(path: impl Into<PathBuf>) -> Input<'a> {
    Input { source: Source::Path(path.into()), mode: Mode::default() }
}

fn library<'a>(name: &str) -> Input<'a> {
    Input { source: Source::Library(name.to_owned()), mode: Mode::default() }
}

fn as_needed(mut input: Input<'_>) -> Input<'_> {
    input.mode.as_needed = true;
    input
}

/// What was opened: kind, name below `directory`, and `?` if it is as needed.
fn opened(directory: &Path, inputs: Vec<Input<'_>>, options: &Options) -> Vec<String> {
    let inputs = Inputs::open(inputs, options).unwrap();
    let below = |name: &str| {
        let path = Path::new(name).strip_prefix(directory).unwrap_or(Path::new(name));
        path.to_str().unwrap().replace('\\', "/")
    };
    let describe = |item: Opened<'_>| {
        format!("{:?} {}{}", item.kind, below(item.name), if item.mode.as_needed { "?" } else { "" })
    };
    inputs.items().map(describe).collect()
}

fn problems(inputs: Vec<Input<'_>>, options: &Options) -> Vec<String> {
    let errors = Inputs::open(inputs, options).unwrap_err();
    errors.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn inputs_are_told_apart_by_content() {
    let (object, shared) = (elf(1), elf(3));
    let archive = archive(&object);
    let dir = directory(&[("jl_x1", &object), ("jl_x2", &archive), ("jl_x3", &shared)]);
    let root = dir.path();
    let inputs = || ["jl_x1", "jl_x2", "jl_x3"].map(|name| path(root.join(name))).to_vec();
    let expected = ["Object jl_x1", "Archive jl_x2", "SharedLibrary jl_x3"];
    for read_inputs in [false, true] {
        let options = Options { read_inputs, ..Options::default() };
        assert_eq!(opened(root, inputs(), &options), expected);
        let inputs = Inputs::open(inputs(), &options).unwrap();
        let contents: Vec<_> = inputs.items().map(|item| item.bytes).collect();
        assert_eq!(contents, [&object, &archive, &shared]);
    }
}

#[test]
fn bytes_in_memory_are_not_copied() {
    let (object, archive) = (elf(1), archive(&elf(1)));
    let bytes = |name: &str, bytes| Input {
        source: Source::Bytes { name: name.to_owned(), bytes },
        mode: Mode { whole_archive: true, ..Mode::default() },
    };
    let inputs = Inputs::open(vec![bytes("one", &object), bytes("two", &archive)], &Options::default()).unwrap();
    let items: Vec<_> = inputs.items().collect();
    assert_eq!(items[0].bytes.as_ptr(), object.as_ptr());
    assert_eq!((items[1].name, items[1].kind), ("two", Kind::Archive));
    assert!(items[1].mode.whole_archive);
    assert_eq!(items[1].archive().unwrap().members().count(), 1);

    let texts =
        problems(vec![bytes("script", b"INPUT(/etc/passwd)"), bytes("thin", b"!<thin>\n")], &Options::default());
    assert_eq!(texts[0], "script: text in memory: a linker script has to be given by its path");
    assert_eq!(texts[1], "thin: thin archive: its members are files, so give its path");
}

#[test]
fn libraries_are_searched_in_order() {
    let (shared, archive) = (elf(3), archive(&elf(1)));
    let dir = directory(&[
        ("one/liba.a", &archive),
        ("two/liba.so", &shared),
        ("two/liba.a", &archive),
        ("two/libb.so", &shared),
        ("two/libb.a", &archive),
        ("two/c.o", &elf(1)),
        ("one/libd.so/file", b""),
        ("two/libd.so", &shared),
    ]);
    let root = dir.path();
    let options = options(root, &["none", "one", "two"]);
    let inputs = vec![library("a"), library("b"), library(":c.o"), library("d")];
    let expected = ["Archive one/liba.a", "SharedLibrary two/libb.so", "Object two/c.o", "SharedLibrary two/libd.so"];
    assert_eq!(opened(root, inputs, &options), expected);
    let mut fixed = library("b");
    fixed.mode.static_only = true;
    assert_eq!(opened(root, vec![fixed], &options), ["Archive two/libb.a"]);
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let dir = directory(&[("a.o", &elf(1)), ("notes", b"remember the milk\n"), ("empty", b"")]);
    let root = dir.path();
    let options = options(root, &["lib"]);
    let inputs = vec![
        path(root.join("gone.o")),
        library("gone"),
        path(root.join("a.o")),
        path(root.join("gone.o")),
        path(root.join("notes")),
        path(root.join("empty")),
        path(root),
    ];
    let texts = problems(inputs, &options);
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert!(texts[0].starts_with(&format!("cannot read {}: ", root.join("gone.o").display())));
    assert_eq!(texts[1], format!("library not found: -lgone: searched {}", root.join("lib").display()));
    assert!(texts[2].ends_with("notes: text file, not a linker script that names libraries"));
    assert!(texts[3].ends_with("is a directory"), "{texts:?}");
}

#[test]
fn an_empty_file_says_nothing_and_empty_bytes_are_a_mistake() {
    let dir = directory(&[("a.o", &elf(1)), ("empty", b"")]);
    let root = dir.path();
    let options = options(root, &[]);
    let inputs = vec![path(root.join("empty")), path(root.join("a.o")), path(root.join("empty"))];
    assert_eq!(opened(root, inputs, &options), ["Object a.o"]);
    assert_eq!(problems(vec![Input::bytes("nothing", b"")], &options), ["nothing: empty file"]);
    // There, an empty file is no script.
    for target in [Target::MACOS_AARCH64, Target::WINDOWS_X86_64] {
        let options = Options { target: Some(target), ..Options::default() };
        assert!(problems(vec![path(root.join("empty"))], &options)[0].ends_with("empty: empty file"));
    }
    // A definition file may say nothing.
    let dir = directory(&[("none.def", b"")]);
    let options = Options { target: Some(Target::WINDOWS_X86_64), ..Options::default() };
    let inputs = vec![path(dir.path().join("none.def")), Input::bytes("other.def", b"")];
    assert_eq!(opened(dir.path(), inputs, &options), ["Definitions none.def", "Definitions other.def"]);
}

#[test]
fn what_cannot_be_linked_is_named() {
    let mut executable = elf(2);
    executable[5] = 2;
    executable.swap(16, 17);
    let cases: [(&[u8], &str); 7] = [
        (b"BC\xc0\xde....", "LLVM bitcode"),
        (b"\xde\xc0\x17\x0b....", "LLVM bitcode"),
        (b"\xcf\xfa\xed\xfe....", "Mach-O file that ends inside its header"),
        (b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x02\0\0\0", "Mach-O executable"),
        (b"\x01\x02\x03", "binary file of an unknown format"),
        (b"\x7fELF\x02", "ELF file that ends inside its header"),
        (&executable, "ELF executable"),
    ];
    for (bytes, what) in cases {
        let source = Source::Bytes { name: "x".to_owned(), bytes };
        let texts = problems(vec![Input { source, mode: Mode::default() }], &Options::default());
        assert!(texts[0].starts_with(&format!("x: {what}")), "{texts:?}");
    }
}

#[test]
fn libraries_for_other_machines_are_passed_over_if_the_target_is_known() {
    // The x32 ABI has the machine's number and the smaller class.
    let mut x32 = elf(3);
    x32[4] = 1;
    let dir = directory(&[
        ("lib32/liba.so", &elf32(3)),
        ("libx32/liba.so", &x32),
        ("lib32/libb.a", &archive(&elf32(1))),
        ("lib32/libc.so", b"OUTPUT_FORMAT(elf32-i386) INPUT(liba.so)"),
        ("lib64/liba.so", &elf(3)),
        ("lib64/libb.a", &archive(&elf(1))),
        ("lib64/libc.so", b"OUTPUT_FORMAT(elf64-x86-64) INPUT(liba.so)"),
    ]);
    let root = dir.path();
    let mut options = options(root, &["lib32", "libx32", "lib64"]);
    assert_eq!(opened(root, vec![library("a")], &options), ["SharedLibrary lib32/liba.so"]);
    options.target = Some(Target::LINUX_X86_64);
    let inputs = vec![library("a"), library("b"), library("c")];
    assert_eq!(opened(root, inputs.clone(), &options), ["SharedLibrary lib64/liba.so", "Archive lib64/libb.a"]);
    let inputs = Inputs::open(inputs, &options).unwrap();
    assert_eq!(inputs.warnings().len(), 4);
    assert!(inputs.warnings()[0].ends_with("liba.so: passed over in the search: for another machine"));
    // Named by path it is not passed over: that it does not fit is for the link to say.
    assert_eq!(opened(root, vec![path(root.join("lib32/liba.so"))], &options), ["SharedLibrary lib32/liba.so"]);
}

#[test]
fn a_file_is_opened_once() {
    let dir = directory(&[("a.o", &elf(1)), ("liba.so.1", &elf(3)), ("b/libb.a", &archive(&elf(1)))]);
    let root = dir.path();
    fs::hard_link(root.join("liba.so.1"), root.join("liba.so")).unwrap();
    let options = options(root, &["", "b"]);
    let (first, second) = (root.join("a.o"), root.join("b/../a.o"));
    let inputs = vec![
        path(&first),
        as_needed(library("a")),
        library("b"),
        path(&second),
        as_needed(path(root.join("liba.so.1"))),
        library("b"),
    ];
    if cfg!(unix) {
        let expected = [
            "Object a.o".to_owned(),
            "SharedLibrary liba.so?".to_owned(),
            "Archive b/libb.a".to_owned(),
            "Object b/../a.o".to_owned(),
            "Archive b/libb.a".to_owned(),
        ];
        assert_eq!(opened(root, inputs.clone(), &options), expected);
    }
    let opened_inputs = Inputs::open(inputs.clone(), &options).unwrap();
    let items: Vec<_> = opened_inputs.items().collect();
    assert_eq!(items[0].bytes.as_ptr(), items[3].bytes.as_ptr());
    assert_eq!(items[0].bytes.as_ptr(), items[3].bytes.as_ptr());

    // As needed only if each mention says so.
    let inputs = [inputs, vec![library("a")]].concat();
    assert_eq!(opened(root, inputs, &options)[1], "SharedLibrary liba.so");
}

#[test]
fn scripts_name_libraries() {
    let script = b"/* GNU ld script */ GROUP ( libx.so.1 sub/y.a -lz AS_NEEDED ( libw.so ) )";
    let (shared, archive) = (elf(3), archive(&elf(1)));
    let dir = directory(&[
        ("one/libx.so", script),
        ("one/libx.so.1", &shared),
        ("one/sub/y.a", &archive),
        ("two/libx.so.1", &shared),
        ("two/libz.a", &archive),
        ("two/libw.so", &shared),
    ]);
    let root = dir.path();
    let options = options(root, &["one", "two"]);
    // Beside the script first, then in the search paths.
    let expected =
        ["SharedLibrary one/libx.so.1", "Archive one/sub/y.a", "Archive two/libz.a", "SharedLibrary two/libw.so?"];
    assert_eq!(opened(root, vec![library("x")], &options), expected);
    assert_eq!(opened(root, vec![path(root.join("one/libx.so"))], &options), expected);
    let twice = opened(root, vec![library("x"), library("x")], &options);
    assert_eq!(twice, [&expected[..], &["Archive one/sub/y.a", "Archive two/libz.a"]].concat());
    let all_as_needed = opened(root, vec![as_needed(library("x"))], &options);
    assert_eq!(all_as_needed[0], "SharedLibrary one/libx.so.1?");
}

#[test]
fn scripts_add_search_directories() {
    let dir = directory(&[("three/liba.so", &elf(3))]);
    let root = dir.path();
    let script = format!("SEARCH_DIR(\"{}\") INPUT(-la)", root.join("three").display());
    fs::write(root.join("script"), script).unwrap();
    assert_eq!(opened(root, vec![path(root.join("script"))], &Options::default()), ["SharedLibrary three/liba.so"]);
}

#[test]
fn the_system_root_stands_for_its_marks_and_before_absolute_paths() {
    let (shared, archive) = (elf(3), archive(&elf(1)));
    let dir = directory(&[
        ("root/lib/liba.so", b"INPUT(/lib/real.so =/lib/b.a $SYSROOT/lib/c.a)"),
        ("root/lib/real.so", &shared),
        ("root/lib/b.a", &archive),
        ("root/lib/c.a", &archive),
    ]);
    let root = dir.path();
    let expected = ["SharedLibrary root/lib/real.so", "Archive root/lib/b.a", "Archive root/lib/c.a"];
    for search_path in ["=/lib", "$SYSROOT/lib"] {
        let options =
            Options { search_paths: vec![search_path.into()], sysroot: Some(root.join("root")), ..Options::default() };
        assert_eq!(opened(root, vec![library("a")], &options), expected);
        // A script outside of the system root means what it says.
        fs::write(root.join("outside"), "INPUT(/lib/real.so)").unwrap();
        let texts = problems(vec![path(root.join("outside"))], &options);
        assert!(texts[0].starts_with("cannot read /lib/real.so: "), "{texts:?}");
        assert!(texts[0].ends_with("outside names it"), "{texts:?}");
    }
}

#[test]
fn scripts_that_lead_nowhere_end() {
    let dir = directory(&[
        ("self", b"INPUT(self)"),
        ("ping", b"INPUT(pong)"),
        ("pong", b"INPUT(ping)"),
        ("bad", b"SECTIONS { }"),
        ("lost", b"INPUT(nowhere.o -lnowhere)"),
    ]);
    let root = dir.path();
    for index in 0..20 {
        fs::write(root.join(format!("deep{index}")), format!("INPUT(deep{} deep{})", index + 1, index + 1)).unwrap();
    }
    let only = |name: &str| problems(vec![path(root.join(name))], &Options::default());
    assert!(only("self")[0].ends_with("self: linker script that names itself"));
    assert!(only("ping")[0].ends_with("ping: linker script that names itself"));
    assert!(only("bad")[0].contains("line 1: SECTIONS: "));
    assert!(only("deep0")[0].ends_with("deep16: linker script inside of too many others"));
    let lost = only("lost");
    assert!(lost[0].starts_with("cannot read nowhere.o: ") && lost[0].ends_with("lost names it"), "{lost:?}");
    assert_eq!(lost[1], "library not found: -lnowhere: no directory to search, give one with -L");
}

#[test]
fn members_of_thin_archives_are_files_beside_them() {
    let mut thin = archive(&[]);
    thin[..8].copy_from_slice(b"!<thin>\n");
    let object = elf(1);
    let dir = directory(&[("one/lib.a", &thin), ("one/a.o", &object), ("two/lib.a", &thin)]);
    let root = dir.path();
    let archives = vec![path(root.join("one/lib.a")), path(root.join("one/lib.a"))];
    let inputs = Inputs::open(archives, &Options::default()).unwrap();
    for item in inputs.items() {
        let members: Vec<_> = item.archive().unwrap().members().map(Result::unwrap).collect();
        assert_eq!(members.len(), 1);
        assert_eq!((members[0].name, members[0].bytes), (&b"a.o"[..], &object[..]));
    }
    let texts = problems(vec![path(root.join("two/lib.a"))], &Options::default());
    assert!(texts[0].contains("a.o: ") && texts[0].ends_with("lib.a names it"), "{texts:?}");
}

#[test]
fn sonames_default_as_the_input_was_named() {
    let dir = directory(&[("libx.so", &elf(3))]);
    let root = dir.path();
    let inputs = Inputs::open(vec![library("x")], &options(root, &[""])).unwrap();
    assert_eq!(inputs.items().next().unwrap().default_soname, "libx.so");
    let inputs = Inputs::open(vec![path(root.join("libx.so"))], &Options::default()).unwrap();
    let item = inputs.items().next().unwrap();
    assert_eq!(item.default_soname, item.name);
}

/// `-lc`, `-lgcc_s` and `-lm` are linker scripts on most systems.
#[cfg(target_os = "linux")]
#[test]
fn the_libraries_of_this_system_are_found() {
    let mut directories = vec![];
    for name in ["libc.so", "libgcc.a", "libm.so.6"] {
        directories.push(crate::testing::compiler_file(name).parent().unwrap().to_owned());
    }
    let options = Options { search_paths: directories, target: Some(Target::LINUX_X86_64), ..Options::default() };
    let inputs = vec![library("gcc"), as_needed(library("gcc_s")), library("c"), library("m")];
    let inputs = Inputs::open(inputs, &options).unwrap();
    let named = |name: &str| {
        let found = inputs.items().find(|item| Path::new(item.name).file_name().unwrap() == name);
        found.unwrap_or_else(|| panic!("{name}: {:?}", inputs.items))
    };
    assert!(named("libgcc.a").archive().unwrap().index().unwrap().definer(b"__udivti3").is_some());
    let libc = named("libc.so.6");
    assert!(!libc.mode.as_needed);
    assert_eq!(libc.library().unwrap().elf().unwrap().soname(), b"libc.so.6");
    assert!(named("libc_nonshared.a").archive().unwrap().index().unwrap().definer(b"atexit").is_some());
    assert!(named("ld-linux-x86-64.so.2").mode.as_needed);
    assert!(named("libgcc_s.so.1").mode.as_needed);
    let malloc = libc.library().unwrap().lookup(b"malloc", None, None).unwrap();
    assert_eq!(malloc.kind, crate::model::SymbolKind::Function);
}

/// A text stub of a library of macOS that re-exports others.
fn stub(install_name: &str, reexports: &str) -> Vec<u8> {
    let targets = "targets: [ arm64-macos ]";
    let text = format!(
        "--- !tapi-tbd\ntbd-version: 4\n{targets}\ninstall-name: {install_name}\n\
         reexported-libraries:\n  - {targets}\n    libraries: [ {reexports} ]\n...\n"
    );
    text.into_bytes()
}

/// What is re-exported is found by search, in the system root and beside whoever re-exports it; circles end; an object that
/// stands where a library should is none; what is nowhere is passed over.
#[test]
fn libraries_that_others_reexport_are_found() {
    let object = [0xcf, 0xfa, 0xed, 0xfe, 12, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0];
    let directory = directory(&[
        (
            "lib/liba.tbd",
            &stub("/usr/lib/liba.dylib", "/usr/lib/sub/libb.dylib, '@loader_path/in/libc.dylib', /none/libx.dylib"),
        ),
        ("lib/in/libc.tbd", &stub("/other/libc.dylib", "/wrong/place/libd.dylib, /odd/libe.dylib")),
        ("lib/libd.tbd", &stub("/usr/lib/libd.dylib", "/usr/lib/liba.dylib, /F.framework/Versions/A/F")),
        ("frameworks/F.framework/F.tbd", &stub("/F.framework/Versions/A/F", "")),
        ("root/usr/lib/sub/libb.tbd", &stub("/usr/lib/sub/libb.dylib", "/usr/lib/liba.dylib")),
        ("root/odd/libe.dylib", &object),
    ]);
    let root = directory.path();
    let mut options = options(root, &["lib"]);
    options.target = Some(Target::MACOS_AARCH64);
    options.sysroot = Some(root.join("root"));
    options.macho.framework_paths = vec![root.join("frameworks")];
    let found = opened(root, vec![library("a")], &options);
    let wanted = [
        "lib/liba.tbd",
        "root/usr/lib/sub/libb.tbd",
        "lib/in/libc.tbd",
        "lib/libd.tbd",
        "frameworks/F.framework/F.tbd",
    ];
    assert_eq!(found, wanted.map(|name| format!("SharedLibrary {name}")));
    let inputs = Inputs::open(vec![library("a"), path(root.join("lib/libd.tbd"))], &options).unwrap();
    let implied: Vec<bool> = inputs.items().map(|item| item.implied).collect();
    assert_eq!(implied, [false, false, true, true, true]);
    // Bytes in memory never cause a file to be opened, whatever their name.
    let bytes = stub("/usr/lib/liba.dylib", "/usr/lib/sub/libb.dylib");
    let inputs = Inputs::open(vec![Input::bytes("liba.tbd", &bytes)], &options).unwrap();
    assert_eq!((inputs.items().count(), inputs.paths().count()), (1, 0));
}

/// What objects ask for is found for those that are files, and never for bytes in memory: not even under a file's name.
#[test]
fn bytes_in_memory_ask_for_no_library() {
    let plain =
        [0xcf, 0xfa, 0xed, 0xfe, 12, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut asking = plain.to_vec();
    asking[16] = 1; // commands
    asking[20] = 24; // their bytes
    asking.extend([0x2d, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0]); // LC_LINKER_OPTION
    asking.extend(b"-levil\0\0\0\0\0\0");
    let directory = directory(&[("lib/libevil.a", b"!<arch>\n"), ("plain.o", &plain), ("asking.o", &asking)]);
    let root = directory.path();
    let mut options = options(root, &["lib"]);
    options.target = Some(Target::MACOS_AARCH64);
    let found = opened(root, vec![path(root.join("asking.o"))], &options);
    assert_eq!(found, ["Object asking.o", "Archive lib/libevil.a?"]);
    let name = root.join("plain.o");
    let inputs = vec![path(name.clone()), Input::bytes(name.display().to_string(), &asking)];
    assert_eq!(opened(root, inputs, &options), ["Object plain.o", "Object plain.o"]);
}

/// A thin archive may name one file as often as it has members; the file is opened once.
#[test]
fn members_that_are_one_file_are_opened_once() {
    let header = |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    let names = "a.o/\n\n";
    let mut archive = format!("!<thin>\n{}{names}", header("//", names.len()));
    archive.extend((0..70_000).map(|_| header("/0", 64)));
    // Of a size that is worth mapping.
    let directory = directory(&[("thin.a", archive.as_bytes()), ("a.o", &vec![0x7f; 1 << 16])]);
    let inputs = Inputs::open(vec![path(directory.path().join("thin.a"))], &Options::default()).unwrap();
    assert_eq!(inputs.paths().count(), 2);
    assert_eq!(inputs.items().map(|item| item.members.len()).sum::<usize>(), 70_000);
}

/// What inputs have looked at is bounded: places are a product of what they name.
#[test]
fn inputs_cannot_have_any_number_of_places_looked_at() {
    let count = 1000;
    let script: String = (0..count).map(|number| format!("SEARCH_DIR(/d{number})\nINPUT(-l{number})\n")).collect();
    let mut commands = Vec::new();
    let mut command = |kind: u32, fixed: &[u32], text: String| {
        let start = commands.len();
        let size = (8 + 4 * fixed.len() + text.len() + 1).next_multiple_of(8);
        [&[kind, size as u32][..], fixed].concat().iter().for_each(|word| commands.extend(word.to_le_bytes()));
        commands.extend(text.bytes());
        commands.resize(start + size, 0);
    };
    command(0xd, &[24, 0, 0, 0], "/x.dylib".to_owned()); // LC_ID_DYLIB
    for number in 0..count {
        command(0x8000_001f, &[24, 0, 0, 0], format!("@rpath/r{number}")); // LC_REEXPORT_DYLIB
        command(0x8000_001c, &[12], format!("/p{number}")); // LC_RPATH
    }
    let header = [0xfeed_facf, 0x0100_000c, 0, 6, 1 + 2 * count, commands.len() as u32, 0x85, 0];
    let library = [header.iter().flat_map(|word: &u32| word.to_le_bytes()).collect(), commands].concat();
    let directory = directory(&[("script", script.as_bytes()), ("x.dylib", &library)]);
    let mut options = Options::default();
    // Nothing is found; after some hundred names, each searched in all directories, it is enough.
    let errors = Inputs::open(vec![path(directory.path().join("script"))], &options).unwrap_err();
    let told = errors.problems().len() + errors.cut();
    assert!((100..200).contains(&told), "{told}");
    options.target = Some(Target::MACOS_AARCH64);
    let said = problems(vec![path(directory.path().join("x.dylib"))], &options);
    assert!(said.iter().any(|line| line.contains("re-export have too many places in all")), "{said:?}");
}
