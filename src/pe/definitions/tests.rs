#![allow(clippy::expect_used, clippy::panic)]

use super::*;

fn read(text: &str) -> Result<Definitions<'_>, String> {
    Definitions::parse("x.def", text.as_bytes()).map_err(|error| error.to_string())
}

fn export(name: &str) -> Export<'_> {
    Export { name: Cow::Borrowed(name.as_bytes()), ..Export::default() }
}

fn symbol(name: &str) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(name.as_bytes()))
}

#[test]
fn all_that_a_file_may_say() {
    let text = "\u{feff}; a comment\r\nLIBRARY \"my dll\" BASE=0x6c000000 ; another\nVERSION 2.1\nSTACKSIZE 0x100000,0x2000\n\
                HEAPSIZE 65536\nDESCRIPTION \"what; it, is\"\nEXPORTS\n  start\n  stop = stop_now @7 NONAME\n table DATA\n\
                sleep=KERNEL32.Sleep\n\"a b\" = \"c,d\" @ 9, private\n@fast@8\n@quick@4 @3\nEXPORTS one CONSTANT two\n\
                old == new DATA\ninner @4 EXPORTAS outer\nmine = my_own == yours three\x1a";
    let imported = |symbol: &'static str, name: &'static str| {
        Some(Imported { symbol: Cow::Borrowed(symbol.as_bytes()), name: Cow::Borrowed(name.as_bytes()) })
    };
    let exports = vec![
        export("start"),
        Export { symbol: symbol("stop_now"), ordinal: Some(7), no_name: true, ..export("stop") },
        Export { data: true, ..export("table") },
        Export { symbol: symbol("KERNEL32.Sleep"), ..export("sleep") },
        Export { symbol: symbol("c,d"), ordinal: Some(9), private: true, ..export("a b") },
        export("@fast@8"),
        Export { ordinal: Some(3), ..export("@quick@4") },
        Export { constant: true, ..export("one") },
        export("two"),
        Export { imported: imported("old", "new"), data: true, ..export("old") },
        Export { symbol: symbol("inner"), ordinal: Some(4), imported: imported("inner", "outer"), ..export("outer") },
        Export { symbol: symbol("my_own"), imported: imported("mine", "yours"), ..export("mine") },
        export("three"),
    ];
    let wanted = Definitions {
        name: Some("my dll.dll".into()),
        base: Some(0x6c00_0000),
        stack: Some((0x10_0000, 0x2000)),
        heap: Some((0x1_0000, 0x1000)),
        version: Some((2, 1)),
        exports,
    };
    assert_eq!(read(text), Ok(wanted));
    assert_eq!(read(""), Ok(Definitions::default()));
    assert_eq!(read("LIBRARY\nEXPORTS\n").map(|read| read.name), Ok(None));
    assert_eq!(read("NAME my.exe").map(|read| read.name), Ok(Some("my.exe".into())));
    assert_eq!(read("EXPORTS \"EXPORTS\" \"DATA\"").map(|read| read.exports.len()), Ok(2));
}

/// Attributes in small letters stand on the line of what they are said of.
#[test]
fn names_that_are_spelled_like_attributes() {
    let names = |text: &str| {
        let read = read(text).unwrap_or_else(|said| panic!("{said}"));
        read.exports
            .into_iter()
            .map(|export| (String::from_utf8_lossy(&export.name).into_owned(), export.data))
            .collect()
    };
    let plain =
        |names: &[&str]| -> Vec<(String, bool)> { names.iter().map(|name| ((*name).to_owned(), false)).collect() };
    let read: Vec<_> = names("EXPORTS\nf\ndata\nnoname @3\nconstant\nprivate\nexportas\ng");
    assert_eq!(read, plain(&["f", "data", "noname", "constant", "private", "exportas", "g"]));
    let read: Vec<_> = names("EXPORTS\ndata data @2 private\nf = \ng @1\ndata");
    assert_eq!(read, [("data".to_owned(), true), ("f".to_owned(), false), ("data".to_owned(), false)]);
    let read: Vec<_> = names("EXPORTS f\nDATA\nNONAME");
    assert_eq!(read, [("f".to_owned(), true)]);
}

