//! `.drectve`: what a compiler tells the linker in an object file.
//!
//! The section is text: options of Microsoft's linker, separated by white space, some with a value behind a colon (PE/COFF
//! specification, *The .drectve Section*). Double quotes enclose what holds white space, commas or equals signs; LLVM
//! quotes a symbol's name where it has such characters, and LLVM 16 and later list every hidden symbol
//! (`-exclude-symbols:`), so there may be hundreds of thousands of options. Each byte is looked at a fixed number of times.

use std::borrow::Cow;

use object::pe;

/// One option of a `.drectve` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directive<'a> {
    /// `-export:`: a symbol that other images may import.
    Export(Box<Export<'a>>),
    /// `-exclude-symbols:`: a symbol that is not exported unless `-export:` says so.
    Exclude(Cow<'a, [u8]>),
    /// `-include:`: a symbol that counts as referenced.
    Include(Cow<'a, [u8]>),
    /// `-defaultlib:`: a library to search last.
    DefaultLibrary(Cow<'a, [u8]>),
    /// `-alternatename:FROM=TO`: what an undefined `FROM` stands for.
    AlternateName(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// `-merge:FROM=TO`: the output section that another one joins.
    Merge(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// `-section:NAME,ATTRIBUTES`: what the header of an image's section says of its memory (`Characteristics`).
    Section(Cow<'a, [u8]>, u32),
    /// `-aligncomm:`: a common symbol and the binary logarithm of its alignment.
    AlignCommon(Cow<'a, [u8]>, u8),
    /// `-entry:`: the entry point.
    Entry(Cow<'a, [u8]>),
    /// An option that changes nothing here.
    Nothing,
    /// An option that is not known, as it stands there.
    Unknown(&'a [u8]),
}

/// An export, as `-export:` and definition files state it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Export<'a> {
    /// The name that others import, without the underscore of i386.
    pub(crate) name: Cow<'a, [u8]>,
    /// The symbol, where it is not called as the export is.
    pub(crate) symbol: Option<Cow<'a, [u8]>>,
    /// The number that it is exported under, where that is fixed.
    pub(crate) ordinal: Option<u16>,
    /// It is exported by its number alone.
    pub(crate) no_name: bool,
    /// It is data, says who wrote it: other images reach it through its slot alone.
    pub(crate) data: bool,
    /// The same, and its name means the slot, too.
    pub(crate) constant: bool,
    /// No import library has it.
    pub(crate) private: bool,
    /// What the import library has, where that is not the export's name.
    pub(crate) imported: Option<Imported<'a>>,
}

/// What an import library has of an export: those who link against it call it otherwise than the loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imported<'a> {
    /// The symbol that importers refer to, as in C.
    pub(crate) symbol: Cow<'a, [u8]>,
    /// The name that the loader is asked for.
    pub(crate) name: Cow<'a, [u8]>,
}

impl<'a> Export<'a> {
    /// Has the export, and what import libraries say of it, called `name`; importers call it as before (`EXPORTAS`).
    pub(crate) fn export_as(&mut self, name: Cow<'a, [u8]>) {
        let former = std::mem::replace(&mut self.name, name.clone());
        self.symbol.get_or_insert_with(|| former.clone());
        self.imported = Some(Imported { symbol: former, name });
    }
}

/// The one option with a list of values, of which there may be very many.
const EXCLUDE: &[u8] = b"exclude-symbols:";
/// Options that change nothing in an image of this linker: checks of compiler settings, what other tools read, and what
/// programs have and DLLs do not.
const NOTHING: [&[u8]; 16] = [
    b"failifmismatch",
    b"editandcontinue",
    b"fastfail",
    b"guardsym",
    b"natvis",
    b"nodefaultlib",
    b"release",
    b"throwingnew",
    b"disallowlib",
    b"functionpadmin",
    b"inferasanlibs",
    b"debugtype",
    b"stack",
    b"heap",
    b"subsystem",
    b"manifestdependency",
];

/// The options of a section, in order.
pub(crate) fn directives(text: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    // Compilers put a byte order mark before text in UTF-8.
    let mut options = options(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    // What is left of the value of the one kind of option that has a list.
    let mut excluded: &[u8] = &[];
    std::iter::from_fn(move || {
        loop {
            if !excluded.is_empty() {
                let (name, rest) = first_of(excluded);
                excluded = rest;
                if !name.is_empty() {
                    return Some(Directive::Exclude(name));
                }
                continue;
            }
            let option = options.next()?;
            // `#pragma comment(linker, …)` may put all of an option in quotes.
            let quoted = option.strip_prefix(b"\"").and_then(|option| option.strip_suffix(b"\""));
            let option = quoted.filter(|inner| memchr::memchr(b'"', inner).is_none()).unwrap_or(option);
            let words = option.strip_prefix(b"-").or_else(|| option.strip_prefix(b"/")).unwrap_or_default();
            match words.split_at_checked(EXCLUDE.len()) {
                Some((start, list)) if start.eq_ignore_ascii_case(EXCLUDE) => excluded = list,
                _ => {
                    let (name, value) = split_once(words, b':').unwrap_or((words, &[]));
                    return Some(directive(option, name, value));
                }
            }
        }
    })
}

/// The first name of a list, and what follows it.
fn first_of(list: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    // Nearly all lists are of one name, in quotes or not.
    let one = match list.strip_prefix(b"\"") {
        Some(quoted) => quoted.strip_suffix(b"\"").filter(|name| memchr::memchr(b'"', name).is_none()),
        None => Some(list).filter(|list| memchr::memchr2(b',', b'"', list).is_none()),
    };
    if let Some(name) = one {
        return (Cow::Borrowed(name), &[]);
    }
    let (name, rest) = split_once(list, b',').unwrap_or((list, &[]));
    (unquote(name), rest)
}

/// The libraries that an object asks for. What is wrong with it is told when it is read.
pub(crate) fn default_libraries(object: &[u8]) -> Vec<Vec<u8>> {
    use object::read::coff::{CoffFile, CoffHeader};
    use object::{Object as _, ObjectSection as _};
    fn texts<'a, Coff: CoffHeader>(object: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let file = CoffFile::<&'a [u8], Coff>::parse(object).ok()?;
        let sections = file.sections().filter(|section| section.name_bytes().is_ok_and(|name| name == b".drectve"));
        Some(sections.filter_map(|section| section.data().ok()).collect())
    }
    let texts = texts::<object::pe::ImageFileHeader>(object)
        .or_else(|| texts::<object::pe::AnonObjectHeaderBigobj>(object))
        .unwrap_or_default();
    // Most have hundreds of thousands of other options, or none at all.
    let asks = |text: &&[u8]| memchr::memchr_iter(b':', text).any(|at| ends_with_name(text, at, b"defaultlib"));
    let all = texts.into_iter().filter(asks).flat_map(directives);
    let name = |directive| match directive {
        Directive::DefaultLibrary(name) => Some(name.into_owned()),
        _ => None,
    };
    all.filter_map(name).collect()
}

/// The names of symbols that options of a section export, as in C. That all of them are called as those for which `is_there`
/// says so is found out faster than by reading all options, of which there may be hundreds of thousands.
pub(crate) fn missing_exports<'a>(text: &'a [u8], is_there: impl Fn(&[u8]) -> bool) -> Vec<Cow<'a, [u8]>> {
    let mut exports = memchr::memchr_iter(b':', text).filter(|at| ends_with_name(text, *at, b"export"));
    let is_plain = |at: usize| {
        let value = text.get(at.saturating_add(1)..).unwrap_or_default();
        let end = value.iter().position(|byte| is_blank(*byte) || b",=\"".contains(byte)).unwrap_or(value.len());
        value.get(end) != Some(&b'=') && value.get(end) != Some(&b'"') && value.get(..end).is_some_and(&is_there)
    };
    if exports.all(is_plain) {
        return Vec::new();
    }
    let names = directives(text).filter_map(|directive| match directive {
        Directive::Export(export) => export.wanted().cloned(),
        _ => None,
    });
    names.filter(|name| !is_there(name)).collect()
}

/// Whether the bytes before `end` are a name, in whatever case.
fn ends_with_name(text: &[u8], end: usize, name: &[u8]) -> bool {
    let start = end.checked_sub(name.len());
    start.and_then(|start| text.get(start..end)).is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// Whether one of the options of a section may be `-include:`. That few have it is found out faster than by reading all.
pub(crate) fn may_include(text: &[u8]) -> bool {
    memchr::memchr_iter(b':', text).any(|at| ends_with_name(text, at, b"include"))
}

/// Whether one of the options of a section may be `-alternatename:`. It has an equals sign, as hardly any other has.
pub(crate) fn may_have_alternates(text: &[u8]) -> bool {
    memchr::memchr(b'=', text).is_some()
        && memchr::memchr_iter(b':', text).any(|at| ends_with_name(text, at, b"alternatename"))
}

fn directive<'a>(option: &'a [u8], name: &[u8], value: &'a [u8]) -> Directive<'a> {
    let pair = || split_once(value, b'=').map(|(from, to)| (unquote(from), unquote(to)));
    let is = |word: &&[u8]| name.eq_ignore_ascii_case(word);
    match () {
        () if is(&&b"export"[..]) => {
            export(value).map_or(Directive::Unknown(option), |export| Directive::Export(Box::new(export)))
        }
        () if is(&&b"include"[..]) => Directive::Include(unquote(value)),
        () if is(&&b"defaultlib"[..]) => Directive::DefaultLibrary(unquote(value)),
        () if is(&&b"entry"[..]) => Directive::Entry(unquote(value)),
        () if is(&&b"alternatename"[..]) => {
            pair().map_or(Directive::Unknown(option), |(from, to)| Directive::AlternateName(from, to))
        }
        () if is(&&b"merge"[..]) => pair().map_or(Directive::Unknown(option), |(from, to)| Directive::Merge(from, to)),
        () if is(&&b"section"[..]) => section(value).unwrap_or(Directive::Unknown(option)),
        () if is(&&b"aligncomm"[..]) => align_common(value).unwrap_or(Directive::Unknown(option)),
        () if NOTHING.iter().any(is) => Directive::Nothing,
        () => Directive::Unknown(option),
    }
}

/// `NAME[=SYMBOL][,@ORDINAL[,NONAME]][,DATA][,CONSTANT][,PRIVATE][,EXPORTAS,NAME]`.
fn export(value: &[u8]) -> Option<Export<'_>> {
    let mut parts = split(value, b',');
    let names = parts.next()?;
    let (name, symbol) = match split_once(names, b'=') {
        Some((name, symbol)) => (unquote(name), Some(unquote(symbol))),
        None => (unquote(names), None),
    };
    // In the tables a NUL byte ends a name.
    if name.is_empty() || name.contains(&0) {
        return None;
    }
    let mut export = Export { name, symbol, ..Export::default() };
    while let Some(part) = parts.next() {
        let part = &*unquote(part);
        match part.strip_prefix(b"@") {
            Some(number) => export.ordinal = Some(std::str::from_utf8(number).ok()?.parse().ok()?),
            None if part.eq_ignore_ascii_case(b"noname") => export.no_name = true,
            // The DLL's own tables do not tell code from data: these are for those who make import libraries.
            None if part.eq_ignore_ascii_case(b"data") => export.data = true,
            None if part.eq_ignore_ascii_case(b"constant") => export.constant = true,
            None if part.eq_ignore_ascii_case(b"private") => export.private = true,
            None if part.eq_ignore_ascii_case(b"exportas") => {
                let name = parts.next().map(unquote).filter(|name| !name.is_empty() && !name.contains(&0))?;
                export.export_as(name);
            }
            None => return None,
        }
    }
    Some(export)
}

/// `NAME,ATTRIBUTES`, a letter for each attribute (Microsoft's linker, `/SECTION`). Its `!`, and letters of drivers of another
/// age, are not known, as to LLD.
fn section(value: &[u8]) -> Option<Directive<'_>> {
    let (name, letters) = split_once(value, b',')?;
    let attribute = |letter: &u8| match letter.to_ascii_uppercase() {
        b'D' => Some(pe::IMAGE_SCN_MEM_DISCARDABLE),
        b'E' => Some(pe::IMAGE_SCN_MEM_EXECUTE),
        b'K' => Some(pe::IMAGE_SCN_MEM_NOT_CACHED),
        b'P' => Some(pe::IMAGE_SCN_MEM_NOT_PAGED),
        b'R' => Some(pe::IMAGE_SCN_MEM_READ),
        b'S' => Some(pe::IMAGE_SCN_MEM_SHARED),
        b'W' => Some(pe::IMAGE_SCN_MEM_WRITE),
        _ => None,
    };
    let attributes = letters.iter().map(attribute).try_fold(0, |all, one| Some(all | one?.0))?;
    (attributes != 0).then(|| Directive::Section(unquote(name), attributes))
}

/// `NAME,LOG2`.
fn align_common(value: &[u8]) -> Option<Directive<'_>> {
    let mut parts = split(value, b',');
    let (name, align) = (parts.next()?, parts.next()?);
    let align = std::str::from_utf8(align.trim_ascii()).ok()?.parse().ok()?;
    // An address space of 32 bits has no use for more.
    (align < 32).then(|| Directive::AlignCommon(unquote(name), align))
}

/// The pieces between white space that stands outside of quotes; NUL bytes, with which sections are padded, count as such.
fn options(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_blank(*byte))?;
        let (_, from) = rest.split_at(start);
        let (option, after) = from.split_at(option_end(from));
        rest = after;
        Some(option)
    })
}

