//! One rule each, in a few lines of assembly.

use std::fs;
use std::path::Path;
use std::process::Command;

use pkgld::{AutoExport, Input, Target};

use crate::common::scratch;
use crate::dll::Dll;
use crate::objects::{COMDAT, EXTERNAL, Object, STATIC, Section, Symbol};
use crate::support::{assemble, dll_of, link, link_inputs, options, refusal};

const X64: Target = Target::WINDOWS_X86_64;
const X86: Target = Target::WINDOWS_X86;

fn names(dll: &Dll) -> Vec<String> {
    dll.exports().1.into_iter().map(|(_, name, _)| name).collect()
}

#[test]
#[ignore = "needs the package clang-19"]
fn exports_are_what_objects_say_or_everything() {
    let plain = ".globl f, g, h\nf: ret\ng: ret\n.data\nh: .quad 1\n.globl __imp_x\n__imp_x: .quad 0";
    assert_eq!(names(&dll_of(&options(X64), &[plain])), ["f", "g", "h"]);
    let some = [plain, ".section .drectve,\"yni\"\n.ascii \" -export:g -exclude-symbols:h\""];
    assert_eq!(names(&dll_of(&options(X64), &some)), ["g"]);
    let hidden = [plain, ".section .drectve,\"yni\"\n.ascii \" -exclude-symbols:g -exclude-symbols:h\""];
    assert_eq!(names(&dll_of(&options(X64), &hidden)), ["f"]);
    let mut none = options(X64);
    none.pe.auto_export = AutoExport::None;
    let dll = dll_of(&none, &[plain]);
    assert_eq!((names(&dll).len(), dll.directory(0)), (0, (0, 0)));
    let mut all = options(X64);
    all.pe.auto_export = AutoExport::All;
    all.pe.excluded_symbols = vec!["f".to_owned()];
    assert_eq!(names(&dll_of(&all, &some)), ["g"], "hidden symbols stay hidden");
}

#[test]
#[ignore = "needs the package clang-19"]
fn exports_have_numbers_and_other_names() {
    let text = ".globl f, g\nf: ret\ng: ret\n.section .drectve,\"yni\"\n\
                .ascii \" -export:zz=f,@7 -export:aa=g -export:\\\"a b,c\\\"=g,data\"";
    let dll = dll_of(&options(X64), &[text]);
    let exports = dll.exports().1;
    let expected = [(8, "a b,c", "g"), (9, "aa", "g"), (7, "zz", "f")];
    assert_eq!(exports, expected.map(|(number, name, symbol)| (number, name.to_owned(), dll.symbol(symbol))));
    let missing = ".section .drectve,\"yni\"\n.ascii \" -export:nowhere\"";
    assert!(refusal(&options(X64), &[missing]).contains("undefined symbol: nowhere"));
}

