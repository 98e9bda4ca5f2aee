//! Thread-local variables: of the image itself, set or zero, and of another image.

use std::path::Path;
use std::process::Command;

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::assemble;
use super::coalesced::{as_lld_links, flags, library};
use super::common::rust_lld;
use super::image::Image;
use super::libraries::as_lld;

/// A function that runs first and leaves 12 if a variable of the image is 10, one that is zero is aligned and can be written,
/// and one of another image is 7.
const CODE: [&str; 2] = [
    "_first: pushq %rbx\n\
     movq _set@TLVP(%rip), %rdi\ncallq *(%rdi)\nmovq (%rax), %rbx\n\
     movq _zero@TLVP(%rip), %rdi\ncallq *(%rdi)\ntestq $63, %rax\njne 1f\naddq $2, (%rax)\naddq (%rax), %rbx\n\
     movq _pkgld_variable@TLVP(%rip), %rdi\ncallq *(%rdi)\ncmpq $7, (%rax)\njne 1f\n\
     movq %rbx, _pkgld_initialised(%rip)\n1: popq %rbx\nret\n",
    "_first: stp x29, x30, [sp, #-32]!\nstr x19, [sp, #16]\n\
     adrp x0, _set@TLVPPAGE\nldr x0, [x0, _set@TLVPPAGEOFF]\nldr x8, [x0]\nblr x8\nldr x19, [x0]\n\
     adrp x0, _zero@TLVPPAGE\nldr x0, [x0, _zero@TLVPPAGEOFF]\nldr x8, [x0]\nblr x8\ntst x0, #63\nb.ne 1f\n\
     ldr x8, [x0]\nadd x8, x8, #2\nstr x8, [x0]\nadd x19, x19, x8\n\
     adrp x0, _pkgld_variable@TLVPPAGE\nldr x0, [x0, _pkgld_variable@TLVPPAGEOFF]\nldr x8, [x0]\nblr x8\n\
     ldr x8, [x0]\ncmp x8, #7\nb.ne 1f\n\
     adrp x8, _pkgld_initialised@PAGE\nstr x19, [x8, _pkgld_initialised@PAGEOFF]\n\
     1: ldr x19, [sp, #16]\nldp x29, x30, [sp], #32\nret\n",
];

const LIBRARY: &str = ".globl _pkgld_variable\n.section __DATA,__thread_vars,thread_local_variables\n\
                       _pkgld_variable: .quad __tlv_bootstrap, 0, _pkgld_variable$tlv$init\n\
                       .tbss _pkgld_variable$tlv$init, 8, 3\n";

fn variables(target: Target) {
    let text = format!(
        ".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n{}\
         .section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n.quad _first\n\
         .section __DATA,__data\n.globl _pkgld_initialised\n.p2align 3\n_pkgld_initialised: .quad 0\n\
         .section __DATA,__thread_data,thread_local_regular\n.p2align 2\n.long 1\n\
         .p2align 3\n_set$tlv$init: .quad 10\n\
         .globl _set\n.section __DATA,__thread_vars,thread_local_variables\n\
         _set: .quad __tlv_bootstrap, 0, _set$tlv$init\n_zero: .quad __tlv_bootstrap, 0, _zero$tlv$init\n\
         .tbss _zero$tlv$init, 8, 6\n",
        CODE[usize::from(target == MACOS_ARM64)]
    );
    let (object, library) = (assemble(target, "variables", &text), library(target, "variables", LIBRARY));
    for image in as_lld_links(target, "variables", &[&object, &library]) {
        assert!(flags(&image).iter().any(|flag| flag.starts_with("HAS_TLV_DESCRIPTORS")), "{:?}", flags(&image));
    }
}

