//! Weak definitions, of which the process has one for each name; and names that may be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::committed_for;
use pkgld_corpus::run;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::common::rust_lld;
use super::{assemble, link, link_by_lld, name};

/// A function that runs first and finds out which definitions the loader has chosen: it leaves 12 if calls, slots and pointers
/// lead to the image's own `_pkgld_weak_here`, which returns 1, and to another image's `_pkgld_weak_elsewhere`, which
/// returns 2; and if a name that nobody has is 0.
const CODE: [&str; 2] = [
    "_first: pushq %rbx\n\
     callq _pkgld_weak_here\nimulq $10, %rax, %rbx\ncallq _pkgld_weak_elsewhere\naddq %rax, %rbx\n\
     movq _pkgld_weak_here@GOTPCREL(%rip), %rax\ncallq *%rax\nimulq $10, %rax, %rax\ncmpq $10, %rax\njne 1f\n\
     movq _pkgld_weak_elsewhere@GOTPCREL(%rip), %rax\ncallq *%rax\ncmpq $2, %rax\njne 1f\n\
     callq *_pointers(%rip)\ncmpq $1, %rax\njne 1f\ncallq *_pointers+8(%rip)\ncmpq $2, %rax\njne 1f\n\
     movq _pointers+16(%rip), %rax\nsubq $8, %rax\ncallq *%rax\ncmpq $2, %rax\njne 1f\n\
     cmpq $0, _nowhere@GOTPCREL(%rip)\njne 1f\n\
     movq %rbx, _pkgld_initialised(%rip)\n1: popq %rbx\nret\n\
     .globl _pkgld_weak_here, _pkgld_weak_elsewhere, _hidden_weak, _can_be_hidden, _both\n\
     .weak_definition _pkgld_weak_here\n_pkgld_weak_here: movl $1, %eax\nret\n\
     .weak_definition _pkgld_weak_elsewhere\n_pkgld_weak_elsewhere: movl $9, %eax\nret\n\
     .weak_definition _hidden_weak\n.private_extern _hidden_weak\n_hidden_weak: jmp _can_be_hidden\n\
     .weak_def_can_be_hidden _can_be_hidden\n_can_be_hidden: jmp _both\n\
     .weak_definition _both\n.private_extern _both\n_both: jmp _pkgld_of_library\n",
    "_first: stp x29, x30, [sp, #-32]!\nstr x19, [sp, #16]\n\
     bl _pkgld_weak_here\nmov x9, #10\nmul x19, x0, x9\nbl _pkgld_weak_elsewhere\nadd x19, x19, x0\n\
     adrp x8, _pkgld_weak_here@GOTPAGE\nldr x8, [x8, _pkgld_weak_here@GOTPAGEOFF]\nblr x8\ncmp x0, #1\nb.ne 1f\n\
     adrp x8, _pkgld_weak_elsewhere@GOTPAGE\nldr x8, [x8, _pkgld_weak_elsewhere@GOTPAGEOFF]\nblr x8\ncmp x0, #2\nb.ne 1f\n\
     adrp x8, _pointers@PAGE\nldr x8, [x8, _pointers@PAGEOFF]\nblr x8\ncmp x0, #1\nb.ne 1f\n\
     adrp x8, _pointers@PAGE+8\nldr x8, [x8, _pointers@PAGEOFF+8]\nblr x8\ncmp x0, #2\nb.ne 1f\n\
     adrp x8, _pointers@PAGE+16\nldr x8, [x8, _pointers@PAGEOFF+16]\nsub x8, x8, #8\nblr x8\ncmp x0, #2\nb.ne 1f\n\
     adrp x8, _nowhere@GOTPAGE\nldr x8, [x8, _nowhere@GOTPAGEOFF]\ncbnz x8, 1f\n\
     adrp x8, _pkgld_initialised@PAGE\nstr x19, [x8, _pkgld_initialised@PAGEOFF]\n\
     1: ldr x19, [sp, #16]\nldp x29, x30, [sp], #32\nret\n\
     .globl _pkgld_weak_here, _pkgld_weak_elsewhere, _hidden_weak, _can_be_hidden, _both\n\
     .weak_definition _pkgld_weak_here\n_pkgld_weak_here: mov x0, #1\nret\n\
     .weak_definition _pkgld_weak_elsewhere\n_pkgld_weak_elsewhere: mov x0, #9\nret\n\
     .weak_definition _hidden_weak\n.private_extern _hidden_weak\n_hidden_weak: b _can_be_hidden\n\
     .weak_def_can_be_hidden _can_be_hidden\n_can_be_hidden: b _both\n\
     .weak_definition _both\n.private_extern _both\n_both: b _pkgld_of_library\n",
];

