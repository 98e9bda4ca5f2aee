//! What nothing refers to is left out: the same functions and data as LLD leaves out, and what stays does what it did.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pkgld_corpus::run;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::contents::compare;
use super::image::Image;
use super::{all, assemble, committed_for, link, link_by_lld, name, place};

/// A function that runs first and leaves 12 if all it uses is there: a function and a place inside of it, strings, numbers, a
/// table of distances, data that only other data refer to, and a thread-local variable. Around each stands what nothing uses.
const CODE: [&str; 2] = [
    "_unused_first: .cfi_startproc\npushq %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\n\
     callq _unused_import\nleaq L_never(%rip), %rdi\nmovq L_unused_number(%rip), %rax\nleaq _unused_data(%rip), %rax\n\
     popq %rbp\nretq\n.cfi_endproc\n\
     _first: .cfi_startproc\npushq %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n\
     callq _used\nmovq %rax, %rbx\ncallq _inside\naddq %rax, %rbx\n\
     movzbl L_abc+1(%rip), %eax\naddq %rax, %rbx\naddq L_number(%rip), %rbx\n\
     leaq _distances(%rip), %rcx\nmovslq 4(%rcx), %rax\nmovzbl (%rcx,%rax), %eax\naddq %rax, %rbx\n\
     movq _pointer(%rip), %rax\nmovq (%rax), %rax\naddq (%rax), %rbx\n\
     movq _variable@TLVP(%rip), %rdi\ncallq *(%rdi)\naddq (%rax), %rbx\n\
     callq _odd_frame\naddq %rax, %rbx\n\
     cmpq $1367, %rbx\njne 1f\nmovq $12, _pkgld_initialised(%rip)\n1: popq %rbx\nretq\n.cfi_endproc\n\
     .p2align 4, 0x90\n_used: movl $1, %eax\nretq\n.alt_entry _inside\n_inside: movl $2, %eax\nretq\n\
     .p2align 4, 0x90\n_unused_leaf: jmp _unused_first\n\
     _unused_odd_frame: .cfi_startproc\nsubq $8, %rsp\n.cfi_escape 0x2e, 0x10\naddq $8, %rsp\nretq\n.cfi_endproc\n\
     _odd_frame: .cfi_startproc\nsubq $24, %rsp\n.cfi_def_cfa_offset 32\n.cfi_escape 0x2e, 0x10\n\
     movl $1000, %eax\naddq $24, %rsp\nretq\n.cfi_endproc\n\
     _unused_odd_leaf: .cfi_startproc\nsubq $40, %rsp\n.cfi_escape 0x2e, 0x10\naddq $40, %rsp\nretq\n.cfi_endproc\n\
     .globl _weak\n.weak_definition _weak\n_weak: .cfi_startproc\npushq %rbp\n.cfi_def_cfa_offset 16\npopq %rbp\nretq\n\
     .cfi_endproc\n.no_dead_strip _asked_for\n_asked_for: jmp _asked_data\n",
    "_unused_first: .cfi_startproc\nstp x29, x30, [sp, #-16]!\n.cfi_def_cfa_offset 16\n.cfi_offset w30, -8\n.cfi_offset w29, -16\n\
     bl _unused_import\nadrp x0, l_never@PAGE\nadd x0, x0, l_never@PAGEOFF\nadrp x8, l_unused_number@PAGE\n\
     ldr x8, [x8, l_unused_number@PAGEOFF]\nadrp x8, _unused_data@PAGE\nadd x8, x8, _unused_data@PAGEOFF\n\
     ldp x29, x30, [sp], #16\nret\n.cfi_endproc\n\
     _first: .cfi_startproc\nstp x29, x30, [sp, #-32]!\nmov x29, sp\n.cfi_def_cfa w29, 32\n.cfi_offset w30, -24\n.cfi_offset w29, -32\n\
     str x19, [sp, #16]\nbl _used\nmov x19, x0\nbl _inside\nadd x19, x19, x0\n\
     adrp x8, l_abc@PAGE+1\nldrb w8, [x8, l_abc@PAGEOFF+1]\nadd x19, x19, x8\n\
     adrp x8, l_number@PAGE\nldr x8, [x8, l_number@PAGEOFF]\nadd x19, x19, x8\n\
     adrp x9, _distances@PAGE\nadd x9, x9, _distances@PAGEOFF\nldrsw x8, [x9, #4]\nldrb w8, [x9, x8]\nadd x19, x19, x8\n\
     adrp x8, _pointer@PAGE\nldr x8, [x8, _pointer@PAGEOFF]\nldr x8, [x8]\nldr x8, [x8]\nadd x19, x19, x8\n\
     adrp x0, _variable@TLVPPAGE\nldr x0, [x0, _variable@TLVPPAGEOFF]\nldr x8, [x0]\nblr x8\nldr x8, [x0]\nadd x19, x19, x8\n\
     bl _odd_frame\nadd x19, x19, x0\n\
     cmp x19, #1367\nb.ne 1f\nmov x8, #12\nadrp x9, _pkgld_initialised@PAGE\nstr x8, [x9, _pkgld_initialised@PAGEOFF]\n\
     1: ldr x19, [sp, #16]\nldp x29, x30, [sp], #32\nret\n.cfi_endproc\n\
     .p2align 4\n_used: mov x0, #1\nret\n.alt_entry _inside\n_inside: mov x0, #2\nret\n\
     .p2align 4\n_unused_leaf: b _unused_first\n\
     _unused_odd_frame: .cfi_startproc\nsub sp, sp, #16\n.cfi_escape 0x2e, 0x10\nadd sp, sp, #16\nret\n.cfi_endproc\n\
     _odd_frame: .cfi_startproc\nsub sp, sp, #32\n.cfi_def_cfa_offset 32\n.cfi_escape 0x2e, 0x10\n\
     mov x0, #1000\nadd sp, sp, #32\nret\n.cfi_endproc\n\
     _unused_odd_leaf: .cfi_startproc\nsub sp, sp, #48\n.cfi_escape 0x2e, 0x10\nadd sp, sp, #48\nret\n.cfi_endproc\n\
     .globl _weak\n.weak_definition _weak\n_weak: .cfi_startproc\nsub sp, sp, #16\n.cfi_def_cfa_offset 16\nadd sp, sp, #16\nret\n\
     .cfi_endproc\n.no_dead_strip _asked_for\n_asked_for: b _asked_data\n",
];

