//! Definition files, and import libraries: what others see of a DLL.

use std::fs;

use pkgld::{Input, Inputs, Options, Target};

use crate::common::scratch;
use crate::dll::Dll;
use crate::refused::archive;
use crate::support::{assemble, link_inputs, options, refusal, run, under_wine};

const LIBRARY: &str = "int answer(void) { return 42; }\nint other(void) { return 7; }\nint table[3] = {1, 2, 3};\n\
    int counted(void) { return 9; }\n__attribute__((stdcall)) int sized(int a, int b) { return a * 10 + b; }\n";

const DEFINITIONS: &str = "; a library\nLIBRARY \"deflib.dll\"\nVERSION 2.5\nSTACKSIZE 0x200000,0x3000\nEXPORTS\n\
    answer @10\nrenamed = other\ntable DATA\ncounted @3 NONAME\nsized\ntick = KERNEL32.GetTickCount\n\
    secret = answer PRIVATE\n";

const USER: &str = "int answer(void), renamed(void), counted(void), tick(void);\n\
    __attribute__((stdcall)) int sized(int, int);\n__declspec(dllimport) extern int table[3];\n\
    __declspec(dllexport) int use(void) {\n\
    return tick() == 0 ? 0 : answer() * 10000 + renamed() * 1000 + counted() * 100 + sized(table[1], table[2]);\n}\n";

const HOST: &str = "#include <windows.h>\n#include <stdio.h>\nint use(void);\nint main(int count, char **names) {\n\
    printf(\"%d\", use());\nfor (int i = 1; i < count; i++) {\nHMODULE dll = LoadLibraryA(names[i]);\n\
    if (!dll) return printf(\" error %lu\", GetLastError());\n\
    int (*f)(void) = (void *)GetProcAddress(dll, \"use\");\nprintf(\" %d\", f());\n}\nreturn 0;\n}\n";