#[test]
fn problems_name_the_line() {
    for (text, wanted) in [
        ("\n\nFROB x", "x.def: line 3: 'FROB' is no statement"),
        ("EXPORTS\nf =", "x.def: line 2: '=' without a symbol"),
        ("EXPORTS\nf = EXPORTS", "x.def: line 2: '=' without a symbol"),
        ("EXPORTS\nf ==", "x.def: line 2: '==' without a name"),
        ("EXPORTS\n\nf @70000", "x.def: line 3: '@' without a number from 1 to 65535"),
        ("EXPORTS f @0", "x.def: line 1: '@' without a number from 1 to 65535"),
        ("EXPORTS f @", "'@' without a number"),
        ("EXPORTS \"f", "x.def: line 1: a quote that nothing ends"),
        ("EXPORTS \"f\ng\"", "x.def: line 1: a quote that nothing ends"),
        ("EXPORTS \"f\0g\"", "a quote that nothing ends"),
        ("EXPORTS f\n\u{1}", "x.def: line 2: a byte that no text has"),
        ("EXPORTS f EXPORTAS", "x.def: line 1: EXPORTAS without a name"),
        ("\"EXPORTS\" f", "'EXPORTS' where a statement begins"),
        ("LIBRARY a BASE 3", "BASE without ="),
        ("LIBRARY a BASE=", "an address is missing"),
        ("LIBRARY a BASE=0x1000", "BASE=0x1000: a multiple of 64 KiB"),
        ("VERSION x", "VERSION without a version"),
        ("VERSION 1.70000", "VERSION without a version"),
        ("STACKSIZE", "a number of bytes is missing"),
        ("STACKSIZE 1,2", "2 bytes of memory in 1"),
        ("HEAPSIZE 1,", "a number of bytes is missing"),
        ("DESCRIPTION", "DESCRIPTION without a text"),
        ("SECTIONS\n.text READ", "x.def: line 1: SECTIONS is not supported: state the attributes"),
        ("EXPORTS f\nIMPORTS g", "x.def: line 2: IMPORTS is not supported: link against the DLL"),
    ] {
        let said = read(text).expect_err(text);
        assert!(said.contains(wanted), "{text:?}: {said}");
    }
}

#[test]
fn what_is_written_is_what_is_read() {
    let entry = |name: &'static str, ordinal: u16| Entry {
        name: Cow::Borrowed(name.as_bytes()),
        target: Target::Forward(Cow::Borrowed(b"other.#3")),
        ordinal,
        no_name: false,
        data: false,
        constant: false,
        private: false,
        imported: None,
    };
    let entries = [
        entry("DATA", 1),
        Entry { data: true, ..entry("a b", 2) },
        Entry { no_name: true, private: true, ..entry("@f@8", 3) },
        Entry { constant: true, ..entry("?f@@YAXXZ", 65535) },
        entry("EXPORTS", 5),
        entry("a,b=c;d", 6),
        entry("é", 7),
    ];
    let text = text("a b", &entries);
    let read = Definitions::parse("x.def", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.name(), Some("a b.dll"));
    for (read, entry) in read.exports.iter().zip(&entries) {
        assert_eq!((&read.name, read.ordinal), (&entry.name, Some(entry.ordinal)));
        let flags = (entry.no_name, entry.data, entry.constant, entry.private);
        assert_eq!((read.no_name, read.data, read.constant, read.private), flags);
        assert_eq!(read.symbol, symbol("other.#3"));
    }
    assert_eq!(read.exports.len(), entries.len());
}

#[test]
fn no_bytes_are_trouble() {
    let text = b"LIBRARY a BASE=0x10000\nEXPORTS \"a b\" = c @3 , NONAME DATA ; x\nVERSION 1.2 STACKSIZE 3,2";
    for end in 0..text.len() {
        let _ = Definitions::parse("x.def", text.get(..end).unwrap_or_default());
        for byte in [0, b'"', b'=', b'@', b',', b';', b'\n', 0xff] {
            let mut text = text.to_vec();
            text.iter_mut().skip(end).take(1).for_each(|place| *place = byte);
            let _ = Definitions::parse("x.def", &text);
        }
    }
}