#[test]
#[ignore = "needs the package clang-19"]
fn too_many_exports_say_what_to_do() {
    let text =
        ".set n, 0\n.altmacro\n.macro one k\n.globl f\\k\nf\\k:\n.endm\n.rept 65536\none %n\n.set n, n+1\n.endr\nret";
    let refused = refusal(&options(X64), &[text]);
    assert!(refused.contains("65536") && refused.contains("--exclude-all-symbols"), "{refused}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn names_of_i386_lose_their_underscore() {
    let text = ".globl _f, _g@8\n_f: ret\n_g@8: ret $8\n.section .drectve,\"yni\"\n.ascii \" -export:f -export:g@8 -export:g\"";
    let dll = dll_of(&options(X86), &[text]);
    let at = dll.symbol("_g@8");
    assert_eq!(dll.exports().1, [(1, "f".into(), dll.symbol("_f")), (2, "g".into(), at), (3, "g@8".into(), at)]);
}

#[test]
#[ignore = "needs the package clang-19"]
fn sections_are_sorted_by_what_follows_the_dollar() {
    let text = ".section .data$z,\"dw\"\n.byte 4\n.section .data$b,\"dw\"\n.byte 3\n.data\n.byte 1\n";
    let other = ".section .data$b,\"dw\"\n.byte 33\n.section .data$a,\"dw\"\n.byte 2";
    let dll = dll_of(&options(X64), &[text, other]);
    let section = dll.section(".data");
    let mut bytes = dll.at(section.start, section.size);
    bytes.retain(|byte| *byte != 0);
    assert_eq!(bytes, [1, 2, 3, 33, 4]);
}

#[test]
#[ignore = "needs the package clang-19"]
fn of_comdats_the_first_or_the_largest_stays() {
    let object = |kind: &str, value: &str| {
        format!(
            ".section .rdata$x,\"dr\",{kind},x\n.globl x\nx: {value}\n\
             .section .rdata$y,\"dr\",associative,x\ny: .long 0x11111111\n.text\nlea x(%rip), %rax"
        )
    };
    let link_two = |kind: &str, one: &str, two: &str| {
        let texts = [object(kind, one), object(kind, two)];
        let objects = texts.map(|text| assemble(X64, &text));
        link(&options(X64), &objects).map(|image| Dll::new(&image)).map_err(|errors| errors.to_string())
    };
    let size = |dll: &Dll| {
        let bytes = dll.at(dll.section(".rdata").start, dll.section(".rdata").size);
        bytes.chunks(4).filter(|word| *word == [0x11; 4]).count()
    };
    let dll = link_two("discard", ".long 1", ".long 2").unwrap();
    assert_eq!((dll.u32(dll.symbol("x")), size(&dll)), (1, 1), "the associated section goes too");
    let dll = link_two("largest", ".long 1", ".long 2, 3").unwrap();
    assert_eq!((dll.u32(dll.symbol("x")), size(&dll)), (2, 1));
    assert_eq!(link_two("same_size", ".long 1", ".long 2").map(|dll| dll.u32(dll.symbol("x"))), Ok(1));
    assert!(link_two("same_size", ".long 1", ".quad 2").unwrap_err().contains("duplicate symbol: x"));
    assert!(link_two("same_contents", ".long 1", ".long 2").unwrap_err().contains("duplicate symbol: x"));
    assert!(link_two("same_contents", ".long 1", ".long 1").is_ok());
    assert!(link_two("one_only", ".long 1", ".long 1").unwrap_err().contains("duplicate symbol: x"));
}

/// GCC leaves the table of a `switch` behind when the function's copy goes. It tells of nothing; code, and lists of functions to
/// be called, may not refer to nothing.
#[test]
#[ignore = "needs the package clang-19"]
fn data_of_a_copy_left_out_are_void() {
    for (target, entry) in [(X64, ".long l - ."), (X64, ".quad l"), (X86, ".long l")] {
        let object = |name: &str| {
            let text = format!(
                ".section .text$f,\"xr\",discard,f\n.globl f\nf: nop\nl: ret\n.section .rdata,\"dr\"\n\
                 .globl {name}\n{name}: {entry}\n.secrel32 l\n.secidx l\n.short 7\n"
            );
            assemble(target, &text)
        };
        let dll = Dll::new(&link(&options(target), &[object("kept"), object("left")]).unwrap());
        let (label, kept, left) = (dll.symbol("f") + 1, dll.symbol("kept"), dll.symbol("left"));
        let width = if entry == ".quad l" { 8 } else { 4 };
        let relative = entry == ".long l - .";
        assert_eq!(if relative { kept.wrapping_add(dll.u32(kept)) } else { dll.address(kept) }, label, "{entry}");
        assert_eq!([4, 6].map(|at| dll.at(kept + width + at, 2)), [vec![1, 0], vec![7, 0]], "{entry}");
        assert_eq!(dll.at(left, width + 8), [&vec![0; width as usize + 6][..], &[7, 0]].concat(), "{entry}");
        let moved = if relative { vec![] } else { vec![(if width == 8 { 10 } else { 3 }, kept)] };
        assert_eq!(dll.base_relocations(), moved, "{entry}");
    }
    for (more, place) in [(".text\njmp l", ".text+0x1"), (".section .ctors,\"dw\"\n.quad l", ".ctors+0x0")] {
        let text = format!(".section .text$f,\"xr\",discard,f\n.globl f\nf: nop\nl: ret\n{more}\n");
        let said = refusal(&options(X64), &[&text, &text]);
        assert!(said.contains(&format!("1.o:({place})")) && said.contains("is not part of the image"), "{said}");
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn weak_symbols_give_way() {
    let user = ".globl user\nuser: call f\nret";
    let weak = ".weak f\nf: int3\nret";
    let strong = ".globl f\nf: nop\nret";
    let call = |dll: &Dll| (dll.symbol("user") + 5).wrapping_add(dll.u32(dll.symbol("user") + 1));
    let dll = dll_of(&options(X64), &[user, weak]);
    assert_eq!(names(&dll), ["f", "user"]);
    assert_eq!(dll.at(call(&dll), 1), [0xcc]);
    for texts in [[user, weak, strong], [strong, user, weak]] {
        let dll = dll_of(&options(X64), &texts);
        assert_eq!(dll.at(call(&dll), 1), [0x90]);
    }
    // What nothing defines is zero, and zero is not moved.
    let absent = ".data\n.globl p\np: .quad f\n.weak f";
    let dll = dll_of(&options(X64), &[absent]);
    assert_eq!(dll.at(dll.symbol("p"), 8), [0; 8]);
    assert!(dll.base_relocations().is_empty());
    // A call behind a look at whether it is there, as GCC makes it: how far 0 is does not matter.
    let guarded = ".globl g\ng: call f\nmovl $1, f(%rip)\nret\n.weak f";
    let dll = dll_of(&options(X64), &[guarded]);
    let from = |field: u32, end: u32| (dll.base as u32).wrapping_add(end).wrapping_add(dll.u32(field));
    let g = dll.symbol("g");
    assert_eq!((from(g + 1, g + 5), from(g + 7, g + 15)), (0, 0));
    // What is elsewhere, and too far, is wrong all the same.
    let mut far = options(X64);
    far.defined_symbols = vec![("f".to_owned(), pkgld::SymbolValue::Number(1))];
    let said = refusal(&far, &[".globl g\ng: call f\nret"]);
    assert!(said.contains("IMAGE_REL_AMD64_REL32 out of range"), "{said}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn duplicates_are_errors_unless_allowed() {
    let text = ".globl f\nf: ret";
    let refused = refusal(&options(X64), &[text, text]);
    assert!(refused.contains("duplicate symbol: f") && refused.contains("0.o") && refused.contains("1.o"), "{refused}");
    let mut allowed = options(X64);
    allowed.allow_multiple_definition = true;
    assert_eq!(names(&dll_of(&allowed, &[text, text])), ["f"]);
}

#[test]
#[ignore = "needs the package clang-19"]
fn an_entry_point_is_taken_or_made() {
    let plain = ".globl f\nf: ret";
    let dll = dll_of(&options(X64), &[plain]);
    assert_eq!(dll.at(dll.entry, 6), [0xb8, 1, 0, 0, 0, 0xc3]);
    let dll = dll_of(&options(X86), &[".globl _f\n_f: ret"]);
    assert_eq!(dll.at(dll.entry, 8), [0xb8, 1, 0, 0, 0, 0xc2, 12, 0]);
    for name in ["_DllMainCRTStartup", "DllMainCRTStartup"] {
        for asked in [None, Some("_DllMainCRTStartup"), Some("DllMainCRTStartup")] {
            let mut options = options(X64);
            options.entry = asked.map(str::to_owned);
            let dll = dll_of(&options, &[plain, &format!(".globl {name}\n{name}: nop\nret")]);
            assert_eq!(dll.entry, dll.symbol(name), "{name} {asked:?}");
            assert_eq!(names(&dll), ["f"], "the entry point is not exported");
        }
    }
    let mut other = options(X64);
    other.entry = Some("start".to_owned());
    assert!(refusal(&other, &[plain]).contains("-e start: nothing defines the entry point"));
}

#[test]
#[ignore = "needs the package clang-19"]
fn more_relocations_than_sixteen_bits_count() {
    let text = ".globl f\nf: ret\n.data\n.globl t\nt: .rept 70000\n.quad f\n.endr";
    let dll = dll_of(&options(X64), &[text]);
    let relocations = dll.base_relocations();
    assert_eq!(relocations.len(), 70000);
    let (table, f) = (dll.symbol("t"), dll.symbol("f"));
    for (number, (kind, place)) in relocations.into_iter().enumerate() {
        assert_eq!((kind, place, dll.address(place)), (10, table + 8 * number as u32, f));
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn every_kind_of_relocation_of_x86_64() {
    let text = ".globl f\nf: nop\nmovl $7, v(%rip)\nmovw $7, v(%rip)\nmovb $7, v(%rip)\nlea v(%rip), %rax\nret\n\
                .data\n.long 5\n.globl v\nv: .quad v + 3\n.globl r\nr: .rva v + 1\n.secrel32 v\n.secidx v\n.short 0\n\
                .globl d\nd: .long v - .\n";
    let dll = dll_of(&options(X64), &[text]);
    let (f, v, r) = (dll.symbol("f"), dll.symbol("v"), dll.symbol("r"));
    // After the opcodes: displacements that count from behind 4, 2, 1 and 0 bytes of immediate.
    for (field, behind) in [(f + 3, 8), (f + 14, 6), (f + 22, 5), (f + 30, 4)] {
        assert_eq!(field + behind + dll.u32(field), v, "at {}", field - f);
    }
    let data = dll.section(".data").start;
    let number = dll.sections.iter().position(|section| section.name == ".data").unwrap() as u32 + 1;
    assert_eq!(dll.address(v), v + 3);
    assert_eq!((dll.u32(r), dll.u32(r + 4), dll.u32(r + 8)), (v + 1, v - data, number));
    assert_eq!(dll.u32(dll.symbol("d")).wrapping_add(dll.symbol("d")), v);
    assert_eq!(dll.base_relocations(), [(10, v)]);
}

#[test]
#[ignore = "needs the package clang-19"]
fn every_kind_of_relocation_of_i386() {
    let text = ".globl _f\n_f: movl _v, %eax\ncall _f\nret\n.data\n.long 5\n.globl _v\n_v: .long _v + 3\n\
                .rva _v + 1\n.secrel32 _v\n.secidx _v\n.short 0\n";
    let dll = dll_of(&options(X86), &[text]);
    let (f, v) = (dll.symbol("_f"), dll.symbol("_v"));
    assert_eq!((dll.address(f + 1), dll.u32(f + 6).wrapping_add(f + 10)), (v, f));
    let data = dll.section(".data").start;
    let number = dll.sections.iter().position(|section| section.name == ".data").unwrap() as u32 + 1;
    assert_eq!((dll.address(v), dll.u32(v + 4), dll.u32(v + 8), dll.u32(v + 12)), (v + 3, v + 1, v - data, number));
    assert_eq!(dll.base_relocations(), [(3, f + 1), (3, v)]);
    assert_eq!(dll.characteristics(), (0x2102, 0x140));
}

#[test]
#[ignore = "needs the package clang-19"]
fn relocations_that_cannot_be_are_told() {
    let mut low = options(X64);
    let far = ".globl f\nf: ret\n.data\n.long f";
    let refused = refusal(&low, &[far]);
    assert!(refused.contains("0.o:(.data+0x0)") && refused.contains("IMAGE_REL_AMD64_ADDR32"), "{refused}");
    low.pe.image_base = Some(0x1000_0000);
    let dll = dll_of(&low, &[far]);
    assert_eq!(dll.base_relocations(), [(3, dll.section(".data").start)]);
    let undefined = refusal(&options(X64), &["call nowhere"]);
    assert!(undefined.contains("undefined symbol: nowhere") && undefined.contains("0.o:(.text+0x1)"), "{undefined}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn what_was_thought_to_be_imported_gets_a_slot() {
    let text = ".globl f, g\nf: ret\ng: call *__imp_f(%rip)\nret";
    let dll = dll_of(&options(X64), &[text]);
    let g = dll.symbol("g");
    let slot = g + 6 + dll.u32(g + 2);
    assert_eq!(dll.address(slot), dll.symbol("f"));
    assert_eq!(dll.base_relocations(), [(10, slot)]);
    assert!(dll.imports().is_empty());
}

#[test]
#[ignore = "needs the package clang-19"]
fn dlls_are_imported_from() {
    let library = assemble(X64, ".globl f, v\nf: ret\n.data\nv: .quad 1");
    let mut named = options(X64);
    named.pe.dll_name = Some("Other.dll".to_owned());
    let library = link(&named, &[library]).unwrap();
    let user = ".globl g, p\ng: call f\nmov __imp_v(%rip), %rax\nret\n.data\np: .quad f\n\
                .section .xdata,\"dr\"\n.rva f";
    let object = assemble(X64, user);
    let inputs = |object| vec![Input::bytes("user.o", object), Input::bytes("other.dll", &library)];
    let dll = Dll::new(&link_inputs(&options(X64), inputs(&object)).unwrap());
    let imports = dll.imports();
    let of = |name: &str| *imports.iter().find(|(_, import)| import.1 == name).unwrap().0;
    assert!(imports.values().all(|(dll, _)| dll == "other.dll") && imports.len() == 2);
    let thunk = dll.symbol("g") + 5 + dll.u32(dll.symbol("g") + 1);
    assert_eq!((dll.at(thunk, 2), thunk + 6 + dll.u32(thunk + 2)), (vec![0xff, 0x25], of("f")));
    assert_eq!(dll.symbol("g") + 12 + dll.u32(dll.symbol("g") + 8), of("v"));
    assert_eq!(dll.address(dll.symbol("p")), thunk, "a function's address is that of the code in the image");
    assert_eq!(dll.symbol("f"), thunk);
    assert!(dll.directory(12).1 >= 24, "the loader is told where the slots are");

    let direct = assemble(X64, "mov v(%rip), %rax");
    let refused = link_inputs(&options(X64), inputs(&direct)).unwrap_err().to_string();
    assert!(refused.contains("refers to v, data of a DLL") && refused.contains("dllimport"), "{refused}");
    let pointer = "mov .refptr.v(%rip), %rax\n.section .rdata$.refptr.v,\"dr\",discard,.refptr.v\n.globl .refptr.v\n\
                   .refptr.v: .quad v";
    let pointer = assemble(X64, pointer);
    let dll = Dll::new(&link_inputs(&options(X64), inputs(&pointer)).unwrap());
    let text = dll.section(".text").start;
    assert_eq!(dll.imports()[&(text + 7 + dll.u32(text + 3))].1, "v");
    let mut manual = options(X64);
    manual.pe.auto_import = false;
    assert!(link_inputs(&manual, inputs(&pointer)).is_err());
}

/// Data of a DLL that one object may do without, and another may not, are imported for both.
#[test]
#[ignore = "needs the package clang-19"]
fn data_of_dlls_that_may_be_absent() {
    let mut named = options(X64);
    named.pe.dll_name = Some("other.dll".to_owned());
    let library = link(&named, &[assemble(X64, ".data\n.globl v\nv: .quad 1")]).unwrap();
    let pointer = "\n.section .rdata$.refptr.v,\"dr\",discard,.refptr.v\n.globl .refptr.v\n.refptr.v: .quad v\n";
    let user = |name: &str, more: &str| {
        assemble(X64, &format!(".globl {name}\n{name}: mov .refptr.v(%rip), %rax\n{more}{pointer}"))
    };
    let (strong, weak) = (user("f", ""), user("g", ".weak v\n"));
    let defined = user("h", ".weak v\n.data\nv: .quad 5\n");
    let loaded = |objects: &[&Vec<u8>], name: &str| {
        let objects = objects.iter().map(|object| Input::bytes("user.o", &object[..]));
        let inputs = objects.chain([Input::bytes("other.dll", &library)]).collect();
        let dll = Dll::new(&link_inputs(&options(X64), inputs).unwrap());
        let code = dll.symbol(name);
        (code + 7 + dll.u32(code + 3), dll)
    };
    for objects in [[&strong, &weak], [&weak, &strong]] {
        for name in ["f", "g"] {
            let (slot, dll) = loaded(&objects, name);
            assert_eq!(dll.imports().get(&slot), Some(&("other.dll".to_owned(), "v".to_owned())), "{name}");
        }
    }
    let (pointer, dll) = loaded(&[&weak], "g");
    assert_eq!((dll.at(pointer, 8), dll.imports().len()), (vec![0; 8], 0));
    let (pointer, dll) = loaded(&[&strong, &defined], "f");
    assert_eq!((dll.u32(dll.address(pointer)), dll.imports().len()), (5, 0), "a weak definition is one");
}

#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_functions_are_sorted() {
    let function = |name: &str, section: &str| {
        format!(
            ".section {section},\"xr\"\n.globl {name}\n{name}:\n.seh_proc {name}\npushq %rbp\n.seh_pushreg %rbp\n\
                 .seh_endprologue\npopq %rbp\nret\n.seh_endproc\n"
        )
    };
    let text = [function("late", ".text$z"), function("early", ".text$a")].concat();
    let dll = dll_of(&options(X64), &[&text]);
    let starts: Vec<u32> = dll.functions().into_iter().map(|(start, ..)| start).collect();
    assert_eq!(starts, [dll.symbol("early"), dll.symbol("late")]);
}

#[test]
#[ignore = "needs the package clang-19"]
fn common_symbols_and_zeros_take_no_room_in_the_file() {
    let text = ".comm c, 100000, 5\n.data\n.long 1\n.globl z\n.bss\nz: .zero 100000\n.text\nlea c(%rip), %rax";
    let object = assemble(X64, text);
    let image = link(&options(X64), &[object]).unwrap();
    assert!(image.len() < 4096, "{}", image.len());
    let dll = Dll::new(&image);
    assert_eq!(dll.symbol("c") % 32, 0);
    assert!(dll.section(".data").size > 200_000);
}

#[test]
#[ignore = "needs the package clang-19"]
fn sections_that_nothing_refers_to_can_be_left_out() {
    let text = ".section .text$dead,\"xr\"\n.globl dead\ndead: int3\n.section .text$live,\"xr\"\n.globl live\nlive: ret\n\
                .section .drectve,\"yni\"\n.ascii \" -export:live\"";
    let mut options = options(X64);
    assert!(dll_of(&options, &[text]).has_symbol("dead"));
    options.gc_sections = true;
    let dll = dll_of(&options, &[text]);
    assert!(dll.has_symbol("live") && !dll.has_symbol("dead"));
}

#[test]
#[ignore = "needs the package clang-19"]
fn inputs_of_other_kinds_are_told_apart() {
    let (x64, x86) = (assemble(X64, "ret"), assemble(X86, "ret"));
    let mixed = link(&options(X64), &[x64.clone(), x86]).unwrap_err().to_string();
    assert!(mixed.contains("is for i386 Windows") && mixed.contains("x86-64 Windows"), "{mixed}");
    let elf = link(&options(Target::LINUX_X86_64), &[x64]).unwrap_err().to_string();
    assert!(elf.contains("is a COFF object") && elf.contains("asks for an ELF image"), "{elf}");
    let bitcode = link(&options(X64), &[b"BC\xc0\xde----".to_vec()]).unwrap_err().to_string();
    assert!(bitcode.contains("link-time optimization"), "{bitcode}");
}

/// What a host under wine says that loads a DLL and calls what it exports.
fn call(folder: &Path, image: &str) -> String {
    let host = "#include <windows.h>\n#include <stdio.h>\nint main(int count, char **names) {\n\
        HMODULE dll = LoadLibraryA(names[count - 1]);\nif (!dll) return printf(\"error %lu\", GetLastError());\n\
        int (*f)(void) = (void *)GetProcAddress(dll, \"sum\"), (*g)(void) = (void *)GetProcAddress(dll, \"near\");\n\
        printf(\"%d %d\", f(), g());\nreturn 0;\n}\n";
    fs::write(folder.join("host.c"), host).unwrap();
    mingw(folder, &["-o", "host.exe", "host.c"]);
    let wine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/wine");
    let output = Command::new(wine).args(["host.exe", image]).current_dir(folder).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn mingw(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("x86_64-w64-mingw32-gcc").args(arguments).current_dir(folder).output();
    let output = output.expect("x86_64-w64-mingw32-gcc is in the package gcc-mingw-w64-x86-64");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn start_code_corrects_what_refers_to_data_of_dlls() {
    let folder = scratch("pe-pseudo");
    fs::write(folder.join("lib.c"), "__declspec(dllexport) int shared[4] = {11, 22, 33, 44};").unwrap();
    let user = "extern int shared[4];\nint *const table[2] = {&shared[0], &shared[3]};\n\
                __declspec(dllexport) int sum(void) { return *table[0] + *table[1] + shared[1]; }";
    fs::write(folder.join("user.c"), user).unwrap();
    let near =
        ".globl near\nnear: movl shared+8(%rip), %eax\nret\n.section .drectve,\"yn\"\n.ascii \" -export:near\"\n";
    fs::write(folder.join("near.s"), near).unwrap();
    // Fields of 32 bits reach it there.
    let options = ["-Wl,--out-implib,libshared.dll.a", "-Wl,--image-base,0x190000000"];
    mingw(&folder, &[&["-shared", "-o", "shared.dll", "lib.c"][..], &options].concat());
    mingw(&folder, &["-c", "-O1", "user.c", "near.s"]);
    let [start, begin, end] =
        ["dllcrt2.o", "crtbegin.o", "crtend.o"].map(|file| mingw(&folder, &[&format!("-print-file-name={file}")]));
    let link = |library: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        command.args(["-flavor", "gnu", "-m", "i386pep", "-shared", "-o", "user.dll"]).args(more);
        command.args(["user.o", "near.o", library]).current_dir(&folder).output().unwrap()
    };
    let directory = |file: &str| format!("-L{}", Path::new(file).parent().unwrap().display());
    let (crt, gcc) = (directory(&start), directory(&begin));
    let libraries = ["-lmingw32", "-lgcc", "-lmoldname", "-lmingwex", "-lmsvcrt", "-lkernel32"];
    let files = [&["-e", "DllMainCRTStartup", &start, &begin, &crt, &gcc, &end][..], &libraries].concat();
    for library in ["shared.dll", "libshared.dll.a"] {
        let output = link(library, &files);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("near.o: refers to shared"), "{said}");
        assert_eq!(call(&folder, "user.dll"), "77 33", "{library}");
        let dll = Dll::new(&fs::read(folder.join("user.dll")).unwrap());
        let list = dll.symbol("__RUNTIME_PSEUDO_RELOC_LIST__");
        assert_eq!([list, list + 4, list + 8].map(|at| dll.u32(at)), [0, 0, 1]);
        let slot = *dll.imports().iter().find(|(_, import)| import.1 == "shared").unwrap().0;
        let expected =
            [(slot, dll.symbol("table"), 64), (slot, dll.symbol("table") + 8, 64), (slot, dll.symbol("near") + 2, 32)];
        let end = dll.symbol("__RUNTIME_PSEUDO_RELOC_LIST_END__");
        let entries: Vec<_> =
            (list + 12..end).step_by(12).map(|at| (dll.u32(at), dll.u32(at + 4), dll.u32(at + 8))).collect();
        assert_eq!(entries, expected, "{library}");
        let _ = fs::remove_file(folder.join("user.dll"));
        for (option, hint) in [
            ("--disable-auto-import", "--enable-auto-import"),
            ("--disable-runtime-pseudo-reloc", "--enable-runtime-pseudo-reloc"),
        ] {
            let output = link(library, &[option]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("undefined symbol: shared"), "{said}");
            assert!(said.contains("it is data of") && said.contains(hint), "{library} {option}: {said}");
        }
        let said = String::from_utf8_lossy(&link(library, &[]).stderr).into_owned();
        assert!(said.contains("no start code corrects that") && said.contains("dllcrt2.o"), "{said}");
        assert!(!folder.join("user.dll").exists());
    }
}

/// Each stands for the other: an error, and no search without end.
#[test]
#[ignore = "needs the package clang-19"]
fn a_slot_defined_by_its_own_symbol_ends() {
    let mut options = options(X64);
    options.defined_symbols = vec![("__imp_x".to_owned(), pkgld::SymbolValue::Symbol("x".to_owned(), 0))];
    let said = refusal(&options, &[".globl f\nf: call x\n.quad __imp_x"]);
    assert!(said.contains("undefined symbol"), "{said}");
}

/// Two names that stand for each other, one by an option and with an offset, one as a weak external.
#[test]
#[ignore = "needs the package clang-19"]
fn names_that_stand_for_each_other_end() {
    let mut options = options(X64);
    options.defined_symbols = vec![("f".to_owned(), pkgld::SymbolValue::Symbol("w".to_owned(), 8))];
    let said = refusal(&options, &[".weak w\nw = f\n.globl g\ng: .quad f, w"]);
    assert!(said.contains("stands for itself"), "{said}");
}

/// A slot that stands for the pointer whose place it is to take.
#[test]
#[ignore = "needs the package clang-19"]
fn a_slot_may_stand_for_a_pointer() {
    let pointer = |of: &str, to: &str| {
        format!(
            ".section .rdata$.refptr.{of},\"dr\",discard,.refptr.{of}\n.globl .refptr.{of}\n.refptr.{of}: .quad {of}\n\
             .weak __imp_{of}\n__imp_{of} = .refptr.{to}\n"
        )
    };
    let mut options = options(X64);
    options.pe.auto_import = true;
    for (one, two) in [("a", "b"), ("b", "a")] {
        let source =
            format!("{}{}.text\n.globl g\ng: .quad .refptr.a, .refptr.b", pointer("a", one), pointer("b", two));
        let said = refusal(&options, &[&source]);
        assert!(said.contains("data of a DLL"), "{said}");
    }
}

/// GNU's assembler pads sections to their alignment, LLVM's does not; the symbol of the section has the size without that.
#[test]
fn copies_of_one_size_may_be_padded() {
    let object = |length: u32, contents: &[u8]| {
        let mut object = Object::new("-export:x");
        object.sections.push(Section::new(".rdata$x", COMDAT | 0x4050_0040, contents));
        let mut further = [0; 18];
        further[..4].copy_from_slice(&length.to_le_bytes());
        // IMAGE_COMDAT_SELECT_SAME_SIZE
        further[14] = 3;
        object.record(Symbol { name: ".rdata$x", value: 0, section: 3, class: STATIC, further: Some(further) });
        object.symbol("x", 3, EXTERNAL);
        object.build()
    };
    let (short, padded, other) = (object(1, &[42]), object(1, &[7; 16]), object(9, &[7; 16]));
    for (first, second, value) in [(&short, &padded, 42), (&padded, &short, 7), (&other, &padded, 7)] {
        let dll = Dll::new(&link(&options(X64), &[first.clone(), second.clone()]).unwrap());
        assert_eq!(dll.at(dll.symbol("x"), 1), [value]);
    }
    let said = link(&options(X64), &[short, other]).unwrap_err().to_string();
    assert!(said.contains("duplicate symbol: x"), "{said}");
}
