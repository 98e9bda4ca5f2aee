//! What Julia's archives do not have: data in code, entries inside of functions, relocations by section, universal files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::assemble;
use super::common::{rust_lld, scratch};
use super::contents::compare;
use super::image::Image;
use super::libraries::both;

/// A jump table in code, a second entry of a function, a common and a zero-filled symbol, an absolute one, literals, labels
/// that have no symbol, and the kinds of relocations that code rarely has.
const CODE: [&str; 2] = [
    "_code: leaq Ltable(%rip), %rax\nmovl $7, _words+4(%rip)\nmovb $7, _words+9(%rip)\nmovw $7, Lword+2(%rip)\n\
     movsd Leight(%rip), %xmm0\nmovss Lfour(%rip), %xmm1\nmovaps Lsixteen(%rip), %xmm2\nleaq Ltext(%rip), %rcx\n\
     cmpq $0, _common@GOTPCREL(%rip)\npushq _words@GOTPCREL(%rip)\n.alt_entry _inside\n_inside: callq Lnext\njmp _code+1\n\
     Lnext: retq\n",
    "_code: adrp x0, Ltable@PAGE\nadd x0, x0, Ltable@PAGEOFF\nadrp x1, _words@PAGE+4\nldr w1, [x1, _words@PAGEOFF+4]\n\
     adrp x2, Lword@PAGE\nldrh w2, [x2, Lword@PAGEOFF+2]\nadrp x3, Leight@PAGE\nldr d0, [x3, Leight@PAGEOFF]\n\
     adrp x4, Lsixteen@PAGE\nldr q1, [x4, Lsixteen@PAGEOFF]\nadrp x5, Ltext@PAGE\nadd x5, x5, Ltext@PAGEOFF\n\
     adrp x6, _common@GOTPAGE\nldr x6, [x6, _common@GOTPAGEOFF]\n.alt_entry _inside\n_inside: bl _next+4\nb _code\n\
     .globl _next\n_next: nop\nret\n",
];

fn object(target: Target, whole: bool) -> PathBuf {
    let arm = target == MACOS_ARM64;
    let subsections = if whole { "" } else { ".globl _pointed\n" };
    let slots = if arm { ".long _words@GOT - .\n.long 0\n" } else { ".long _words@GOTPCREL+4\n.long 0\n" };
    let text = format!(
        ".section __TEXT,__text,regular,pure_instructions\n.globl _code, _inside\n.p2align 4\n{}\
         .p2align 2\nLtable: .data_region jt32\n.long _code-Ltable\n.long _inside-Ltable\n.end_data_region\n\
         .section __TEXT,__StaticInit,regular,pure_instructions\n.globl _initialise\n.p2align 2\n_initialise: ret\n\
         .section __TEXT,__literal8,8byte_literals\n.p2align 3\nLeight: .quad 0x3ff0000000000000\n\
         .section __TEXT,__literal4,4byte_literals\n.p2align 2\nLfour: .long 0x3f800000\n\
         .section __TEXT,__literal16,16byte_literals\n.p2align 4\nLsixteen: .quad 1, 2\n\
         .section __TEXT,__cstring,cstring_literals\nLtext: .asciz \"text\"\n\
         .section __TEXT,__apart\n.p2align 2\n.quad 0\n.globl _slots\n_slots: {slots}\
         .globl _apart\n_apart: .quad _words-_slots+8\n.long _inside-_code\n\
         .section __DATA,__data\n.globl _words\n.p2align 3\n_words: .quad Lword+4\nLword: .quad _code+4, Ltext, _zeros+16\n\
         {subsections}_pointed: .quad _absolute, Ltable, _common+8\n\
         .globl _absolute\n_absolute = 0x1234\n\
         .zerofill __DATA,__bss,_zeros,64,4\n.comm _common,24,3\n",
        CODE[usize::from(arm)]
    );
    assemble(target, if whole { "odds-whole" } else { "odds" }, &text)
}

fn linked(target: Target, object: &Path, lld: bool) -> Vec<u8> {
    let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
    let output = scratch("macho").join(format!("odds-{arch}-{lld}"));
    let mut command = Command::new(if lld { rust_lld() } else { env!("CARGO_BIN_EXE_pkgld").into() });
    command.args(["-flavor", "darwin", "-arch", arch, "-platform_version", "macos", "13.0", "13.0", "-dylib", "-o"]);
    let out = command.arg(&output).arg(object).output().unwrap();
    assert!(out.status.success(), "{}: {}", object.display(), String::from_utf8_lossy(&out.stderr));
    fs::read(output).unwrap()
}