/// What the code uses, and what it does not; `l` begins labels that stay in the object's symbol table, where arm64 needs them.
fn text(target: Target) -> String {
    let (code, l) = if target == MACOS_ARM64 { (CODE[1], 'l') } else { (CODE[0], 'L') };
    format!(
        ".section __TEXT,__text,regular,pure_instructions\n.p2align 4\n{code}\
         .section __TEXT,__cstring,cstring_literals\n\
         {l}_never: .asciz \"never\"\n{l}_abc: .asciz \"abc\"\n{l}_nor: .asciz \"nor this\"\n{l}_xyz: .asciz \"xyz\"\n\
         .section __TEXT,__literal8,8byte_literals\n.p2align 3\n{l}_unused_number: .quad 99\n{l}_number: .quad 100\n\
         .section __TEXT,__tables\n.p2align 2\n_unused_distances: .long {l}_never-_unused_distances, {l}_nor-_unused_distances\n\
         _distances: .long {l}_abc-_distances, {l}_xyz-_distances\n\
         .section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n.quad _first\n\
         .section __DATA,__data\n.p2align 3\n_unused_data: .quad _unused_first, {l}_nor\n\
         .globl _pkgld_initialised\n_pkgld_initialised: .quad 0\n_pointer: .quad _far_pointer\n_unused_pointer: .quad _weak\n\
         _asked_data: .quad 5\n\
         .section __DATA,__const\n.p2align 3\n_unused_constant: .quad _unused_pointer\n_far_pointer: .quad _number\n\
         _number: .quad 40\n\
         .section __DATA,__supporting,regular,live_support\n.p2align 3\n\
         _of_unused: .quad _unused_data\n_of_used: .quad _number\n\
         .section __DATA,__listed\n.p2align 3\n_entry: .quad section$start$__DATA$__listed, section$start$__DATA$__supporting\n\
         .section __DATA,__thread_data,thread_local_regular\n.p2align 3\n\
         _unused_variable$tlv$init: .quad 1\n_variable$tlv$init: .quad 6\n\
         .section __DATA,__thread_vars,thread_local_variables\n\
         _unused_variable: .quad __tlv_bootstrap, 0, _unused_variable$tlv$init\n\
         _variable: .quad __tlv_bootstrap, 0, _variable$tlv$init\n"
    )
}

/// The same weak function again.
const AGAIN: [&str; 2] = [
    "_helper: movl $7, %eax\nretq\n.globl _weak\n.weak_definition _weak\n_weak: .cfi_startproc\npushq %rbx\n\
     .cfi_def_cfa_offset 16\ncallq _helper\npopq %rbx\nretq\n.cfi_endproc\n",
    "_helper: mov x0, #7\nret\n.globl _weak\n.weak_definition _weak\n_weak: .cfi_startproc\nsub sp, sp, #32\n\
     .cfi_def_cfa_offset 32\nbl _helper\nadd sp, sp, #32\nret\n.cfi_endproc\n",
];

