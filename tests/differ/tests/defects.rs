//! Plants defects in a linker's output and asks whether each is found.

mod common;

use common::{File, Linker, USUAL, inputs, library, link, sets};
use object::elf::*;
use pkgld_differ::arch::{self, DynamicKind, What};
use pkgld_differ::check::check_against_inputs;
use pkgld_differ::compare::compare;
use pkgld_differ::image::{DynamicRelocation, Image, Table};
use pkgld_differ::inputs::Inputs;
use pkgld_differ::lint::lint;
use pkgld_differ::place::{Location, Placement};
use pkgld_differ::rules::{Check, Report};
use pkgld_differ::unwind::Frames;

/// One linked set with what the tests need to patch it.
struct Case {
    files: Vec<File>,
    output: Vec<u8>,
}

impl Case {
    fn new(name: &str) -> Case {
        let files = sets().into_iter().find(|(set, _)| *set == name).expect("a set of the name").1;
        let output = link(Linker::RustLld, &files, USUAL, &[library()]);
        Case { files, output }
    }

    fn image(&self) -> Image<'_> {
        Image::parse(&self.output).expect("a library")
    }

    fn inputs(&self) -> Inputs<'_> {
        inputs(&self.files)
    }

    /// Compares the unchanged output with one that `patch` changed.
    fn planted(&self, with_inputs: bool, patch: impl FnOnce(&Image<'_>, &mut [u8])) -> Report {
        let mut bytes = self.output.clone();
        patch(&self.image(), &mut bytes);
        assert_ne!(bytes, self.output, "the patch changes something");
        let inputs = with_inputs.then(|| self.inputs());
        compare(&self.image(), &Image::parse(&bytes).expect("still a library"), inputs.as_ref(), &[])
    }

    /// The defect is found with the inputs and without.
    #[track_caller]
    fn finds(&self, check: Check, subject: &str, patch: impl Fn(&Image<'_>, &mut [u8])) {
        for with_inputs in [false, true] {
            let report = self.planted(with_inputs, &patch);
            assert!(report.mentions(check, subject), "no {check:?} about {subject}, inputs {with_inputs}: {report}");
        }
    }
}

/// The file offset of an address.
fn offset(image: &Image<'_>, address: u64) -> usize {
    let segment = image.segment_at(address).expect("an address of the image");
    (segment.offset + (address - segment.address)) as usize
}

fn section_offset(image: &Image<'_>, name: &str) -> usize {
    image.file.section_named(name).expect("the section").offset as usize
}

/// The file offset of the record of `.rela.dyn` or `.rela.plt` that fills `address`.
fn record(image: &Image<'_>, relocation: &DynamicRelocation) -> usize {
    let tag = if relocation.table == Table::Plt { DT_JMPREL } else { DT_RELA };
    let start = image.dynamic_value(tag).expect("the table");
    let same = image.relocations.iter().filter(|other| other.table == relocation.table);
    let index = same.take_while(|other| other.address != relocation.address).count();
    offset(image, start) + 24 * index
}

fn find(image: &Image<'_>, kind: DynamicKind, name: &str) -> DynamicRelocation {
    let matches = |relocation: &&DynamicRelocation| {
        relocation.meaning == kind && image.dynamic_symbol_name(relocation.symbol).split('@').next() == Some(name)
    };
    *image.relocations.iter().find(matches).unwrap_or_else(|| panic!("{kind:?} of {name}"))
}

fn symbol<'a>(image: &Image<'a>, name: &str) -> pkgld_differ::elf::Symbol<'a> {
    *image.symbols.iter().find(|symbol| &symbol.name == name).expect("the symbol")
}

