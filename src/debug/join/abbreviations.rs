//! Abbreviation tables, as far as they tell how to pass over entries and where offsets stand in them.
//!
//! An entry of `.debug_info` starts with the number of its abbreviation, which lists attributes with their *forms*, i.e. how
//! their values are encoded (DWARF 5, 7.5.3). A list is kept as [`Step`]s. What takes no bytes is no step, and what is of
//! fixed size is one step with its neighbours: so each step takes at least a byte of an entry, and the time to walk entries
//! is bounded by their size, whatever the abbreviations.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{DwAt, DwForm, constants as c};

use super::Kind;
use crate::reader::{Malformed, Reader};

/// Bytes of an address on both CPUs of Mach-O.
pub(super) const ADDRESS_SIZE: u8 = 8;
/// How many times its size may be read of `.debug_abbrev`: tables may overlap.
const BUDGET: u64 = 4;

/// A step through an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes that refer to no section.
    Skip(u32),
    /// Four bytes that are an offset in a section.
    Offset(Kind),
    /// A variable-length number.
    Number,
    /// Bytes up to a NUL.
    String,
    /// A block with its length before it.
    Block(Length),
    /// A DWARF expression with its length before it.
    Expression(Length),
    /// The form stands in the entry; this is the attribute.
    Indirect(DwAt),
}

/// How a block's length is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// In one byte.
    U8,
    /// In two bytes.
    U16,
    /// In four bytes.
    U32,
    /// As a variable-length number.
    Number,
}

/// The abbreviations of a unit.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Their numbers and steps, ascending.
    entries: Vec<(u64, Range<usize>)>,
    steps: Vec<Step>,
}

impl Table {
    /// The steps through an entry with the abbreviation `code`.
    pub(super) fn steps(&self, code: u64) -> Option<&[Step]> {
        // As a rule they are numbered from 1.
        let expected = usize::try_from(code.checked_sub(1)?).ok();
        let entry = expected.and_then(|at| self.entries.get(at)).filter(|(own, _)| *own == code);
        let entry = entry.or_else(|| {
            let at = self.entries.binary_search_by_key(&code, |(own, _)| *own).ok()?;
            self.entries.get(at)
        });
        self.steps.get(entry?.1.clone())
    }
}

/// The tables of an object, each read once.
#[derive(Debug)]
pub(super) struct Tables<'d> {
    section: &'d [u8],
    /// By offset and DWARF version.
    read: HashMap<(u32, u16), Table>,
    /// Bytes that may be read still.
    budget: u64,
}

impl<'d> Tables<'d> {
    pub(super) fn new(section: &'d [u8]) -> Self {
        let budget = (section.len() as u64).saturating_mul(BUDGET);
        Self { section, read: HashMap::new(), budget }
    }

    /// The table at an offset, for units of a version.
    ///
    /// # Errors
    /// Malformed tables; forms and attributes that cannot be joined.
    pub(super) fn at(&mut self, offset: u32, version: u16) -> Result<&Table, Malformed> {
        match self.read.entry((offset, version)) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let mut reader =
                    Reader::at(self.section, offset.into(), "an abbreviation table outside of the section")?;
                let reader_end = u64::from(offset).saturating_add(self.budget).min(self.section.len() as u64);
                let all = reader_end == self.section.len() as u64;
                let what = if all { CUT } else { "abbreviation tables that overlap" };
                reader = reader.until(reader_end, what)?;
                let table = read(&mut reader, version, what)?;
                self.budget = self.budget.saturating_sub(reader.offset().saturating_sub(offset.into()));
                Ok(entry.insert(table))
            }
        }
    }
}

const CUT: &str = "an abbreviation table that does not end";

fn read(reader: &mut Reader<'_>, version: u16, cut: &'static str) -> Result<Table, Malformed> {
    let mut table = Table::default();
    loop {
        let code = reader.uleb128(cut)?;
        if code == 0 {
            break;
        }
        reader.uleb128(cut)?;
        reader.skip(1, cut)?;
        let first = table.steps.len();
        loop {
            let place = *reader;
            let (attribute, form) = (reader.uleb128(cut)?, reader.uleb128(cut)?);
            if (attribute, form) == (0, 0) {
                break;
            }
            let number = |number| u16::try_from(number).map_err(|_| place.malformed("an unknown attribute or form"));
            let (attribute, form) = (DwAt(number(attribute)?), DwForm(number(form)?));
            if form == c::DW_FORM_implicit_const {
                reader.sleb128(cut)?;
            }
            let next = step(attribute, form, version).map_err(|what| place.malformed(what))?;
            let Some(next) = next else { continue };
            let own = table.steps.get_mut(first..).and_then(<[Step]>::last_mut);
            match (own, next) {
                (Some(Step::Skip(before)), Step::Skip(more)) if before.checked_add(more).is_some() => {
                    *before = before.saturating_add(more);
                }
                _ => table.steps.push(next),
            }
        }
        table.entries.push((code, first..table.steps.len()));
    }
    table.entries.sort_by_key(|(code, _)| *code);
    Ok(table)
}

