//! Inputs to start from: the committed archives, what is in them, and the committed libraries.

use std::fs;
use std::path::{Path, PathBuf};

use object::read::archive::ArchiveFile;
use object::write::{Object, Relocation, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, RelocationFlags, SymbolFlags, SymbolKind, SymbolScope};

/// Archives of every platform.
pub fn archives() -> Vec<Vec<u8>> {
    committed(&["linux-", "freebsd-", "macos-", "windows-"], &["a"])
}

/// Archives, objects and libraries of every format, and images that are no libraries of anybody's.
pub fn inspected() -> Vec<Vec<u8>> {
    let some = |files: Vec<Vec<u8>>| files.into_iter().take(4).collect::<Vec<_>>();
    let all = [archives(), elf::objects(), macho::objects(), coff::objects(), elf::libraries(), coff::dlls()];
    let images = [elf::referring(None), macho::referring(Some(b"")), coff::referring(Some(b""))];
    let images =
        images.into_iter().map(|object| image(&object)).chain(archives().into_iter().take(12).map(|file| image(&file)));
    all.into_iter().chain([macho::dylibs()]).flat_map(some).chain(images).filter(|image| !image.is_empty()).collect()
}

/// The image of one input, or nothing.
fn image(input: &[u8]) -> Vec<u8> {
    let options = pkgld::Options::default();
    let inputs = pkgld::Inputs::open(vec![pkgld::Input::bytes("input", input).whole_archive()], &options);
    let image = inputs.and_then(|inputs| Ok(pkgld::link(&inputs, &options)?.to_vec()?.0));
    image.unwrap_or_default()
}

/// Series of choices.
pub fn choices() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = move || {
        // A linear congruential generator: Knuth, The Art of Computer Programming, volume 2, 3.3.4.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let sizes = [0, 64, 512, 512, 1024, 1024, 2048, 2048, 4096, 4096];
    sizes.iter().cycle().take(60).map(|size| (0..*size).map(|_| byte()).collect()).collect()
}

/// What ELF images are made of.
pub mod elf {
    use super::*;

    pub fn objects() -> Vec<Vec<u8>> {
        members(&committed(&["linux-", "freebsd-"], &["a"]))
    }

    pub fn libraries() -> Vec<Vec<u8>> {
        committed(&["linux-x86_64"], &["so"])
    }

    /// Functions and data that the libraries have.
    const NAMES: [&str; 4] = ["jl_nothing", "jl_gc_safepoint", "ijl_box_int64", "ijl_alloc_string"];

    pub fn links() -> Vec<Vec<u8>> {
        super::links(&committed(&["linux-x86_64"], &["a"]), &libraries())
    }

    pub fn scripts() -> Vec<Vec<u8>> {
        texts(&[
            "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( a.o AS_NEEDED ( \"./../nothing/..\" ) )\n",
            "GROUP ( a.o )",
            "SEARCH_DIR(\"=/usr/lib\"); /* a */ INPUT(a.o)",
            "OUTPUT_FORMAT(elf64-x86-64, elf64-big, elf64-little) INPUT ( \"a.o\", )",
            "INPUT(-lc a.o)",
            "SECTIONS { .text : { *(.text) } }",
        ])
    }

    pub fn version_scripts() -> Vec<Vec<u8>> {
        texts(&[
            "V1 { global: caller; renewed_*; local: *; };\nV2 { \"a b\"; extern \"C\" { newer; }; } V1;\n",
            "{ global: call[a-eg]?; [!x]*; local: /* all */ *; };",
            "# a comment\nV1 { *; };\nV2 { caller; } V1;\nV3 { cal*er; \\*; } V1 V2;",
            "V { local: c*l*l*e*r*; };",
        ])
    }

    pub fn symbol_lists() -> Vec<Vec<u8>> {
        texts(&[
            "{ caller; jl_*; \"a b\"; extern \"C\" { x; y } ; };",
            "{ *; };\n{ [a-z]??l*; };",
            "caller\njl_*\n[!a]*\n",
        ])
    }

    /// An object that refers to such of a library's functions and data as its bytes name, so that a good one defines all;
    /// without a library, to all.
    pub fn referring(library: Option<&[u8]>) -> Vec<u8> {
        let flags = |r_type| RelocationFlags::Elf { r_type: object::elf::RelocationType(r_type) };
        // R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX
        let names = named(&NAMES, library);
        super::referring(BinaryFormat::Elf, Architecture::X86_64, flags(4), flags(42), &names)
    }
}

