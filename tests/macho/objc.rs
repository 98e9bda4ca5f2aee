//! What Objective-C asks of a linker.

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};

use super::assemble;
use super::image::Image;
use super::libraries::both;

const TARGETS: [Target; 2] = [MACOS_X86_64, MACOS_ARM64];

/// An object with these words in its `__objc_imageinfo`.
fn described(target: Target, name: &str, words: &str) -> String {
    let text = format!(
        ".globl _{name}\n.text\n_{name}: ret\n\
         .section __DATA,__objc_imageinfo,regular,no_dead_strip\nL_OBJC_IMAGE_INFO: .long {words}\n"
    );
    assemble(target, name, &text).to_str().unwrap().to_owned()
}

/// The runtime reads one description of the image, which is true of all its objects.
#[test]
#[ignore = "needs the package llvm-19"]
fn descriptions_of_objects_become_one() {
    for target in TARGETS {
        let object = |name: &str, words: &str| described(target, name, words);
        let (plain, swift) = (object("plain", "0, 0x40"), object("swift", "0, 0x05050740"));
        let (old, later) = (object("old", "0, 0"), object("later", "0, 0x05090740"));
        for (objects, flags, language) in [
            (&[&plain, &swift][..], 0x740, 0x0505),
            (&[&swift, &plain], 0x740, 0x0505),
            (&[&plain, &old], 0, 0),
            (&[&old, &swift, &plain], 0x700, 0x0505),
            (&[&later, &swift], 0x740, 0x0505),
            (&[&plain], 0x40, 0),
        ] {
            let objects: Vec<&str> = objects.iter().map(|object| object.as_str()).collect();
            for option in ["-no_uuid", "-dead_strip"] {
                let images = both(target, &[&objects[..], &[option]].concat());
                let [ours, theirs] = images.map(|image| {
                    let image = image.unwrap_or_else(|text| panic!("{text}"));
                    let pieces = Image::new(&image).pieces();
                    let piece = pieces.into_iter().find(|piece| piece.0 == b"__objc_imageinfo").unwrap();
                    <[u8; 8]>::try_from(piece.2).unwrap()
                });
                // Apple's linker tells of the earliest version of the language, for the runtime; LLD of none.
                let language = (language as u32) << 16;
                assert_eq!(u64::from_le_bytes(ours) >> 32, u64::from(language | flags), "{objects:?}");
                assert_eq!(u64::from_le_bytes(theirs) >> 32, u64::from(flags), "{objects:?}");
                assert_eq!((ours[..6].as_ref(), ours[..4].as_ref()), (theirs[..6].as_ref(), &[0; 4][..]));
            }
        }
    }
}

#[test]
#[ignore = "needs the package llvm-19"]
fn descriptions_that_contradict_each_other_are_errors() {
    for target in TARGETS {
        let objects = [("old", "0, 0x640"), ("plain", "0, 0x40"), ("new", "0, 0x740")];
        let objects = objects.map(|(name, words)| described(target, name, words));
        let [ours, theirs] = both(target, &objects.each_ref().map(String::as_str));
        let (ours, theirs) = (ours.unwrap_err(), theirs.unwrap_err());
        assert!(theirs.contains("Swift version mismatch"), "{theirs}");
        assert!(ours.contains("new") && ours.contains("old") && ours.contains("Swift 4.1 or 4.2"), "{ours}");
        let odd = described(target, "odd", "0");
        let [ours, _] = both(target, &[&odd]);
        assert!(ours.unwrap_err().contains("__objc_imageinfo"));
    }
}

/// What calls two messages' stubs, one of them twice, and has a selector of its own.
fn senders(target: Target) -> String {
    let call = if target == MACOS_ARM64 { "bl" } else { "callq" };
    let text = format!(
        ".text\n.p2align 2\n.globl _sends\n_sends: {call} _objc_msgSend$plain\n{call} \"_objc_msgSend$with:two:\"\n\
         {call} _objc_msgSend$plain\nret\n\
         .section __TEXT,__objc_methname,cstring_literals\nL_own: .asciz \"own\"\n\
         .section __DATA,__objc_selrefs,literal_pointers,no_dead_strip\n.p2align 3\n_own: .quad L_own\n"
    );
    assemble(target, "senders", &text).to_str().unwrap().to_owned()
}

/// The name of the message that the stub at an address sends, if it jumps to `_objc_msgSend`.
fn sent(image: &Image<'_>, target: Target, stub: u64) -> Vec<u8> {
    let (_, start, code) = image.pieces().into_iter().find(|piece| piece.0 == b"__objc_stubs").unwrap();
    let at = (stub - start) as usize;
    let word = |offset: usize| u32::from_le_bytes(code[at + offset..at + offset + 4].try_into().unwrap());
    let (reference, slot) = if target == MACOS_ARM64 {
        let pair = |offset: usize, register: u32| {
            let (page, load) = (word(offset), word(offset + 4));
            assert_eq!(
                (page & 0x9f00_001f, load & 0xffc0_03ff),
                (0x9000_0000 | register, 0xf940_0000 | (register * 0x21))
            );
            let pages = (page >> 5 & 0x7_ffff) << 2 | page >> 29 & 3;
            (stub & !0xfff) + (u64::from(pages) << 12) + u64::from(load >> 10 & 0xfff) * 8
        };
        assert_eq!((word(16), stub % 32), (0xd61f_0200, 0));
        (pair(0, 1), pair(8, 16))
    } else {
        assert_eq!((&code[at..at + 3], &code[at + 7..at + 9]), (&[0x48, 0x8b, 0x35][..], &[0xff, 0x25][..]));
        (stub + 7 + u64::from(word(3)), stub + 13 + u64::from(word(9)))
    };
    let filled = image.filled();
    let at = |address: u64| filled.iter().find(|(place, _)| *place == address).map(|(_, to)| to.clone()).unwrap();
    assert_eq!(at(slot), Err((b"_objc_msgSend".to_vec(), 0)));
    let name = at(reference).unwrap();
    let (_, start, names) = image.pieces().into_iter().find(|piece| piece.0 == b"__objc_methname").unwrap();
    names[(name - start) as usize..].split(|byte| *byte == 0).next().unwrap().to_vec()
}

