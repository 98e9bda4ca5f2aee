//! Inputs that contradict themselves, one test each: an error names the file, and the section or symbol.

use pkgld::{Input, SymbolValue, Target};

use crate::dll::Dll;
use crate::objects::{COMDAT, DATA, EXTERNAL, Object, Section};
use crate::support::{link, link_inputs, options};

const REL32: u16 = 4;

/// What a link of an object says that cannot be.
fn refused(object: &Object) -> String {
    link(&options(Target::WINDOWS_X86_64), &[object.build()]).expect_err("this cannot be linked").to_string()
}

fn linked(object: &Object) -> Dll {
    let image = link(&options(Target::WINDOWS_X86_64), &[object.build()]);
    Dll::new(&image.unwrap_or_else(|errors| panic!("{errors}")))
}

#[test]
fn relocation_overflow_without_relocations() {
    let mut object = Object::new("");
    object.sections[0].characteristics |= 0x0100_0000;
    object.sections[0].count = Some(0xffff);
    // The contents of the next section are taken for the first relocation, which states the count.
    object.sections[1].contents = vec![0xff; 4];
    let said = refused(&object);
    assert!(said.contains("0.o") && said.contains("relocations of section 1 (.text)"), "{said}");
    // A count of 1 is that of the record which has it, and of no relocation.
    object.sections[0].relocations = vec![(1, 0, 0)];
    linked(&object);
    object.sections[0].relocations = vec![(0, 0, 0)];
    let said = refused(&object);
    assert!(said.contains("relocations of section 1 (.text)"), "{said}");
}

/// A symbol beyond its section may lie anywhere: an export in the table of exports would be a forwarder.
#[test]
fn exports_that_lie_in_their_own_table() {
    let mut object = Object::new(" -export:f");
    object.symbol("f", 1, EXTERNAL);
    let image = linked(&object);
    let (text, table) = (image.section(".text").start, image.directory(0).0);
    object.symbols[0].value = table - text;
    let said = refused(&object);
    assert!(said.contains("export f: the symbol lies beyond its section"), "{said}");
    // The table counts from the image's start, with 32 bits.
    object.symbols[0].value = 0x7000_0000;
    let said = refused(&object);
    assert!(said.contains("export f: the symbol's value is 0x1f0001000, which is no place in the image"), "{said}");
    // Cut to 32 bits, a number may be a place in the table.
    let mut options = options(Target::WINDOWS_X86_64);
    options.pe.exports = vec!["n".to_owned()];
    options.defined_symbols =
        vec![("n".to_owned(), SymbolValue::Number(image.base + (1 << 32) + u64::from(table) + 8))];
    object.symbols[0].value = 0;
    let said = link(&options, &[object.build()]).unwrap_err().to_string();
    assert!(said.contains("export n: the symbol's value is 0x28000"), "{said}");
    object.symbols[0].value = table - text - 1;
    linked(&object);
}

/// The table has 0, no export, for a label where the image has nothing.
#[test]
fn labels_of_nothing_are_no_exports() {
    let mut object = Object::new(" -export:f");
    object.symbol("f", 1, EXTERNAL);
    object.sections[0].contents.clear();
    assert_eq!(linked(&object).exports().1, [(1, "f".to_owned(), 0)]);
}

#[test]
fn alignments_that_are_none() {
    let mut object = Object::new("");
    object.sections[0].characteristics |= 0x00f0_0000;
    let said = refused(&object);
    assert!(said.contains("0.o: section 1 (.text): alignment 15"), "{said}");
}