/// What Mach-O images are made of.
pub mod macho {
    use super::*;

    pub fn objects() -> Vec<Vec<u8>> {
        members(&committed(&["macos-"], &["a"]))
    }

    pub fn dylibs() -> Vec<Vec<u8>> {
        committed(&["macos-arm64"], &["dylib"])
    }

    pub fn stubs() -> Vec<Vec<u8>> {
        let mut stubs = committed(&["macos-arm64"], &["tbd"]);
        stubs.extend(texts(&[VERSION_5]));
        stubs
    }

    pub fn links() -> Vec<Vec<u8>> {
        super::links(&committed(&["macos-"], &["a"]), &stubs())
    }

    pub fn lists() -> Vec<Vec<u8>> {
        texts(&["# exports\n_caller\n_jl_*\n", "_[a-d]a?l*r\r\n\n  _x  # y\n", "*\n", ""])
    }

    /// Functions and data that the libraries have.
    const NAMES: [&str; 4] = ["jl_nothing", "ijl_box_int64", "malloc", "inner"];

    /// The like of [`elf::referring`](super::elf::referring), for arm64.
    pub fn referring(library: Option<&[u8]>) -> Vec<u8> {
        use object::macho::{ARM64_RELOC_BRANCH26, ARM64_RELOC_UNSIGNED};
        let branch = RelocationFlags::MachO { r_type: ARM64_RELOC_BRANCH26, r_pcrel: true, r_length: 2 };
        let pointer = RelocationFlags::MachO { r_type: ARM64_RELOC_UNSIGNED, r_pcrel: false, r_length: 3 };
        let names = named(&NAMES, library);
        super::referring(BinaryFormat::MachO, Architecture::Aarch64, branch, pointer, &names)
    }

    /// A stub in JSON, as newer SDKs have them: there is none in the corpus.
    const VERSION_5: &str = r#"{
  "main_library": {
    "compatibility_versions": [{ "version": "1" }],
    "current_versions": [{ "version": "1351" }],
    "exported_symbols": [
      { "data": { "global": ["_jl_nothing"], "objc_class": ["Class"] }, "text": { "global": ["_malloc"], "weak": ["_weak"] } },
      { "targets": ["arm64-macos"], "text": { "global": ["_jl_alloc"], "thread_local": ["_tls"] } }
    ],
    "install_names": [{ "name": "/usr/lib/libSystem.B.dylib" }],
    "reexported_libraries": [{ "names": ["/usr/lib/system/libinner.dylib"] }],
    "target_info": [{ "min_deployment": "13.0", "target": "arm64-macos" }, { "target": "x86_64-macos" }]
  },
  "libraries": [
    {
      "exported_symbols": [{ "text": { "global": ["_inner", "_jl_box_int64"] } }],
      "install_names": [{ "name": "/usr/lib/system/libinner.dylib" }],
      "target_info": [{ "target": "arm64-macos" }]
    }
  ],
  "tapi_tbd_version": 5
}
"#;
}

/// What PE images are made of.
pub mod coff {
    use super::*;

    pub fn objects() -> Vec<Vec<u8>> {
        members(&committed(&["windows-"], &["a"]).into_iter().filter(|file| file.len() > 1 << 15).collect::<Vec<_>>())
    }

    pub fn dlls() -> Vec<Vec<u8>> {
        committed(&["windows-x86_64"], &["dll"])
    }

    /// Of both forms.
    pub fn import_libraries() -> Vec<Vec<u8>> {
        let mut found = files(&["windows-x86_64"], &["a"]);
        found.retain(|path| path.to_string_lossy().ends_with(".dll.a"));
        found.iter().map(|path| read(path)).collect()
    }

    /// Definition files, with what their language has.
    pub fn definitions() -> Vec<Vec<u8>> {
        texts(&[
            "; a comment\nLIBRARY \"a b\" BASE=0x190000000\nVERSION 2.1\nSTACKSIZE 0x10000,4096\nEXPORTS\n",
            "LIBRARY\nHEAPSIZE 65536\nDESCRIPTION \"text\"\nEXPORTS\n  sleep = KERNEL32.Sleep @7 NONAME\n  \
             wake = KERNEL32.#3 DATA, PRIVATE\n  \"c,d\" = other.name CONSTANT @ 9\n  @fast@8 = a.b\n",
        ])
    }

