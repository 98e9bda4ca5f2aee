//! The text that people read, and `.ji` files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use super::*;

fn golden() -> Inspection {
    let section = |name: &str, permissions: &str, address, size| Section {
        name: name.to_owned(),
        address,
        size,
        file_offset: address,
        file_size: size,
        permissions: permissions.to_owned(),
    };
    let segment = |name: &str, permissions: &str, address, size| Segment {
        name: name.to_owned(),
        address,
        size,
        file_offset: address,
        file_size: size - 16,
        permissions: permissions.to_owned(),
    };
    let target = |name: &str, base, clones, features: &[&str]| CpuTarget {
        name: name.to_owned(),
        flags: if clones == 70 { vec![] } else { vec!["vector-call"] },
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        disabled: 3,
        extra: String::new(),
        base,
        clones,
    };
    let image = Image {
        name: Some("Example.dylib".to_owned()),
        identity: Some(Identity { kind: "UUID", value: "00112233445566778899aabbccddeeff".to_owned() }),
        signature: Some(Signature { identifier: "Example.dylib".to_owned(), ad_hoc: true, pages: 12, problem: None }),
        segments: vec![segment("__TEXT", "r-x", 0, 0x8000), segment("__DATA", "rw-", 0x8000, 0x8000)],
        sections: vec![section("__TEXT,__text", "r-x", 0x400, 15_944), section("__DATA,__data", "rw-", 0x8000, 16_384)],
        space: vec![
            Space { what: "heap image", bytes: 16_384 },
            Space { what: "code", bytes: 15_944 },
            Space { what: "padding", bytes: 812 },
        ],
        biggest: vec![Symbol { name: "_jl_system_image_data".to_owned(), address: 0x8000, size: 16_384 }],
        symbols: 220,
        exports: Exports { count: 2, names: vec!["_a".to_owned(), "_jl_image_pointers".to_owned()] },
        imports: vec![Imports {
            library: Some("@rpath/libjulia-internal.1.12.dylib".to_owned()),
            names: (0..10).map(|number| format!("_ijl_{number}")).collect(),
        }],
        needed: vec!["@rpath/libjulia.1.12.dylib".to_owned(), "@rpath/libjulia-internal.1.12.dylib".to_owned()],
        relocation_form: Some("chained fixups"),
        relocations: vec![
            Count { kind: "bind".to_owned(), count: 77 },
            Count { kind: "rebase".to_owned(), count: 1110 },
        ],
        unwind: Unwind {
            tables: vec!["__eh_frame", "__unwind_info"],
            rows: 110,
            functions: 105,
            covered: 104,
            uncovered: vec!["_julia_f_1".to_owned()],
        },
    };
    let julia = Julia {
        version: "1.11 or 1.12",
        header: Some(1),
        functions: 70,
        variables: 24,
        shards: vec![Shard { functions: 40, variables: 20, slots: 1 }, Shard { functions: 30, variables: 4, slots: 0 }],
        targets: vec![target("generic", None, 70, &["cx16"]), target("haswell", Some(0), 2, &["avx", "avx2", "fma"])],
        heap: Some(Heap { address: 0x8000, size: 16_384, file_offset: 0x8000, alignment: 0x8000, compression: "none" }),
        accepted: false,
        reasons: vec!["jl_small_typeof is not writable".to_owned()],
        ..Julia::default()
    };
    Inspection {
        schema: 1,
        file: "Example.dylib".to_owned(),
        size: 33_140,
        kind: "shared library",
        format: Some("Mach-O"),
        target: Some("macos-arm64".to_owned()),
        image: Some(image),
        julia: Some(julia),
        notes: vec!["segment __LINKEDIT is cut off".to_owned()],
        ..Inspection::default()
    }
}

#[test]
fn the_text_for_people() {
    let text = Text { told: &golden(), exports: true, color: false }.to_string();
    let wanted = include_str!("golden.txt");
    assert!(text == wanted, "{text}");
    let colored = Text { told: &golden(), exports: true, color: true }.to_string();
    assert!(colored.contains("\x1b[1;31mno\x1b[0m") && colored.contains("\n\x1b[1mJulia\x1b[0m\n"));
    // Without the colours it is the same text.
    let stripped =
        ["\x1b[1;31m", "\x1b[1m", "\x1b[32m", "\x1b[0m"].iter().fold(colored, |text, code| text.replace(code, ""));
    assert_eq!(stripped, wanted);
}

