//! Many shared libraries, which an object asks for many names.

use pkgld::{Mode, Options, Target};

use super::link::{link, options, quiet_panics};

fn run(name: &str, inputs: &[(String, Vec<u8>)], options: &Options) -> Result<Vec<u8>, String> {
    quiet_panics();
    let size: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
    let inputs: Vec<(&str, &[u8], Mode)> =
        inputs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice(), Mode::default())).collect();
    let outcome = link(name, &inputs, options).unwrap_or_else(|what| panic!("{name}: {what}"));
    println!("{name}: {size} bytes of input, {:.2?}, factor {}", outcome.time, outcome.factor);
    outcome.result
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A library that re-exports each of many others, is asked for many names, and has none of them.
#[test]
fn libraries_that_one_re_exports() {
    const OTHERS: u32 = 1_500;
    const NAMES: u32 = 8_000;
    let stub = |name: &str, reexported: &str| {
        format!(
            "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '{name}'\n{reexported}\
             exports:\n  - targets: [ arm64-macos ]\n    symbols: [ '_of{name}' ]\n...\n"
        )
        .into_bytes()
    };
    let others: Vec<String> = (0..OTHERS).map(|number| format!("/l{number}")).collect();
    let all =
        format!("reexported-libraries:\n  - targets: [ arm64-macos ]\n    libraries: [ {} ]\n", others.join(", "));
    // mach_header_64 of arm64, LC_SYMTAB, undefined symbols
    let strings: Vec<u8> = (0..NAMES).flat_map(|number| format!("_{number:06}\0").into_bytes()).collect();
    let mut object = words([0xfeed_facf, 0x0100_000c, 0, 1, 1, 24, 0, 0]);
    object.extend(words([2, 24, 56, NAMES, 56 + 16 * NAMES, strings.len() as u32]));
    (0..NAMES).for_each(|number| object.extend(words([8 * number, 1, 0, 0])));
    object.extend(strings);
    let mut inputs = vec![("a.o".to_owned(), object), ("all.tbd".to_owned(), stub("/all", &all))];
    inputs.extend(others.iter().map(|name| (format!("{name}.tbd"), stub(name, ""))));
    let mut options = options();
    options.target = Some(Target::MACOS_AARCH64);
    run("re-exports", &inputs, &options).unwrap();
}

/// An import library that tells of a datum in each of many DLLs, and an object that refers to all of them as if they were
/// not imported.
#[test]
fn data_of_as_many_dlls() {
    const DLLS: u32 = 8_000;
    let member = |content: &[u8]| {
        let mut member = format!("{:<48}{:<10}`\n", "m/", content.len()).into_bytes();
        member.extend(content);
        member.resize(member.len().next_multiple_of(2), b'\n');
        member
    };
    // Signature, version 0, machine, time stamp, size, hint, type: data, by name.
    let imports: Vec<Vec<u8>> = (0..DLLS)
        .map(|number| {
            let text = format!("d{number}\0{number}.dll\0");
            let header = words([0xffff_0000, 0x8664_0000, 0, text.len() as u32, 0x0005_0000]);
            member(&[header, text.into_bytes()].concat())
        })
        .collect();
    let names: String = (0..DLLS).map(|number| format!("__imp_d{number}\0")).collect();
    let mut index = DLLS.to_be_bytes().to_vec();
    let mut end = 8 + 60 + (4 + 4 * DLLS + names.len() as u32).next_multiple_of(2);
    for import in &imports {
        index.extend(end.to_be_bytes());
        end += import.len() as u32;
    }
    index.extend(names.bytes());
    let mut index = member(&index);
    index[..16].copy_from_slice(b"/               ");
    let archive = [b"!<arch>\n".to_vec(), index, imports.concat()].concat();
    // A pointer to each: header, `.data`, its contents, relocations IMAGE_REL_AMD64_ADDR64.
    let (contents, relocations) = (60, 60 + 8 * DLLS);
    let mut object = words([0x0001_8664, 0, relocations + 10 * DLLS, DLLS, 0]);
    object.extend(b".data\0\0\0");
    object.extend(words([0, 0, 8 * DLLS, contents, relocations, 0, DLLS, 0xc040_0040]));
    object.resize(relocations as usize, 0);
    for number in 0..DLLS {
        object.extend(words([8 * number, number]));
        object.extend([1, 0]);
    }
    for number in 0..DLLS {
        let mut name = format!("d{number}").into_bytes();
        name.resize(8, 0);
        object.extend(name);
        // Value, section, type, storage class, auxiliary records: undefined, external.
        object.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
    }
    object.extend(4_u32.to_le_bytes());
    let inputs = [("a.o".to_owned(), object), ("libdata.a".to_owned(), archive)];
    let message = run("DLLs", &inputs, &options()).unwrap_err();
    assert!(message.contains("no start code corrects that"), "{message}");
    let mut options = options();
    options.pe.pseudo_relocs = false;
    let message = run("DLLs that are named", &inputs, &options).unwrap_err();
    assert!(message.contains("data of 0.dll"), "{message}");
}