#[test]
#[ignore = "needs the package llvm-19"]
fn what_is_rare_is_linked_as_lld_links_it() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        for whole in [false, true] {
            let object = object(target, whole);
            let [ours, theirs] = [false, true].map(|lld| linked(target, &object, lld));
            let addresses = compare(&theirs, &ours, target, &object);
            assert!(addresses > 14, "{addresses}");
            let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
            assert_eq!(ours.exported(), theirs.exported());
            assert_eq!(ours.symbols(), theirs.symbols());
            // A jump table of two words (DICE_KIND_JUMP_TABLE32), at the end of the object's `__text`, before its `__StaticInit`.
            for image in [&ours, &theirs] {
                let [(range, 4)] = &image.data_in_code()[..] else { panic!("{:x?}", image.data_in_code()) };
                assert_eq!(*range, range.end - 8..image.exports()[&b"_initialise"[..]]);
                let piece = image.pieces().into_iter().find(|piece| piece.0 == b"__text").unwrap();
                assert!((piece.1..piece.1 + piece.2.len() as u64).contains(&range.end));
            }
            // Distances: to a slot, between symbols of two sections, and in code.
            for image in [&ours, &theirs] {
                let at = |name: &[u8]| image.exports()[name];
                let pieces = image.pieces();
                let (_, start, bytes) = pieces.iter().find(|piece| piece.0 == b"__apart").unwrap();
                let word = |place: u64| {
                    let bytes = &bytes[(place - start) as usize..][..4];
                    i64::from(i32::from_le_bytes(bytes.try_into().unwrap()))
                };
                let slot = at(b"_slots").wrapping_add_signed(word(at(b"_slots")));
                let words = at(b"_words");
                assert!(image.filled().contains(&(slot, Ok(words))), "{slot:#x}: {:x?}", image.filled());
                assert_eq!(word(at(b"_apart")), words.wrapping_sub(at(b"_slots")).cast_signed() + 8);
                assert_eq!(word(at(b"_apart") + 8), at(b"_inside").wrapping_sub(at(b"_code")).cast_signed());
            }
            // An entry in the middle of a function counts as a start.
            let starts = |image: &Image<'_>| -> Vec<u64> {
                let first = image.names().into_iter().find(|(_, name)| name == b"_code").unwrap().0;
                image.function_starts().into_iter().map(|start| start - first).collect()
            };
            let inside = ours.exports()[&b"_inside"[..]] - ours.exports()[&b"_code"[..]];
            assert!(starts(&ours) == starts(&theirs) && starts(&ours).contains(&inside));
        }
    }
}

/// Of a universal file the slice for the CPU is taken: of objects, archives and libraries.
/// Code that calls what stands behind the start of a function means this image's: a stub has no such place.
#[test]
#[ignore = "needs the package llvm-19"]
fn branches_into_functions_lead_past_stubs() {
    for (target, call) in [(MACOS_X86_64, "call"), (MACOS_ARM64, "bl")] {
        let text = format!(
            ".globl _code, _weak\n.weak_definition _weak\n.p2align 2\n_code: {call} _weak\n{call} _weak+8\n.long 0\n\
             .p2align 2\n_weak: .quad 0, 0\n"
        );
        let object = assemble(target, "into-functions", &text);
        let bytes = linked(target, &object, false);
        let image = Image::new(&bytes);
        let (places, pieces) = (image.exports(), image.pieces());
        let (code, weak) = (places[&b"_code"[..]], places[&b"_weak"[..]]);
        let (_, start, bytes) = pieces.into_iter().find(|(_, start, bytes)| code - start < bytes.len() as u64).unwrap();
        let at = (code - start) as usize;
        let word = |at: usize| i32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        let led = |number: usize| match target == MACOS_ARM64 {
            true => (code + 4 * number as u64).wrapping_add_signed(i64::from(word(at + 4 * number) << 6 >> 4)),
            false => (code + 5 + 5 * number as u64).wrapping_add_signed(word(at + 1 + 5 * number).into()),
        };
        assert_eq!(led(1), weak + 8);
        assert_ne!(led(0), weak, "a stub, for others may have the definition that counts");
        let object = assemble(target, "into-others", &format!(".globl _code\n_code: {call} _elsewhere+8\n"));
        let [ours, _] = both(target, &[object.to_str().unwrap(), "-undefined", "dynamic_lookup"]);
        let said = ours.unwrap_err();
        assert!(said.contains("leads to the middle of a function that is defined in no object"), "{said}");
    }
}