fn objects(target: Target) -> [PathBuf; 2] {
    let again = AGAIN[usize::from(target == MACOS_ARM64)];
    let again = format!(".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n{again}");
    [assemble(target, "stripped", &text(target)), assemble(target, "stripped-again", &again)]
}

/// The names of an image that are not of the archive it is linked with.
fn own_names(image: &Image<'_>) -> BTreeSet<String> {
    let names = image.symbols().into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned());
    names.filter(|name| !name.starts_with("_j") && !name.contains("julia") && !name.starts_with("l_")).collect()
}

/// What stays runs, is what LLD leaves, and without the option nothing goes.
fn parts_are_left_out(target: Target) {
    let entry = committed_for(target).remove(0);
    let objects = objects(target);
    let paths = objects.each_ref().map(|path| path.to_str().unwrap());
    for (form, option) in [("chains", "-fixup_chains"), ("programs", "-no_fixup_chains")] {
        let more = [paths[0], paths[1], option, "-dead_strip", "-ignore_optimization_hints"];
        let ours = link(&entry, &name(&entry, &format!("-stripped-{form}")), &more);
        let report = run::check_committed(&entry, &ours);
        report.unwrap_or_else(|error| panic!("{}:\n{error}", ours.display()));
        let theirs = link_by_lld(&entry, &name(&entry, &format!("-stripped-{form}-lld")), &more);
        let all = [&more[..3], &more[4..]].concat();
        let whole = link(&entry, &name(&entry, &format!("-whole-{form}")), &all);
        let whole_theirs = link_by_lld(&entry, &name(&entry, &format!("-whole-{form}-lld")), &all);
        let files = [ours, theirs, whole, whole_theirs].map(|path| fs::read(path).unwrap());
        let [ours, theirs, whole, whole_theirs] = files;
        if form == "chains" {
            compare(&theirs, &ours, target, &objects[0]);
            // Of the weak function there is one in any case: its copy would look like a part of what stands before.
            compare(&whole_theirs, &whole, target, &objects[1]);
        }
        let images = [&ours, &theirs, &whole].map(|bytes| Image::new(bytes));
        let [mine, mut wanted, all] = images.each_ref().map(own_names);
        // The word for the loader's own use; and LLD forgets the loader's function that it needs.
        wanted.remove("__dyld_private");
        wanted.extend(mine.get("dyld_stub_binder").cloned());
        // Whoever asks where a section begins and ends goes through it; for LLD that is no reference.
        assert!(wanted.insert("_entry".to_owned()));
        assert_eq!(mine, wanted, "{}: {form}", target.name);
        assert!(!mine.iter().any(|name| name.contains("unused")), "{mine:?}");
        assert!(all.iter().filter(|name| name.contains("unused")).count() >= 10, "{all:?}");
        for kept in
            ["_used", "_inside", "_odd_frame", "_asked_for", "_asked_data", "_of_used", "_variable", "_weak", "_entry"]
        {
            assert!(mine.contains(kept), "{kept}: {mine:?}");
        }
        for gone in ["_helper", "_of_unused"] {
            assert!(!mine.contains(gone) && all.contains(gone), "{gone}");
        }
        for section in [&b"__tables"[..], b"__const", b"__thread_vars", b"__thread_data", b"__supporting"] {
            assert_eq!(images[0].size_of(section), images[1].size_of(section), "{}", String::from_utf8_lossy(section));
        }
        // LLD has strings of several objects once.
        let strings = |image: &Image<'_>| {
            let pieces = image.pieces();
            let strings =
                pieces.iter().find(|piece| piece.0 == b"__cstring").map(|piece| piece.2.split(|byte| *byte == 0));
            strings.unwrap().map(<[u8]>::to_vec).collect::<BTreeSet<_>>()
        };
        assert_eq!(strings(&images[0]), strings(&images[1]));
        assert!(!strings(&images[0]).contains(&b"never"[..]) && strings(&images[2]).contains(&b"never"[..]));
        // Names that are used by nothing are not in the table of strings either.
        assert!(
            whole.windows(8).any(|window| window == b"_unused_")
                && !ours.windows(8).any(|window| window == b"_unused_")
        );
    }
    for object in objects {
        fs::remove_file(object).unwrap();
    }
}

