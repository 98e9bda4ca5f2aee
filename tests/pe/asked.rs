//! What options, definition files and directives ask for: symbols that must be there, other names for exports, libraries of
//! members, sizes that a header has no room for.

use std::fs;
use std::path::Path;
use std::process::Command;

use pkgld::{Input, Inputs, Target};

use crate::common::scratch;
use crate::dll::Dll;
use crate::refused::archive;
use crate::support::{assemble, dll_and_warnings, dll_of, link_inputs, options, refusal};

const X64: Target = Target::WINDOWS_X86_64;
const X86: Target = Target::WINDOWS_X86;

/// Runs the program as MinGW's driver does; its status, and what it said.
fn program(folder: &Path, line: &str) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_pkgld")).args(line.split_whitespace()).current_dir(folder).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "needs the package clang-19"]
fn exports_and_their_importers_may_have_different_names() {
    for (target, underscore) in [(X64, ""), (X86, "_")] {
        let functions = ["inner", "old", "own", "plain"]
            .map(|name| format!(".globl {underscore}{name}\n{underscore}{name}: ret\n"));
        let directive = ".section .drectve,\"yni\"\n.ascii \" -export:plain,EXPORTAS,fancy\"";
        let object = assemble(target, &[functions.concat(), directive.to_owned()].concat());
        let definitions = b"LIBRARY named.dll\nEXPORTS\ninner EXPORTAS outer\nold @9 == new\nmine = own\n";
        let options = options(target);
        let inputs = vec![Input::bytes("a.o", &object), Input::bytes("a.def", definitions)];
        let inputs = Inputs::open(inputs, &options).unwrap();
        let image = pkgld::link(&inputs, &options).unwrap();
        let library = image.import_library().unwrap().unwrap();
        let dll = Dll::new(&image.to_vec().unwrap().0);
        let names: Vec<String> = dll.exports().1.into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names.len(), 4);
        for name in ["fancy", "mine", "old", "outer"] {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
        // Who refers to what the library has is led to what the loader will find.
        let calls = ["inner", "old", "mine", "plain"].map(|name| format!("call {underscore}{name}\n"));
        let user = assemble(target, &format!(".globl {underscore}u\n{underscore}u: {}ret", calls.concat()));
        let inputs = vec![Input::bytes("u.o", &user), Input::bytes("named.lib", &library)];
        let imports = Dll::new(&link_inputs(&options, inputs).unwrap()).imports();
        let mut imported: Vec<String> = imports.into_values().map(|(_, name)| name).collect();
        imported.sort();
        assert_eq!(imported, ["fancy", "mine", "new", "outer"]);
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn exports_take_members_that_define_them() {
    for (target, underscore) in [(X64, ""), (X86, "_")] {
        let directive = |text: &str| format!(".section .drectve,\"yni\"\n.ascii \" {text}\"\n");
        let function = |name: &str| format!(".text\n.globl {underscore}{name}\n{underscore}{name}: ret\n");
        let own = assemble(target, &[function("here"), directive("-export:here -export:there")].concat());
        let there = assemble(target, &[function("there"), directive("-export:name=yonder,data")].concat());
        let yonder = assemble(target, &function("yonder"));
        let idle = assemble(target, &function("idle"));
        let waiting = |name: &str, bytes| Input::bytes(name, bytes).lazy();
        let inputs = vec![
            waiting("yonder.o", &yonder),
            Input::bytes("own.o", &own),
            waiting("idle.o", &idle),
            waiting("there.o", &there),
        ];
        let dll = Dll::new(&link_inputs(&options(target), inputs).unwrap());
        let names: Vec<String> = dll.exports().1.into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["here", "name", "there"]);
        assert!(!dll.has_symbol("idle"));
        let said = link_inputs(&options(target), vec![Input::bytes("own.o", &own)]).unwrap_err().to_string();
        assert!(said.contains("undefined symbol: there"), "{said}");
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn members_of_archives_have_default_libraries() {
    let folder = scratch("pe-member-defaultlib");
    let member = ".globl f\nf: call g\nret\n.section .drectve,\"yni\"\n.ascii \" -defaultlib:second\"";
    let second = ".globl g\ng: call h\nret\n.section .drectve,\"yni\"\n.ascii \" /DEFAULTLIB:third\"";
    let objects = [("u", ".globl u\nu: call f\nret"), ("f", member), ("g", second), ("h", ".globl h\nh: ret")];
    for (name, text) in objects {
        fs::write(folder.join(format!("{name}.o")), assemble(X64, text)).unwrap();
    }
    for (archive, member) in [("libfirst.a", "f.o"), ("libsecond.a", "g.o"), ("third.lib", "h.o")] {
        let made = Command::new("x86_64-w64-mingw32-ar").args(["rcs", archive, member]).current_dir(&folder).status();
        assert!(made.unwrap().success());
    }
    let line = "-flavor gnu -m i386pep -shared -o a.dll u.o -L. -lfirst";
    assert_eq!(program(&folder, line), (true, String::new()));
    let dll = Dll::new(&fs::read(folder.join("a.dll")).unwrap());
    assert!(["u", "f", "g", "h"].iter().all(|name| dll.has_symbol(name)));
    fs::remove_file(folder.join("third.lib")).unwrap();
    let (linked, said) = program(&folder, line);
    assert!(!linked && said.contains("undefined symbol: h"), "{said}");
}

#[test]
#[ignore = "needs the package clang-19"]
fn what_must_be_defined_and_what_has_no_room() {
    let folder = scratch("pe-asked");
    for (name, target, underscore) in [("i386pep", X64, ""), ("i386pe", X86, "_")] {
        let text = format!(".globl {underscore}f\n{underscore}f: call {underscore}g\nret");
        let wrapper = format!(
            ".globl {underscore}__wrap_g, {underscore}g\n{underscore}__wrap_g: call {underscore}__real_g\nret\n{underscore}g: ret"
        );
        fs::write(folder.join("a.o"), assemble(target, &text)).unwrap();
        fs::write(folder.join("b.o"), assemble(target, &wrapper)).unwrap();
        let line = |more: &str| format!("-flavor gnu -m {name} -shared -o a.dll a.o b.o --wrap=g {more}");
        assert_eq!(program(&folder, &line(&format!("--require-defined={underscore}f"))), (true, String::new()));
        let dll = Dll::new(&fs::read(folder.join("a.dll")).unwrap());
        let target_of_call = |function: &str| {
            let at = dll.symbol(&format!("{underscore}{function}"));
            assert_eq!(dll.at(at, 1), [0xe8]);
            (at + 5).wrapping_add(u32::from_le_bytes(dll.at(at + 1, 4).try_into().unwrap()))
        };
        assert_eq!(target_of_call("f"), dll.symbol(&format!("{underscore}__wrap_g")));
        assert_eq!(target_of_call("__wrap_g"), dll.symbol(&format!("{underscore}g")));
        let (linked, said) = program(&folder, &line("--require-defined=nowhere"));
        assert!(!linked && said.contains("undefined symbol: nowhere"), "{said}");

        fs::write(folder.join("large.def"), "STACKSIZE 0x100000000\nEXPORTS f").unwrap();
        for more in ["--stack=0x100000000", "--heap=0x200000000,4096", "large.def"] {
            let (linked, said) = program(&folder, &line(more));
            assert_eq!(linked, target == X64, "{name} {more}: {said}");
            assert!(linked || said.contains("more than the address space of i386"), "{said}");
        }
        assert!(program(&folder, &line("--stack=0xffffffff")).0);
    }
}

fn directive(text: &str) -> String {
    format!(".section .drectve,\"yni\"\n.ascii \" {text}\"\n")
}

#[test]
#[ignore = "needs the package clang-19"]
fn what_is_asked_for_stays_though_nothing_refers_to_it() {
    let function = |name: &str| format!(".section .text${name},\"xr\",one_only,{name}\n.globl {name}\n{name}: ret\n");
    let text = ["f", "k", "k1", "k2", "dead"].map(function).concat();
    let datum = ".section .rdata$m,\"dr\",one_only,mk\n.globl mk\nmk: .quad 5\n";
    let asking = directive("-export:f -include:k -include:mk");
    let mut options = options(X64);
    options.gc_sections = true;
    let has = |options: &pkgld::Options| {
        let dll = dll_of(options, &[&text, datum, &asking]);
        ["f", "k", "mk", "k1", "k2", "dead"].map(|name| dll.has_symbol(name))
    };
    assert_eq!(has(&options), [true, true, true, false, false, false]);
    options.required_patterns.add("k?").unwrap();
    assert_eq!(has(&options), [true, true, true, true, true, false]);
}

/// Another name may lead into an archive, to a library, and from there to further ones.
#[test]
#[ignore = "needs the package clang-19"]
fn alternative_names_take_members() {
    let user = [
        ".globl f\nf: call missing\ncall *__imp_missing2(%rip)\nret\n",
        &directive(
            "-export:f -alternatename:missing=g -alternatename:__imp_missing2=__imp_e2 -alternatename:never=nope",
        ),
    ];
    let user = assemble(X64, &user.concat());
    let own = [".globl g\ng: call further\nret\n", &directive("-alternatename:further=h")].concat();
    let (own, other, idle) =
        (assemble(X64, &own), assemble(X64, ".globl h\nh: ret"), assemble(X64, ".globl nope\nnope: ret"));
    let library = archive(&[("g", &own), ("h", &other), ("nope", &idle)]);
    let mut named = options(X64);
    named.pe.dll_name = Some("e.dll".to_owned());
    let exporter = assemble(X64, ".globl e2\ne2: ret");
    let inputs = Inputs::open(vec![Input::bytes("e.o", &exporter)], &named).unwrap();
    let image = pkgld::link(&inputs, &named).unwrap();
    let (imports, dll) = (image.import_library().unwrap().unwrap(), image.to_vec().unwrap().0);
    for from in [Input::bytes("libe.a", &imports), Input::bytes("e.dll", &dll)] {
        let inputs = vec![Input::bytes("u.o", &user), Input::bytes("l.a", &library), from];
        let dll = Dll::new(&link_inputs(&options(X64), inputs).unwrap());
        let f = dll.symbol("f");
        assert_eq!((f + 5).wrapping_add(dll.u32(f + 1)), dll.symbol("g"));
        assert_eq!(dll.imports()[&(f + 11).wrapping_add(dll.u32(f + 7))].1, "e2");
        assert!(dll.has_symbol("h") && !dll.has_symbol("nope"));
    }
    // Nobody takes what is not missing.
    let there = assemble(X64, ".globl missing, __imp_missing2\nmissing: ret\n.data\n__imp_missing2: .quad 0");
    let inputs = vec![Input::bytes("t.o", &there), Input::bytes("u.o", &user), Input::bytes("l.a", &library)];
    assert!(!Dll::new(&link_inputs(&options(X64), inputs).unwrap()).has_symbol("g"));
}

#[test]
#[ignore = "needs the package clang-19"]
fn the_larger_copy_defines_what_only_it_has() {
    let section = |more: &str| format!(".section .rdata$v,\"dr\",largest,v\n.globl v\nv: .long 0x11111111\n{more}");
    let (small, large) = (section(""), section(".globl extra\nextra: .long 0x33333333\n"));
    let user = ".globl f\nf: lea v(%rip), %rax\nlea extra(%rip), %rcx\nret\n";
    for texts in [[&*small, &large, user], [&large, &small, user], [user, &small, &large]] {
        let dll = dll_of(&options(X64), &texts);
        assert_eq!((dll.u32(dll.symbol("extra")), dll.symbol("extra") - dll.symbol("v")), (0x3333_3333, 4));
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn importers_know_names_of_vector_calls_as_they_are() {
    let object = assemble(X86, &[".globl vf@@4\nvf@@4: ret\n", &directive("-export:vf@@4")].concat());
    let mut named = options(X86);
    named.pe.dll_name = Some("v.dll".to_owned());
    let inputs = Inputs::open(vec![Input::bytes("v.o", &object)], &named).unwrap();
    let library = pkgld::link(&inputs, &named).unwrap().import_library().unwrap().unwrap();
    let user = assemble(X86, ".globl _u\n_u: call *__imp_vf@@4\nret");
    let inputs = vec![Input::bytes("u.o", &user), Input::bytes("libv.a", &library)];
    let dll = Dll::new(&link_inputs(&options(X86), inputs).unwrap());
    assert!(dll.imports().into_values().eq([("v.dll".to_owned(), "vf@@4".to_owned())]));
}

#[test]
#[ignore = "needs the package clang-19"]
fn who_needs_start_code_is_told_that_there_is_none() {
    for (target, underscore, size) in [(X64, "", ""), (X86, "_", "@12")] {
        let plain = format!(".globl {underscore}f\n{underscore}f: ret\n");
        let main = format!("{plain}.globl {underscore}DllMain{size}\n{underscore}DllMain{size}: ret\n");
        let list = |name: &str| format!("{plain}.section {name},\"dw\"\n.long {underscore}f@IMGREL, 0\n");
        let lists = [".ctors", ".ctors.65435", ".CRT$XCU", ".CRT$XIC"].map(list);
        let (_, warnings) = dll_and_warnings(&options(target), &[&plain]);
        assert_eq!(warnings, "");
        for text in [&main].into_iter().chain(&lists) {
            let (_, warnings) = dll_and_warnings(&options(target), &[text]);
            assert!(warnings.starts_with("0.o: has ") && warnings.contains("link dllcrt2.o"), "{warnings}");
            let start = format!(".globl {underscore}DllMainCRTStartup{size}\n{underscore}DllMainCRTStartup{size}: ret");
            assert_eq!(dll_and_warnings(&options(target), &[text, &start]).1, "");
            let mut none = options(target);
            none.entry = Some("0".to_owned());
            assert_eq!(dll_and_warnings(&none, &[text]).1, "");
        }
        // What a compiler's library has for those who start it does not count.
        let object = assemble(target, &lists[0]);
        let library = archive(&[(&format!("{underscore}f"), &object)]);
        let user = assemble(target, &format!(".globl {underscore}g\n{underscore}g: call {underscore}f\nret"));
        let options = options(target);
        for (name, warns) in [("libmingw32.a", false), ("libmine.a", true)] {
            let inputs = vec![Input::bytes("u.o", &user), Input::bytes(name, &library)];
            let inputs = Inputs::open(inputs, &options).unwrap();
            let image = pkgld::link(&inputs, &options).unwrap();
            assert_eq!(!image.report().warnings.is_empty(), warns, "{name}");
        }
    }
}

#[test]
#[ignore = "needs the package clang-19"]
fn exports_that_contradict_each_other_are_told() {
    let text = ".globl f, k\nf: ret\nk: ret\n";
    let asking = |list: &str| [text, &directive(list)].concat();
    for (list, target, number, said) in [
        ("-export:a=f -export:a=k", "f", 1, "export a: asked for as f and as k; f is exported"),
        ("-export:a=k -export:a=f", "k", 1, "export a: asked for as k and as f; k is exported"),
        ("-export:a=f,@3 -export:a=k,@4", "f", 3, "export a: asked for as f @3 and as k @4; f @3 is exported"),
        ("-export:a=f,@4 -export:a=f,@3", "f", 4, "export a: asked for as f @4 and as f @3; f @4 is exported"),
        ("-export:a=f -export:a=k,@2", "k", 2, "export a: asked for as f and as k @2; k @2 is exported"),
        ("-export:a=f -export:a=f,@6 -export:a=f,data", "f", 6, ""),
    ] {
        let (dll, warnings) = dll_and_warnings(&options(X64), &[&asking(list)]);
        assert_eq!(dll.exports().1, [(number, "a".to_owned(), dll.symbol(target))], "{list}");
        assert_eq!(warnings, said, "{list}");
    }
    let said = refusal(&options(X64), &[&asking("-export:f,@2 -export:k,@2")]);
    assert!(said.contains("export k: number 2 is taken by f"), "{said}");
    let said = refusal(&options(X64), &[&asking("-export:f,@0")]);
    assert!(said.contains("export f: number 0 is none"), "{said}");
}

/// As MinGW's driver has them: long options that begin as `-o` does, a prefix of DLLs' names, and what changes nothing.
#[test]
#[ignore = "needs the package clang-19"]
fn options_of_mingw() {
    let folder = scratch("pe-mingw-options");
    fs::write(folder.join("a.o"), assemble(X64, ".globl f\nf: ret")).unwrap();
    let line = |more: &str| format!("-flavor gnu -m i386pep -shared -o a.dll a.o {more}");
    assert_eq!(program(&folder, &line("-out-implib=one.a -output-def one.def")), (true, String::new()));
    assert_eq!(program(&folder, &line("-out-implib two.a -output-def=two.def")), (true, String::new()));
    for name in ["one", "two"] {
        assert!(["a", "def"].iter().all(|extension| folder.join(format!("{name}.{extension}")).exists()), "{name}");
    }
    let same = "--functionpadmin --functionpadmin=6 --full-shutdown --subsystem=Windows";
    let plain = fs::read(folder.join("a.dll")).unwrap();
    assert_eq!(program(&folder, &line(same)), (true, String::new()));
    assert!(fs::read(folder.join("a.dll")).unwrap() == plain);
    // A DLL by the name of a library.
    fs::rename(folder.join("a.dll"), folder.join("cygq.dll")).unwrap();
    fs::write(folder.join("u.o"), assemble(X64, ".globl u\nu: call f\nret")).unwrap();
    let line = |more: &str| format!("-flavor gnu -m i386pep -shared -o u.dll u.o -L. -lq {more}");
    assert!(program(&folder, &line("")).1.contains("library not found"));
    assert_eq!(program(&folder, &line("--dll-search-prefix=cyg")), (true, String::new()));
    let dll = Dll::new(&fs::read(folder.join("u.dll")).unwrap());
    assert_eq!(dll.imports().len(), 1);
}

#[test]
#[ignore = "needs the package clang-19"]
fn flags_for_the_loader_need_a_place() {
    let folder = scratch("pe-load-flags");
    fs::write(folder.join("a.o"), assemble(X64, ".globl f\nf: ret")).unwrap();
    let (linked, said) = program(&folder, "-flavor gnu -m i386pep -shared -o a.dll a.o --dependent-load-flag=0x800");
    assert!(linked && said.contains("no load configuration (_load_config_used) has room for it"), "{said}");
}

/// Definition files and `-e` name C functions; archives have symbols, which on i386 are called otherwise.
#[test]
#[ignore = "needs the package clang-19"]
fn names_in_c_lead_to_members() {
    let own = assemble(X86, ".globl _m\n_m: ret");
    let members = ["_plain", "\"@fast@8\"", "\"?cpp@@YAXXZ\"", "_start", "\"__DllMainCRTStartup@12\"", "_idle"];
    let members = members.map(|name| (name, assemble(X86, &format!(".globl {name}\n{name}: ret"))));
    let members = members.each_ref().map(|(name, bytes)| (name.trim_matches('"'), bytes.as_slice()));
    let library = archive(&members);
    for (entry, expected) in
        [("start", "_start"), ("_start", "_start"), ("_DllMainCRTStartup", "__DllMainCRTStartup@12")]
    {
        let mut options = options(X86);
        options.entry = Some(entry.to_owned());
        let definitions = b"EXPORTS\nplain\n@fast@8\n?cpp@@YAXXZ\n";
        let inputs = vec![Input::bytes("m.o", &own), Input::bytes("l.a", &library), Input::bytes("e.def", definitions)];
        let dll = Dll::new(&link_inputs(&options, inputs).unwrap());
        let names: Vec<String> = dll.exports().1.into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["?cpp@@YAXXZ", "@fast@8", "plain"]);
        assert_eq!(dll.entry, dll.symbol(expected), "{entry}");
        assert!(!dll.has_symbol("_idle"));
        options.entry = Some("nowhere".to_owned());
        let inputs = vec![Input::bytes("m.o", &own), Input::bytes("l.a", &library)];
        let said = link_inputs(&options, inputs).unwrap_err().to_string();
        assert!(said.contains("-e nowhere: nothing defines the entry point"), "{said}");
    }
}

/// The table of exports has places in the image, and no numbers.
#[test]
#[ignore = "needs the package clang-19"]
fn numbers_and_what_is_absent_cannot_be_exported() {
    let text = ".globl f, number\nf: ret\n.set number, 0x1234\n.weak absent\n.data\n.quad absent\n";
    for (name, value) in [("number", "0x1234"), ("absent", "0x0")] {
        let said = refusal(&options(X64), &[&[text, &directive(&format!("-export:f -export:{name}"))].concat()]);
        let wanted = format!("export {name}: the symbol's value is {value}, which is no place in the image");
        assert!(said.contains(&wanted), "{said}");
    }
    let dll = dll_of(&options(X64), &[&[text, &directive("-export:f")].concat()]);
    assert_eq!(dll.exports().1.len(), 1);
}

/// What only functions that are left out refer to is not imported; what stays refers to the right slots.
#[test]
#[ignore = "needs the package clang-19"]
fn imports_of_what_is_left_out_are_left_out() {
    let exports = [".globl one, two, three, other\n", "one: ret\ntwo: ret\nthree: ret\nother: ret\n"].concat();
    let library = |name: &str, exports: &str| {
        let mut named = options(X64);
        named.pe.dll_name = Some(name.to_owned());
        let exporter = assemble(X64, exports);
        let inputs = Inputs::open(vec![Input::bytes("e.o", &exporter)], &named).unwrap();
        pkgld::link(&inputs, &named).unwrap().import_library().unwrap().unwrap()
    };
    let (first, second) = (library("first.dll", &exports), library("second.dll", ".globl far\nfar: ret"));
    let function = |name: &str, body: &str| {
        format!(".section .text${name},\"xr\",one_only,{name}\n.globl {name}\n{name}: {body}\nret\n")
    };
    let text = [
        function("live", "call three\ncall *__imp_two(%rip)\ncall *__imp_own(%rip)"),
        function("own", "nop"),
        function("dead", "call one\ncall *__imp_other(%rip)\ncall far"),
        ".section .debug_info,\"n\"\n.quad one\n.quad three\n".to_owned(),
        directive("-export:live"),
    ];
    let object = assemble(X64, &text.concat());
    let linked = |gc: bool| {
        let mut options = options(X64);
        options.gc_sections = gc;
        let inputs = ["u.o", "first.a", "second.a"].into_iter().zip([&object, &first, &second]);
        let inputs = inputs.map(|(name, bytes)| Input::bytes(name, bytes)).collect();
        Dll::new(&link_inputs(&options, inputs).unwrap())
    };
    let names = |dll: &Dll| dll.imports().into_values().map(|(_, name)| name).collect::<Vec<_>>();
    let mut all = names(&linked(false));
    all.sort_unstable();
    assert_eq!(all, ["far", "one", "other", "three", "two"]);
    let dll = linked(true);
    let mut some = names(&dll);
    some.sort_unstable();
    assert_eq!(some, ["three", "two"]);
    let live = dll.symbol("live");
    // The call goes to a jump through the slot of `three`.
    let thunk = (live + 5).wrapping_add(dll.u32(live + 1));
    let slot = (thunk + 6).wrapping_add(dll.u32(thunk + 2));
    assert_eq!(dll.imports()[&slot].1, "three");
    let slot = (live + 11).wrapping_add(dll.u32(live + 7));
    assert_eq!(dll.imports()[&slot].1, "two");
    let own = (live + 17).wrapping_add(dll.u32(live + 13));
    assert_eq!(dll.address(own), dll.symbol("own"), "a slot keeps what it is for");
    let debug = dll.section(".debug_info").start;
    assert_eq!((dll.u32(debug), dll.address(debug + 8)), (0, thunk));
}

/// LLVM's profilers ask for the identity of an image, and bring a null one.
#[test]
#[ignore = "needs the package clang-19"]
fn the_identity_has_a_symbol() {
    let text = ".globl f\nf: ret\n.section .bss,\"bw\",discard,__buildid\n.globl __buildid\n__buildid: .long 0\n\
                .data\n.globl p\np: .quad __buildid";
    let place = |build_id: bool| {
        let mut options = options(X64);
        options.pe.build_id = build_id;
        let dll = dll_of(&options, &[text]);
        (dll.address(dll.symbol("p")), dll.directory(6).0)
    };
    let (there, directory) = place(true);
    assert_eq!(there, directory + 28 + 4, "behind the entry and the signature");
    assert_eq!(place(false).1, 0);
}

/// The loader calls each DLL's own `DllMain`.
#[test]
#[ignore = "needs the package clang-19"]
fn nobody_imports_the_function_that_the_loader_calls() {
    for (target, main) in [(X64, "DllMain"), (X86, "_DllMain@12")] {
        let mut named = options(target);
        named.pe.dll_name = Some("e.dll".to_owned());
        let exporter = assemble(target, &format!(".globl \"{main}\"\n\"{main}\": ret"));
        let inputs = Inputs::open(vec![Input::bytes("e.o", &exporter)], &named).unwrap();
        let library = pkgld::link(&inputs, &named).unwrap().import_library().unwrap().unwrap();
        let own = archive(&[(main, &exporter)]);
        let user = assemble(target, &format!(".globl _start\n_start: call \"{main}\"\nret"));
        let inputs = [("u.o", &user), ("e.a", &library), ("own.a", &own)];
        let inputs = inputs.map(|(name, bytes)| Input::bytes(name, bytes)).into();
        let dll = Dll::new(&link_inputs(&options(target), inputs).unwrap());
        assert!(dll.has_symbol(main) && dll.imports().is_empty(), "{main}");
    }
}
