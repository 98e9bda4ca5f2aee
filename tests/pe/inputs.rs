//! What objects may hold, in assembly: forms, directives, structures for the loader.

use std::fs;
use std::path::Path;
use std::process::Command;

use pkgld::{Input, Inputs, Options, Target};

use crate::common::scratch;
use crate::dll::Dll;
use crate::objects::{EXTERNAL, Object, Section};
use crate::support::{assemble, dll_of, link, link_inputs, options, refusal};

const X64: Target = Target::WINDOWS_X86_64;
const X86: Target = Target::WINDOWS_X86;
const ARM64: Target = Target::WINDOWS_AARCH64;

/// Objects of more sections than 16 bits count have another form.
#[test]
#[ignore = "needs the package clang-19"]
fn large_objects() {
    let text = ".globl last\n.altmacro\n.macro one k\n.section .data$s\\k,\"dw\",discard,s\\k\n.globl s\\k\ns\\k: .long \\k\n.endm\n\
                .set n, 0\n.rept 66000\none %n\n.set n, n+1\n.endr\n.section .text$x,\"xr\",associative,s65999\nret\n\
                .data\nlast: .quad s65999\n.section .drectve,\"yni\"\n.ascii \" -export:last -export:s7\"";
    let object = assemble(X64, text);
    assert_eq!(object[..4], [0, 0, 0xff, 0xff], "the form with 32-bit numbers of sections");
    // Of two copies one stays, associated sections with it.
    let image = link(&options(X64), &[object.clone(), object[..].to_vec()]);
    let said = image.unwrap_err().to_string();
    assert!(said.contains("duplicate symbol: last"), "{said}");
    let mut first = options(X64);
    first.allow_multiple_definition = true;
    let dll = Dll::new(&link(&first, &[object.clone(), object.clone()]).unwrap());
    let last = dll.address(dll.symbol("last"));
    assert_eq!((last, dll.u32(last), dll.u32(dll.symbol("s7"))), (dll.symbol("s65999"), 65999, 7));
    assert!(dll.section(".data").size < 2 * 66000 * 4);
    // Cut anywhere, it is an error and no more.
    for end in (0..object.len()).step_by(object.len() / 50) {
        assert!(link(&options(X64), &[object[..end].to_vec()]).is_err(), "{end}");
    }
}

/// As many sections as a header counts are told apart, and those behind them stay there.
#[test]
#[ignore = "needs the package clang-19"]
fn sections_of_very_many_names() {
    const COUNT: u32 = 33_000;
    let object = |prefix: &str| {
        let text = format!(
            ".altmacro\n.macro one k\n.section {prefix}\\k,\"dw\"\n.quad {prefix}\n.endm\n.globl {prefix}\n{prefix}: ret\n\
             .set n, 0\n.rept {COUNT}\none %n\n.set n, n+1\n.endr\n"
        );
        assemble(X64, &text)
    };
    let (one, other) = (object("s"), object("t"));
    let dll = Dll::new(&link(&options(X64), std::slice::from_ref(&one)).unwrap());
    assert_eq!(dll.sections.last().unwrap().name, ".reloc");
    let (start, size) = dll.directory(5);
    let blocks = dll.at(start, size);
    // Each has a page and a block of its own.
    assert_eq!(blocks.len(), 12 * COUNT as usize);
    assert!(blocks.chunks(12).all(|block| block[8..] == [0, 0xa0, 0, 0]));
    let said = link(&options(X64), &[one, other]).unwrap_err().to_string();
    assert!(said.contains("the number of sections of the image is") && said.contains("limit of 65024"), "{said}");
}