/// How to pass over the value of an attribute with a form, in a unit of a version; `None` if it takes no bytes.
///
/// # Errors
/// In words: what cannot be joined.
pub(super) fn step(attribute: DwAt, form: DwForm, version: u16) -> Result<Option<Step>, &'static str> {
    let block = |length| {
        let expression = version < 4 && is_location(attribute);
        if expression { Step::Expression(length) } else { Step::Block(length) }
    };
    Ok(Some(match form {
        c::DW_FORM_flag_present | c::DW_FORM_implicit_const => return Ok(None),
        // Addresses have relocations.
        c::DW_FORM_addr => Step::Skip(ADDRESS_SIZE.into()),
        c::DW_FORM_data1 | c::DW_FORM_flag | c::DW_FORM_ref1 | c::DW_FORM_strx1 | c::DW_FORM_addrx1 => Step::Skip(1),
        c::DW_FORM_data2 | c::DW_FORM_ref2 | c::DW_FORM_strx2 | c::DW_FORM_addrx2 => Step::Skip(2),
        c::DW_FORM_strx3 | c::DW_FORM_addrx3 => Step::Skip(3),
        // Before DWARF 4, an offset had no form of its own.
        c::DW_FORM_data4 if version < 4 => match section_of(attribute, version) {
            Some(section) => Step::Offset(section?),
            None => Step::Skip(4),
        },
        c::DW_FORM_data8 if version < 4 && section_of(attribute, version).is_some() => {
            return Err("64-bit DWARF, which is not joined");
        }
        c::DW_FORM_data4 | c::DW_FORM_ref4 | c::DW_FORM_strx4 | c::DW_FORM_addrx4 => Step::Skip(4),
        c::DW_FORM_data8 | c::DW_FORM_ref8 | c::DW_FORM_ref_sig8 => Step::Skip(8),
        c::DW_FORM_data16 => Step::Skip(16),
        c::DW_FORM_sdata
        | c::DW_FORM_udata
        | c::DW_FORM_ref_udata
        | c::DW_FORM_strx
        | c::DW_FORM_addrx
        | c::DW_FORM_loclistx
        | c::DW_FORM_rnglistx => Step::Number,
        c::DW_FORM_string => Step::String,
        c::DW_FORM_strp => Step::Offset(Kind::Str),
        c::DW_FORM_line_strp => Step::Offset(Kind::LineStr),
        c::DW_FORM_ref_addr if version < 3 => {
            return Err("a reference to another unit in DWARF 2, which is not joined");
        }
        c::DW_FORM_ref_addr => Step::Offset(Kind::Info),
        c::DW_FORM_sec_offset => match section_of(attribute, version) {
            Some(section) => Step::Offset(section?),
            None => return Err("an offset in an unknown section"),
        },
        c::DW_FORM_block1 => block(Length::U8),
        c::DW_FORM_block2 => block(Length::U16),
        c::DW_FORM_block4 => block(Length::U32),
        c::DW_FORM_block => block(Length::Number),
        c::DW_FORM_exprloc => Step::Expression(Length::Number),
        c::DW_FORM_indirect => Step::Indirect(attribute),
        _ => return Err("an unknown form, or one that refers to another file"),
    }))
}

/// Whether an attribute's value tells where something is.
fn is_location(attribute: DwAt) -> bool {
    matches!(
        attribute,
        c::DW_AT_location
            | c::DW_AT_string_length
            | c::DW_AT_return_addr
            | c::DW_AT_frame_base
            | c::DW_AT_segment
            | c::DW_AT_static_link
            | c::DW_AT_use_location
            | c::DW_AT_vtable_elem_location
            | c::DW_AT_data_member_location
    )
}

/// The section that an attribute's value is an offset in, if it is one (DWARF 5, 7.5.5 and table 7.5).
fn section_of(attribute: DwAt, version: u16) -> Option<Result<Kind, &'static str>> {
    let since_5 = |new, old| if version >= 5 { new } else { old };
    Some(Ok(match attribute {
        c::DW_AT_stmt_list => Kind::Line,
        c::DW_AT_ranges | c::DW_AT_start_scope => since_5(Kind::RngLists, Kind::Ranges),
        c::DW_AT_GNU_ranges_base => Kind::Ranges,
        c::DW_AT_str_offsets_base => Kind::StrOffsets,
        c::DW_AT_addr_base | c::DW_AT_GNU_addr_base => Kind::Addr,
        c::DW_AT_rnglists_base => Kind::RngLists,
        c::DW_AT_loclists_base => Kind::LocLists,
        c::DW_AT_macro_info => Kind::MacInfo,
        c::DW_AT_macros | c::DW_AT_GNU_macros => {
            return Some(Err("macro information, which is not joined"));
        }
        // In DWARF 3 a number of four bytes could be the one or the other; compilers mean the number.
        c::DW_AT_data_member_location if version < 4 => return None,
        _ if is_location(attribute) => since_5(Kind::LocLists, Kind::Loc),
        _ => return None,
    }))
}