/// The same names again, with what must not be taken; one of them is for others here.
const AGAIN: &str = ".globl _pkgld_weak_here, _both\n.weak_definition _pkgld_weak_here\n_pkgld_weak_here: .long 0\n\
                     .weak_definition _both\n_both: .long 0\n";

fn objects(target: Target) -> [PathBuf; 2] {
    let head = ".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n";
    let text = format!(
        "{head}{}.weak_reference _nowhere\n\
         .section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n.quad _first\n\
         .section __DATA,__data\n.globl _pkgld_initialised, _strong_of_library, _weak_data\n.p2align 3\n\
         _pkgld_initialised: .quad 0\n\
         _pointers: .quad _pkgld_weak_here\n.quad _pkgld_weak_elsewhere\n.quad _pkgld_weak_elsewhere+8\n.quad _pkgld_of_library\n\
         .quad _both\n.quad _can_be_hidden\n_strong_of_library: .quad _weak_data-0x100\n\
         .weak_definition _weak_data\n_weak_data: .quad _weak_data+0x1000\n",
        CODE[usize::from(target == MACOS_ARM64)]
    );
    [assemble(target, "weak", &text), assemble(target, "weak-again", &format!("{head}{AGAIN}"))]
}

const LIBRARY: &str = ".text\n.globl _pkgld_of_library, _strong_of_library\n.weak_definition _pkgld_of_library\n\
                       _pkgld_of_library: .long 0\n.weak_definition _strong_of_library\n_strong_of_library: .long 0\n";

/// A library of the system, which LLD makes of an assembler's text.
pub fn library(target: Target, name: &str, text: &str) -> PathBuf {
    let object = assemble(target, name, text);
    let output = object.with_file_name(format!("lib{name}-{}.dylib", target.name));
    let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
    let mut lld = Command::new(rust_lld());
    lld.args(["-flavor", "darwin", "-arch", arch, "-platform_version", "macos", "11.0", "11.0", "-dylib"]);
    lld.args(["-undefined", "dynamic_lookup", "-install_name", &format!("/usr/lib/lib{name}.dylib"), "-o"]);
    let out = lld.arg(&output).arg(object).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    output
}

/// Links the first committed archive and `inputs`, with chains and with programs; runs the image, and compares it with LLD's.
pub fn as_lld_links(target: Target, suffix: &str, inputs: &[&Path]) -> Vec<PathBuf> {
    let entry = committed_for(target).remove(0);
    let forms = [("chains", "-fixup_chains"), ("programs", "-no_fixup_chains")].map(|(form, option)| {
        let inputs = inputs.iter().map(|path| path.to_str().unwrap());
        let more: Vec<&str> = inputs.chain([option]).collect();
        let ours = link(&entry, &name(&entry, &format!("-{suffix}-{form}")), &more);
        let report = run::check_committed(&entry, &ours);
        report.unwrap_or_else(|error| panic!("{}:\n{error}", ours.display()));
        let theirs = link_by_lld(&entry, &name(&entry, &format!("-{suffix}-{form}-lld")), &more);
        compare(told(&ours, form == "chains"), told(&theirs, form == "chains"), &ours);
        assert_eq!(flags(&ours), flags(&theirs), "{}", ours.display());
        ours
    });
    forms.into()
}