/// Of more relocations than 16 bits count, the first entry of the table has the number.
#[test]
#[ignore = "needs the package clang-19"]
fn many_relocations_in_a_section() {
    const COUNT: u32 = 70_000;
    let text = format!(
        ".globl f, words\nf: ret\n.data\nwords:\n.rept {COUNT}\n.quad f\n.endr\n\
         .section .drectve,\"yni\"\n.ascii \" -export:f -export:words\""
    );
    let object = assemble(X64, &text);
    let header = object[20..].chunks_exact(40).find(|header| header.starts_with(b".data\0")).unwrap();
    assert_eq!((&header[32..34], header[39] & 1), (&[0xff_u8, 0xff][..], 1), "the count does not fit");
    let dll = Dll::new(&link(&options(X64), &[object]).unwrap());
    let (function, words) = (dll.symbol("f"), dll.symbol("words"));
    let expected: Vec<(u16, u32)> = (0..COUNT).map(|word| (10, words + 8 * word)).collect();
    assert!(dll.base_relocations() == expected, "a base relocation for each word, in order");
    assert!((0..COUNT).all(|word| dll.address(words + 8 * word) == function));
}

/// A weak external is looked for in archives or not, and gives way to a definition, whatever its search characteristic.
#[test]
fn weak_externals_of_every_kind() {
    let user = |search: u32| {
        let mut object = Object::new(" -export:u");
        object.symbol("u", 1, EXTERNAL);
        let fallback = object.symbol("own", 1, EXTERNAL);
        object.symbols[1].value = 5;
        let weak = object.weak("f", fallback, search);
        object.sections[0].contents = vec![0xe8, 0, 0, 0, 0, 0xcc, 0xc3, 0];
        object.sections[0].relocations = vec![(1, weak, 4)];
        object.build()
    };
    let mut other = Object::new("");
    other.symbol("f", 1, EXTERNAL);
    let other = other.build();
    let called = |inputs: Vec<Input<'_>>| {
        let dll = Dll::new(&link_inputs(&options(X64), inputs).unwrap());
        let call = dll.symbol("u");
        dll.at((call + 5).wrapping_add(dll.u32(call + 1)), 1)[0]
    };
    for (search, from_archive) in [(1, 0xcc), (2, 0xc3), (3, 0xcc), (4, 0xcc)] {
        let user = user(search);
        let archive = {
            let header =
                |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
            let index = [&1_u32.to_be_bytes()[..], &(8 + 60 + 10_u32).to_be_bytes(), b"f\0"].concat();
            [b"!<arch>\n", header("/", 10).as_bytes(), &index, header("f.o/", other.len()).as_bytes(), &other].concat()
        };
        assert_eq!(called(vec![Input::bytes("u.o", &user)]), 0xcc, "{search}");
        let both = [Input::bytes("u.o", &user), Input::bytes("f.o", &other)];
        assert_eq!(called(both.to_vec()), 0xc3, "{search}");
        assert_eq!(called(both.into_iter().rev().collect()), 0xc3, "{search}");
        let library = vec![Input::bytes("u.o", &user), Input::bytes("f.a", &archive)];
        assert_eq!(called(library), from_archive, "{search}");
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn directives_merge_replace_and_demand() {
    let text = ".globl f, g\nf: call missing\nret\ng: int3\n.section mine,\"dr\"\n.long 0x11223344\n\
                .section .drectve,\"yni\"\n.ascii \" -merge:mine=.rdata -alternatename:missing=g -include:f \
                -merge:one=two -merge:two=one -exclude-symbols:g\"";
    let dll = dll_of(&options(X64), &[text]);
    assert!(dll.sections.iter().all(|section| section.name != "mine"));
    let rdata = dll.section(".rdata");
    assert!(dll.at(rdata.start, rdata.size).windows(4).any(|bytes| bytes == 0x1122_3344_u32.to_le_bytes()));
    let f = dll.symbol("f");
    assert_eq!((f + 5).wrapping_add(dll.u32(f + 1)), dll.symbol("g"));
    assert!(dll.exports().1.iter().map(|(_, name, _)| &**name).eq(["f"]), "as LLD exports");
    let defined = [text, ".globl missing\nmissing: ret"];
    let dll = dll_of(&options(X64), &defined);
    assert_eq!((dll.symbol("f") + 5).wrapping_add(dll.u32(dll.symbol("f") + 1)), dll.symbol("missing"));
    let demanding = ".section .drectve,\"yni\"\n.ascii \" -include:nowhere\"";
    let said = refusal(&options(X64), &[demanding]);
    assert!(said.contains("undefined symbol: nowhere") && said.contains("0.o asks for it"), "{said}");
}

/// Libraries that an object asks for are searched for if the object is a file, and its names lead nowhere else.
#[test]
#[ignore = "needs the package clang-19"]
fn default_libraries_are_found() {
    let folder = scratch("pe-defaultlib");
    let object = assemble(
        X64,
        ".globl u\nu: call f\nret\n.section .drectve,\"yni\"\n.ascii \" -export:u /DEFAULTLIB:\\\"one\\\" -defaultlib:no\"",
    );
    let library = assemble(X64, ".globl f\nf: ret");
    fs::write(folder.join("u.o"), &object).unwrap();
    let mut options = options(X64);
    options.search_paths = vec![folder.clone()];
    let linked = |options: &Options, input: Input<'static>| {
        let inputs = Inputs::open(vec![input], options).unwrap();
        let image = pkgld::link(&inputs, options).map_err(|errors| errors.to_string())?;
        Ok::<_, String>(image.report().warnings.join("\n"))
    };
    for name in ["one.lib", "libone.a"] {
        fs::write(folder.join(name), &library).unwrap();
        let warnings = linked(&options, Input::path(folder.join("u.o"))).unwrap();
        assert!(warnings.contains("the library no, which is not found") && !warnings.contains("one"), "{warnings}");
        let inputs = Inputs::open(vec![Input::bytes("u.o", &object)], &options).unwrap();
        assert!(pkgld::link(&inputs, &options).is_err(), "bytes in memory open no file");
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert!(linked(&options, Input::path(folder.join("u.o"))).unwrap_err().contains("undefined symbol: f"));
}

/// Functions keep their rows, and rows do not keep functions.
#[test]
#[ignore = "needs the package clang-19"]
fn only_live_functions_keep_rows() {
    let function = |name: &str, section: &str, handler: &str| {
        format!(
            ".section {section}\n.globl {name}\n{name}:\n.seh_proc {name}\n.seh_handler {handler}, @except\n\
             subq $40, %rsp\n.seh_stackalloc 40\n.seh_endprologue\naddq $40, %rsp\nret\n.seh_endproc\n\
             .section .text$h{name},\"xr\"\n.globl {handler}\n{handler}: ret\n"
        )
    };
    let export = ".section .drectve,\"yni\"\n.ascii \" -export:live -export:kept\"";
    let text = [
        function("dead", ".text$dead,\"xr\"", "hdead"),
        function("live", ".text$live,\"xr\"", "hlive"),
        function("gone", ".text$gone,\"xr\",discard,gone", "hgone"),
        function("kept", ".text$kept,\"xr\",discard,kept", "hkept"),
        export.to_owned(),
    ];
    let mut options = options(X64);
    let all = dll_of(&options, &[&text.concat()]);
    assert_eq!(all.functions().len(), 4);
    options.gc_sections = true;
    let dll = dll_of(&options, &[&text.concat()]);
    let mut starts = ["live", "kept"].map(|name| dll.symbol(name));
    starts.sort_unstable();
    assert!(dll.functions().into_iter().map(|(start, ..)| start).eq(starts));
    for (name, there) in [("dead", false), ("gone", false), ("hgone", false), ("hlive", true), ("hkept", true)] {
        assert_eq!(dll.has_symbol(name), there, "{name}");
    }
}

/// One table may have rows of functions that stay and of some that go, whether nothing refers to them or another copy is there.
#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_functions_left_out_stand_last_and_do_not_count() {
    let function = |name: &str, kind: &str| {
        format!(
            ".section .text${name},\"xr\"{kind}\n.globl {name}\n{name}:\nstart{name}: nop\nend{name}: ret\n\
             .section .pdata,\"dr\"\n.rva start{name}, end{name}, info\n"
        )
    };
    let object = |functions: &[String], name: &str| {
        let export = format!(".section .drectve,\"yni\"\n.ascii \" -export:{name}\"\n");
        [".section .xdata,\"dr\"\ninfo: .long 1\n", &functions.concat(), &export].concat()
    };
    let starts = |dll: &Dll| -> Vec<u32> { dll.functions().into_iter().map(|(start, ..)| start).collect() };
    let mut collecting = options(X64);
    collecting.gc_sections = true;
    let dll = dll_of(&collecting, &[&object(&[function("dead", ""), function("live", "")], "live")]);
    assert_eq!(starts(&dll), [dll.symbol("live")]);
    assert_eq!(dll.section(".pdata").size, 24, "the other row is no part of the directory");
    let copy = || function("f", ",discard,f");
    let texts = [("one", "z"), ("two", "a")]
        .map(|(name, own)| object(&[copy(), function(name, ""), format!(".data\n{own}: .quad f\n")], name));
    let dll = dll_of(&options(X64), &[&texts[0], &texts[1]]);
    let mut expected = ["f", "one", "two"].map(|name| dll.symbol(name));
    expected.sort_unstable();
    assert_eq!((starts(&dll), dll.section(".pdata").size), (expected.to_vec(), 48));
}

