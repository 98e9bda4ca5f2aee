//! Sections that are called as the linker's own are, that join others, or that are not what their names say; and what the data
//! directories lead to all the same.

use pkgld::Target;

use crate::dll::Dll;
use crate::objects::{DATA, EXTERNAL, Object, Section};
use crate::support::{assemble, dll_and_warnings, dll_of, link, options, refusal};

const X64: Target = Target::WINDOWS_X86_64;
const X86: Target = Target::WINDOWS_X86;
const ARM64: Target = Target::WINDOWS_AARCH64;
const EXECUTE: u32 = 0x2000_0000;
const WRITE: u32 = 0x8000_0000;

/// A directive in assembly.
fn directive(text: &str) -> String {
    format!(".section .drectve,\"yni\"\n.ascii \" {text}\"\n")
}

/// Two functions with unwind rows, the later one first.
fn functions() -> String {
    let function = |name: &str, section: &str| {
        format!(
            ".section {section},\"xr\"\n.globl {name}\n{name}:\n.seh_proc {name}\npushq %rbp\n.seh_pushreg %rbp\n\
             .seh_endprologue\npopq %rbp\nret\n.seh_endproc\n"
        )
    };
    [function("late", ".text$z"), function("early", ".text$a")].concat()
}

#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_functions_stay_a_table_in_another_section() {
    for merge in ["-merge:.pdata=.rdata", "-merge:.pdata=.unwind", "-merge:.other=.pdata"] {
        let other = ".section .other,\"dr\"\n.long 0x99, 0x55, 0x11, 7\n";
        let dll = dll_of(&options(X64), &[&[&functions(), other, &directive(merge)].concat()]);
        let starts: Vec<u32> = dll.functions().into_iter().map(|(start, ..)| start).collect();
        assert_eq!(starts, [dll.symbol("early"), dll.symbol("late")], "{merge}");
        let there = dll.sections.iter().any(|section| section.name == ".pdata");
        assert_eq!(there, merge == "-merge:.other=.pdata", "{merge}");
        let is_other = |bytes: &[u8]| bytes == [0x99, 0, 0, 0, 0x55, 0, 0, 0, 0x11, 0, 0, 0, 7, 0, 0, 0];
        let all = dll.sections.iter().map(|section| dll.at(section.start, section.size));
        assert!(all.into_iter().any(|bytes| bytes.windows(16).any(is_other)), "{merge}");
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn base_relocations_are_those_made_here() {
    let text = ".globl f, p\nf: ret\n.data\np: .quad f\n.section .reloc,\"dr\"\n.quad 0x1122334455667788\n";
    let dll = dll_of(&options(X64), &[text]);
    assert_eq!(dll.base_relocations(), [(10, dll.symbol("p"))]);
    let own = dll.section(".reloc");
    assert_eq!(dll.at(own.start, 8), 0x1122_3344_5566_7788_u64.to_le_bytes(), "it is in the image, as data");
}

#[test]
#[ignore = "needs the package clang-19"]
fn resources_and_base_relocations_are_joined_with_nothing() {
    for merge in [".reloc=.rdata", ".bar=.reloc", ".foo=.rsrc", ".rsrc=.foo"] {
        let text = format!(".globl f\nf: ret\n{}", directive(&format!("-merge:{merge}")));
        let said = refusal(&options(X64), &[&text]);
        assert!(said.contains(&format!("0.o: -merge:{merge}")) && said.contains("joined with no others"), "{said}");
    }
}

/// What is made for imports and constructors has its place between what objects bring.
#[test]
#[ignore = "needs the package clang-19"]
fn lists_stay_whole_whatever_is_merged() {
    let text = ".globl f, p\nf: ret\n.data\np: .quad __CTOR_LIST__\n.section .ctors,\"dw\"\n.quad f\n";
    let merge = directive("-merge:.rdata=.text -merge:.ctors=.data");
    let dll = dll_of(&options(X64), &[text, &merge]);
    let list = dll.address(dll.symbol("p"));
    assert_eq!(
        (dll.at(list, 8), dll.address(list + 8), dll.at(list + 16, 8)),
        (vec![0xff; 8], dll.symbol("f"), vec![0; 8])
    );
}

#[test]
#[ignore = "needs the package clang-19"]
fn rows_follow_each_other_without_a_gap() {
    let x64 = |name: &str, align: u32| {
        format!(
            ".globl {name}\n{name}: subq $8, %rsp\naddq $8, %rsp\nret\nend{name}:\n.section .xdata,\"dr\"\n\
             info{name}: .byte 1, 4, 1, 0, 4, 2, 0, 0\n.section .pdata,\"dr\"\n.balign {align}\n\
             .rva {name}, end{name}, info{name}\n"
        )
    };
    let texts = [x64("a", 8), x64("b", 16), x64("c", 1)];
    let dll = dll_of(&options(X64), &texts.each_ref().map(|text| &**text));
    let starts: Vec<u32> = dll.functions().into_iter().map(|(start, ..)| start).collect();
    assert_eq!((starts, dll.directory(3).0 % 4), (["a", "b", "c"].map(|name| dll.symbol(name)).to_vec(), 0));
    let arm64 = |name: &str| {
        format!(".globl {name}\n{name}: ret\n.section .pdata,\"dr\"\n.balign 16\n.long {name}@IMGREL, 1 << 2 | 1\n")
    };
    let dll = dll_of(&options(ARM64), &[&arm64("a"), &arm64("b")]);
    assert_eq!(dll.functions_of_arm64().len(), 2);
    // What is no row cannot be placed among them.
    let said = refusal(&options(X64), &[&texts[0], ".section .pdata,\"dr\"\n.long 1, 2, 3, 4"]);
    assert!(said.contains("1.o: .pdata: 16 bytes, which is no whole number of rows of 12 bytes"), "{said}");
}

/// i386 has no table of functions.
#[test]
#[ignore = "needs the package clang-19"]
fn of_i386_a_section_called_as_the_table_is_data() {
    let text = ".globl _f\n_f: ret\n.section .pdata,\"dr\"\n.long 9, 9, 9, 5, 5, 5, 1, 1, 1, 7";
    let dll = dll_of(&options(X86), &[text]);
    let own = dll.section(".pdata");
    let words: Vec<u32> = (0..10).map(|word| dll.u32(own.start + 4 * word)).collect();
    assert_eq!((words, dll.directory(3)), (vec![9, 9, 9, 5, 5, 5, 1, 1, 1, 7], (0, 0)));
}

/// GNU's assembler calls the rows of functions in `.text.startup` so.
#[test]
#[ignore = "needs the package clang-19"]
fn functions_keep_rows_that_are_named_after_their_sections() {
    let text = ".section .text.startup,\"xr\"\n.globl f\nf: nop\nend: ret\n.section .xdata.startup,\"dr\"\ninfo: .long 1\n\
                .section .pdata.startup,\"dr\"\n.rva f, end, info\n";
    let mut options = options(X64);
    options.gc_sections = true;
    let dll = dll_of(&options, &[text, &directive("-export:f")]);
    let rows = dll.functions();
    assert_eq!((rows.len(), rows[0].0, dll.u32(rows[0].2)), (1, dll.symbol("f"), 1));
}

#[test]
#[ignore = "needs the package clang-19"]
fn a_section_may_be_called_as_the_heap_image_is() {
    let heap = ".section .foo,\"dw\"\n.globl jl_system_image_data\njl_system_image_data: .zero 64\n";
    let own = ".globl f\nf: ret\n.data\n.globl p\np: .quad im\n.section .image,\"dw\"\n.globl im\nim: .quad f";
    for texts in [[heap, own], [own, heap]] {
        let dll = dll_of(&options(X64), &texts);
        let (p, im) = (dll.symbol("p"), dll.symbol("im"));
        assert_eq!((dll.address(p), dll.address(im)), (im, dll.symbol("f")));
        let mut moved = [(10, p), (10, im)];
        moved.sort_unstable();
        assert_eq!(dll.base_relocations(), moved);
        let last = dll.sections.last().unwrap();
        assert_eq!((&*last.name, last.start), (".image", dll.symbol("jl_system_image_data")));
    }
}

/// A size without a place in the file means zeros, whatever the flags say.
#[test]
fn contents_without_a_place_are_zeros() {
    let mut object = Object::new(" -export:f -export:d");
    object.symbol("f", 1, EXTERNAL);
    object.symbol("d", 3, EXTERNAL);
    object.sections.push(Section::new(".data", DATA, &[7; 16]));
    let mut bytes = object.build();
    let header = 20 + 40 * 2;
    bytes[header + 20..header + 24].fill(0);
    let dll = Dll::new(&link(&options(X64), &[bytes.clone()]).unwrap());
    assert_eq!(dll.at(dll.symbol("d"), 16), [0; 16]);
    // They are not counted as bytes of the file.
    bytes[header + 16..header + 20].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    let dll = Dll::new(&link(&options(X64), &[bytes]).unwrap());
    assert!(dll.section(".data").size >= 0x10_0000);
}

#[test]
#[ignore = "needs the package clang-19"]
fn code_that_is_written_stands_apart() {
    let text = ".globl f, v, g\nf: ret\n.section .text$w,\"xw\"\nv: .quad 1\n.section .text$x,\"xr\"\ng: ret\n";
    for target in [X64, ARM64] {
        let dll = dll_of(&options(target), &[text]);
        let [code, written] = [".text", ".wtext"].map(|name| dll.section(name));
        assert_eq!(code.characteristics & (EXECUTE | WRITE), EXECUTE);
        assert_eq!(written.characteristics & (EXECUTE | WRITE), EXECUTE | WRITE);
        let within = |section: &crate::dll::Section, name: &str| {
            (section.start..section.start + section.size).contains(&dll.symbol(name))
        };
        assert!(within(code, "f") && within(code, "g") && within(written, "v"));
    }
}

/// The loader reads as much of these structures as they say, or as there must be.
#[test]
#[ignore = "needs the package clang-19"]
fn structures_for_the_loader_have_their_sizes() {
    let config = |contents: &str| {
        format!(
            ".globl f\nf: ret\n.section .rdata,\"dr\"\n.globl _load_config_used\n.balign 8\n_load_config_used: {contents}\n"
        )
    };
    for (contents, wanted) in [
        (".long 0xfffffff0\n.fill 316, 1, 0", "0.o: _load_config_used: 4294967280 bytes, of which its section has 320"),
        (".byte 1", "0.o: _load_config_used: its section ends before its size"),
    ] {
        let said = refusal(&options(X64), &[&config(contents)]);
        assert!(said.contains(wanted), "{said}");
    }
    let dll = dll_of(&options(X64), &[&config(".long 320\n.fill 316, 1, 0")]);
    assert_eq!(dll.directory(10), (dll.symbol("_load_config_used"), 320));
    for (target, prefix, size) in [(X64, "", 40), (X86, "_", 24)] {
        let tls = |size: u32| {
            format!(
                ".globl {prefix}f\n{prefix}f: ret\n.section .rdata,\"dr\"\n.globl {prefix}_tls_used\n\
                 {prefix}_tls_used: .fill {size}, 1, 0"
            )
        };
        let said = refusal(&options(target), &[&tls(size - 1)]);
        let wanted = format!("0.o: _tls_used: {size} bytes, of which its section has {}", size - 1);
        assert!(said.contains(&wanted), "{said}");
        assert_eq!(dll_of(&options(target), &[&tls(size)]).directory(9).1, size);
    }
    // Where the loader searches for DLLs is said there, too.
    for (target, prefix, size, at) in [(X64, "", 148, 78), (X86, "_", 104, 54)] {
        let config = |size: u32| {
            format!(
                ".globl {prefix}f\n{prefix}f: ret\n.section .rdata,\"dr\"\n.globl {prefix}_load_config_used\n\
                 {prefix}_load_config_used: .long {size}\n.fill {}, 1, 0",
                size - 4
            )
        };
        let mut flags = options(target);
        flags.pe.dependent_load_flags = Some(0x800);
        let (dll, warnings) = dll_and_warnings(&flags, &[&config(size)]);
        let start = dll.symbol(&format!("{prefix}_load_config_used"));
        assert_eq!((dll.at(start + at, 2), warnings), (vec![0, 8], String::new()));
        let (_, warnings) = dll_and_warnings(&flags, &[&config(at)]);
        assert!(warnings.contains("--dependent-load-flag: no load configuration"), "{warnings}");
    }
}

/// Import libraries of GNU's have pieces of lists of slots that are aligned to four bytes.
#[test]
#[ignore = "needs the package clang-19"]
fn slots_are_aligned_whatever_their_pieces_are() {
    let library = ".section .idata$2,\"dw\"\n.rva lookup\n.long 0, 0\n.rva name, slots\n.section .idata$4,\"dw\"\n.balign 4\n\
                   lookup: .rva hint\n.long 0\n.quad 0\n.section .idata$5,\"dw\"\n.balign 4\n.globl __imp_e\n\
                   slots: __imp_e: .rva hint\n.long 0\n.quad 0\n.section .idata$6,\"dw\"\nhint: .short 0\n.asciz \"e\"\n.balign 2\n\
                   .section .idata$7,\"dw\"\nname: .asciz \"e.dll\"";
    for before in 0..4 {
        let user = format!(
            ".globl f\nf: adrp x0, __imp_e\nldr x0, [x0, :lo12:__imp_e]\nret\n.section .rdata,\"dr\"\n.fill {}, 1, 3\n",
            4 * before
        );
        let dll = dll_of(&options(ARM64), &[&user, library]);
        let slots: Vec<u32> = dll.imports().into_keys().collect();
        assert_eq!((slots.len(), slots[0] % 8), (1, 0), "{before}");
    }
}

/// Lists in sections of their own are found by the symbols before and behind them, to which the order of names leads.
#[test]
#[ignore = "needs the package clang-19"]
fn pieces_of_lists_stay_though_nothing_refers_to_them() {
    let list = ".section .list$a,\"dw\"\n.globl first\nfirst: .quad 1\n.section .list$b,\"dw\"\n.quad 2\n\
                .section own,\"dw\"\n.long 7\n.section .dead$b,\"dw\",one_only,dead\n.globl dead\ndead: .quad 3\n\
                .section .list$c,\"dw\"\n.globl last\nlast: .quad 4\n.text\n.globl f\nf: lea first(%rip), %rax\nret\n";
    let mut options = options(X64);
    options.gc_sections = true;
    let dll = dll_of(&options, &[&[list, &directive("-export:f")].concat()]);
    let first = dll.symbol("first");
    assert_eq!([0, 8, 16].map(|at| dll.u32(first + at)), [1, 2, 4]);
    assert_eq!(dll.u32(dll.section("own").start), 7);
    assert!(!dll.has_symbol("dead"));
}

#[test]
#[ignore = "needs the package clang-19"]
fn attributes_of_sections_are_those_asked_for() {
    let text = [".section .shr,\"dw\"\n.long 1\n.section .mine,\"dw\"\n.long 2\n", &directive("-section:.shr,RWS")];
    let other = directive("-foo -section:.shr,R -section:.mine,r -section:.none,R -section:.mine,!W -section:.x");
    let (dll, warnings) = dll_and_warnings(&options(X64), &[&text.concat(), &other]);
    assert_eq!(dll.section(".shr").characteristics, 0xd000_0040);
    assert_eq!(dll.section(".mine").characteristics, 0x4000_0040);
    assert_eq!(warnings.trim(), "1.o: .drectve: unknown directive -foo");
    let asking = directive("-foo -bar -entry:main -defaultlib:nowhere");
    let (_, warnings) = dll_and_warnings(&options(X64), &["f: ret", &asking]);
    assert_eq!(warnings.matches("1.o: ").count(), 3, "one of each kind: {warnings}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn zeros_in_a_section_of_their_own_need_no_bytes() {
    let zeros = |name: &str| format!(".section {name},\"bw\"\n.globl z\nz: .zero 0x200000\n");
    for (text, zero) in [(zeros(".mine"), true), (zeros(".mine") + ".section .mine$b,\"dw\"\n.quad 5", false)] {
        let image = link(&options(X64), &[assemble(X64, &text)]).unwrap();
        let dll = Dll::new(&image);
        assert_eq!(dll.section(".mine").size, if zero { 0x20_0000 } else { 0x20_0008 });
        assert_eq!(image.len() < 0x4000, zero, "{}", image.len());
        assert_eq!(dll.u32(dll.symbol("z") + 4), 0);
    }
}