#[test]
fn every_relocated_field_counts() {
    for name in ["gcc", "clang", "no-plt", "medium", "descriptors"] {
        let case = Case::new(name);
        let (image, inputs) = (case.image(), case.inputs());
        let placement = Placement::find(&inputs, &image);
        let mut tried = 0;
        for id in inputs.sections() {
            let Location::At { section, offset } = placement.location(id) else { continue };
            let output = &image.file.sections[section];
            if output.is_nobits() || output.compressed {
                continue;
            }
            for relocation in &inputs.objects[id.object].relocations[id.section] {
                let kind = arch::static_kind(image.file.machine, relocation.kind).expect("a known type");
                let place = output.address + offset + relocation.offset;
                // The loader overwrites these fields: the record is what counts, see `every_dynamic_relocation_counts`.
                let relocated = image.relocations_in(place, place + 1).next().is_some();
                if kind.field.width() == 0 || kind.what == What::None || (output.is_allocated() && relocated) {
                    continue;
                }
                let mut bytes = case.output.clone();
                bytes[(output.offset + offset + relocation.offset) as usize] ^= 1;
                let patched = Image::parse(&bytes).expect("still a library");
                let checked = check_against_inputs(&patched, &inputs);
                let subject = format!("{}+{:#x}", inputs.section_name(id), relocation.offset);
                assert!(!checked.findings.is_empty(), "{name}: {subject} {} was not found", kind.name);
                tried += 1;
            }
        }
        assert!(tried > 40, "{name}: {tried}");
    }
}

#[test]
fn every_dynamic_relocation_counts() {
    for name in ["gcc", "clang", "descriptors"] {
        let case = Case::new(name);
        let image = case.image();
        for relocation in &image.relocations {
            // A record of type NONE; another symbol; another addend.
            let without_symbol = relocation.symbol == 0;
            for (place, change) in [(8, relocation.kind as u8), (12, u8::from(!without_symbol)), (16, 1)] {
                if change == 0 {
                    continue;
                }
                let mut bytes = case.output.clone();
                bytes[record(&image, relocation) + place] ^= change;
                let equal = match Image::parse(&bytes) {
                    Ok(patched) => compare(&image, &patched, Some(&case.inputs()), &[]).is_equal(),
                    Err(_) => false,
                };
                assert!(!equal, "{name}: {relocation:x?}, byte {place} was not found");
            }
        }
    }
}