/// Only a load of an address can be made an addition where the address is known.
#[test]
#[ignore = "needs the package llvm-19"]
fn slots_are_read_by_loads_of_addresses() {
    for instruction in ["ldr d0, [x0, _v@GOTPAGEOFF]", "str x1, [x0, _v@GOTPAGEOFF]"] {
        let text = format!(".globl _f, _v\n_f: adrp x0, _v@GOTPAGE\n{instruction}\n.data\n_v: .quad 1\n");
        let object = assemble(MACOS_ARM64, "no-loads", &text);
        let [ours, theirs] = both(MACOS_ARM64, &[object.to_str().unwrap()]);
        let said = ours.unwrap_err();
        assert!(said.contains("ARM64_RELOC_GOT_LOAD_PAGEOFF12") && said.contains("ldr Xt"), "{said}");
        assert!(theirs.is_err());
    }
}

/// Literals are loaded whole, even if nothing says how they are aligned.
#[test]
#[ignore = "needs the package llvm-19"]
fn literals_are_aligned_as_they_are_large() {
    let text = ".text\n.globl _f\n_f: leaq L16(%rip), %rax\nleaq L8(%rip), %rax\nleaq L4(%rip), %rax\nretq\n\
        .section __TEXT,__odd\n.byte 1\n.section __TEXT,__literal4,4byte_literals\nL4: .long 1\n\
        .section __TEXT,__literal8,8byte_literals\nL8: .quad 1\n.section __TEXT,__literal16,16byte_literals\nL16: .quad 1, 2\n";
    let object = assemble(MACOS_X86_64, "literals", text);
    let bytes = linked(MACOS_X86_64, &object, false);
    for (name, start, _) in Image::new(&bytes).sections() {
        if let Some(size) = String::from_utf8(name).unwrap().strip_prefix("__literal") {
            assert!(start.is_multiple_of(size.parse().unwrap()), "{size}: 0x{start:x}");
        }
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn universal_files_are_linked() {
    let directory = scratch("macho");
    let targets = [MACOS_X86_64, MACOS_ARM64];
    let objects = targets.map(|target| object(target, false));
    let fat = directory.join("fat.o");
    let run = |command: &mut Command| {
        let out = command.output().unwrap();
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    run(Command::new("llvm-lipo-19").arg("-create").args(&objects).arg("-output").arg(&fat));
    let archives = [&objects[0], &objects[1]].map(|object| {
        let archive = object.with_extension("a");
        let _ = fs::remove_file(&archive);
        run(Command::new("llvm-ar-19").args(["--format=darwin", "rcs"]).arg(&archive).arg(object));
        archive
    });
    let fat_archive = directory.join("libfat.a");
    run(Command::new("llvm-lipo-19").arg("-create").args(&archives).arg("-output").arg(&fat_archive));
    for (target, object) in targets.into_iter().zip(&objects) {
        let plain = linked(target, object, false);
        assert!(linked(target, &fat, false) == plain);
        let arch = if target == MACOS_ARM64 { "arm64" } else { "x86_64" };
        let output = directory.join(format!("fat-{arch}"));
        let common =
            ["-flavor", "darwin", "-arch", arch, "-platform_version", "macos", "13.0", "13.0", "-dylib", "-S", "-o"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
        run(command.args(common).arg(&output).args(["-all_load"]).arg(&fat_archive));
        assert!(fs::read(output).unwrap() == plain);
    }
}

/// Common symbols are variables to debuggers, and their alignment, which stands among the bits that describe a symbol, says
/// nothing else.
#[test]
#[ignore = "needs the package llvm-19"]
fn common_symbols_are_told_to_debuggers() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        // A compile unit, /common.c: its name is all that the debug map takes from it.
        let text = ".comm _wide,256,2\n.private_extern _other\n.comm _other,4,2\n\
                    .section __DWARF,__debug_abbrev,regular,debug\n.byte 1, 0x11, 0, 3, 8, 0, 0, 0\n\
                    .section __DWARF,__debug_info,regular,debug\n.long 19\n.short 4\n.long 0\n.byte 8, 1\n\
                    .asciz \"/common.c\"\n.byte 0\n";
        let object = assemble(target, "common", text);
        let [ours, theirs] = [false, true].map(|lld| linked(target, &object, lld));
        let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
        let names: Vec<_> = ours.debug_map().into_values().flatten().collect();
        assert_eq!(names, [((0x20, b"_other".to_vec()), 0), ((0x20, b"_wide".to_vec()), 0)]);
        assert_eq!(ours.debug_map(), theirs.debug_map());
        for align in [4, 6] {
            let object = assemble(target, "aligned", &format!(".comm _common,256,{align}\n"));
            let image = linked(target, &object, false);
            assert_eq!(Image::new(&image).description(b"_common"), Some(0), "{align}");
        }
    }
}

/// Programs have four bits for a segment's number.
#[test]
#[ignore = "needs the package llvm-19"]
fn programs_name_sixteen_segments() {
    for target in [MACOS_X86_64, MACOS_ARM64] {
        for (count, fits) in [(15, true), (16, false), (20, false)] {
            // `__TEXT` is the first one.
            let segment = |number| format!(".section SEG{number},__words\n.p2align 3\n_w{number}: .quad _w{number}\n");
            let object = assemble(target, "segments", &(0..count).map(segment).collect::<String>());
            let object = object.to_str().unwrap();
            let [ours, _] = both(target, &[object, "-no_fixup_chains"]);
            match ours {
                Ok(image) => assert!(fits && Image::new(&image).segments().len() == count + 2, "{count}"),
                Err(text) => assert!(
                    !fits && text.contains(&format!("SEG{}", count - 1)) && text.contains("-fixup_chains"),
                    "{text}"
                ),
            }
            let [ours, _] = both(target, &[object, "-fixup_chains"]);
            assert!(ours.is_ok(), "{count}");
        }
    }
}

/// Code for other systems runs on none of macOS, however alike it looks; what says nothing is for any.
#[test]
#[ignore = "needs the package llvm-19"]
fn what_is_for_other_systems_is_refused() {
    let directory = super::place();
    let system = |command: &str, text: &str| format!("{command}\n{text}");
    let used = ".section __DATA,__data\n.globl _used\n_used: .long 0\n";
    for target in [MACOS_X86_64, MACOS_ARM64] {
        let user = super::libraries::pointers(target, &["_used"]);
        let library = |object: &Path| {
            // Linked for macOS, and then said to be for the system of the object.
            let made = both(target, &[object.to_str().unwrap(), "-install_name", "/usr/lib/libused.dylib"]);
            let path = directory.join("libused.dylib");
            fs::write(&path, made[0].as_ref().unwrap()).unwrap();
            path
        };
        let mac = library(&assemble(target, "used", used));
        for (command, number, name) in [
            (".build_version macos, 11, 0", 1, None),
            (".macosx_version_min 10, 12", 1, None),
            (".build_version ios, 14, 0", 2, Some("iOS")),
            (".ios_version_min 12, 0", 2, Some("iOS")),
            (".build_version macCatalyst, 14, 0", 6, Some("Mac Catalyst")),
            (".build_version iossimulator, 14, 0", 7, Some("the iOS simulator")),
            (".build_version xros, 1, 0", 11, Some("visionOS")),
        ] {
            let object = assemble(target, "system", &system(command, used));
            let mut bytes = fs::read(&mac).unwrap();
            let header = Image::new(&bytes).build_version().unwrap();
            bytes[header..header + 4].copy_from_slice(&u32::to_le_bytes(number));
            let other = directory.join("libother.dylib");
            fs::write(&other, bytes).unwrap();
            for inputs in [&[object.to_str().unwrap()][..], &[user.to_str().unwrap(), other.to_str().unwrap()]] {
                // LLD takes what is for a simulator for what is for the system itself.
                let results = both(target, inputs);
                for text in &results {
                    assert_eq!(text.is_err(), name.is_some(), "{command} {inputs:?}: {text:?}");
                }
                if let (Some(name), [Err(ours), _]) = (name, results) {
                    let wanted = format!("{}: is for {name}, but the image is for macOS", inputs.last().unwrap());
                    assert!(ours.contains(&wanted), "{ours}");
                }
            }
        }
    }
}
