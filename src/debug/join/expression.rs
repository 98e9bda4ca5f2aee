//! DWARF expressions (DWARF 5, 2.5 and 7.7.1): few operations refer to another unit, but the way to them leads through the
//! operands of all others.

use gimli::{DwOp, constants as c};

use super::abbreviations::ADDRESS_SIZE;
use crate::reader::{Malformed, Reader};

const CUT: &str = "an expression that is cut off";
/// Expressions within expressions: what a register held at the function's entry, which is one of its own.
const DEPTH: u32 = 8;

/// Tells `found` the place of each offset in `.debug_info`.
///
/// # Errors
/// Expressions that are cut off, and unknown operations.
pub(super) fn walk(
    reader: &mut Reader<'_>,
    version: u16,
    depth: u32,
    found: &mut impl FnMut(u64),
) -> Result<(), Malformed> {
    while reader.remaining() > 0 {
        let place = *reader;
        let operation = DwOp(reader.u8(CUT)?);
        let skip = |reader: &mut Reader<'_>, count: u64| reader.skip(count, CUT);
        let number = |reader: &mut Reader<'_>| reader.uleb128(CUT).map(drop);
        match operation {
            c::DW_OP_addr => skip(reader, ADDRESS_SIZE.into())?,
            c::DW_OP_const1u | c::DW_OP_const1s | c::DW_OP_pick | c::DW_OP_deref_size | c::DW_OP_xderef_size => {
                skip(reader, 1)?;
            }
            c::DW_OP_const2u | c::DW_OP_const2s | c::DW_OP_skip | c::DW_OP_bra | c::DW_OP_call2 => skip(reader, 2)?,
            // An offset in the unit, of DW_OP_GNU_parameter_ref.
            c::DW_OP_const4u | c::DW_OP_const4s | c::DW_OP_call4 | c::DW_OP_GNU_parameter_ref => skip(reader, 4)?,
            c::DW_OP_const8u | c::DW_OP_const8s => skip(reader, 8)?,
            c::DW_OP_constu
            | c::DW_OP_consts
            | c::DW_OP_plus_uconst
            | c::DW_OP_regx
            | c::DW_OP_fbreg
            | c::DW_OP_piece
            | c::DW_OP_addrx
            | c::DW_OP_constx
            | c::DW_OP_convert
            | c::DW_OP_reinterpret
            | c::DW_OP_GNU_convert
            | c::DW_OP_GNU_reinterpret => number(reader)?,
            DwOp(0x70..=0x8f) => number(reader)?, // DW_OP_breg0 and on
            c::DW_OP_bregx | c::DW_OP_bit_piece | c::DW_OP_regval_type | c::DW_OP_GNU_regval_type => {
                number(reader)?;
                number(reader)?;
            }
            c::DW_OP_deref_type | c::DW_OP_xderef_type | c::DW_OP_GNU_deref_type => {
                skip(reader, 1)?;
                number(reader)?;
            }
            c::DW_OP_const_type | c::DW_OP_GNU_const_type => {
                number(reader)?;
                let size = reader.u8(CUT)?;
                skip(reader, size.into())?;
            }
            c::DW_OP_implicit_value => {
                let size = reader.uleb128(CUT)?;
                skip(reader, size)?;
            }
            c::DW_OP_entry_value | c::DW_OP_GNU_entry_value => {
                let size = reader.uleb128(CUT)?;
                let end = reader.offset().saturating_add(size);
                let mut inner = reader.until(end, CUT)?;
                skip(reader, size)?;
                if depth >= DEPTH {
                    return Err(place.malformed("expressions that are nested too deep"));
                }
                walk(&mut inner, version, depth.saturating_add(1), found)?;
            }
            c::DW_OP_call_ref | c::DW_OP_implicit_pointer | c::DW_OP_GNU_implicit_pointer if version < 3 => {
                return Err(place.malformed("a reference to another unit in DWARF 2, which is not joined"));
            }
            c::DW_OP_call_ref | c::DW_OP_GNU_variable_value => {
                found(reader.offset());
                skip(reader, 4)?;
            }
            c::DW_OP_implicit_pointer | c::DW_OP_GNU_implicit_pointer => {
                found(reader.offset());
                skip(reader, 4)?;
                number(reader)?;
            }
            // No operands: DW_OP_deref, DW_OP_dup and on, DW_OP_lit0 to DW_OP_reg31, and what follows call_ref.
            DwOp(0x06 | 0x12..=0x22 | 0x24..=0x27 | 0x29..=0x2e | 0x30..=0x6f) => {}
            c::DW_OP_nop | c::DW_OP_push_object_address | c::DW_OP_form_tls_address | c::DW_OP_call_frame_cfa => {}
            c::DW_OP_stack_value | c::DW_OP_GNU_push_tls_address | DwOp(0xf0) => {} // DW_OP_APPLE_uninit
            _ => return Err(place.malformed("an unknown operation in an expression")),
        }
    }
    Ok(())
}
