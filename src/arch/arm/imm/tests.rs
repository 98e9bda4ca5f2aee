#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::*;

/// An Arm instruction, or word of data, as it is in memory.
fn arm(code: u32) -> Vec<u8> {
    code.to_le_bytes().to_vec()
}

/// A Thumb instruction as it is in memory: a halfword, or two written as one number with the first one high.
fn thumb(code: u32) -> Vec<u8> {
    let [high, low] = [(code >> 16) as u16, code as u16];
    if high == 0 { low.to_le_bytes().to_vec() } else { [high.to_le_bytes(), low.to_le_bytes()].concat() }
}

/// Stores `value` and reads it again; `None` if it is refused, in which case nothing may have changed.
fn stored(imm: Imm, code: &[u8], value: i64) -> Option<Vec<u8>> {
    let mut bytes = code.to_vec();
    let stored = imm.store(&mut bytes, value);
    if stored.is_none() {
        assert_eq!(bytes, code, "{imm:?} has refused {value:#x} and changed the bytes");
    }
    stored.map(|()| bytes)
}

/// What GNU as makes of the instructions in the margin. Values of branches count from the program counter, which is 8 bytes
/// ahead in Arm and 4 bytes in Thumb state, and have bit 0 set where they end in Thumb state.
#[test]
fn instructions_are_made_as_an_assembler_makes_them() {
    let rows: &[(Imm, u32, i64, u32)] = &[
        (Imm::Branch, 0xeafffffe, 0, 0xea000000),                 // b .+8
        (Imm::Branch, 0xeafffffe, -8, 0xeafffffe),                // b .
        (Imm::Branch, 0xeafffffe, 0xff8, 0xea0003fe),             // b .+0x1000
        (Imm::Branch, 0xeafffffe, -0x1008, 0xeafffbfe),           // b .-0x1000
        (Imm::Branch, 0xeafffffe, 0x1ff_fffc, 0xea7fffff),        // b .+8+0x1fffffc
        (Imm::Branch, 0xeafffffe, -0x200_0000, 0xea800000),       // b .+8-0x2000000
        (Imm::Branch, 0xebfffffe, 0xff8, 0xeb0003fe),             // bl .+0x1000
        (Imm::Branch, 0xfafffffe, 0xff8, 0xeb0003fe),             // bl .+0x1000, was blx
        (Imm::Branch, 0x1bfffffe, 0xff8, 0x1b0003fe),             // blne .+0x1000
        (Imm::Branch, 0xebfffffe, 0x1209, 0xfa000482),            // blx .+0x1210, was bl
        (Imm::Branch, 0xfafffffe, 0x1209, 0xfa000482),            // blx .+0x1210
        (Imm::Branch, 0xebfffffe, 0x120b, 0xfb000482),            // blx .+0x1212
        (Imm::Branch, 0xebfffffe, 0x1ff_ffff, 0xfb7fffff),        // blx .+8+0x1fffffe
        (Imm::Low16, 0xe3001000, 0xdead_beef, 0xe30b1eef),        // movw r1, #0xbeef
        (Imm::Low16, 0xe3001000, -0x2152_4111, 0xe30b1eef),       // movw r1, #0xbeef
        (Imm::High16, 0xe3401000, 0xdead_beef, 0xe34d1ead),       // movt r1, #0xdead
        (Imm::High16, 0xe3401000, -0x2152_4111, 0xe34d1ead),      // movt r1, #0xdead
        (Imm::AddGroup(0), 0xe24f0008, 0xff00_0000, 0xe28f04ff),  // add r0, pc, #0xff000000
        (Imm::AddLastGroup(0), 0xe2810000, 0x3_fc00, 0xe2810bff), // add r0, r1, #0x3fc00
        (Imm::AddLastGroup(0), 0xe28f0000, -8, 0xe24f0008),       // sub r0, pc, #8
        (Imm::AddLastGroup(0), 0xe24f0008, 0, 0xe28f0000),        // add r0, pc, #0
        (Imm::Load12(0), 0xe51f0008, -0xfff, 0xe51f0fff),         // ldr r0, [pc, #-0xfff]
        (Imm::Load12(0), 0xe51f0008, 0xfff, 0xe59f0fff),          // ldr r0, [pc, #0xfff]
        (Imm::Load8(0), 0xe14f20d8, 0xff, 0xe1cf2fdf),            // ldrd r2, [pc, #0xff]
        (Imm::Load8(0), 0xe1df00b0, -0x12, 0xe15f01b2),           // ldrh r0, [pc, #-0x12]
        (Imm::Load8Words(0), 0xed1f0b02, 0x3fc, 0xed9f0bff),      // vldr d0, [pc, #0x3fc]
        (Imm::Load8Words(0), 0xed9f0a00, -8, 0xed1f0a02),         // vldr s0, [pc, #-8]
        (Imm::ThumbBranch, 0xf7ffbffe, 1, 0xf000b800),            // b.w .+4
        (Imm::ThumbBranch, 0xf7ffbffe, -3, 0xf7ffbffe),           // b.w .
        (Imm::ThumbBranch, 0xf7ffbffe, 0xffd, 0xf000bffe),        // b.w .+0x1000
        (Imm::ThumbBranch, 0xf7ffbffe, 0xff_ffff, 0xf3ff97ff),    // b.w .+4+0xfffffe
        (Imm::ThumbBranch, 0xf7ffbffe, -0xff_ffff, 0xf4009000),   // b.w .+4-0x1000000
        (Imm::ThumbBranch, 0xf7fffffe, 0x12_3453, 0xf123fa29),    // bl .+0x123456
        (Imm::ThumbBranch, 0xf7ffeffe, 0x12_3453, 0xf123fa29),    // bl .+0x123456, was blx
        (Imm::ThumbBranch, 0xf7fffffe, 0x208, 0xf000e904),        // blx .+0x20c, was bl, on a word
        (Imm::ThumbBranch, 0xf7ffeffe, 0x202, 0xf000e902),        // blx .+0x206, between words
        (Imm::ThumbBranch, 0xf7ffeffe, 0xff_fffc, 0xf3ffc7fe),    // blx .+4+0xfffffc
        (Imm::ThumbBranch20, 0xf47faffe, 0xf_ffff, 0xf07fafff),   // bne.w .+4+0xffffe
        (Imm::ThumbBranch20, 0xf47faffe, -0xf_ffff, 0xf4408000),  // bne.w .+4-0x100000
        (Imm::ThumbBranch20, 0xf43faffe, 0x1231, 0xf0018118),     // beq.w .+0x1234
        (Imm::ThumbBranch11, 0xe7fe, 0x7ff, 0xe3ff),              // b.n .+4+0x7fe
        (Imm::ThumbBranch11, 0xe7fe, -0x7ff, 0xe400),             // b.n .+4-0x800
        (Imm::ThumbBranch8, 0xd1fe, 0xff, 0xd17f),                // bne.n .+4+0xfe
        (Imm::ThumbBranch8, 0xd1fe, -0xff, 0xd180),               // bne.n .+4-0x100
        (Imm::ThumbBranch6, 0xb101, 0x7f, 0xb3f9),                // cbz r1, .+4+0x7e
        (Imm::ThumbBranch6, 0xbbfa, 1, 0xb902),                   // cbnz r2, .+4
        (Imm::ThumbLow16, 0xf2400900, 0xdead_beef, 0xf64b69ef),   // movw r9, #0xbeef
        (Imm::ThumbHigh16, 0xf2c00900, 0xdead_beef, 0xf6cd69ad),  // movt r9, #0xdead
        (Imm::ThumbAdr12, 0xf2af0004, 0xf00, 0xf60f7000),         // adr.w r0, .+4+0xf00
        (Imm::ThumbAdr12, 0xf20f0304, -0xf00, 0xf6af7300),        // adr.w r3, .+4-0xf00
        (Imm::ThumbLoad12, 0xf85f0004, 0xfff, 0xf8df0fff),        // ldr.w r0, [pc, #0xfff]
        (Imm::ThumbLoad12, 0xf8df0004, -0xfff, 0xf85f0fff),       // ldr.w r0, [pc, #-0xfff]
        (Imm::ThumbLoad12, 0xf99f0000, -4, 0xf91f0004),           // ldrsb.w r0, [pc, #-4]
        (Imm::ThumbLoad12Up, 0xf8d10000, 0xabc, 0xf8d10abc),      // ldr.w r0, [r1, #0xabc]
        (Imm::ThumbLoad8, 0x4800, 0x3fc, 0x48ff),                 // ldr r0, [pc, #0x3fc]
        (Imm::Data31, 0x8000_0000, 0x1234, 0x8000_1234),
        (Imm::Data31, 0x8000_0000, -4, 0xffff_fffc),
        (Imm::Data31, 0, -0x4000_0000, 0x4000_0000),
    ];
    for (imm, before, value, after) in rows {
        let code = |code| if imm.is_thumb() { thumb(code) } else { arm(code) };
        let made = stored(*imm, &code(*before), *value);
        assert_eq!(made, Some(code(*after)), "{imm:?}: {value:#x} in {before:08x}, expected {after:08x}");
    }
}