#[test]
#[ignore = "needs the packages gcc and llvm-19"]
fn variables_of_threads_are_found_on_x86_64() {
    variables(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, llvm-19 and qemu-user-static"]
fn variables_of_threads_are_found_on_arm64() {
    variables(MACOS_ARM64);
}

/// Compilers do not say how descriptors are aligned: they are as the loader's pointers have to be.
#[test]
#[ignore = "needs the package llvm-19"]
fn descriptors_are_aligned() {
    let text = ".globl _odd, _variable\n.section __DATA,__data\n_odd: .byte 1\n\
                .section __DATA,__thread_vars,thread_local_variables\n\
                _variable: .quad __tlv_bootstrap, 0, _variable$tlv$init\n.tbss _variable$tlv$init, 8, 3\n";
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let object = assemble(target, "odd-variables", text);
        for form in ["-fixup_chains", "-no_fixup_chains"] {
            let arguments = [object.to_str().unwrap(), "-undefined", "dynamic_lookup", form];
            let image = as_lld(target, &arguments);
            let place = Image::new(&image).exports()[&b"_variable"[..]];
            assert!(place.is_multiple_of(8), "{form}: 0x{place:x}");
        }
    }
}

/// A variable has no address that data could hold, and what is none is not found as one; LLD refuses both too.
#[test]
#[ignore = "needs the package llvm-19"]
fn what_is_no_variable_of_threads_is_not_taken_for_one() {
    let variable = ".globl _variable\n.section __DATA,__thread_vars,thread_local_variables\n\
                    _variable: .quad __tlv_bootstrap, 0, _variable$tlv$init\n.tbss _variable$tlv$init, 8, 3\n";
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let arm = target == MACOS_ARM64;
        let code = |name: &str, thread_local: bool| {
            let text = match (arm, thread_local) {
                (false, true) => format!("movq {name}@TLVP(%rip), %rdi\n"),
                (false, false) => format!("movq {name}@GOTPCREL(%rip), %rdi\n"),
                (true, true) => format!("adrp x0, {name}@TLVPPAGE\nldr x0, [x0, {name}@TLVPPAGEOFF]\n"),
                (true, false) => format!("adrp x0, {name}@GOTPAGE\nldr x0, [x0, {name}@GOTPAGEOFF]\n"),
            };
            format!(".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n{text}")
        };
        let pointer = |name: &str| format!(".section __DATA,__data\n.p2align 3\n.quad {name}\n");
        let other = library(target, "of-threads", LIBRARY);
        let plain = ".globl _plain\n.section __DATA,__data\n_plain: .long 0\n";
        for (text, wanted) in [
            (format!("{variable}{}", code("_variable", true)), None),
            (code("_pkgld_variable", true), None),
            (code("_nowhere", true), None),
            (format!("{variable}{}", pointer("_variable")), Some("has an address in each thread")),
            (format!("{variable}{}", code("_variable", false)), Some("has an address in each thread")),
            (pointer("_pkgld_variable"), Some("has an address in each thread")),
            (code("_pkgld_variable", false), Some("has an address in each thread")),
            (format!("{plain}{}", code("_plain", true)), Some("is no thread-local variable")),
        ] {
            let object = assemble(target, "threads", &text);
            let arch = if arm { "arm64" } else { "x86_64" };
            let arguments = ["-flavor", "darwin", "-dylib", "-arch", arch, "-undefined", "dynamic_lookup", "-o"];
            let output = object.with_extension("dylib");
            let run = |program: &Path| {
                let version = ["-platform_version", "macos", "13.0", "13.0"];
                let mut command = Command::new(program);
                let out = command.args(arguments).args([&output, &object, &other]).args(version).output().unwrap();
                (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
            };
            let (done, said) = run(Path::new(env!("CARGO_BIN_EXE_pkgld")));
            assert_eq!(done, wanted.is_none(), "{text}: {said}");
            assert!(wanted.is_none_or(|wanted| said.contains(wanted)), "{text}: {said}");
            // LLD takes a name that is left to the loader for no variable.
            if !text.contains("_nowhere") {
                let (theirs, said) = run(&rust_lld());
                assert_eq!(theirs, done, "{text}: {said}");
            }
        }
    }
}
