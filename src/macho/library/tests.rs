#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use super::*;

#[test]
fn versions_are_packed() {
    assert_eq!(version("1.2.3"), Some(0x1_0203));
    assert_eq!(version("1319"), Some(1319 << 16));
    assert_eq!(version("70000.300.1"), Some(0xffff_ff01));
    for text in ["", "1.", ".1", "a", "1.2.3.4", "-1", "1 "] {
        assert_eq!(version(text), None, "{text}");
    }
}

const V4: &str = "--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos, arm64e-macos ]
install-name:    '/usr/lib/libSystem.B.dylib'
current-version: 1319.1
reexported-libraries:
  - targets:         [ x86_64-macos, arm64-macos ]
    libraries:       [ '/usr/lib/system/libone.dylib', '/usr/lib/libelsewhere.dylib' ]
exports:
  - targets:         [ arm64-macos ]
    symbols:         [ _only_arm, '$ld$hide$os10.4$_x',
                       _second ]
    objc-classes:    [ Thing ]
--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos ]
install-name:    '/usr/lib/system/libone.dylib'
reexported-libraries:
  - targets:         [ arm64-macos ]
    libraries:       [ '/usr/lib/libSystem.B.dylib' ]
exports:
  - targets:         [ x86_64-macos, arm64-macos ]
    symbols:         [ _memcpy ]
    weak-symbols:    [ __ZnwM ]
    thread-local-symbols: [ _tls ]
--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos ]
install-name:    '/usr/lib/system/libnot.dylib'
exports:
  - targets:         [ x86_64-macos ]
    symbols:         [ _not ]
...
";

#[test]
fn stubs_of_version_4() {
    let library = Library::parse("libSystem.tbd", V4.as_bytes()).unwrap();
    assert_eq!(library.install_name(), b"/usr/lib/libSystem.B.dylib");
    assert_eq!((library.current_version(), library.compatibility_version()), (1319 << 16 | 0x100, 0x1_0000));
    assert_eq!(library.reexports().collect::<Vec<_>>(), [b"/usr/lib/libelsewhere.dylib"]);
    assert!(library.is_for(Arch::X86_64) && library.is_for(Arch::Aarch64) && !library.is_for(Arch::X86));
    let plain = Some(Export { weak: false, thread_local: false });
    let find = |name: &[u8], arch| library.lookup(name, arch);
    assert_eq!(find(b"_only_arm", Some(Arch::Aarch64)), plain);
    assert_eq!(find(b"_only_arm", Some(Arch::X86_64)), None);
    assert_eq!(find(b"_only_arm", None), plain);
    assert_eq!(find(b"_memcpy", Some(Arch::X86_64)), plain);
    assert_eq!(find(b"_OBJC_METACLASS_$_Thing", None), plain);
    assert_eq!(find(b"__ZnwM", None), Some(Export { weak: true, thread_local: false }));
    assert_eq!(find(b"_tls", None), Some(Export { weak: false, thread_local: true }));
    // A library that nothing re-exports has nothing for others.
    assert_eq!(find(b"_not", None), None);
    assert_eq!(find(b"$ld$hide$os10.4$_x", None), None);
}

#[test]
fn stubs_of_version_5() {
    let text = r#"{ "main_library": {
        "target_info": [ { "target": "arm64-macos", "min_deployment": "11" }, { "target": "x86_64-macos" } ],
        "install_names": [ { "name": "@rpath/libx.dylib" } ],
        "current_versions": [ { "version": "2.1" } ],
        "reexported_libraries": [ { "names": [ "@rpath/liby.dylib" ] } ],
        "exported_symbols": [ { "targets": [ "arm64-macos" ], "text": { "global": [ "_f" ] } },
                              { "data": { "global": [ "_d" ], "weak": [ "_w" ] } } ] },
      "libraries": [ { "target_info": [ { "target": "arm64-macos" } ], "install_names": [ { "name": "@rpath/liby.dylib" } ],
        "exported_symbols": [ { "text": { "thread_local": [ "_t" ] } } ] } ],
      "tapi_tbd_version": 5 }"#;
    let library = Library::parse("libx.tbd", text.as_bytes()).unwrap();
    assert_eq!(library.install_name(), b"@rpath/libx.dylib");
    assert_eq!(library.current_version(), 0x2_0100);
    assert!(library.lookup(b"_f", Some(Arch::Aarch64)).is_some());
    assert!(library.lookup(b"_f", Some(Arch::X86_64)).is_none());
    assert!(library.lookup(b"_d", Some(Arch::X86_64)).is_some());
    assert!(library.lookup(b"_w", None).unwrap().weak && library.lookup(b"_t", None).unwrap().thread_local);
    assert_eq!(library.reexports().count(), 0);
}

