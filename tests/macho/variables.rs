//! Thread-local variables: of the image itself, set or zero, and of another image.

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::assemble;
use super::coalesced::{as_lld_links, flags, library};

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