/// Members of an import library that refer to each other, and an archive whose members need each other.
#[test]
fn import_library_loops() {
    let mut descriptor = Object::default();
    descriptor.sections.push(Section::new(".idata$2", DATA, &[0; 20]));
    descriptor.symbol("head", 1, EXTERNAL);
    let tail = descriptor.symbol("tail", 0, EXTERNAL);
    descriptor.sections[0].relocations = vec![(0, tail, 3)];
    let mut other = Object::default();
    other.sections.push(Section::new(".idata$4", DATA, &[0; 8]));
    other.symbol("tail", 1, EXTERNAL);
    let head = other.symbol("head", 0, EXTERNAL);
    other.sections[0].relocations = vec![(0, head, 3)];
    let mut user = Object::new(" -export:f");
    user.symbol("f", 1, EXTERNAL);
    let symbol = user.symbol("head", 0, EXTERNAL);
    user.sections[0].relocations = vec![(1, symbol, REL32)];
    let library = archive(&[("head", &descriptor.build()), ("tail", &other.build())]);
    let user = user.build();
    let inputs = || vec![Input::bytes("u.o", &user), Input::bytes("l.a", &library), Input::bytes("l.a", &library)];
    let image = link_inputs(&options(Target::WINDOWS_X86_64), inputs()).unwrap();
    let dll = Dll::new(&image);
    assert!(dll.has_symbol("head") && dll.has_symbol("tail"));
    // An index that leads to a member which does not define what it says.
    let wrong = archive(&[("head", &other.build())]);
    let inputs = vec![Input::bytes("u.o", &user), Input::bytes("l.a", &wrong)];
    let said = link_inputs(&options(Target::WINDOWS_X86_64), inputs).unwrap_err().to_string();
    assert!(said.contains("undefined symbol: head"), "{said}");
}

/// An archive of members that are called as the symbols that they define are.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let header = |name: &str, size: usize| format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 644);
    let names: usize = members.iter().map(|(name, _)| name.len() + 1).sum();
    let size = 4 + 4 * members.len() + names;
    let mut at = 8 + 60 + size + size % 2;
    let mut index = (members.len() as u32).to_be_bytes().to_vec();
    let mut rest = Vec::new();
    for (name, bytes) in members {
        index.extend((at as u32).to_be_bytes());
        at += 60 + bytes.len() + bytes.len() % 2;
        rest.extend(header(&format!("{name:.12}.o/"), bytes.len()).into_bytes());
        rest.extend(*bytes);
        rest.resize(rest.len() + bytes.len() % 2, b'\n');
    }
    members.iter().for_each(|(name, _)| index.extend([name.as_bytes(), b"\0"].concat()));
    index.resize(size + size % 2, b'\n');
    [b"!<arch>\n", header("/", size).as_bytes(), &index, &rest].concat()
}

#[test]
fn comdat_associative_loops() {
    let mut object = Object::new("");
    for name in [".data$a", ".data$b"] {
        object.sections.push(Section::new(name, DATA | COMDAT, &[1; 4]));
    }
    object.comdat(3, 5, 4);
    object.symbol("a", 3, EXTERNAL);
    object.comdat(4, 5, 3);
    object.symbol("b", 4, EXTERNAL);
    let said = refused(&object);
    assert!(said.contains("0.o: section 3") && said.contains("go in a circle"), "{said}");
}

#[test]
fn weak_external_cycles() {
    for search in 1..=4 {
        let mut object = Object::new("");
        // Each stands for the next, whose record is the second behind.
        for (name, fallback) in [("one", 2), ("two", 4), ("three", 0)] {
            object.weak(name, fallback, search);
        }
        object.sections[0].relocations = vec![(1, 0, REL32)];
        let said = refused(&object);
        assert!(said.contains("weak external") && said.contains("one"), "{search}: {said}");
    }
    let mut itself = Object::new("");
    itself.weak("one", 0, 3);
    itself.sections[0].relocations = vec![(1, 0, REL32)];
    let said = refused(&itself);
    assert!(said.contains("weak external one stands for itself"), "{said}");
}

#[test]
fn section_numbers_out_of_bounds() {
    for number in [3, 0x7fff, -3, i16::MIN] {
        let mut object = Object::new("");
        object.symbol("s", number, EXTERNAL);
        let said = refused(&object);
        assert!(said.contains("0.o: symbol 0: section") && said.contains("of 2"), "{number}: {said}");
    }
}