/// A `.ji` file with these flags and CPU targets, as `version` of Julia writes it, for `image`.
fn ji(version: &str, flags: u8, targets: &[u8], image: &[u8]) -> Vec<u8> {
    let mut file = b"\xfbjli\r\n\x1a\n".to_vec();
    file.extend(if version.starts_with("1.14") { 13_u16 } else { 12 }.to_le_bytes());
    file.extend(0xfeff_u16.to_le_bytes());
    file.push(8);
    for text in ["Linux", "x86_64", version, "master", "0123456789abcdef"] {
        file.extend(text.as_bytes());
        file.push(0);
    }
    file.push(0);
    file.extend((0xfafb_fcfd_u64 << 32 | 0x1234).to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.push(flags);
    let mut module = |name: &str, build_id: usize| {
        file.extend((name.len() as u32).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(0x1122_3344_5566_7788_u64.to_le_bytes());
        file.extend(0x99aa_bbcc_ddee_ff00_u64.to_le_bytes());
        file.extend(vec![7; build_id]);
    };
    module("Example", 8);
    file.extend(0_u32.to_le_bytes());
    file.extend(24_u64.to_le_bytes());
    file.extend([1; 24]);
    let mut module = |name: &str, build_id: usize| {
        file.extend((name.len() as u32).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend([0; 16]);
        file.extend(vec![7; build_id]);
    };
    module("Base", 16);
    module("Core", 16);
    file.extend(0_u32.to_le_bytes());
    file.extend((targets.len() as u32).to_le_bytes());
    file.extend(targets);
    file.extend([0; 100]);
    file.extend(crc32c::crc32c(image).to_le_bytes());
    let own = crc32c::crc32c(&file);
    file.extend(own.to_le_bytes());
    file
}

#[test]
fn a_ji_file_is_decoded() {
    let file = ji("1.11.1", 0xa3, &targets::tests::words(), b"image");
    let cache = cache::read("x.ji", &file, Some(b"image"), None).unwrap();
    assert_eq!(cache.problems, [""; 0]);
    assert_eq!((cache.format_version, cache.pointer_size, cache.julia.as_str()), (12, 8, "1.11.1"));
    assert_eq!((cache.os.as_str(), cache.arch.as_str(), cache.branch.as_str()), ("Linux", "x86_64", "master"));
    assert_eq!(cache.modules, ["Example [11223344-5566-7788-99aa-bbccddeeff00]"]);
    assert_eq!(cache.required, ["Base", "Core"]);
    assert_eq!(cache.checksum, "fafbfcfd00001234");
    let CacheFlags { pkgimages, debug_level, check_bounds, inline, opt_level, .. } = cache.flags;
    assert_eq!((pkgimages, debug_level, check_bounds, inline, opt_level), (true, 1, "auto", true, 2));
    let names: Vec<_> = cache.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["generic", "haswell"]);
    assert!(cache.own_crc.right && cache.image_crc.unwrap().right);
    // Julia takes more of -g and -O than is asked for, from 1.11 on, and nothing else.
    let options = |rejections: &[String]| {
        rejections.iter().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let wanted = ["--pkgimages=no", "-g2", "--check-bounds=yes", "--check-bounds=no", "--inline=no", "-O3"];
    assert_eq!(options(&cache.rejected_by), wanted);
    let older = ji("1.10.4", 0xa3, &targets::tests::words(), b"image");
    let older = cache::read("x.ji", &older, Some(b"image"), None).unwrap();
    assert_eq!(options(&older.rejected_by), [&wanted[..1], &["-g0"], &wanted[1..]].concat());
}

#[test]
fn flags_that_are_asked_about_are_compared() {
    let file = ji("1.12.0", 0xa3, &[], b"");
    let rejected = |flags| {
        let flags = CacheFlags::parse(flags).unwrap();
        cache::read("x.ji", &file, None, Some(flags)).unwrap().rejected_by
    };
    assert_eq!(rejected("0xa3"), [""; 0]);
    assert_eq!(rejected("-O1 -g0"), [""; 0]);
    let reasons = ["-g1 is in the file, -g2 is wanted", "-O2 is in the file, -O3 is wanted"];
    assert_eq!(rejected("-O3 -g2"), reasons);
    assert_eq!(rejected("--check-bounds=yes"), ["--check-bounds=auto is in the file, --check-bounds=yes is wanted"]);
    // Neither with an image: the rest does not matter.
    let plain = ji("1.12.0", 0xa2, &[], b"");
    let flags = CacheFlags::parse("--pkgimages=no -O3 --inline=no").unwrap();
    assert_eq!(cache::read("x.ji", &plain, None, Some(flags)).unwrap().rejected_by, [""; 0]);
    assert_eq!(CacheFlags::parse("163"), Ok(0xa3));
    assert!(CacheFlags::parse("0x1a3").is_err() && CacheFlags::parse("-O4").is_err());
}

#[test]
fn a_wrong_checksum_is_found() {
    let mut file = ji("1.12.0", 0xa3, &targets::tests::words(), b"image");
    let cache = cache::read("x.ji", &file, Some(b"other"), None).unwrap();
    assert!(cache.own_crc.right && !cache.image_crc.unwrap().right);
    assert_eq!(cache.problems, ["the image's checksum is wrong: Julia would not load this image with it"]);
    let place = file.len() - 20;
    file[place] ^= 1;
    let cache = cache::read("x.ji", &file, Some(b"image"), None).unwrap();
    assert!(!cache.own_crc.right && cache.image_crc.unwrap().right);
    assert_eq!(cache.problems, ["its own checksum is wrong"]);
}

#[test]
fn damaged_ji_files_are_told_or_refused() {
    let whole = ji("1.12.0", 0xa3, &targets::tests::words(), b"image");
    for end in 0..whole.len() {
        let _ = cache::read("x.ji", &whole[..end], Some(b"image"), None);
        for value in [0, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[end] = value;
            if let Ok(cache) = cache::read("x.ji", &damaged, Some(b"image"), None) {
                assert!(damaged == whole || !cache.problems.is_empty(), "byte {end}");
            }
        }
    }
}

/// Of several images in one file it is not told which one is meant.
#[test]
fn universal_files_are_to_be_taken_apart() {
    let error = inspect("both.dylib", &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]).unwrap_err();
    assert!(error.to_string().contains("universal file: take the part for one CPU out of it"), "{error}");
}