    /// Undefined names are always errors here, so each library goes with an object that wants no other.
    pub fn links() -> Vec<Vec<u8>> {
        let libraries = [dlls(), import_libraries()].concat();
        let objects: Vec<_> = libraries.iter().map(|library| referring(Some(library))).collect();
        super::links(&[&objects[..], &objects].concat(), &libraries)
    }

    /// Functions that the libraries have, and the place of one's address.
    const NAMES: [&str; 5] = ["jl_string_ptr", "jl_gc_safepoint", "ijl_box_int64", "__imp_ijl_box_int64", "fabs"];

    /// The like of [`elf::referring`](super::elf::referring), for x86-64.
    pub fn referring(library: Option<&[u8]>) -> Vec<u8> {
        use object::pe::{IMAGE_REL_AMD64_ADDR64, IMAGE_REL_AMD64_REL32};
        let call = RelocationFlags::Coff { typ: IMAGE_REL_AMD64_REL32 };
        let pointer = RelocationFlags::Coff { typ: IMAGE_REL_AMD64_ADDR64 };
        let names = named(&NAMES, library);
        super::referring(BinaryFormat::Coff, Architecture::X86_64, call, pointer, &names)
    }
}

/// Those of `names` that stand in a library.
fn named<'a>(names: &[&'a str], library: Option<&[u8]>) -> Vec<&'a str> {
    let Some(library) = library else { return names.to_vec() };
    let stands = |name: &&str| {
        let name = name.trim_start_matches("__imp_").as_bytes();
        library.windows(name.len()).any(|bytes| bytes == name)
    };
    names.iter().copied().filter(stands).collect()
}

/// An object that calls each of `names` and refers to it from data: eight bytes of data each, or of a load in code.
fn referring(
    format: BinaryFormat,
    arch: Architecture,
    call: RelocationFlags,
    pointer: RelocationFlags,
    names: &[&str],
) -> Vec<u8> {
    let mut object = Object::new(format, arch, Endianness::Little);
    let text = object.section_id(StandardSection::Text);
    let data = object.section_id(StandardSection::Data);
    let symbol = |object: &mut Object<'_>, name: &str, section| {
        object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section,
            flags: SymbolFlags::None,
        })
    };
    symbol(&mut object, "caller", SymbolSection::Section(text));
    for name in names {
        let id = symbol(&mut object, name, SymbolSection::Undefined);
        // mov rax, [rip + rel32] with what follows; call rel32; bl
        let (code, at): (&[u8], u64) = match (format, arch) {
            (BinaryFormat::Elf, _) => (&[0xe8, 0, 0, 0, 0, 0x48, 0x8b, 5, 0, 0, 0, 0], 1),
            (_, Architecture::Aarch64) => (&[0, 0, 0, 0x94], 0),
            _ => (&[0xe8, 0, 0, 0, 0, 0x90, 0x90, 0x90], 1),
        };
        let start = object.append_section_data(text, code, 4);
        let addend = if format == BinaryFormat::Elf { -4 } else { 0 };
        let add = |object: &mut Object<'_>, section, offset, flags, addend| {
            let relocation = Relocation { offset, symbol: id, addend, flags };
            object.add_relocation(section, relocation).expect("a relocation that the format has");
        };
        add(&mut object, text, start + at, call, addend);
        if format == BinaryFormat::Elf {
            add(&mut object, text, start + 8, pointer, addend);
        } else {
            let place = object.append_section_data(data, &[0; 8], 8);
            add(&mut object, data, place, pointer, 0);
        }
    }
    if format == BinaryFormat::MachO {
        let mut version = object::write::MachOBuildVersion::default();
        version.platform = object::macho::PLATFORM_MACOS;
        (version.minos, version.sdk) = (object::macho::Version(0xd_0000), object::macho::Version(0xe_0000));
        object.set_macho_build_version(version);
    }
    object.write().expect("a well-formed object")
}

/// Pairs of inputs, as the target `link` takes them: options all as they are, then a few others.
fn links(archives: &[Vec<u8>], others: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let choices = choices();
    let link = |(index, (archive, other)): (usize, (&Vec<u8>, &Vec<u8>))| {
        let choices = if index % 2 == 0 { &[][..] } else { &choices[2 + index % 6][..40] };
        let [low, middle, high, ..] = (archive.len() as u32).to_le_bytes();
        [&[choices.len() as u8], choices, &[low, middle, high], archive, other].concat()
    };
    archives.iter().zip(others.iter().cycle()).enumerate().map(link).collect()
}