#[test]
fn relocations_beyond_the_section() {
    for place in [5, 8, u32::MAX] {
        let mut object = Object::new("");
        let symbol = object.symbol("f", 1, EXTERNAL);
        object.sections[0].relocations = vec![(place, symbol, REL32)];
        let said = refused(&object);
        assert!(said.contains("0.o:(.text") && said.contains("IMAGE_REL_AMD64_REL32"), "{place}: {said}");
    }
    let mut object = Object::new("");
    object.symbol("f", 1, EXTERNAL);
    object.sections[0].relocations = vec![(1, 77, REL32)];
    let said = refused(&object);
    assert!(said.contains("0.o:(.text+0x1)") && said.contains("77"), "{said}");
}

#[test]
fn names_with_commas_quotes_and_spaces() {
    let mut object =
        Object::new(" -export:\"a,b\"=f -export:\"c d\"=f,@9 -export:\"e=g\"=f,data -exclude-symbols:\"x y\",z ");
    object.symbol("f", 1, EXTERNAL);
    let names: Vec<String> = linked(&object).exports().1.into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["a,b", "c d", "e=g"]);
    for (text, wanted) in [
        (" -export:\"no where\"", "undefined symbol: no where"),
        (" -include:\"no,where\"", "undefined symbol: no,where"),
        (" -export:f,@1 -export:\"g h\"=f,@1", "export g h: number 1 is taken"),
    ] {
        object.sections[1].contents = text.as_bytes().to_vec();
        let said = refused(&object);
        assert!(said.contains(wanted), "{text}: {said}");
    }
    // What nobody understands is told, and no more.
    object.sections[1].contents = b" -export:f -frob:\"a b\" -export:f,\"".to_vec();
    assert_eq!(linked(&object).exports().1.len(), 1);
}

#[test]
fn images_beyond_what_loaders_take() {
    let zeros = |gigabytes: u32| {
        let mut object = Object::new(" -export:f");
        object.symbol("f", 1, EXTERNAL);
        for (name, _) in [".bss$a", ".bss$b", ".bss$c"].into_iter().zip(0..gigabytes) {
            object.sections.push(Section::new(name, 0xc030_0080, &[]));
        }
        let mut bytes = object.build();
        // A size without contents, so without a place in the file.
        for number in 0..gigabytes as usize {
            let header = 20 + 40 * (2 + number);
            bytes[header + 16..header + 20].copy_from_slice(&0x5000_0000_u32.to_le_bytes());
            bytes[header + 20..header + 28].fill(0);
        }
        bytes
    };
    let mut options = options(Target::WINDOWS_X86_64);
    assert!(link(&options, &[zeros(1)]).is_ok());
    let said = link(&options, &[zeros(2)]).unwrap_err().to_string();
    assert!(said.contains("more than 2 GiB") && said.contains("--allow-large-image"), "{said}");
    options.pe.large_image = true;
    let image = link(&options, &[zeros(3)]).unwrap();
    assert!(Dll::new(&image).section(".data").size >= 0xf000_0000 && image.len() < 8192);
    options.allow_multiple_definition = true;
    let said = link(&options, &[zeros(3), zeros(1)]).unwrap_err().to_string();
    assert!(said.contains("the size of the image") && said.contains("PE format"), "{said}");
}

/// Sections of code are not more than their contents.
#[test]
fn contents_beyond_the_file() {
    let mut bytes = Object::new("").build();
    bytes[20 + 16..20 + 20].copy_from_slice(&110_u32.to_le_bytes());
    let said = link(&options(Target::WINDOWS_X86_64), &[bytes]).unwrap_err().to_string();
    assert!(said.contains("section 1 (.text): its contents reach beyond the file's end"), "{said}");
}