#[test]
#[ignore = "needs the packages gcc and llvm-19"]
fn parts_of_x86_64_are_left_out() {
    parts_are_left_out(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, llvm-19 and qemu-user-static"]
fn parts_of_arm64_are_left_out() {
    parts_are_left_out(MACOS_ARM64);
}

/// Julia's archives need nearly all that they have.
#[test]
#[ignore = "needs the packages gcc, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"]
fn julias_archives_stay_what_they_are() {
    for entry in all() {
        let more = ["-dead_strip", "-ignore_optimization_hints"];
        let path = link(&entry, &name(&entry, "-julia-stripped"), &more);
        run::check_committed(&entry, &path).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let reference = link_by_lld(&entry, &name(&entry, "-julia-stripped-lld"), &more);
        let [ours, theirs] = [path, reference].map(|path| fs::read(path).unwrap());
        assert!(compare(&theirs, &ours, entry.target, &entry.path) > 300);
        let [mine, mut wanted] = [&ours, &theirs].map(|bytes| Image::new(bytes).symbols());
        wanted.remove(&(b"__dyld_private".to_vec(), false));
        wanted.extend(mine.get(&(b"dyld_stub_binder".to_vec(), true)).cloned());
        assert_eq!(mine, wanted, "{}", entry.path.display());
    }
}

fn refused(arguments: &[&str]) -> String {
    let out = super::program(["-flavor", "darwin", "-dylib", "-arch", "arm64"].iter().chain(arguments));
    assert!(!out.status.success());
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// The lines of a dSYM would not fit what stays.
#[test]
fn debug_information_is_not_joined_of_what_is_divided() {
    let output = place().join("image.dylib");
    let output = output.to_str().unwrap();
    let text = refused(&["-o", output, "-dead_strip", "-dsym", &format!("{output}.dSYM"), "x.o"]);
    assert!(text.contains("-dsym: ") && text.contains("run dsymutil on the image"), "{text}");
    assert!(!Path::new(output).exists());
}

/// Places are told as whoever looks at the object finds them.
#[test]
#[ignore = "needs the package llvm-19"]
fn places_are_those_of_the_object() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let call = if target == MACOS_ARM64 { "bl" } else { "callq" };
        let text = format!(
            ".section __TEXT,__text,regular,pure_instructions\n.p2align 4\n_unused: {call} _unused_import\n\
             .p2align 4\n_used: {call} _nowhere\n.globl _entry\n.p2align 4\n_entry: {call} _used\n{call} _nowhere\n"
        );
        let object = assemble(target, "places", &text);
        let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
        let told = |more: &[&str]| -> BTreeSet<String> {
            let mut words = vec!["-flavor", "darwin", "-dylib", "-platform_version", "macos", "13.0", "13.0"];
            words.extend(["-arch", arch, "-o", "unwritten.dylib", object.to_str().unwrap()]);
            let out = super::program(words.iter().chain(more));
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            text.lines().filter_map(|line| Some(line.split_once(":(")?.1.to_owned())).collect()
        };
        let (whole, parts) = (told(&[]), told(&["-dead_strip"]));
        // Behind the first byte of a call stands the field on x86-64.
        let into = if target == MACOS_ARM64 { 0 } else { 1 };
        let after = if target == MACOS_ARM64 { 4 } else { 6 };
        let wanted = [format!("__text+0x{:x}) in _used", 16 + into), format!("__text+0x{:x}) in _entry", 32 + after)];
        assert_eq!(parts, BTreeSet::from(wanted), "{}", target.name);
        assert!(parts.is_subset(&whole) && whole.len() == 3, "{whole:?}");
        fs::remove_file(object).unwrap();
    }
}

/// A copy of a weak function stays if something refers to a place in it, and goes without one.
#[test]
#[ignore = "needs the package llvm-19"]
fn copies_that_something_refers_to_stay() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let weak = |inside: &str, data: &str| {
            format!(
                ".section __TEXT,__text,regular,pure_instructions\n.p2align 4\n_before: ret\n.globl _weak\n\
                 .weak_definition _weak\n.p2align 4\n_weak: ret\n{inside}ret\n.section __DATA,__data\n.p2align 3\n{data}"
            )
        };
        let inside = ".alt_entry _inside\n_inside: ";
        let objects = [
            assemble(target, "first", &weak("", "")),
            assemble(target, "copy", &weak("", "")),
            assemble(target, "needed", &weak(inside, "_data: .quad _inside\n")),
            assemble(target, "unneeded", &weak(inside, "")),
        ];
        let size = |objects: &[&Path]| {
            let paths: Vec<&str> = objects.iter().map(|path| path.to_str().unwrap()).collect();
            let [ours, theirs] = super::libraries::both(target, &paths).map(Result::unwrap);
            let [ours, theirs] = [&ours, &theirs].map(|bytes| Image::new(bytes));
            (ours.size_of(b"__text"), theirs.size_of(b"__text"), ours.symbols().contains(&(b"_inside".to_vec(), false)))
        };
        let [first, copy, needed, unneeded] = objects.each_ref().map(PathBuf::as_path);
        let (alone, ..) = size(&[first]);
        let (with_copy, theirs, _) = size(&[first, copy]);
        assert!(with_copy == theirs && with_copy < 32 + alone, "{}: {alone}, {with_copy}, {theirs}", target.name);
        let (with_needed, _, there) = size(&[first, needed]);
        assert!(with_needed > with_copy && there, "{}: {with_needed}", target.name);
        let (with_unneeded, _, there) = size(&[first, unneeded]);
        assert_eq!((with_unneeded, there), (with_copy, false), "{}", target.name);
        objects.iter().for_each(|object| fs::remove_file(object).unwrap());
    }
}