/// Where the first blank outside of quotes is.
fn option_end(text: &[u8]) -> usize {
    /// What ends an option, or a stretch in which nothing does.
    const ENDS: [bool; 256] = {
        let mut ends = [false; 256];
        let mut byte = 0_u8;
        // White space is below.
        while byte <= b' ' {
            ends[byte as usize] = is_blank(byte);
            byte += 1;
        }
        ends[b'"' as usize] = true;
        ends
    };
    let mut quoted = false;
    let end = text.iter().position(|byte| {
        let ends = ENDS.get(usize::from(*byte)).copied().unwrap_or(false);
        quoted ^= ends && *byte == b'"';
        ends && !quoted && *byte != b'"'
    });
    end.unwrap_or(text.len())
}

const fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}

/// The pieces between separators that stand outside of quotes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == separator
    })
}

/// What stands before and after the first separator outside of quotes.
fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let first = memchr::memchr2(separator, b'"', text)?;
    let mut quoted = false;
    let at = text.iter().skip(first).position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && *byte == separator
    })?;
    let (before, after) = text.split_at(first.checked_add(at)?);
    Some((before, after.get(1..)?))
}

/// The text without its quotes.
fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    if memchr::memchr(b'"', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(text.iter().copied().filter(|byte| *byte != b'"').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Directive<'_>> {
        directives(text.as_bytes()).collect()
    }

    fn cow(text: &str) -> Cow<'_, [u8]> {
        Cow::Borrowed(text.as_bytes())
    }

    fn exported(name: &str) -> Box<Export<'_>> {
        Box::new(Export { name: cow(name), ..Export::default() })
    }

    #[test]
    fn what_llvm_and_gcc_write() {
        // LLVM 19, x86_64-w64-windows-gnu; then GCC 12.
        let text = " -export:jl_image_pointers,data -exclude-symbols:jl_RTLD -exclude-symbols:\"a b,c=d\" ";
        assert_eq!(
            all(text),
            [
                Directive::Export(Box::new(Export { data: true, ..*exported("jl_image_pointers") })),
                Directive::Exclude(cow("jl_RTLD")),
                Directive::Exclude(cow("a b,c=d")),
            ]
        );
        assert_eq!(
            all(" -export:\"foo\" -aligncomm:\"_x\",4\0\0"),
            [Directive::Export(exported("foo")), Directive::AlignCommon(cow("_x"), 4)]
        );
    }

    #[test]
    fn what_microsoft_writes() {
        let text = "\u{feff}/DEFAULTLIB:\"LIBCMT\" /FAILIFMISMATCH:\"a=b\"   /EXPORT:f=g,@12,NONAME /include:_x";
        let export = Export { symbol: Some(cow("g")), ordinal: Some(12), no_name: true, ..*exported("f") };
        assert_eq!(
            all(text),
            [
                Directive::DefaultLibrary(cow("LIBCMT")),
                Directive::Nothing,
                Directive::Export(Box::new(export)),
                Directive::Include(cow("_x")),
            ]
        );
        assert_eq!(
            all("/alternatename:_f=_g /merge:.xdata=.rdata"),
            [Directive::AlternateName(cow("_f"), cow("_g")), Directive::Merge(cow(".xdata"), cow(".rdata")),]
        );
        assert_eq!(
            all("/SECTION:.shr,rws /stack:1"),
            [Directive::Section(cow(".shr"), 0xd000_0000), Directive::Nothing]
        );
    }

    #[test]
    fn quotes_around_all_of_an_option() {
        let text = "\"-export:foo,data\" \"/merge:.x=.y\" \"-exclude-symbols:a,b\" \"/manifestdependency:name='a b'\"";
        let export = Export { data: true, ..*exported("foo") };
        assert_eq!(
            all(text),
            [
                Directive::Export(Box::new(export.clone())),
                Directive::Merge(cow(".x"), cow(".y")),
                Directive::Exclude(cow("a")),
                Directive::Exclude(cow("b")),
                Directive::Nothing,
            ]
        );
        assert_eq!(all("-export:foo,\"data\""), [Directive::Export(Box::new(export))]);
    }

    #[test]
    fn what_nobody_should_write() {
        for text in [
            "-export:",
            "-export:a,@x",
            "-export:a,exportas",
            "-export:a,exportas,",
            "-export:\"a\0b\"",
            "-export:a,@70000",
            "-merge:a",
            "-aligncomm:a,40",
            "-section:.a",
            "-section:.a,",
            "-section:.a,!W",
            "plain",
            "-",
            "/x:y",
        ] {
            assert_eq!(all(text), [Directive::Unknown(text.as_bytes())], "{text}");
        }
        assert_eq!(all("  \0 "), []);
        // Any blank separates.
        assert_eq!(
            all("-include:a\t-include:b\n\0-include:\"c\td\" -include:e"),
            ["a", "b", "c\td", "e"].map(|name| Directive::Include(cow(name)))
        );
        // A quote that nothing ends reaches to the end.
        assert_eq!(all("-include:\"a b"), [Directive::Include(Cow::Owned(b"a b".to_vec()))]);
        assert_eq!(all("-exclude-symbols:a,,b"), [Directive::Exclude(cow("a")), Directive::Exclude(cow("b"))]);
    }

    #[test]
    fn exports_of_what_is_not_there_are_found() {
        let there = |name: &[u8]| matches!(name, b"f" | b"g" | b"a b");
        let found = |text: &'static str| missing_exports(text.as_bytes(), there);
        assert_eq!(found("-export:f -EXPORT:g,data /exclude-symbols:x"), [] as [Cow<'_, [u8]>; 0]);
        assert_eq!(found("-export:f -export:h,data"), [cow("h")]);
        assert_eq!(found("-export:f=h -export:\"a b\" -export:k=other.name"), [cow("h")]);
        assert_eq!(found("-export:f,EXPORTAS,h -export:x,exportas,f"), [cow("x")]);
        // It stands in a name.
        assert_eq!(found("-exclude-symbols:\"a -export:h\""), [] as [Cow<'_, [u8]>; 0]);
    }

    #[test]
    fn very_many_names() {
        let text: String = (0..200_000).map(|number| format!(" -exclude-symbols:julia_f_{number}")).collect();
        assert_eq!(directives(text.as_bytes()).count(), 200_000);
    }
}