#[test]
fn malformed_stubs_are_refused() {
    let cases = [
        ("--- !tapi-tbd\ntbd-version: 3\n", "version 3"),
        ("--- !tapi-tbd\ntbd-version: 4\n", "'install-name' is missing"),
        ("--- !tapi-tbd\ntbd-version: 4\ninstall-name: x\nexports: y\n", "'exports' is no list"),
        ("--- !tapi-tbd\ntbd-version: 4\ninstall-name: x\ncurrent-version: y\n", "'y' is no version"),
        ("--- !tapi-tbd\ntbd-version: 4\ninstall-name: x\ntargets: [ [ a ] ]\n", "no word"),
        ("--- !tapi-tbd\n[", "malformed text stub"),
        ("{ \"tapi_tbd_version\": 5 }", "'main_library' is missing"),
        ("{ \"tapi_tbd_version\": 5", "malformed text stub"),
        ("{ \"tapi_tbd_version\": 6, \"main_library\": {} }", "version 6"),
    ];
    for (text, what) in cases {
        let error = Library::parse("x.tbd", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn a_circle_of_libraries_comes_to_an_end() {
    // The second of V4 re-exports the first.
    let library = Library::parse("x.tbd", V4.as_bytes()).unwrap();
    assert!(library.lookup(b"_second", None).is_some());
}

/// What can be seen at a glance is so.
#[test]
fn stubs_that_lead_nowhere_else() {
    let text = |reexported: &str| {
        let head = "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\n";
        format!(
            "{head}install-name: '/usr/lib/libA.dylib'\nreexported-libraries:\n  - targets: [ arm64-macos ]\n    \
             libraries: {reexported}\nexports:\n  - targets: [ arm64-macos ]\n    symbols: [ _f ]\n\
             {head}install-name:    /usr/lib/libB.dylib\n...\n"
        )
    };
    let cases = [
        ("[ '/usr/lib/libB.dylib' ]", true),
        ("[ '/usr/lib/libB.dylib',\n      /usr/lib/libA.dylib ]", true),
        ("[ '/usr/lib/libB.dylib', '/usr/lib/libC.dylib' ]", false),
        ("[ '/usr/lib/libC.dylib' ]", false),
        // Nothing is said of other ways to write a list.
        ("\n      - '/usr/lib/libB.dylib'", false),
    ];
    for (reexported, closed) in cases {
        let text = text(reexported);
        assert_eq!(Library::is_closed(text.as_bytes()), closed, "{text}");
        let library = Library::parse("x.tbd", text.as_bytes()).unwrap();
        assert!(!closed || library.reexports().count() == 0, "{text}");
    }
    assert!(!Library::is_closed(b"{ \"tapi_tbd_version\": 5 }"));
}

#[test]
fn a_stub_that_is_no_yaml_is_refused() {
    for text in ["--- !tapi-tbd\n\tx: [ }\n", "--- !tapi-tbd\n\u{0}\n", "--- !tapi-tbd\nx: 'y\n"] {
        let error = Library::parse("x.tbd", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("x.tbd: malformed text stub: "), "{error}");
    }
    let error = Library::parse("x.tbd", b"--- !tapi-tbd\n\xff\n").unwrap_err().to_string();
    assert!(error.contains("malformed text stub"), "{error}");
}

/// What SDKs up to that of macOS 10.14 have: lists of CPUs, and names of classes with an underscore before version 3.
#[test]
fn stubs_of_versions_1_to_3() {
    let text = |tag: &str, class: &str, platform: &str| {
        format!(
            "---{tag}\narchs: [ i386, x86_64, arm64 ]\nplatform: {platform}\ninstall-name: /usr/lib/libx.dylib\n\
             current-version: 0001.002.1\ncompatibility-version: 1.1\nexports:\n  - archs: [ x86_64 ]\n    \
             re-exports: [ /usr/lib/liby.dylib ]\n    symbols: [ _f ]\n    weak-def-symbols: [ _w ]\n    \
             thread-local-symbols: [ _t ]\n  - archs: [ i386, arm64 ]\n    symbols: [ _g ]\n    \
             objc-classes: [ {class} ]\n    objc-ivars: [ {class}._i ]\n...\n"
        )
    };
    for (tag, class) in [("", "_Thing"), (" !tapi-tbd-v2", "_Thing"), (" !tapi-tbd-v3", "Thing")] {
        let text = text(tag, class, "macosx");
        let library = Library::parse("libx.tbd", text.as_bytes()).unwrap();
        assert_eq!(library.install_name(), b"/usr/lib/libx.dylib");
        assert_eq!((library.current_version(), library.compatibility_version()), (0x1_0201, 0x1_0100));
        assert_eq!(library.reexports().collect::<Vec<_>>(), [b"/usr/lib/liby.dylib"]);
        assert!(library.is_for(Arch::X86_64) && library.is_for(Arch::Aarch64));
        let find =
            |name: &[u8], arch| library.lookup(name, Some(arch)).map(|export| (export.weak, export.thread_local));
        assert_eq!(find(b"_f", Arch::X86_64), Some((false, false)), "{tag}");
        assert_eq!(find(b"_f", Arch::Aarch64), None);
        assert_eq!(find(b"_w", Arch::X86_64), Some((true, false)));
        assert_eq!(find(b"_t", Arch::X86_64), Some((false, true)));
        for name in [&b"_g"[..], b"_OBJC_CLASS_$_Thing", b"_OBJC_METACLASS_$_Thing", b"_OBJC_IVAR_$_Thing._i"] {
            assert_eq!(find(name, Arch::Aarch64), Some((false, false)), "{tag} {}", name.escape_ascii());
            assert_eq!(find(name, Arch::X86_64), None);
        }
        // There may be more in other files.
        assert!(!Library::is_closed(text.as_bytes()));
    }
    let other = text(" !tapi-tbd-v3", "Thing", "ios");
    let library = Library::parse("libx.tbd", other.as_bytes()).unwrap();
    assert!(!library.is_for(Arch::Aarch64) && library.lookup(b"_g", None).is_none());
    let zippered = text(" !tapi-tbd-v3", "Thing", "zippered");
    assert!(Library::parse("libx.tbd", zippered.as_bytes()).unwrap().is_for(Arch::Aarch64));
}