/// A copy that has given way is no more asked for than with all other copies, whatever its symbol asks for.
#[test]
#[ignore = "needs the package llvm-19"]
fn copies_that_ask_to_stay_go() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let text = ".section __TEXT,__text,regular,pure_instructions\n.globl _weak\n.weak_definition _weak\n\
                    .no_dead_strip _weak\n.p2align 4\n_weak: ret\n.p2align 4\n.no_dead_strip _own\n_own: ret\n";
        let objects = [0, 1].map(|number| assemble(target, &format!("asks-{number}"), text));
        let paths = objects.each_ref().map(|path| path.to_str().unwrap());
        let sizes = [&[][..], &["-dead_strip"]].map(|more| {
            let images = super::libraries::both(target, &[&paths[..], more].concat());
            images.map(|image| Image::new(&image.unwrap()).size_of(b"__text"))
        });
        let [[plain, _], [stripped, theirs]] = sizes;
        assert_eq!([stripped, stripped], [theirs, plain], "{}", target.name);
    }
}

/// What supports something living stays, be that another object's or another image's.
#[test]
#[ignore = "needs the package llvm-19"]
fn support_for_what_lives_elsewhere_stays() {
    let text = ".text\n.globl _main\n.p2align 2\n_main: {call} _other\nret\n\
                .section __DATA,__support,regular,live_support\n.p2align 3\n_of_other: .quad _other\n\
                _of_dead: .quad _dead\n_of_imported: .quad _imported\n_of_unused: .quad _unused\n";
    let other = ".text\n.globl _other, _dead\n.p2align 2\n_other: {call} _imported\nret\n_dead: {call} _unused\nret\n";
    for (target, call) in [(MACOS_X86_64, "callq"), (MACOS_ARM64, "bl")] {
        let objects = [("supporting", text), ("supported", other)];
        let objects = objects.map(|(name, text)| assemble(target, name, &text.replace("{call}", call)));
        let paths = objects.each_ref().map(|path| path.to_str().unwrap());
        let options = ["-dead_strip", "-exported_symbol", "_main", "-undefined", "dynamic_lookup"];
        let images = super::libraries::both(target, &[&paths[..], &options].concat());
        let [ours, theirs] = images.map(|image| own_names(&Image::new(&image.unwrap())));
        assert_eq!(ours, theirs, "{}", target.name);
        assert!(ours.contains("_of_other") && ours.contains("_of_imported") && !ours.contains("_of_dead"), "{ours:?}");
    }
}

/// A list of protocols, of which each object has the same one, is there once though nobody may strip it.
#[test]
#[ignore = "needs the package llvm-19"]
fn copies_that_nobody_may_strip_are_left_out() {
    let text = |name: &str| {
        format!(
            ".text\n.globl {name}\n{name}: ret\n.section __DATA,__objc_protolist,coalesced,no_dead_strip\n\
             .private_extern l_list\n.globl l_list\n.weak_definition l_list\n.p2align 3\nl_list: .quad {name}\n"
        )
    };
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let objects = ["_one", "_two"].map(|name| assemble(target, name, &text(name)));
        let paths = objects.each_ref().map(|path| path.to_str().unwrap());
        for option in ["-dead_strip", "-no_uuid"] {
            let [ours, theirs] = super::libraries::both(target, &[paths[0], paths[1], option]).map(Result::unwrap);
            let size = |image: &[u8]| Image::new(image).size_of(b"__objc_protolist");
            assert_eq!((size(&ours), size(&theirs)), (8, 8), "{} {option}", target.name);
        }
    }
}