/// What LLVM's reader says of an image, line by line, addresses left out: what the loader fills where, and what is for others.
pub fn told(image: &Path, chained: bool) -> Vec<Vec<String>> {
    let tables: &[&str] =
        if chained { &["--dyld-info"] } else { &["--bind", "--weak-bind", "--lazy-bind", "--rebase"] };
    let mut all = Vec::new();
    for table in tables.iter().chain(&["--exports-trie"]) {
        let out = Command::new("llvm-objdump-19").args(["--macho", table]).arg(image).output();
        let out = out.expect("llvm-objdump-19 is not installed; it is in the Debian package llvm-19");
        assert!(out.status.success(), "{table}: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let lines = text.lines().skip(1).map(|line| {
            // Behind the kind of a bind stands what is added.
            let mut bound = false;
            let words = line.split_whitespace().filter(|word| {
                bound |= *word == "bind";
                bound || !word.starts_with("0x")
            });
            words.collect::<Vec<_>>().join(" ")
        });
        let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        lines.sort();
        all.push(lines);
    }
    all
}

/// The flags of a header, by name.
pub fn flags(image: &Path) -> BTreeSet<String> {
    let out = Command::new("llvm-readobj-19").arg("--file-headers").arg(image).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().filter_map(|line| line.trim().strip_prefix("MH_")).map(str::to_owned).collect()
}

fn weak_definitions(target: Target) {
    let ([first, again], library) = (objects(target), library(target, "weak", LIBRARY));
    for image in as_lld_links(target, "weak", &[&first, &again, &library]) {
        assert!(flags(&image).iter().any(|flag| flag.starts_with("BINDS_TO_WEAK")), "{:?}", flags(&image));
    }
}

/// Compares what a reader says of two images, table by table.
pub fn compare(ours: Vec<Vec<String>>, theirs: Vec<Vec<String>>, image: &Path) {
    // LLD gives a stub whose function the loader looks up when the image is loaded a pointer among the lazy ones; here it
    // jumps through a slot. What stands there before is no matter; and what has a slot too is looked up once.
    let plain = |tables: Vec<Vec<String>>| -> Vec<BTreeMap<String, usize>> {
        let mut slots: Vec<String> = Vec::new();
        let mut all = Vec::new();
        for table in tables {
            let mut lines: BTreeMap<String, usize> = BTreeMap::new();
            for line in table {
                let line = line.replace("__DATA __la_symbol_ptr", "__DATA_CONST __got");
                // Of other images' thread-local variables LLD has slots of their own.
                let line = line.replace("__DATA __thread_ptrs", "__DATA_CONST __got");
                *lines.entry(line).or_default() += 1;
            }
            lines.retain(|line, count| {
                if line.starts_with("__DATA_CONST __got") {
                    *count = 1;
                }
                line != "__DATA_CONST __got pointer"
            });
            slots.extend(
                lines.keys().filter_map(|line| line.strip_prefix("__DATA_CONST __got pointer 0 ")).map(str::to_owned),
            );
            lines.retain(|line, _| {
                line.strip_prefix("__DATA_CONST __got ").is_none_or(|rest| !slots.iter().any(|slot| slot == rest))
            });
            all.push(lines);
        }
        all
    };
    for (ours, theirs) in plain(ours).into_iter().zip(plain(theirs)) {
        let differing = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
            let lines = one.iter().filter(|(line, count)| other.get(*line) != Some(count));
            lines.map(|(line, count)| format!("{count} x {line}")).collect()
        };
        let (here, there) = (differing(&ours, &theirs), differing(&theirs, &ours));
        assert!(here.is_empty() && there.is_empty(), "{}: {here:#?}, but LLD's {there:#?}", image.display());
    }
}

#[test]
#[ignore = "needs the packages gcc and llvm-19"]
fn weak_definitions_of_x86_64_are_one_in_the_process() {
    weak_definitions(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, llvm-19 and qemu-user-static"]
fn weak_definitions_of_arm64_are_one_in_the_process() {
    weak_definitions(MACOS_ARM64);
}