/// A DLL is made with a definition file; programs and DLLs that three linkers link against its import library use what it
/// exports.
fn library(folder: &str, cpu: &str, emulation: &str, wine: &str) {
    let folder = &scratch(folder);
    let (gcc, package) = (format!("{cpu}-w64-mingw32-gcc"), format!("gcc-mingw-w64-{}", cpu.replace('_', "-")));
    for (file, text) in [("lib.c", LIBRARY), ("deflib.def", DEFINITIONS), ("use.c", USER), ("host.c", HOST)] {
        fs::write(folder.join(file), text).unwrap();
    }
    run(folder, &gcc, &package, &["-O1", "-c", "lib.c", "use.c", "host.c"]);
    let pkgld = env!("CARGO_BIN_EXE_pkgld");
    let common = ["-flavor", "gnu", "-m", emulation, "-shared"];
    let files = ["-o", "deflib.dll", "lib.o", "deflib.def"];
    let made = ["--out-implib", "libdef.a", "--output-def", "out.def", "--enable-stdcall-fixup", "--fatal-warnings"];
    run(folder, pkgld, "", &[&common[..], &files, &made].concat());
    let definitions = fs::read_to_string(folder.join("out.def")).unwrap();
    let wanted = "LIBRARY deflib.dll\nEXPORTS\n    answer @10\n    counted @3 NONAME\n    renamed @11\n    \
        secret @12 PRIVATE\n    sized @13\n    table @14 DATA\n    tick = KERNEL32.GetTickCount @15\n";
    assert_eq!(definitions, wanted);
    // What is written says the same when it is read; the same is made of the same.
    let library = fs::read(folder.join("libdef.a")).unwrap();
    fs::rename(folder.join("out.def"), folder.join("again.def")).unwrap();
    let prefix = if cpu == "i686" { "_" } else { "" };
    let aliases = [("renamed", "other"), ("secret", "answer")];
    let aliases = aliases.map(|(alias, name)| format!("--defsym={prefix}{alias}={prefix}{name}"));
    let aliases = aliases.each_ref().map(String::as_str);
    run(folder, pkgld, "", &[&common[..], &["-o", "again.dll", "lib.o", "again.def"], &made, &aliases].concat());
    assert_eq!(fs::read(folder.join("out.def")).unwrap(), wanted.as_bytes());
    assert!(fs::read(folder.join("libdef.a")).unwrap() == library);

    let sysroot = run(folder, "rustc", "rust", &["--print", "sysroot"]);
    let lld = format!("{}/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", sysroot.trim());
    let no_entry = [&common[..], &["-e", "0", "use.o", "libdef.a", "-o"]].concat();
    run(folder, pkgld, "", &[&no_entry[..], &["one.dll"]].concat());
    let entry = format!("{prefix}use");
    run(folder, &lld, "", &[&common[..], &["-e", &entry, "use.o", "libdef.a", "-o", "two.dll"]].concat());
    run(folder, &gcc, &package, &["-shared", "-o", "three.dll", "use.o", "libdef.a"]);
    run(folder, &gcc, &package, &["-o", "host.exe", "host.o", "use.o", "libdef.a"]);
    let two = Dll::new(&fs::read(folder.join("two.dll")).unwrap());
    let one = Dll::new(&fs::read(folder.join("one.dll")).unwrap());
    let imported = |dll: &Dll| {
        let mut imports: Vec<_> = dll.imports().into_values().collect();
        imports.sort();
        imports
    };
    assert_eq!(imported(&one), imported(&two), "what LLD imports");
    let said = under_wine(folder, wine, "host.exe", &["one.dll", "three.dll"]);
    assert_eq!(said, "427923 427923 427923");
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn import_libraries_lead_to_the_dll() {
    library("pe-implib", "x86_64", "i386pep", "wine");
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-i686 and mmdebstrap"]
fn import_libraries_of_i686_lead_to_the_dll() {
    library("pe-implib32", "i686", "i386pe", "wine32");
}

#[test]
#[ignore = "needs the package clang-19"]
fn definition_files_take_part_from_memory() {
    const X64: Target = Target::WINDOWS_X86_64;
    let object = assemble(X64, ".globl f, g\nf: ret\ng: ret");
    let text = b"LIBRARY mine BASE=0x190000000\nEXPORTS g f @4";
    let inputs = || vec![Input::bytes("a.o", &object), Input::bytes("a.DEF", text)];
    let mut options = options(X64);
    options.pe.dll_name = Some("other.dll".to_owned());
    let dll = Dll::new(&link_inputs(&options, inputs()).unwrap());
    let (f, g) = (dll.symbol("f"), dll.symbol("g"));
    assert_eq!(dll.exports(), ("mine.dll".to_owned(), vec![(4, "f".to_owned(), f), (5, "g".to_owned(), g)]));
    assert_eq!(dll.base, 0x1_9000_0000);
    let opened = Inputs::open(inputs(), &options).unwrap();
    let image = pkgld::link(&opened, &options).unwrap();
    assert_eq!(image.definition_file().unwrap(), b"LIBRARY mine.dll\nEXPORTS\n    f @4\n    g @5\n");
    // An object that needs both is linked against the library in memory.
    let library = image.import_library().unwrap().unwrap();
    let user = assemble(X64, ".globl u\nu: call f\ncall *__imp_g(%rip)\nret");
    let inputs = vec![Input::bytes("u.o", &user), Input::bytes("libmine.a", &library)];
    let dll = Dll::new(&link_inputs(&options, inputs).unwrap());
    assert!(dll.imports().into_values().eq(["f", "g"].map(|name| ("mine.dll".to_owned(), name.to_owned()))));

    let refused = |text: &[u8]| {
        let inputs = vec![Input::bytes("a.o", &object), Input::bytes("a.def", text)];
        link_inputs(&options, inputs).unwrap_err().to_string()
    };
    assert!(refused(b"EXPORTS\nnowhere").contains("undefined symbol: nowhere"));
    assert!(refused(b"EXPORTS\nf @3\ng @3").contains("number 3 is taken"));
    assert!(refused(b"EXPORTS\nf @3\n= g, \"").contains("a.def: line 3"));
    let elf = crate::support::options(Target::LINUX_X86_64);
    let inputs = vec![Input::bytes("a.def", text)];
    let said = link_inputs(&elf, inputs).unwrap_err().to_string();
    assert!(said.contains("a.def: a module-definition file"), "{said}");
}

/// Files beside the image appear with it or not at all.
#[test]
#[ignore = "needs the package clang-19"]
fn files_beside_the_image_are_whole_or_absent() {
    let folder = scratch("pe-beside");
    let object = assemble(Target::WINDOWS_X86_64, ".globl f\nf: ret\n.section .drectve,\"yni\"\n.ascii \" -export:f\"");
    let mut options = options(Target::WINDOWS_X86_64);
    options.pe.import_library = Some(folder.join("f.a"));
    options.pe.definition_file = Some(folder.join("f.def"));
    let inputs = Inputs::open(vec![Input::bytes("a.o", &object)], &options).unwrap();
    let image = pkgld::link(&inputs, &options).unwrap();
    let listed = || {
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for name in listed() {
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert!(image.write_file(folder.join("nowhere/f.dll")).is_err());
    assert!(image.write_file(folder.join("f.def")).unwrap_err().to_string().contains("two files"));
    assert!(listed().is_empty(), "{:?}", listed());
    image.write_file(folder.join("f.dll")).unwrap();
    assert_eq!(listed(), ["f.a", "f.def", "f.dll"]);
    assert_eq!(fs::read(folder.join("f.a")).unwrap(), image.import_library().unwrap().unwrap());
}

/// As many exports as there are numbers, and an import library of them all.
#[test]
#[ignore = "needs the package clang-19"]
fn as_many_exports_as_there_can_be() {
    let object = assemble(Target::WINDOWS_X86_64, ".globl f\nf: ret\n");
    let image_of = |count: u32| {
        let names: String = (0..count).map(|number| format!("e{number}=f\n")).collect();
        let text = format!("LIBRARY many.dll\nEXPORTS\n{names}");
        let inputs = vec![Input::bytes("f.o", &object), Input::bytes("many.def", text.as_bytes())];
        let options = options(Target::WINDOWS_X86_64);
        let inputs = Inputs::open(inputs, &options).unwrap();
        let image = pkgld::link(&inputs, &options).map_err(|errors| errors.to_string())?;
        let library = image.import_library().unwrap().unwrap();
        Ok::<_, String>((image.to_vec().unwrap().0, library))
    };
    let (image, library) = image_of(65_535).unwrap();
    assert_eq!(Dll::new(&image).exports().1.len(), 65_535);
    let symbols = object::read::archive::ArchiveFile::parse(&*library).unwrap().symbols().unwrap().unwrap();
    // Two an export, and three of the library.
    assert_eq!(symbols.count(), 2 * 65_535 + 3);
    assert!(image_of(65_536).unwrap_err().contains("the number of exports of a DLL"));
}

/// An import library may have a second name for an import: a weak external that stands for the first.
#[test]
#[ignore = "needs the package clang-19"]
fn second_names_of_imports() {
    for (target, prefix) in [(Target::WINDOWS_X86_64, ""), (Target::WINDOWS_X86, "_")] {
        let library = assemble(target, &format!(".globl {prefix}real\n{prefix}real: ret\n"));
        let text = b"LIBRARY real.dll\nEXPORTS\nreal\n";
        let inputs = vec![Input::bytes("real.o", &library), Input::bytes("real.def", text)];
        let options = options(target);
        let inputs = Inputs::open(inputs, &options).unwrap();
        let library = pkgld::link(&inputs, &options).unwrap().import_library().unwrap().unwrap();
        let second = assemble(
            target,
            &format!(
                ".weak {prefix}other\n{prefix}other = {prefix}real\n.weak __imp_{prefix}other\n\
                 __imp_{prefix}other = __imp_{prefix}real\n"
            ),
        );
        let load = if prefix.is_empty() { "call *__imp_other(%rip)" } else { "call *__imp__other" };
        let user = assemble(
            target,
            &format!(
                ".globl {prefix}use\n{prefix}use: call {prefix}other\n{load}\nret\n\
                 .section .drectve,\"yni\"\n.ascii \" -export:use\"\n"
            ),
        );
        let files = [("use.o", &user), ("second.o", &second), ("real.lib", &library)];
        let image =
            link_inputs(&options, files.iter().map(|(name, bytes)| Input::bytes(*name, bytes)).collect()).unwrap();
        let dll = Dll::new(&image);
        let start = dll.symbol(&format!("{prefix}use"));
        let imported = |jump: u32, code: [u8; 2]| {
            assert_eq!(dll.at(jump, 2), code);
            let slot = match target {
                Target::WINDOWS_X86 => dll.address(jump + 2),
                _ => (jump + 6).wrapping_add(dll.u32(jump + 2)),
            };
            dll.imports()[&slot].clone()
        };
        let real = ("real.dll".to_owned(), "real".to_owned());
        assert_eq!(imported((start + 5).wrapping_add(dll.u32(start + 1)), [0xff, 0x25]), real);
        assert_eq!(imported(start + 5, [0xff, 0x15]), real);
    }
}

/// A part of a row would shift all that follow.
#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_functions_are_whole() {
    let text = ".globl f\nf: ret\n.section .pdata,\"dr\"\n.rva f, f, f\n.long 0\n";
    let said = refusal(&options(Target::WINDOWS_X86_64), &[text]);
    assert!(said.contains(".pdata: 16 bytes, which is no whole number of rows of 12 bytes"), "{said}");
}

/// Tables that a tool has made, as dlltool makes them of a definition file, take the place of the linker's own.
#[test]
#[ignore = "needs the package clang-19"]
fn ready_tables_are_taken() {
    let code = assemble(Target::WINDOWS_X86_64, ".globl f, g, hidden\nf: nop\nret\ng: nop\nret\nhidden: ret\n");
    let text = ".section .edata,\"dr\"\nstart: .long 0, 0, 0\n.rva name\n.long 5, 3, 2\n.rva places, names, numbers\n\
        places: .rva f\n.long 0\n.rva g\nnames: .rva n5, n7\nnumbers: .short 0, 2\nname: .asciz \"made.dll\"\n\
        n5: .asciz \"f\"\nn7: .asciz \"g\"\n";
    let table = assemble(Target::WINDOWS_X86_64, text);
    let asking = assemble(Target::WINDOWS_X86_64, ".section .drectve,\"yni\"\n.ascii \" -export:hidden\"");
    let linked = |options: &Options, inputs: &[(&'static str, &Vec<u8>)]| {
        let inputs = inputs.iter().map(|(name, bytes)| Input::bytes(*name, &bytes[..])).collect();
        let inputs = Inputs::open(inputs, options).unwrap();
        let image = pkgld::link(&inputs, options).map_err(|errors| errors.to_string())?;
        let report = image.report();
        Ok::<_, String>((Dll::new(&image.to_vec().unwrap().0), report.warnings.join("\n"), report.exports.clone()))
    };
    let mut options = options(Target::WINDOWS_X86_64);
    for collecting in [false, true] {
        options.gc_sections = collecting;
        for inputs in [&[("code.o", &code), ("made.exp", &table)][..], &[("made.exp", &table), ("code.o", &code)]] {
            let (dll, warnings, exports) = linked(&options, inputs).unwrap();
            let (f, g) = (dll.symbol("f"), dll.symbol("g"));
            assert_eq!(dll.exports(), ("made.dll".into(), vec![(5, "f".into(), f), (7, "g".into(), g)]));
            assert_eq!((dll.directory(0).1, &*warnings), (77, ""));
            assert_eq!(exports, [b"f", b"g"]);
        }
    }
    let all = [("code.o", &code), ("asking.o", &asking), ("made.exp", &table)];
    let (dll, warnings, _) = linked(&options, &all).unwrap();
    assert_eq!(dll.exports().1.len(), 2);
    assert!(warnings.contains("made.exp: its export table (.edata) takes the place of the exports"), "{warnings}");
    for (from, to, wanted) in [
        (".rva name\n", ".rva f\n", "the DLL's name is not in it"),
        (".long 5, 3, 2", ".long 5, 30, 2", "the table of addresses is not in it"),
        (".long 5, 3, 2", ".long 5, 3, 20", "the table of names is not in it"),
        (".short 0, 2", ".short 0, 3", "a name has the number 3 of 3"),
        (".rva n5, n7", ".rva n5, g", "is not in it"),
        (".rva g\n", ".rva n5\n", "is neither exported nor the name of another DLL's export"),
        (".asciz \"g\"", ".ascii \"g\"", "is not in it"),
        (".long 5, 3, 2", ".long 65534, 3, 2", "3 exports from the ordinal 65534 on are beyond 65535"),
        (".long 5, 3, 2\n.rva places, names,", ".long 5, 3, 0\n.rva places, f,", "the table of names is not in it"),
        (
            ".long 5, 3, 2\n.rva places, names, numbers",
            ".long 5, 3, 0\n.rva places, names, f",
            "the names' numbers is not in it",
        ),
        ("places, names, numbers\n", "places, names\n.long 0\n", "a table of names, and none of their numbers"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let changed = assemble(Target::WINDOWS_X86_64, &changed);
        let said = linked(&options, &[("code.o", &code), ("made.exp", &changed)]).unwrap_err();
        assert!(said.contains("made.exp: its export table (.edata): ") && said.contains(wanted), "{said}");
    }
    let forwarded = |text_of_it: &str| {
        let changed =
            text.replace(".rva g\n", ".rva n7\n").replace(".asciz \"g\"", &format!(".asciz \"{text_of_it}\""));
        let changed = assemble(Target::WINDOWS_X86_64, &changed);
        linked(&options, &[("code.o", &code), ("made.exp", &changed)]).map(|(.., exports)| exports)
    };
    assert_eq!(forwarded("OTHER.g").unwrap(), [&b"f"[..], b"OTHER.g"]);
    assert_eq!(forwarded("OTHER.#7").unwrap(), [&b"f"[..], b"OTHER.#7"]);
    for nowhere in ["OTHER.", "OTHER.#", "OTHER.#65536", "OTHER"] {
        let said = forwarded(nowhere).unwrap_err();
        assert!(said.contains("is neither exported nor the name of another DLL's export"), "{said}");
    }
    // Without names, the tables of names may be missing.
    let unnamed = text.replace(".long 5, 3, 2\n.rva places, names, numbers", ".long 5, 3, 0\n.rva places\n.long 0, 0");
    let unnamed = assemble(Target::WINDOWS_X86_64, &unnamed);
    let (.., exports) = linked(&options, &[("code.o", &code), ("made.exp", &unnamed)]).unwrap();
    assert_eq!(exports, [b""; 0]);
    options.pe.import_library = Some("made.a".into());
    let said = linked(&options, &all).unwrap_err();
    assert!(said.contains("--out-implib: the export table is that of made.exp"), "{said}");
}

/// The plain name of a constant means its slot; that of other data is taken for the data.
#[test]
#[ignore = "needs the package clang-19"]
fn constants_are_called_as_their_slots() {
    const X64: Target = Target::WINDOWS_X86_64;
    let object = assemble(X64, ".data\n.globl c, d\nc: .quad 1\nd: .quad 2\n");
    let text = b"LIBRARY mine\nEXPORTS\nc CONSTANT\nd DATA\n";
    let mut options = options(X64);
    let inputs = vec![Input::bytes("a.o", &object), Input::bytes("a.def", text)];
    let inputs = Inputs::open(inputs, &options).unwrap();
    let library = pkgld::link(&inputs, &options).unwrap().import_library().unwrap().unwrap();
    let linked = |options: &Options, text: &str| {
        let user = assemble(X64, text);
        let inputs = vec![Input::bytes("u.o", &user), Input::bytes("libmine.a", &library)];
        link_inputs(options, inputs).map(|image| Dll::new(&image)).map_err(|errors| errors.to_string())
    };
    for auto_import in [true, false] {
        options.pe.auto_import = auto_import;
        let dll =
            linked(&options, ".globl u\nu: mov c(%rip), %rax\nmov __imp_c(%rip), %rcx\nmov __imp_d(%rip), %rcx\n");
        let dll = dll.unwrap();
        let start = dll.symbol("u");
        let slots = [0, 7, 14].map(|at| start + at + 7 + dll.u32(start + at + 3));
        let imported = |name: &str| Some(("mine.dll".to_owned(), name.to_owned()));
        assert_eq!(slots.map(|slot| dll.imports().get(&slot).cloned()), ["c", "c", "d"].map(imported));
        assert!(linked(&options, "mov d(%rip), %rax").is_err());
    }
}

/// What a compiler's libraries bring is for the image alone.
#[test]
#[ignore = "needs the package clang-19"]
fn libraries_of_compilers_export_nothing() {
    let object = assemble(Target::WINDOWS_X86_64, ".globl f\nf: ret\n");
    let member = assemble(Target::WINDOWS_X86_64, ".globl g\ng: ret\n");
    let library = archive(&[("g", &member)]);
    for (name, own) in [
        ("libg.a", true),
        ("lib/libgcc.a", false),
        ("libclang_rt.profile-x86_64.a", false),
        ("libFortranRuntime.a", false),
        ("libucrtbase.dll.a", false),
    ] {
        let inputs = vec![Input::bytes("f.o", &object), Input::bytes(name, &library).whole_archive()];
        let dll = Dll::new(&link_inputs(&options(Target::WINDOWS_X86_64), inputs).unwrap());
        assert!(dll.has_symbol("g"));
        assert_eq!(dll.exports().1.len(), if own { 2 } else { 1 }, "{name}");
    }
}
