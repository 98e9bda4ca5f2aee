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
