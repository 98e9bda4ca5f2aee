//! Arm64: its relocations, thunks and rows of functions, in a few lines of assembly.

use pkgld::{Input, Target};

use crate::dll::Dll;
use crate::support::{assemble, dll_and_warnings, dll_of, link, link_inputs, options, refusal};

const ARM64: Target = Target::WINDOWS_AARCH64;

/// Where `adrp` and what follows lead: the page, and the low bits in units of `1 << shift` bytes.
fn pair(dll: &Dll, at: u32, shift: u32) -> u32 {
    let (adrp, low) = (dll.u32(at), dll.u32(at + 4));
    let pages = (adrp >> 5 & 0x7_ffff) << 2 | adrp >> 29 & 3;
    (at & !0xfff).wrapping_add(pages << 12).wrapping_add((low >> 10 & 0xfff) << shift)
}

/// Where `b` or `bl` leads.
fn branch(dll: &Dll, at: u32) -> u32 {
    at.wrapping_add((dll.u32(at) << 6).cast_signed().wrapping_shr(4).cast_unsigned())
}

#[test]
#[ignore = "needs the package clang-19"]
fn every_kind_of_relocation() {
    let text = ".globl f\nf: adrp x0, v+0x1238\nadd x0, x0, :lo12:v+0x1238\nadrp x1, v+8\nldr x2, [x1, :lo12:v+8]\n\
                adr x3, f\nbl f\nb.eq f\ntbz x0, #3, f\nret\n\
                .data\n.long 5\n.balign 8\n.globl v\nv: .quad v + 3\n.globl r\nr: .rva v + 1\n.secrel32 v\n\
                .secidx v\n.short 0\n.globl d\nd: .long v - .\n.zero 0x2000";
    let dll = dll_of(&options(ARM64), &[text]);
    let (f, v, r) = (dll.symbol("f"), dll.symbol("v"), dll.symbol("r"));
    assert_eq!(dll.machine(), 0xaa64);
    assert_eq!((pair(&dll, f, 0), pair(&dll, f + 8, 3)), (v + 0x1238, v + 8));
    assert_eq!(dll.u32(f + 16), 0x10ff_ff83, "adr x3, #-16");
    assert_eq!((branch(&dll, f + 20), dll.u32(f + 24), dll.u32(f + 28)), (f, 0x54ff_ff40, 0x361f_ff20));
    let number = dll.sections.iter().position(|section| section.name == ".data").unwrap() as u32 + 1;
    assert_eq!(dll.address(v), v + 3);
    assert_eq!((dll.u32(r), dll.u32(r + 4), dll.u32(r + 8)), (v + 1, v - dll.section(".data").start, number));
    assert_eq!(dll.u32(dll.symbol("d")).wrapping_add(dll.symbol("d")), v);
    assert_eq!(dll.base_relocations(), [(10, v)]);
    // The entry point that is made: mov w0, #1; ret.
    assert_eq!((dll.u32(dll.entry), dll.u32(dll.entry + 4)), (0x5280_0020, 0xd65f_03c0));
}

#[test]
#[ignore = "needs the package clang-19"]
fn imports_are_reached_through_thunks() {
    let library = assemble(ARM64, ".globl f, v\nf: ret\n.data\nv: .quad 1");
    let mut named = options(ARM64);
    named.pe.dll_name = Some("Other.dll".to_owned());
    let library = link(&named, &[library]).unwrap();
    let user = ".globl g, p\ng: bl f\nadrp x0, __imp_v\nldr x0, [x0, :lo12:__imp_v]\nret\n.data\np: .quad f";
    let object = assemble(ARM64, user);
    let inputs = vec![Input::bytes("user.o", &object), Input::bytes("other.dll", &library)];
    let dll = Dll::new(&link_inputs(&options(ARM64), inputs).unwrap());
    let imports = dll.imports();
    let of = |name: &str| *imports.iter().find(|(_, import)| import.1 == name).unwrap().0;
    let (g, thunk) = (dll.symbol("g"), branch(&dll, dll.symbol("g")));
    assert_eq!((pair(&dll, thunk, 3), dll.u32(thunk + 8)), (of("f"), 0xd61f_0200));
    assert_eq!(pair(&dll, g + 4, 3), of("v"));
    assert_eq!(dll.address(dll.symbol("p")), thunk);
}

#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_functions_are_sorted() {
    let function = |name: &str, section: &str| {
        format!(
            ".section {section},\"xr\"\n.globl {name}\n{name}:\n.seh_proc {name}\nstp x29, x30, [sp, #-16]!\n\
             .seh_save_fplr_x 16\n.seh_endprologue\n.seh_startepilogue\nldp x29, x30, [sp], #16\n\
             .seh_save_fplr_x 16\n.seh_endepilogue\nret\n.seh_endproc\n"
        )
    };
    let dll = dll_of(&options(ARM64), &[&[function("late", ".text$z"), function("early", ".text$a")].concat()]);
    let (start, size) = dll.directory(3);
    let starts: Vec<u32> = (start..start + size).step_by(8).map(|at| dll.u32(at)).collect();
    assert_eq!(starts, [dll.symbol("early"), dll.symbol("late")]);
}

/// Two functions with more than a branch reaches between them.
#[test]
#[ignore = "needs the package clang-19"]
fn far_branches_go_through_thunks() {
    let near = ".section .text$a,\"xr\"\n.globl near\nnear: bl far\nret\n.section .text$b,\"xr\"\n.zero 0x6000000\n\
                .section .text$c,\"xr\"\n.zero 0x6000000\n.section .text$d,\"xr\"\n.globl far\nfar: ret";
    let dll = dll_of(&options(ARM64), &[near]);
    let thunk = branch(&dll, dll.symbol("near"));
    assert_eq!((pair(&dll, thunk, 0), dll.u32(thunk + 8)), (dll.symbol("far"), 0xd61f_0200));
    let names = &dll.symbols()[&thunk];
    assert!(names.iter().any(|name| name.ends_with("far")), "{names:?}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn what_cannot_be_is_told() {
    let mut fixed = options(ARM64);
    fixed.pe.dynamic_base = false;
    let (dll, warnings) = dll_and_warnings(&fixed, &["ret"]);
    assert!(warnings.contains("--disable-dynamicbase: ignored"), "{warnings}");
    assert_eq!(dll.characteristics().1 & 0x40, 0x40, "DYNAMIC_BASE");
    let far = refusal(&options(ARM64), &[".globl f\nf: ret\n.data\n.long f"]);
    assert!(far.contains("IMAGE_REL_ARM64_ADDR32"), "{far}");
    let mixed = [assemble(ARM64, "ret"), assemble(Target::WINDOWS_X86_64, "ret")];
    let mixed = link(&options(ARM64), &mixed).unwrap_err().to_string();
    assert!(mixed.contains("1.o") && mixed.contains("x86-64 Windows") && mixed.contains("Arm64 Windows"), "{mixed}");
    let mut hybrid = assemble(ARM64, "ret");
    hybrid[..2].copy_from_slice(&0xa641_u16.to_le_bytes());
    let refused = link(&options(ARM64), &[hybrid]).unwrap_err().to_string();
    assert!(refused.contains("Arm64EC"), "{refused}");
}