/// Calls of messages go to stubs that the linker makes: each loads its selector and jumps to what sends messages.
#[test]
#[ignore = "needs the package llvm-19"]
fn messages_are_sent_by_stubs() {
    let directory = super::place();
    let targets = "targets: [ x86_64-macos, arm64-macos ]";
    let runtime = format!(
        "--- !tapi-tbd\ntbd-version: 4\n{targets}\ninstall-name: '/usr/lib/libobjc.A.dylib'\nexports:\n  - {targets}\n    \
         symbols: [ _objc_msgSend ]\n...\n"
    );
    std::fs::write(directory.join("libobjc.tbd"), runtime).unwrap();
    let search = format!("-L{}", directory.display());
    for target in TARGETS {
        let object = senders(target);
        for more in [&["-objc_stubs_fast"][..], &["-dead_strip"], &["-x"], &["-no_fixup_chains"]] {
            let [ours, theirs] = both(target, &[&[&*object, &search, "-lobjc"], more].concat());
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            super::contents::compare(&theirs, &ours, target, object.as_ref());
            let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
            assert_eq!((ours.binds(), ours.libraries()), (theirs.binds(), theirs.libraries()), "{more:?}");
            assert_eq!((ours.symbols(), ours.exported()), (theirs.symbols(), theirs.exported()), "{more:?}");
            for image in [&ours, &theirs].into_iter().filter(|image| image.is_chained()) {
                assert_eq!(image.size_of(b"__objc_stubs"), if target == MACOS_ARM64 { 64 } else { 26 });
                for (stub, name) in image.names() {
                    if let Some(message) = name.strip_prefix(b"_objc_msgSend$") {
                        assert_eq!(sent(image, target, stub), message, "{more:?}");
                    }
                }
            }
        }
        let [ours, _] = both(target, &[&object, "-undefined", "dynamic_lookup"]);
        assert_eq!(Image::new(&ours.unwrap()).binds()[0].1, -2);
    }
    // LLD has no message for it.
    let out =
        super::program(["-flavor", "darwin", "-dylib", "-arch", "arm64", &senders(MACOS_ARM64), "-o", "unwritten"]);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("undefined symbol: _objc_msgSend\n") && text.contains("stubs of Objective-C"), "{text}");
}

/// Members of archives that the runtime finds by what they have, though nothing refers to them.
#[test]
#[ignore = "needs the package llvm-19"]
fn members_with_classes_are_linked_on_demand() {
    let directory = super::place();
    for target in TARGETS {
        let members = [
            ("plain", ""),
            ("class", ".section __DATA,__objc_data\n.globl _OBJC_CLASS_$_It\n.p2align 3\n_OBJC_CLASS_$_It: .quad 0\n"),
            ("category", ".section __DATA,__objc_catlist,regular,no_dead_strip\n.p2align 3\n.quad _category\n"),
            ("swift", ".section __TEXT,__swift5_protos,regular,no_dead_strip\n.long 1\n"),
        ];
        let objects =
            members.map(|(name, text)| assemble(target, name, &format!(".globl _{name}\n.text\n_{name}: ret\n{text}")));
        let archive = directory.join(format!("lib{}.a", target.name));
        let _ = std::fs::remove_file(&archive);
        let mut ar = std::process::Command::new("llvm-ar-19");
        let out = ar.args(["--format=darwin", "rcs"]).arg(&archive).args(&objects).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let own = assemble(target, "own", ".globl _own\n.text\n_own: ret\n");
        let (own, archive) = (own.to_str().unwrap(), archive.to_str().unwrap());
        let exported = |more: &[&str]| {
            let image = super::libraries::as_lld(target, more);
            Image::new(&image).exports().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(exported(&[own, archive]), [b"_own"]);
        let all: [&[u8]; 5] = [b"_OBJC_CLASS_$_It", b"_category", b"_class", b"_own", b"_swift"];
        assert_eq!(exported(&[own, archive, "-ObjC"]), all);
        assert_eq!(exported(&["-ObjC", archive, own, archive]), all);
        let [plain, class, category, swift] = objects.each_ref().map(|path| path.to_str().unwrap());
        let between = ["--start-lib", plain, class, category, swift, "--end-lib"];
        assert_eq!(exported(&[&[own][..], &between].concat()), [b"_own"]);
        assert_eq!(exported(&[&["-ObjC", own][..], &between].concat()), all);
    }
}