#[test]
fn every_instruction_counts_without_inputs() {
    let case = Case::new("clang");
    let image = case.image();
    let mut tried = 0;
    for name in ["switched", "entry", "tls", "scaled", "_Z7catcheri", "call_indirect"] {
        let function = symbol(&image, name);
        for address in (function.value..function.value + function.size).step_by(3) {
            for mask in [0x01, 0x10, 0x80] {
                // Another prefix may mean the same: REX.B where the operand is relative to rip, 66 and 67 before a call.
                if mask == 0x01 && [Some(&[0x48][..]), Some(&[0x66])].contains(&image.read(address, 1)) {
                    continue;
                }
                let report = case.planted(false, |image, bytes| bytes[offset(image, address)] ^= mask);
                assert!(!report.is_equal(), "{name}+{:#x} ^ {mask:#x}", address - function.value);
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn bytes_of_data() {
    let case = Case::new("gcc");
    case.finds(Check::Bytes, "exported_value", |image, bytes| {
        bytes[offset(image, symbol(image, "exported_value").value)] ^= 1;
    });
    case.finds(Check::Bytes, "thread_local_value", |image, bytes| {
        let tls = image.tls().expect("PT_TLS").address;
        bytes[offset(image, tls + symbol(image, "thread_local_value").value)] ^= 1;
    });
}

#[test]
fn a_dropped_export() {
    let case = Case::new("gcc");
    let rename = |image: &Image<'_>, bytes: &mut [u8]| {
        let strings = section_offset(image, ".dynstr");
        let table = &image.file.section_named(".dynstr").expect(".dynstr").data;
        let at = table.windows(8).position(|window| window == b"\0message").expect("the name");
        bytes[strings + at + 1] = b'M';
    };
    case.finds(Check::Export, "message", rename);
    case.finds(Check::Hash, ".gnu.hash: Message", rename);
}

#[test]
fn an_unreachable_export() {
    let case = Case::new("gcc");
    case.finds(Check::Hash, ".gnu.hash", |image, bytes| {
        // The last word of a chain table ends the last chain; its hash is another then.
        let section = image.file.section_named(".gnu.hash").expect(".gnu.hash");
        bytes[(section.offset + section.size - 2) as usize] ^= 0x10;
    });
}

#[test]
fn a_swapped_version() {
    let case = Case::new("gcc");
    case.finds(Check::Import, "imported_function", |image, bytes| {
        let index =
            |name: &str| image.dynamic_symbols.iter().position(|symbol| &symbol.name == name).expect("an import");
        let at = |name: &str| section_offset(image, ".gnu.version") + 2 * index(name);
        let (one, two) = (at("imported_function"), at("imported_data"));
        assert_ne!(bytes[one], bytes[two]);
        bytes.swap(one, two);
    });
}

#[test]
fn a_wrong_version_hash() {
    let case = Case::new("gcc");
    case.finds(Check::Versions, "hash of version", |image, bytes| {
        bytes[section_offset(image, ".gnu.version_r") + 16] ^= 1;
    });
}

#[test]
fn a_missing_library() {
    let case = Case::new("gcc");
    case.finds(Check::Needed, "DT_NEEDED", |image, bytes| {
        let index = image.dynamic.iter().position(|entry| entry.tag == DT_NEEDED.0).expect("DT_NEEDED");
        bytes[section_offset(image, ".dynamic") + 16 * index] = DT_AUXILIARY_LOW;
    });
}

/// A tag that loaders ignore.
const DT_AUXILIARY_LOW: u8 = 0x15;

#[test]
fn swapped_slots() {
    let case = Case::new("gcc");
    for (kind, one, two) in [
        (DynamicKind::Slot, "exported_value", "imported_data"),
        (DynamicKind::JumpSlot, "helper", "imported_function"),
        (DynamicKind::Address, "helper", "imported_function"),
    ] {
        let report = case.planted(true, |image, bytes| {
            let (one, two) = (record(image, &find(image, kind, one)), record(image, &find(image, kind, two)));
            for byte in 12..16 {
                bytes.swap(one + byte, two + byte);
            }
        });
        assert!(
            report.mentions(Check::Relocation, one) || report.mentions(Check::Relocation, two),
            "{kind:?}: {report}"
        );
        assert!(report.findings.iter().any(|finding| finding.check == Check::Bytes), "{kind:?}: {report}");
    }
}

#[test]
fn a_wrong_lazy_index() {
    let case = Case::new("gcc");
    case.finds(Check::DynamicRelocations, "slot of helper", |image, bytes| {
        let entry = image.word(find(image, DynamicKind::JumpSlot, "helper").address).expect("the slot");
        bytes[offset(image, entry) + 1] ^= 1; // push imm32
    });
}

#[test]
fn constructors_in_another_order() {
    let case = Case::new("descriptors");
    case.finds(Check::InitArray, "DT_INIT_ARRAY", |image, bytes| {
        let start = image.dynamic_value(DT_INIT_ARRAY).expect("DT_INIT_ARRAY");
        let records: Vec<usize> =
            image.relocations_in(start, start + 16).map(|relocation| record(image, relocation) + 16).collect();
        for byte in 0..8 {
            bytes.swap(records[0] + byte, records[1] + byte);
        }
    });
}

#[test]
fn a_moved_fde() {
    let case = Case::new("gcc");
    let start = {
        let image = case.image();
        let fdes = Frames::new(&image).expect("frames").expect("an .eh_frame").fdes().expect("FDEs");
        let function = symbol(&image, "helper").value;
        fdes.iter().find(|fde| fde.start == function).expect("helper's FDE").record.start
    };
    case.finds(Check::UnwindIndex, "helper", |image, bytes| {
        bytes[section_offset(image, ".eh_frame") + start as usize + 8] ^= 4;
    });
    case.finds(Check::Unwind, "helper", |image, bytes| {
        bytes[section_offset(image, ".eh_frame") + start as usize + 8] ^= 4;
    });
    // Its length, and its rows.
    case.finds(Check::Unwind, "helper", |image, bytes| {
        bytes[section_offset(image, ".eh_frame") + start as usize + 12] ^= 1;
    });
    case.finds(Check::Unwind, "helper", |image, bytes| {
        bytes[section_offset(image, ".eh_frame") + start as usize + 17] ^= 1;
    });
}

#[test]
fn frames_behind_a_terminator() {
    let case = Case::new("gcc");
    let record = {
        let image = case.image();
        let frames = Frames::new(&image).expect("frames").expect("an .eh_frame");
        *frames.records.iter().rfind(|record| record.cie.is_some()).expect("an FDE")
    };
    // The record becomes zeros: a terminator before the records after it, or a lost FDE.
    case.finds(Check::UnwindIndex, "", |image, bytes| {
        let start = section_offset(image, ".eh_frame");
        bytes[start + record.start as usize..start + record.end as usize].fill(0);
    });
    let first = {
        let image = case.image();
        let frames = Frames::new(&image).expect("frames").expect("an .eh_frame");
        *frames.records.iter().find(|record| record.cie.is_some()).expect("an FDE")
    };
    case.finds(Check::Unwind, ".eh_frame+", |image, bytes| {
        let start = section_offset(image, ".eh_frame");
        bytes[start + first.start as usize..start + first.end as usize].fill(0);
    });
}

#[test]
fn an_unsorted_search_table() {
    let case = Case::new("gcc");
    case.finds(Check::UnwindIndex, ".eh_frame_hdr", |image, bytes| {
        let table = section_offset(image, ".eh_frame_hdr") + 12;
        for byte in 0..8 {
            bytes.swap(table + byte, table + 8 + byte);
        }
    });
}

#[test]
fn a_wrong_line() {
    let case = Case::new("gcc");
    let size = case.image().file.section_named(".debug_line").expect(".debug_line").size;
    // The last opcodes of the section belong to a row.
    case.finds(Check::Lines, "", |image, bytes| {
        bytes[section_offset(image, ".debug_line") + size as usize - 8] ^= 2;
    });
}

#[test]
fn a_subprogram_elsewhere() {
    let case = Case::new("gcc");
    let (image, inputs) = (case.image(), case.inputs());
    let placement = Placement::find(&inputs, &image);
    let id = inputs.sections().find(|id| &inputs.section(*id).name == ".debug_info").expect(".debug_info");
    let Location::At { section, offset } = placement.location(id) else { panic!("not located") };
    let function = symbol(&image, "entry").value.to_le_bytes();
    let start = (image.file.sections[section].offset + offset) as usize;
    let at = case.output[start..].windows(8).position(|window| window == function).expect("low_pc of entry");
    case.finds(Check::Debug, "entry", |_, bytes| bytes[start + at] ^= 1);
}

#[test]
fn read_only_data_that_is_written() {
    let case = Case::new("gcc");
    let report = case.planted(true, |image, bytes| {
        // PT_GNU_RELRO reaches over .data.
        let index = image.file.segments.iter().position(|segment| segment.kind == PT_GNU_RELRO.0).expect("RELRO");
        let data = image.file.section_named(".data").expect(".data");
        let end = data.end().next_multiple_of(0x1000);
        let size = end - image.file.segments[index].address;
        bytes[64 + 56 * index + 40..][..8].copy_from_slice(&size.to_le_bytes());
    });
    assert!(report.mentions(Check::Protection, "(.data)"), "{report}");
    assert!(report.mentions(Check::Segments, "PT_GNU_RELRO"), "{report}");
}

#[test]
fn lost_write_permission() {
    let case = Case::new("gcc");
    case.finds(Check::Protection, "hidden_zero", |image, bytes| {
        let address = symbol(image, "hidden_zero").value;
        let index =
            image.file.segments.iter().position(|segment| segment.kind == PT_LOAD.0 && segment.contains(address));
        bytes[64 + 56 * index.expect("a PT_LOAD") + 4] = PF_R.0 as u8;
    });
}

#[test]
fn an_executable_stack() {
    let case = Case::new("gcc");
    case.finds(Check::Segments, "PT_GNU_STACK", |image, bytes| {
        let index =
            image.file.segments.iter().position(|segment| segment.kind == PT_GNU_STACK.0).expect("PT_GNU_STACK");
        bytes[64 + 56 * index + 4] |= PF_X.0 as u8;
    });
}

#[test]
fn a_symbol_of_another_size() {
    let case = Case::new("gcc");
    case.finds(Check::Symbol, "local_counter", |image, bytes| {
        let index = image.symbols.iter().position(|symbol| &symbol.name == "local_counter").expect("the symbol");
        bytes[section_offset(image, ".symtab") + 24 * index + 16] = 8;
    });
}

#[test]
fn damaged_files_are_no_panic() {
    let case = Case::new("no-plt");
    let image = case.image();
    let inputs = case.inputs();
    for at in (0..case.output.len()).step_by(13) {
        for mask in [0x01, 0x80] {
            let mut bytes = case.output.clone();
            bytes[at] ^= mask;
            if let Ok(patched) = Image::parse(&bytes) {
                let _ = lint(&patched);
                let _ = compare(&image, &patched, Some(&inputs), &[]);
            }
        }
    }
}