/// Of the GNU dialect.
pub fn gnu_command_lines() -> Vec<Vec<u8>> {
    texts(&[
        "0\n'' -shared -o out --whole-archive in --no-whole-archive -Llib/julia -Llib -ljulia -ljulia-internal",
        "0--build-id --eh-frame-hdr --hash-style=gnu --as-needed -z relro -z defs --verbose -shared -o out crti.o -lgcc \
         --as-needed -lgcc_s --no-as-needed /lib/libc.so.6 --push-state --pop-state",
        "0-shared in -soname=x -rpath /a:/b --defsym=a=0x10 --defsym b=a+1 -m elf_x86_64 -e main -u sym --exclude-libs ALL",
        "0-shared --start-group a.a --end-group -Bstatic -Bdynamic -Bsymbolic-functions --threads=2 -O2 \
         --compress-debug-sections=zlib -s",
        "0-shared -o 'a file' \"another \\\" file\" \\ escaped\n-z\trelro",
        "1-shared C:\\objects\\a.o \"C:\\Program Files\\b.o\" \\\\server\\share 'x\\'",
    ])
}

/// Of the darwin dialect.
pub fn darwin_command_lines() -> Vec<Vec<u8>> {
    texts(&[
        "0-arch arm64 -dylib -undefined dynamic_lookup -platform_version macos 11.0.0 11.0.0 -o out -all_load in.a \
         -Llib -ljulia -ljulia-internal -lSystem",
        "0-arch x86_64 -dylib -o out -force_load in.a -install_name x.dylib -current_version 1.2.3 -headerpad 0x40 \
         -exported_symbol _a* -dead_strip -no_uuid -S",
        "0-dylib -o 'a file' in.o -rpath a -rpath b -oso_prefix . -dsym out.dSYM -fixup_chains -adhoc_codesign",
        "0-arch arm64 -dylib in.o -filelist list -exported_symbols_list list",
        "0-dylib in.o -macos_version_min 12 -needed-lx -weak-ly -reexport-lz -u _main -e _main -x",
    ])
}

/// Of the GNU dialect, for Windows.
pub fn mingw_command_lines() -> Vec<Vec<u8>> {
    texts(&[
        "0-m i386pep -Bdynamic -shared -o out --whole-archive in.a --no-whole-archive -Llib -ljulia.dll -lmsvcrt -lgcc",
        "0-m i386pe --shared -o out in.o --export-all-symbols --image-base 0x10000000 --subsystem console",
        "0-m i386pep -shared in.o -o out --enable-auto-import --disable-dynamicbase --exclude-symbols a,b -e entry",
        "0-m i386pep -shared in.o -o out --major-subsystem-version 6 --minor-subsystem-version 1 --no-insert-timestamp",
    ])
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The contents of the committed files of platforms with an extension, smallest first: a fuzzer works best on small inputs.
fn committed(platforms: &[&str], extensions: &[&str]) -> Vec<Vec<u8>> {
    let mut contents: Vec<Vec<u8>> = files(platforms, extensions).iter().map(|path| read(path)).collect();
    contents.sort_by_key(Vec::len);
    contents.dedup();
    assert!(!contents.is_empty(), "no {extensions:?} file of {platforms:?} in {}", corpus().display());
    contents
}

fn files(platforms: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(corpus()).expect("the corpus") {
        let entry = entry.expect("a directory entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if platforms.iter().any(|platform| name.starts_with(platform)) {
            collect(&entry.path(), &mut found);
        }
    }
    let wanted =
        |path: &PathBuf| path.extension().is_some_and(|of| extensions.iter().any(|extension| of == *extension));
    found.retain(wanted);
    found.sort();
    found
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The objects in archives, each once.
fn members(archives: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let of = |archive: &Vec<u8>| {
        let file = ArchiveFile::parse(&**archive).expect("a committed archive is well formed");
        let members = file.members().map(|member| {
            let member = member.expect("a committed archive is well formed");
            member.data(&**archive).expect("a member has contents").to_vec()
        });
        members.collect::<Vec<_>>()
    };
    let mut members: Vec<Vec<u8>> = archives.iter().flat_map(of).collect();
    members.sort_by_key(Vec::len);
    members.dedup();
    members
}
