//! Resources of several objects, which the loader finds in one tree.

use std::fs;

use pkgld::Target;

use crate::common::scratch;
use crate::dll::Dll;
use crate::objects::{Object, STATIC, Section, Symbol};
use crate::support::{link, options, run, under_wine};

const X64: Target = Target::WINDOWS_X86_64;
const HIGH: u32 = 1 << 31;
const IMAGE_RELATIVE: u16 = 3;
const FLAGS: u32 = 0x4030_0040;

/// Kind, name and language, each a name or a number behind `#`; and the data.
type Resource<'a> = ([&'a str; 3], &'a [u8]);

/// The tree of resources that are in its order, with zeros for where the data are; and where it has data entries.
fn tree(resources: &[Resource<'_>]) -> (Vec<u8>, Vec<u32>) {
    fn directory(bytes: &mut Vec<u8>, entries: &mut Vec<u32>, level: usize, resources: &[Resource<'_>]) -> u32 {
        let start = bytes.len();
        let groups: Vec<_> = resources.chunk_by(|one, other| one.0[level] == other.0[level]).collect();
        let named = groups.iter().filter(|group| !group[0].0[level].starts_with('#')).count() as u16;
        bytes.extend([0; 12]);
        bytes.extend([named, groups.len() as u16 - named].map(u16::to_le_bytes).concat());
        bytes.resize(start + 16 + 8 * groups.len(), 0);
        for (number, group) in groups.into_iter().enumerate() {
            let key = group[0].0[level];
            let key = key.strip_prefix('#').map(|digits| digits.parse().unwrap()).unwrap_or_else(|| {
                let at = bytes.len() as u32;
                bytes.extend((key.encode_utf16().count() as u16).to_le_bytes());
                bytes.extend(key.encode_utf16().flat_map(u16::to_le_bytes));
                at | HIGH
            });
            let below = if level < 2 {
                directory(bytes, entries, level + 1, group) | HIGH
            } else {
                entries.push(bytes.len() as u32);
                bytes.extend([0, group[0].1.len() as u32, 1252, 0].map(u32::to_le_bytes).concat());
                bytes.len() as u32 - 16
            };
            let entry = start + 16 + 8 * number;
            bytes[entry..entry + 8].copy_from_slice(&[key, below].map(u32::to_le_bytes).concat());
        }
        start as u32
    }
    let (mut bytes, mut entries) = (Vec::new(), Vec::new());
    directory(&mut bytes, &mut entries, 0, resources);
    (bytes, entries)
}

/// An object as MinGW's compiler of resources makes it, or, in two sections, as Microsoft's does.
fn object(resources: &[Resource<'_>], apart: bool) -> Object {
    let (mut bytes, entries) = tree(resources);
    let mut object = Object::new("");
    let (mut data, mut relocations) = (Vec::new(), Vec::new());
    for (entry, (_, contents)) in entries.into_iter().zip(resources) {
        let value = data.len() as u32;
        let symbol = Symbol { name: "data", value, section: if apart { 4 } else { 3 }, class: STATIC, further: None };
        relocations.push((entry, object.record(symbol), IMAGE_RELATIVE));
        data.extend_from_slice(contents);
        data.resize(data.len().next_multiple_of(8), 0);
    }
    if apart {
        object.sections.push(Section::new(".rsrc$01", FLAGS, &bytes));
        object.sections.push(Section::new(".rsrc$02", FLAGS, &data));
    } else {
        // What stands in a field is added.
        let start = bytes.len() as u32;
        for (entry, ..) in &relocations {
            bytes[*entry as usize..][..4].copy_from_slice(&start.to_le_bytes());
        }
        bytes.extend(data);
        object.sections.push(Section::new(".rsrc", FLAGS, &bytes));
    }
    object.sections[2].relocations = relocations;
    object
}

/// The resources of a DLL: path, code page, data.
fn resources(dll: &Dll) -> Vec<(String, u32, Vec<u8>)> {
    let (root, size) = dll.directory(2);
    let section = dll.section(".rsrc");
    assert_eq!((root, size), (section.start, section.size));
    let u16 = |at: u32| dll.u32(at) & 0xffff;
    let entries = |at: u32| {
        let (named, numbers) = (u16(root + at + 12), u16(root + at + 14));
        let mut keys = Vec::new();
        let mut found = Vec::new();
        for number in 0..named + numbers {
            let entry = root + at + 16 + 8 * number;
            let (key, below) = (dll.u32(entry), dll.u32(entry + 4));
            assert_eq!(key & HIGH != 0, number < named, "names stand first");
            let at = root + (key & !HIGH);
            let units = || (0..u16(at)).map(|unit| u16(at + 2 + 2 * unit) as u16).collect::<Vec<_>>();
            let name = if key & HIGH != 0 { units() } else { Vec::new() };
            found.push((if name.is_empty() { format!("#{key}") } else { String::from_utf16(&name).unwrap() }, below));
            keys.push((key & HIGH == 0, name, key));
        }
        assert!(keys.is_sorted_by(|one, other| (one.0, &one.1) < (other.0, &other.1) || one.2 < other.2), "{keys:?}");
        found
    };
    let mut found = Vec::new();
    for (kind, names) in entries(0) {
        for (name, languages) in entries(names & !HIGH) {
            for (language, entry) in entries(languages & !HIGH) {
                assert_eq!((names & HIGH, languages & HIGH, entry & HIGH), (HIGH, HIGH, 0));
                let field = |at: u32| dll.u32(root + entry + at);
                assert_eq!((field(0) % 4, field(12)), (0, 0));
                let data = if field(4) == 0 { Vec::new() } else { dll.at(field(0), field(4)) };
                found.push((format!("{kind} {name} {language}"), field(8), data));
            }
        }
    }
    found
}

fn linked(objects: &[Object]) -> Result<Dll, String> {
    let objects: Vec<Vec<u8>> = objects.iter().map(Object::build).collect();
    link(&options(X64), &objects).map(|image| Dll::new(&image)).map_err(|errors| errors.to_string())
}

const ONE: [Resource<'_>; 5] = [
    (["TYPE", "FO", "#0"], b"named"),
    (["TYPE", "FOO", "#0"], b"longer"),
    (["#6", "#1", "#1033"], b"a text"),
    (["#10", "#10", "#7"], b"seven"),
    (["#10", "#11", "#7"], b""),
];
const OTHER: [Resource<'_>; 5] = [
    (["ATYPE", "FOO", "#0"], b"another"),
    (["TYPE", "F", "#0"], b"x"),
    (["TYPE", "\u{e9}", "#0"], b"\xe9"),
    (["#10", "#10", "#1033"], b"english"),
    (["#16", "#1", "#1033"], b"version"),
];

#[test]
fn resources_of_several_objects_are_one_tree() {
    let mut expected: Vec<_> =
        ONE.iter().chain(&OTHER).map(|(path, data)| (path.join(" "), 1252, data.to_vec())).collect();
    let order = ["ATYPE FOO #0", "TYPE F #0", "TYPE FO #0", "TYPE FOO #0", "TYPE \u{e9} #0", "#6 #1 #1033"];
    let order = [&order[..], &["#10 #10 #7", "#10 #10 #1033", "#10 #11 #7", "#16 #1 #1033"]].concat();
    expected.sort_by_key(|(path, ..)| order.iter().position(|it| it == path));
    let mut collecting = options(X64);
    collecting.gc_sections = true;
    for (one, other) in [(false, false), (false, true), (true, true)] {
        let objects = [object(&ONE, one), object(&OTHER, other)];
        let dll = linked(&objects).unwrap();
        assert_eq!(resources(&dll), expected);
        assert!(dll.base_relocations().is_empty());
        assert_eq!(dll.section(".rsrc").characteristics, 0x4000_0040);
        // Nothing refers to them, and their order makes no difference.
        let bytes: Vec<Vec<u8>> = objects.iter().map(Object::build).collect();
        assert_eq!(resources(&Dll::new(&link(&collecting, &bytes).unwrap())), expected);
        assert_eq!(resources(&linked(&[objects[1].clone(), objects[0].clone()]).unwrap()), expected);
    }
    // Of one object alone the bytes stay as they are.
    let alone = object(&ONE, false);
    let dll = linked(std::slice::from_ref(&alone)).unwrap();
    let (section, contents) = (dll.section(".rsrc"), &alone.sections[2].contents);
    assert_eq!((section.size as usize, resources(&dll).len()), (contents.len(), 5));
    assert_eq!(dll.at(section.start, 80), contents[..80]);
}

#[test]
fn resources_that_contradict_each_other_are_told() {
    let text = |language| ([(["#6", "#1", language], &b"text"[..])], false);
    let linked = |objects: &[(&[Resource<'_>], bool)]| {
        linked(&objects.iter().map(|(resources, apart)| object(resources, *apart)).collect::<Vec<_>>())
    };
    let (english, german) = (text("#9"), text("#7"));
    let said = linked(&[(&ONE, false), (&english.0, false), (&german.0, true), (&english.0, true)]).unwrap_err();
    let wanted = "3.o: block of strings, name 1, language 9: 1.o brings one as well";
    assert!(said.contains(wanted) && !said.contains("language 7"), "{said}");
    let named: [Resource<'_>; 1] = [(["TYPE", "FOO", "#0"], b"same")];
    let said = linked(&[(&ONE, false), (&named, false)]).unwrap_err();
    assert!(said.contains("1.o: resource of type 'TYPE', name 'FOO', language 0: 0.o brings"), "{said}");
    // The manifest that compilers add gives way, wherever it stands; others do not.
    let manifest = |language| [(["#24", "#1", language], language.as_bytes())];
    let (default, one, other) = (manifest("#0"), manifest("#1033"), manifest("#7"));
    for objects in [[&default, &one, &default], [&one, &default, &default], [&default, &default, &one]] {
        let dll = linked(&objects.map(|it| (&it[..], false))).unwrap();
        assert_eq!(resources(&dll), [("#24 #1 #1033".to_owned(), 1252, b"#1033".to_vec())]);
    }
    assert_eq!(resources(&linked(&[(&default, false), (&default, true)]).unwrap()).len(), 1);
    let said = linked(&[(&one, false), (&default, false), (&other, false)]).unwrap_err();
    assert!(said.contains("manifest, name 1, language 1033: 2.o brings one as well"), "{said}");
}

#[test]
fn trees_that_are_none_are_told() {
    let good = object(&OTHER, false);
    let refused = |object: &Object| linked(&[good.clone(), object.clone()]).expect_err("this is no tree");
    let change = |at: usize, bytes: &[u8]| {
        let mut object = object(&ONE, false);
        object.sections[2].contents[at..at + bytes.len()].copy_from_slice(bytes);
        refused(&object)
    };
    // The root's first entry is behind its 16 bytes: a name, and where it leads.
    for (at, value, wanted) in [
        (20, 0, "the entry at 0x10 is on no level of three: kind, name, language"),
        // The root as what is below itself, and below that.
        (20, HIGH, "the entry at 0x10 is on no level of three"),
        (20, HIGH | 0x7000_0000, "a directory at 0x70000000 reaches beyond its end"),
        (16, HIGH | 0x7000_0000, "a name at 0x70000000 reaches beyond its end"),
        (12, 0xffff_ffff, "directories overlap"),
    ] {
        let said = change(at, &u32::to_le_bytes(value));
        assert!(said.contains(&format!("1.o: resources (.rsrc): {wanted}")), "{said}");
    }
    let mut lost = object(&ONE, false);
    lost.sections[2].relocations.remove(0);
    assert!(refused(&lost).contains("has no relocation that says where the data are"));
    let mut elsewhere = object(&ONE, true);
    for section in [1, 0, -1] {
        elsewhere.symbols[0].section = section;
        let said = refused(&elsewhere);
        assert!(said.contains("are in no section .rsrc") || said.contains("has no relocation"), "{said}");
    }
    let mut beyond = object(&ONE, true);
    beyond.symbols[0].value = 0xffff_fff0;
    assert!(refused(&beyond).contains("of 5 bytes, are in no section .rsrc"));
    // Cut anywhere, it is an error and no more; whatever a byte is, there is an end.
    let whole = object(&ONE, true);
    for end in 1..whole.sections[2].contents.len() {
        let mut cut = whole.clone();
        cut.sections[2].contents.truncate(end);
        cut.sections[2].relocations.retain(|(place, ..)| (*place as usize) + 4 <= end);
        // The last four bytes say nothing.
        assert!(linked(&[good.clone(), cut]).is_err() || end + 4 >= whole.sections[2].contents.len(), "{end}");
        let mut other = whole.clone();
        other.sections[2].contents[end] ^= 0x80;
        let _ = linked(&[good.clone(), other]);
    }
}

/// A small object may not ask for much more than it brings.
#[test]
fn resources_that_overlap_are_refused() {
    let good = object(&OTHER, false);
    // Each entry of a directory leads to the directory itself.
    let mut looped = Object::new("");
    let mut contents = [&[0; 14][..], &2000_u16.to_le_bytes()].concat();
    contents.extend((0..2000_u32).flat_map(|key| [key, HIGH].map(u32::to_le_bytes).concat()));
    looped.sections.push(Section::new(".rsrc", FLAGS, &contents));
    let said = linked(&[good.clone(), looped]).unwrap_err();
    assert!(said.contains("directories overlap"), "{said}");
    // Names that begin one unit after the other, and data.
    let names: Vec<String> = (0..3000).map(|number| format!("N{number:04}")).collect();
    let paths: Vec<Resource<'_>> = names.iter().map(|name| ([&**name, "#1", "#0"], &b"12345678"[..])).collect();
    let mut overlapping = object(&paths, true);
    let bytes = &mut overlapping.sections[2].contents;
    for number in 0..3000 {
        let entry = 16 + 8 * number;
        bytes[entry..entry + 4].copy_from_slice(&(HIGH | (16 + 2 * number as u32)).to_le_bytes());
    }
    let said = linked(&[good.clone(), overlapping]).unwrap_err();
    assert!(said.contains("names overlap") || said.contains("directories overlap"), "{said}");
    let mut large = object(&paths, true);
    let entries: Vec<usize> = large.sections[2].relocations.iter().map(|(entry, ..)| *entry as usize).collect();
    for entry in &entries[..2000] {
        large.sections[2].contents[entry + 4..entry + 8].copy_from_slice(&8000_u32.to_le_bytes());
    }
    let said = linked(&[good.clone(), large.clone()]).unwrap_err();
    assert!(said.contains("the size of the resources, which overlap in their objects, is"), "{said}");
    // The same data may be those of many.
    large.symbols.iter_mut().for_each(|symbol| symbol.value = 0);
    let dll = linked(&[good, large]).unwrap();
    assert_eq!(resources(&dll).len(), 3005);
    assert!(dll.section(".rsrc").size < 3000 * 140);
}

const HOST: &str = "#include <windows.h>\n#include <stdio.h>\nint main(int count, char **names) {\n\
    HMODULE dll = LoadLibraryExA(names[count - 1], 0, LOAD_LIBRARY_AS_DATAFILE);\n\
    if (!dll) return printf(\"error %lu\", GetLastError());\n\
    char text[20] = \"none\", more[20] = \"none\";\nLoadStringA(dll, 1, text, 20);\nLoadStringA(dll, 40, more, 20);\n\
    HRSRC raw = FindResourceA(dll, \"foo\", RT_RCDATA), typed = FindResourceA(dll, MAKEINTRESOURCE(7), \"mytype\");\n\
    if (!raw || !typed) return printf(\"not found %d %d\", !raw, !typed);\n\
    printf(\"%s %s %.*s %.*s\", text, more, (int)SizeofResource(dll, raw), (char *)LockResource(LoadResource(dll, raw)),\n\
    (int)SizeofResource(dll, typed), (char *)LockResource(LoadResource(dll, typed)));\nreturn 0;\n}\n";

/// What compilers of resources make is found under wine, and is what LLD makes of it.
#[test]
#[ignore = "needs the packages binutils-mingw-w64-x86-64, gcc-mingw-w64-x86-64, llvm-19 and wine64"]
fn resources_are_found() {
    let folder = &scratch("pe-resources");
    let scripts = [
        ("one.rc", "STRINGTABLE { 1 \"hello\" }\nfoo RCDATA { \"raw\" }\n7 MYTYPE { \"seven\" }\n"),
        (
            "two.rc",
            "STRINGTABLE { 40 \"there\" }\nbar RCDATA { \"other\" }\n8 MYTYPE { \"eight\" }\n5 ATYPE { \"a\" }\n",
        ),
    ];
    for (file, text) in scripts.into_iter().chain([("host.c", HOST)]) {
        fs::write(folder.join(file), text).unwrap();
    }
    run(folder, "x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", &["-o", "host.exe", "host.c"]);
    run(folder, "x86_64-w64-mingw32-windres", "binutils-mingw-w64-x86-64", &["one.rc", "one.o"]);
    run(folder, "llvm-windres-19", "llvm-19", &["-O", "res", "two.rc", "two.res"]);
    run(folder, "llvm-cvtres-19", "llvm-19", &["/machine:x64", "/out:two.o", "two.res"]);
    fs::write(folder.join("entry.c"), "int entry(void) { return 1; }\n").unwrap();
    run(folder, "x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", &["-c", "entry.c"]);
    let common = ["-flavor", "gnu", "-m", "i386pep", "-shared", "-e", "entry", "entry.o", "one.o", "two.o", "-o"];
    run(folder, env!("CARGO_BIN_EXE_pkgld"), "", &[&common[..], &["one.dll"]].concat());
    let sysroot = run(folder, "rustc", "rust", &["--print", "sysroot"]);
    let lld = format!("{}/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", sysroot.trim());
    run(folder, &lld, "", &[&common[..], &["two.dll"]].concat());
    let [one, two] = ["one.dll", "two.dll"].map(|file| resources(&Dll::new(&fs::read(folder.join(file)).unwrap())));
    assert_eq!(one, two);
    assert_eq!(under_wine(folder, "wine", "host.exe", &["one.dll"]), "hello there raw seven");
}