/// Addends as AAELF32 has them: *Examples of REL format initial addends*, and the three special cases after it.
#[test]
fn implicit_addends_are_read() {
    let rows: &[(Imm, Vec<u8>, i64)] = &[
        (Imm::AddGroup(0), arm(0xe24103ff), -0xfc00_0003),
        (Imm::AddGroup(0), arm(0xe2410fff), -1020), // sub r0, r1, #1020
        (Imm::Load12(2), arm(0xe59f0010), 16),      // ldr r0, [r2, #16]
        (Imm::ThumbBranch, thumb(0xf7fffffe), -4),  // bl .
        (Imm::ThumbBranch, thumb(0xf7ffeffe), -4),  // blx .
        (Imm::ThumbBranch, thumb(0xf7ffbffe), -4),  // b.w .
        (Imm::ThumbBranch, thumb(0xf3ff97ff), 0xff_fffe),
        (Imm::ThumbBranch, thumb(0xf4009000), -0x100_0000),
        (Imm::ThumbBranch20, thumb(0xf47faffe), -4), // bne.w .
        (Imm::ThumbBranch20, thumb(0xf07fafff), 0xf_fffe),
        (Imm::ThumbBranch11, thumb(0xe7fe), -4), // b.n .
        (Imm::ThumbBranch8, thumb(0xd1fe), -4),  // bne.n .
        (Imm::ThumbBranch6, thumb(0xb3f1), -4),  // cbz r1, with the offset 0x7c
        (Imm::ThumbBranch6, thumb(0xb101), 0),
        (Imm::ThumbLoad8, thumb(0x48ff), -4), // ldr r0, [pc, #0x3fc]
        (Imm::ThumbLoad8, thumb(0x4801), 4),
        (Imm::Branch, arm(0xebfffffe), -8), // bl .
        (Imm::Branch, arm(0xfbfffffe), -6), // blx .+2
        (Imm::Branch, arm(0x1a7fffff), 0x1ff_fffc),
        (Imm::Low16, arm(0xe30f0ff8), -8),         // movw r0, #0xfff8
        (Imm::High16, arm(0xe34f0ff8), -8),        // movt r0, #0xfff8
        (Imm::ThumbLow16, thumb(0xf64f70fc), -4),  // movw r0, #0xfffc
        (Imm::ThumbHigh16, thumb(0xf2c00004), 4),  // movt r0, #4
        (Imm::ThumbAdr12, thumb(0xf2af0004), -4),  // adr.w r0, .
        (Imm::ThumbLoad12, thumb(0xf85f0004), -4), // ldr.w r0, [pc, #-4]
        (Imm::ThumbLoad12Up, thumb(0xf8d10abc), 0xabc),
        (Imm::Load8(0), arm(0xe15f01b2), -0x12),   // ldrh r0, [pc, #-0x12]
        (Imm::Load8Words(0), arm(0xed1f0a02), -8), // vldr s0, [pc, #-8]
        (Imm::Data31, arm(0x7fff_fff0), -16),
        (Imm::Data31, arm(0x8000_0001), 1),
    ];
    for (imm, code, addend) in rows {
        assert_eq!(imm.load(code), Some(*addend), "{imm:?} in {code:02x?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows: &[(Imm, Vec<u8>, i64)] = &[
        // One beyond each end.
        (Imm::Branch, arm(0xebfffffe), 0x200_0000),
        (Imm::Branch, arm(0xebfffffe), -0x200_0004),
        (Imm::ThumbBranch, thumb(0xf7fffffe), 0x100_0001),
        (Imm::ThumbBranch, thumb(0xf7fffffe), -0x100_0001),
        (Imm::ThumbBranch20, thumb(0xf47faffe), 0x10_0001),
        (Imm::ThumbBranch20, thumb(0xf47faffe), -0x10_0001),
        (Imm::ThumbBranch11, thumb(0xe7fe), 0x801),
        (Imm::ThumbBranch11, thumb(0xe7fe), -0x801),
        (Imm::ThumbBranch8, thumb(0xd1fe), 0x101),
        (Imm::ThumbBranch8, thumb(0xd1fe), -0x101),
        (Imm::ThumbBranch6, thumb(0xb101), 0x81),
        (Imm::ThumbBranch6, thumb(0xb101), -1),
        (Imm::ThumbAdr12, thumb(0xf20f0000), 0x1000),
        (Imm::ThumbAdr12, thumb(0xf20f0000), -0x1000),
        (Imm::ThumbLoad12, thumb(0xf8df0000), 0x1000),
        (Imm::ThumbLoad12Up, thumb(0xf8d10000), -1),
        (Imm::ThumbLoad8, thumb(0x4800), 0x400),
        (Imm::Load12(0), arm(0xe59f0000), 0x1000),
        (Imm::Load8(0), arm(0xe1cf20d0), -0x100),
        (Imm::Load8Words(0), arm(0xed9f0b00), 0x400),
        (Imm::Data31, arm(0), 0x4000_0000),
        (Imm::Data31, arm(0), -0x4000_0001),
        // Not of the instruction's scale.
        (Imm::Branch, arm(0xebfffffe), 2),
        (Imm::Load8Words(0), arm(0xed9f0b00), 2),
        (Imm::ThumbLoad8, thumb(0x4800), 2),
        // In need of another group.
        (Imm::AddLastGroup(0), arm(0xe28f0000), 0x101),
        (Imm::AddLastGroup(1), arm(0xe28f0000), 0x0101_0101),
        (Imm::Load12(1), arm(0xe59f0000), 0xff_1000),
        // In the other state.
        (Imm::Branch, arm(0xeafffffe), 1),
        (Imm::Branch, arm(0x1bfffffe), 1),
        (Imm::ThumbBranch, thumb(0xf7ffbffe), 0),
        (Imm::ThumbBranch20, thumb(0xf47faffe), 0),
        (Imm::ThumbBranch11, thumb(0xe7fe), 0),
        (Imm::ThumbBranch8, thumb(0xd1fe), 0),
        (Imm::ThumbBranch6, thumb(0xb101), 0),
        // Rounding up to a word leads beyond the end.
        (Imm::ThumbBranch, thumb(0xf7ffeffe), 0xff_fffe),
    ];
    for (imm, code, value) in rows {
        assert_eq!(stored(*imm, code, *value), None, "{imm:?} took {value:#x} in {code:02x?}");
    }
}

/// Instructions that have something else where the field would be.
#[test]
fn other_instructions_are_refused() {
    let rows: &[(Imm, Vec<u8>)] = &[
        (Imm::Branch, arm(0xe1a00000)),          // nop
        (Imm::Low16, arm(0xe3a00000)),           // mov r0, #0
        (Imm::High16, arm(0xea000000)),          // b
        (Imm::AddGroup(0), arm(0xe2000000)),     // and r0, r0, #0
        (Imm::AddLastGroup(0), arm(0xe2a00000)), // adc r0, r0, #0
        (Imm::Load12(0), arm(0xe79f0001)),       // ldr r0, [pc, r1]
        (Imm::Load8(0), arm(0xe19f00b1)),        // ldrh r0, [pc, r1]
        (Imm::Load8(0), arm(0xe1500190)),        // a multiplication's place
        (Imm::Load8Words(0), arm(0xee000000)),   // cdp
        (Imm::ThumbBranch, thumb(0xf47faffe)),   // bne.w
        (Imm::ThumbBranch20, thumb(0xf3af8000)), // nop.w
        (Imm::ThumbBranch20, thumb(0xf7fffffe)), // bl
        (Imm::ThumbBranch11, thumb(0xdf00)),     // svc
        (Imm::ThumbBranch8, thumb(0xdf00)),      // svc
        (Imm::ThumbBranch8, thumb(0xde00)),      // udf
        (Imm::ThumbBranch6, thumb(0xb000)),      // add sp, #0
        (Imm::ThumbLow16, thumb(0xf04f0000)),    // mov.w r0, #0
        (Imm::ThumbHigh16, thumb(0xf7fffffe)),   // bl
        (Imm::ThumbAdr12, thumb(0xf2010000)),    // addw r0, r1, #0
        (Imm::ThumbLoad12, thumb(0xf7fffffe)),   // bl
        (Imm::ThumbLoad12Up, thumb(0xf8510c04)), // ldr r0, [r1, #-4]
        (Imm::ThumbLoad8, thumb(0xbf00)),        // nop
    ];
    for (imm, code) in rows {
        assert_eq!(stored(*imm, code, 1), None, "{imm:?} in {code:02x?}");
        assert_eq!(stored(*imm, code, 4), None, "{imm:?} in {code:02x?}");
        assert_eq!(imm.load(code), None, "{imm:?} in {code:02x?}");
        assert_eq!(stored(*imm, &code[..1], 4), None);
        assert_eq!(imm.load(&code[..1]), None);
    }
}

/// AAELF32, *Group relocations*: the groups of a value from its highest bit down, each of 8 bits at an even place.
#[test]
fn groups_follow_the_rule() {
    // The highest bit is 28, so the first group starts at 22; of what is left it is 21, so the second starts at 14.
    assert_eq!(taken(0x1234_5678, 0), (0x1200_0000, 0x34_5678));
    assert_eq!(taken(0x1234_5678, 1), (0x34_4000, 0x1678));
    assert_eq!(taken(0x1234_5678, 2), (0x1640, 0x38));
    assert_eq!(left(0x1234_5678, 0), Some(0x1234_5678));
    assert_eq!(left(0x1234_5678, 2), Some(0x1678));
    assert_eq!(taken(0, 0), (0, 0));
    assert_eq!(taken(0xffff_ffff, 0), (0xff00_0000, 0xff_ffff));
    // add r0, pc, #…; add r0, r0, #…; ldr r0, [r0, #0x678] reaches it.
    let part = |imm: Imm, code| imm.load(&stored(imm, &arm(code), 0x1234_4678).unwrap()).unwrap();
    let parts =
        [part(Imm::AddGroup(0), 0xe28f0008), part(Imm::AddGroup(1), 0xe2800008), part(Imm::Load12(2), 0xe5900000)];
    assert_eq!(parts, [0x1200_0000, 0x34_4000, 0x678]);
}

#[test]
fn states_of_branches_are_told() {
    let rows: &[(Imm, Vec<u8>, u64, bool)] = &[
        (Imm::Branch, arm(0xebfffffe), 0, true),           // bl
        (Imm::Branch, arm(0xfafffffe), 1, true),           // blx
        (Imm::Branch, arm(0x0bfffffe), 0, false),          // bleq
        (Imm::Branch, arm(0xeafffffe), 0, false),          // b
        (Imm::ThumbBranch, thumb(0xf7fffffe), 1, true),    // bl
        (Imm::ThumbBranch, thumb(0xf7ffeffe), 0, true),    // blx
        (Imm::ThumbBranch, thumb(0xf7ffbffe), 1, false),   // b.w
        (Imm::ThumbBranch20, thumb(0xf47faffe), 1, false), // bne.w
        (Imm::ThumbBranch11, thumb(0xe7fe), 1, false),     // b.n
    ];
    for (imm, code, state, changes) in rows {
        assert_eq!(imm.written_state(code), Some(*state), "{code:02x?}");
        assert_eq!(imm.changes_state(code), *changes, "{code:02x?}");
        assert!(imm.is_branch());
    }
}

/// Fields whose whole value comes back, each with an instruction that it is part of and the state its branch ends in.
const WHOLE: [(Imm, u32, Option<i64>); 20] = [
    (Imm::Data31, 0x8000_0000, None),
    (Imm::Branch, 0xebfffffe, Some(0)),
    (Imm::Branch, 0xebfffffe, Some(1)),
    (Imm::Branch, 0x1afffffe, Some(0)),
    (Imm::AddLastGroup(0), 0xe28f0000, None),
    (Imm::Load12(0), 0xe59f0000, None),
    (Imm::Load8(0), 0xe1cf20d0, None),
    (Imm::Load8Words(0), 0xed9f0b00, None),
    (Imm::ThumbBranch, 0xf7fffffe, Some(1)),
    (Imm::ThumbBranch, 0xf7fffffe, Some(0)),
    (Imm::ThumbBranch, 0xf7ffbffe, Some(1)),
    (Imm::ThumbBranch20, 0xf47faffe, Some(1)),
    (Imm::ThumbBranch11, 0xe7fe, Some(1)),
    (Imm::ThumbBranch8, 0xd1fe, Some(1)),
    (Imm::ThumbBranch6, 0xb101, Some(1)),
    (Imm::ThumbAdr12, 0xf20f0000, None),
    (Imm::ThumbLoad12, 0xf8df0000, None),
    (Imm::ThumbLoad12Up, 0xf8d10000, None),
    (Imm::ThumbLoad8, 0x4800, None),
    (Imm::Low16, 0xe3000000, None),
];

/// What [`Imm::load`] gives for a stored value: fields without a sign hold their last values as negative addends, and `blx`
/// counts in words.
fn expected(imm: Imm, value: i64, state: Option<i64>) -> i64 {
    let value = value & !state.unwrap_or(0);
    match imm {
        Imm::ThumbBranch6 if value == 0x7c || value == 0x7e => value - 0x80,
        Imm::ThumbLoad8 if value == 0x3fc => -4,
        Imm::ThumbBranch if state == Some(0) => (value + 2) & !3,
        _ => value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_stored_is_read(row in 0..WHOLE.len(), part in any::<i64>(), small in any::<bool>()) {
        let (imm, code, state) = WHOLE[row];
        let (min, max) = match imm {
            Imm::Low16 => (-0x8000, 0x7fff),
            _ => imm.range(),
        };
        let value = if small { part % 0x1000 } else { part };
        let value = min + (value - min).rem_euclid(max - min + 1);
        let value = if state.is_some() { value & !1 | state.unwrap() } else { value };
        let code = if imm.is_thumb() { thumb(code) } else { arm(code) };
        match stored(imm, &code, value) {
            Some(bytes) => {
                prop_assert_eq!(imm.load(&bytes), Some(expected(imm, value, state)));
                // Nothing but the field has changed: what was there can be put back.
                if !matches!(imm, Imm::Data31) && state != Some(0) {
                    let again = imm.load(&code).unwrap();
                    let again = if state.is_some() { again | 1 } else { again };
                    if imm.range().0 <= again && !(imm.changes_state(&code)) {
                        prop_assert_eq!(stored(imm, &bytes, again), Some(code));
                    }
                }
            }
            None => prop_assert!(
                value & 3 != 0 || matches!(imm, Imm::AddLastGroup(_)) || value == 0xff_fffe,
                "{:?} refused {:#x}", imm, value
            ),
        }
    }

    #[test]
    fn halves_make_a_word(value in any::<u32>()) {
        let half = |imm: Imm, code: Vec<u8>| {
            imm.load(&stored(imm, &code, i64::from(value)).unwrap()).unwrap() as u32 & 0xffff
        };
        prop_assert_eq!(half(Imm::Low16, arm(0xe3000000)) | half(Imm::High16, arm(0xe3400000)) << 16, value);
        prop_assert_eq!(half(Imm::ThumbLow16, thumb(0xf2400000)) | half(Imm::ThumbHigh16, thumb(0xf2c00000)) << 16, value);
    }

    #[test]
    fn groups_make_the_value(value in any::<i32>()) {
        let value = i64::from(value);
        let group = |number| {
            let imm = Imm::AddGroup(number);
            imm.load(&stored(imm, &arm(0xe28f0000), value).unwrap()).unwrap()
        };
        let last = value - group(0) - group(1) - group(2);
        // What three groups leave is in the low byte.
        prop_assert!(last.abs() <= 0xff);
        let imm = Imm::AddLastGroup(3);
        prop_assert_eq!(imm.load(&stored(imm, &arm(0xe28f0000), value).unwrap()).unwrap(), last);
        prop_assert_eq!(stored(Imm::AddLastGroup(2), &arm(0xe28f0000), value).is_some(), last == 0);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..6), value in any::<i64>(), row in 0..WHOLE.len()) {
        let imm = WHOLE[row].0;
        let _ = imm.load(&bytes);
        let _ = stored(imm, &bytes, value);
        let _ = stored(imm, &bytes, value >> 40);
    }
}