/// The structure of a load configuration is found by its symbol; no tables of Control Flow Guard or of handlers are made,
/// as by LLD without `/guard` and `/safeseh`.
#[test]
#[ignore = "needs the package clang-19"]
fn load_configurations() {
    let folder = scratch("pe-loadconfig");
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let sysroot = String::from_utf8(sysroot).unwrap();
    let lld = Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    for (target, emulation, prefix, size, word) in
        [(X64, "i386pep", "", 148, ".quad"), (X86, "i386pe", "_", 104, ".long")]
    {
        let handlers = match target {
            X86 => ".def _h; .scl 2; .type 32; .endef\n.globl _h\n.safeseh _h\n_h: ret\n",
            _ => "",
        };
        let tables = match target {
            X86 => format!("{word} ___safe_se_handler_table, ___safe_se_handler_count"),
            _ => format!("{word} 0, 0"),
        };
        let text = format!(
            ".globl @feat.00\n.set @feat.00, 1\n.globl {prefix}f\n{prefix}f: ret\n{handlers}.section .rdata,\"dr\"\n\
             .globl {prefix}_load_config_used\n.balign 8\n{prefix}_load_config_used: .long {size}\n.zero {}\n\
             {word} {prefix}__guard_fids_table, {prefix}__guard_fids_count\n{tables}\n\
             .section .drectve,\"yni\"\n.ascii \" -export:f\"",
            size - 4
        );
        let object = assemble(target, &text);
        let dll = Dll::new(&link(&options(target), std::slice::from_ref(&object)).unwrap());
        let at = dll.symbol(&format!("{prefix}_load_config_used"));
        assert_eq!(dll.directory(10), (at, size));
        assert!(dll.at(at + size, 4 * dll.word).iter().all(|byte| *byte == 0));
        assert!(dll.base_relocations().is_empty(), "{:?}", dll.base_relocations());
        fs::write(folder.join("a.o"), &object).unwrap();
        let entry = format!("{prefix}f");
        let arguments = ["-flavor", "gnu", "-m", emulation, "-shared", "-e", &entry, "-o", "a.dll", "a.o"];
        assert!(Command::new(&lld).args(arguments).current_dir(&folder).status().unwrap().success());
        let other = Dll::new(&fs::read(folder.join("a.dll")).unwrap());
        let (start, size) = other.directory(10);
        assert_eq!((size, other.at(start, size)), (dll.directory(10).1, dll.at(at, size)));
        assert_eq!(dll.characteristics().1 & 0x400, other.characteristics().1 & 0x400, "NO_SEH");
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn thread_local_data_of_arm64() {
    let text = ".globl f\nf: add x0, x0, :secrel_hi12:v\nadd x0, x0, :secrel_lo12:v\nldr w1, [x0, :secrel_lo12:v]\nret\n\
                .section .tls$,\"dw\"\n.zero 0x1238\n.globl v\nv: .long 7\n.section .data,\"dw\"\n.globl _tls_index\n\
                _tls_index: .long 0\n.section .rdata,\"dr\"\n.globl _tls_used\n.balign 8\n_tls_used: .quad start, end, _tls_index, 0\n\
                .long 0, 0\n.section .tls,\"dw\"\n.balign 8\nstart: .quad 0\n.section .tls$ZZZ,\"dw\"\nend: .quad 0\n\
                .globl _load_config_used\n.section .rdata,\"dr\"\n_load_config_used: .long 16\n.zero 12";
    let dll = dll_of(&options(ARM64), &[text]);
    let (f, v, tls) = (dll.symbol("f"), dll.symbol("v"), dll.section(".tls").start);
    let within = v - tls;
    assert!(within > 0x1000);
    let field = |at: u32| dll.u32(at) >> 10 & 0xfff;
    assert_eq!((field(f), field(f + 4), field(f + 8) * 4), (within >> 12, within & 0xfff, within & 0xfff));
    let used = dll.symbol("_tls_used");
    assert_eq!(dll.directory(9), (used, 40));
    assert_eq!(dll.directory(10), (dll.symbol("_load_config_used"), 16));
    assert_eq!([0, 16].map(|at| dll.address(used + at)), [tls, dll.symbol("_tls_index")]);
    assert!(dll.section(".tls").characteristics & 0x8000_0000 != 0, "thread-local data are written");
    assert_eq!(dll.u32(used + 36), 0x40_0000, "the loader aligns them to 8 bytes");
}

/// A function's row has its unwind data in it, or leads to them.
#[test]
#[ignore = "needs the package clang-19"]
fn rows_of_arm64_are_packed_or_not() {
    let text = ".globl packed, apart\n.seh_proc packed\npacked: stp x29, x30, [sp, #-16]!\n.seh_save_fplr_x 16\n\
                mov x29, sp\n.seh_set_fp\n.seh_endprologue\nnop\n.seh_startepilogue\nldp x29, x30, [sp], #16\n\
                .seh_save_fplr_x 16\n.seh_endepilogue\nret\n.seh_endproc\n\
                .seh_proc apart\napart: .seh_handler handler, @except\nstp x29, x30, [sp, #-32]!\n.seh_save_fplr_x 32\n\
                .seh_endprologue\nbl packed\n.seh_startepilogue\nldp x29, x30, [sp], #32\n.seh_save_fplr_x 32\n\
                .seh_endepilogue\nret\n.seh_endproc\n.globl handler\nhandler: ret";
    let dll = dll_of(&options(ARM64), &[text]);
    let (start, size) = dll.directory(3);
    assert_eq!(size, 16);
    let rows = [0, 8].map(|at| (dll.u32(start + at), dll.u32(start + at + 4)));
    assert_eq!(rows.map(|row| row.0), [dll.symbol("packed"), dll.symbol("apart")]);
    assert_eq!((rows[0].1 & 3, rows[1].1 & 3), (1, 0), "{rows:x?}");
    // Header, codes, then the handler.
    let header = dll.u32(rows[1].1);
    assert_eq!(header >> 20 & 1, 1, "it has a handler");
    let epilogs = if header >> 21 & 1 == 1 { 0 } else { header >> 22 & 31 };
    let handler = rows[1].1 + 4 + 4 * (epilogs + (header >> 27));
    assert_eq!(dll.u32(handler), dll.symbol("handler"));
}

/// An archive that stands first, a short import library, and no word of what the image is for.
#[test]
#[ignore = "needs the package clang-19"]
fn any_input_says_what_the_image_is_for() {
    let mut named = options(X64);
    named.pe.dll_name = Some("one.dll".to_owned());
    let object = assemble(X64, ".globl f\nf: ret");
    let inputs = Inputs::open(vec![Input::bytes("f.o", &object)], &named).unwrap();
    let library = pkgld::link(&inputs, &named).unwrap().import_library().unwrap().unwrap();
    let user = assemble(X64, ".globl \"u@8\"\n\"u@8\": call f\nret");
    let image = |options: &Options, inputs| link_inputs(options, inputs).map(|image| Dll::new(&image));
    let mut plain = Options::default();
    let user_input = || Input::bytes("u.o", &user);
    let import = || Input::bytes("libone.a", &library);
    let orders = [vec![import(), user_input()], vec![import().whole_archive(), user_input()]];
    for inputs in orders {
        let dll = image(&plain, inputs).unwrap();
        assert!(dll.imports().into_values().eq([("one.dll".to_owned(), "f".to_owned())]));
    }
    plain.required_symbols = vec!["f".to_owned()];
    let said = image(&plain, vec![import()]).unwrap_err().to_string();
    assert!(!said.contains("ELF") && said.contains("no object takes part"), "{said}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn headers_say_what_options_ask_for() {
    let folder = scratch("pe-headers");
    let text = ".globl _f@4\n_f@4: ret $4\n.section .debug_line_str,\"dr\"\n.byte 1\n.section .drectve,\"yni\"\n.ascii \" -export:f@4\"";
    fs::write(folder.join("a.o"), assemble(X86, text)).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["-flavor", "gnu", "-m", "i386pe", "-shared", "-o", "a.dll", "a.o"];
        Command::new(env!("CARGO_BIN_EXE_pkgld")).args(arguments).args(more).current_dir(&folder).output().unwrap()
    };
    let linked = |more: &[&str]| {
        let output = run(more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(folder.join("a.dll")).unwrap()
    };
    let header = |image: &[u8], at: usize| {
        let start = 128 + 24;
        u32::from_le_bytes(image[start + at..start + at + 4].try_into().unwrap())
    };
    let plain = linked(&[]);
    let asked = linked(&[
        "--stack=0x300000,0x4000",
        "--heap",
        "0x200000",
        "--major-os-version=7",
        "--minor-os-version=1",
        "--major-image-version=3",
        "--minor-image-version",
        "4",
        "--subsystem=console:6.2",
        "--no-seh",
        "--no-bind",
        "--forceinteg",
        "--no-isolation",
        "--appcontainer",
        "--wdmdriver",
        "--kill-at",
        "--disable-long-section-names",
    ]);
    let sizes = |image: &[u8]| [72, 76, 80, 84].map(|at| header(image, at));
    assert_eq!((sizes(&plain), sizes(&asked)), ([1 << 20, 4096, 1 << 20, 4096], [3 << 20, 0x4000, 2 << 20, 4096]));
    assert_eq!([40, 44, 48].map(|at| header(&asked, at)), [0x1_0007, 0x4_0003, 0x2_0006]);
    assert_eq!((header(&asked, 68) & 0xffff, header(&plain, 68) & 0xffff), (3, 2));
    assert_eq!((header(&asked, 68) ^ header(&plain, 68)) >> 16, 0x400 | 0x800 | 0x80 | 0x200 | 0x1000 | 0x2000);
    let (plain, asked) = (Dll::new(&plain), Dll::new(&asked));
    assert_eq!((&*plain.exports().1[0].1, &*asked.exports().1[0].1), ("f@4", "f"));
    let has = |dll: &Dll, name: &str| dll.sections.iter().any(|section| section.name == name);
    assert!(has(&plain, ".debug_line_str") && has(&asked, ".debug_l"));
    // What changes nothing, and what other linkers alone do.
    let without = ["--warn-duplicate-exports", "--compat-implib", "--enable-extra-pe-debug", "--support-old-code"];
    assert_eq!(linked(&[&without[..], &["--dll-search-prefix=cyg"]].concat()), linked(&[]));
    for (option, advice) in [
        ("--Xlink=-debug", "use the option of MinGW's linkers"),
        ("--no-default-excludes", "name in a definition file"),
        ("--exclude-modules-for-implib=a.o", "give these files to those who link"),
    ] {
        let said = String::from_utf8_lossy(&run(&[option]).stderr).into_owned();
        let name = option.split('=').next().unwrap();
        assert!(said.contains(name) && said.contains(advice), "{said}");
    }
}

/// Zeros, tables of the same names, and sections that hold others, all in one object.
#[test]
fn sections_of_many_families() {
    let mut object = Object::new(" -export:f");
    object.symbol("f", 1, EXTERNAL);
    for (name, byte) in [(".CRT$XCZ", 3), (".CRT$XCA", 1), (".CRT$XCM", 2), (".idata$6", 9)] {
        object.sections.push(Section::new(name, 0x4030_0040, &[byte; 8]));
    }
    let dll = Dll::new(&link(&options(X64), &[object.build()]).unwrap());
    let rdata = dll.section(".rdata");
    let bytes = dll.at(rdata.start, rdata.size);
    let sorted: Vec<u8> = bytes.into_iter().filter(|byte| (1..=3).contains(byte)).take(24).collect();
    assert!(sorted.windows(24).any(|it| it == [[1; 8], [2; 8], [3; 8]].concat()), "{sorted:?}");
}

/// What all processes are to share they share, if it is in a section of its own.
#[test]
#[ignore = "needs the package clang-19"]
fn shared_sections() {
    const SHARED: u32 = 0x1000_0000;
    let text = ".section hook,\"dws\"\n.long 7\n.section hook$b,\"dw\"\n.long 8\n.section plain,\"dw\"\n.long 9\n";
    let dll = dll_of(&options(X64), &[text]);
    assert_eq!(["hook", "plain"].map(|name| dll.section(name).characteristics & SHARED), [SHARED, 0]);
    let object = assemble(X64, ".section .data$x,\"dws\"\n.long 7\n");
    let options = options(X64);
    let inputs = Inputs::open(vec![Input::bytes("a.o", &object)], &options).unwrap();
    let image = pkgld::link(&inputs, &options).unwrap();
    let warnings = image.report().warnings.join("\n");
    assert!(warnings.contains(".data: an object asks for memory that all processes share"), "{warnings}");
    let dll = Dll::new(&image.to_vec().unwrap().0);
    assert_eq!(dll.section(".data").characteristics & SHARED, 0);
}

/// Objects that hold a compiler's own form of their code beside the CPU's are linked by the latter; those that have no other are
/// refused.
#[test]
#[ignore = "needs the package clang-19"]
fn intermediate_code_stands_aside() {
    let code = ".globl f\nf: ret\n.section .drectve,\"yni\"\n.ascii \" -export:f\"\n";
    let parts = [".llvmbc,\"n\"", ".llvmcmd,\"n\"", ".llvm.lto,\"n\"", ".gnu.lto_f.0,\"n\"", ".llvmbc,\"r\""];
    let parts = parts.map(|part| format!(".section {part}\n.ascii \"not for images\"\n"));
    for target in [X64, X86, ARM64] {
        let name = if target == X86 { "_f" } else { "f" };
        let code = code.replace(".globl f\nf:", &format!(".globl {name}\n{name}:"));
        let image = link(&options(target), &[assemble(target, &[&*code, &parts.concat()].concat())]).unwrap();
        assert_eq!(Dll::new(&image).exports().1.len(), 1);
        assert!(!image.windows(14).any(|bytes| bytes == b"not for images"), "{target:?}");
        // GCC marks objects without code by a symbol.
        let mark = if target == X86 { "___gnu_lto_slim" } else { "__gnu_lto_slim" };
        let said = refusal(&options(target), &[&format!("{}.comm {mark}, 1\n", parts[3])]);
        assert!(said.contains("0.o: holds nothing but GCC's intermediate code (LTO)"), "{said}");
    }
}
