//! Evaluates the functions of a [`Program`]: what a correctly linked image returns.

use crate::mix::{
    PGCSTACK_WORD, WORLD_COUNTER, gvar_value, object_word, runtime_result, small_typeof_value, splitmix64,
};
use crate::names;
use crate::program::{FOREIGN, FnId, Kind, Op, Program};

/// What the clone of a function adds to each result, so that it differs from the original's.
pub(crate) const CLONE_MARK: u64 = 0x00c1_0e00_0000_0001;

/// What the loader stores into `jl_pgcstack_key_slot`.
pub(crate) const PGCSTACK_KEY: u64 = 0x6b65_795f_736c_6f74;

/// What the loader stores into `jl_tls_offset`.
pub(crate) const TLS_OFFSET: u64 = 0x746c_735f_6f66_6673;

/// What [`Op::SameAddress`] adds where the addresses are equal; its complement where not.
pub(crate) const SAME_ADDRESS: u64 = 0x5a3e_add2_e550_0001;

/// What [`Op::Catch`] adds to the value that was thrown.
pub(crate) const CAUGHT: u64 = 0x0000_ca06_4700_0000;

impl Program {
    /// The result of function `id` for `v` once the loader has chosen CPU target `target`.
    pub(crate) fn eval(&self, id: FnId, v: u64, target: u32) -> u64 {
        let function = &self.functions[id];
        let held = function.held.map_or(&[][..], |(table, count)| &self.consts[table].value[..count]);
        let v = function.ops.iter().fold(v, |v, op| {
            let v = self.step(op, v, target);
            held.iter().enumerate().fold(v, |v, (i, &word)| if i % 2 == 0 { v ^ word } else { v.wrapping_add(word) })
        });
        let v = match function.kind {
            Kind::Native => v,
            Kind::Boxed(native) => self.eval(native, v, target),
            // Without a hook the stub's backtrace is zero, and comes back unchanged.
            Kind::Descend(_) | Kind::Guarded(_) => 0,
            Kind::Plt(plt) => FOREIGN[self.plts[plt].value.1.foreign].1(v),
        };
        if function.cloned && target > 0 { v.wrapping_add(CLONE_MARK) } else { v }
    }

    fn step(&self, op: &Op, v: u64, target: u32) -> u64 {
        match *op {
            Op::Mix { xor, mul } => {
                let y = (v ^ xor).wrapping_mul(mul);
                y ^ (y >> 29)
            }
            Op::Gvar(gvar) => v.rotate_left(7) ^ gvar_value(gvar as u32) & self.word_mask,
            Op::Const(id) => {
                let table = &self.consts[id].value;
                v.wrapping_add(table[v as usize & (table.len() - 1)])
            }
            Op::Text(id) => {
                let bytes = self.texts[id].value.as_bytes();
                v.rotate_left(3).wrapping_add(u64::from(bytes[v as usize & text_mask(bytes.len())]))
            }
            Op::Object(object) => v ^ object_word(names::OBJECTS[object]),
            Op::World => v.wrapping_add(WORLD_COUNTER & self.word_mask),
            Op::BoxedByte => v ^ splitmix64(v & 255),
            Op::Pool { mul, add } => v ^ ((v & 0xffff) as f64 * mul + add) as i64 as u64,
            Op::Lanes(lanes) => v ^ v.wrapping_add(lanes[v as usize & 1]),
            Op::Switch { seed, cases } => {
                let case = v & (cases - 1);
                let k = splitmix64(seed.wrapping_add(case));
                if case.is_multiple_of(2) { v ^ k } else { v.wrapping_mul(k | 1) }
            }
            Op::Call(id) => v.wrapping_add(self.eval(id, v, target)),
            Op::CallBoxed(id) => v ^ self.eval(id, v, target),
            Op::CallSlot(id) => v.rotate_left(1) ^ self.eval(id, v, target),
            Op::CallPlt(plt) => FOREIGN[self.plts[plt].value.1.foreign].1(v),
            Op::Runtime(name) | Op::RuntimeByAddress(name) | Op::Package { runtime: name, .. } => {
                runtime_result(names::FUNCTIONS[name], v)
            }
            Op::Box => v.rotate_left(5),
            Op::Apply(object) => {
                let (tag, id) = self.objects[object].value;
                self.eval(id, v, target).wrapping_add(tag).wrapping_add(1)
            }
            Op::SameAddress(_) => v.wrapping_add(SAME_ADDRESS),
            Op::Copy(id) => {
                let mut table = self.consts[id].value.clone();
                table[v as usize & 63] = v;
                v ^ table[(v >> 6) as usize & 63]
            }
            Op::Fill => v ^ (v & 255).wrapping_mul(0x0101_0101_0101_0101),
            Op::Move(id) => {
                let mut table = self.consts[id].value.clone();
                table.copy_within(0..63, 1);
                v ^ table[v as usize & 63]
            }
            Op::Lazy(lazy) => FOREIGN[self.lazies[lazy].value.foreign].1(v),
            Op::Slot(_) => v.rotate_left(9),
            Op::Data(data) => v.wrapping_add(self.datas[data].value),
            Op::Narrow(datas) => {
                let [byte, half, word] = datas.map(|data| self.datas[data].value);
                [byte >> 8 & 0xff, half >> 16 & 0xffff, word >> 32]
                    .into_iter()
                    .fold(v, |v, number| v.rotate_left(11).wrapping_add(number))
            }
            Op::Half | Op::HalfFromDouble => v.wrapping_mul(3).wrapping_add(half_rounded(v & 4095)),
            Op::SmallTypeof(index) => v ^ small_typeof_value(index) & self.word_mask,
            Op::Pgcstack => [PGCSTACK_KEY, TLS_OFFSET]
                .into_iter()
                .fold(v ^ PGCSTACK_WORD, |v, word| v.wrapping_add(word & self.word_mask)),
            Op::Throw { .. } | Op::Cold { .. } => v,
            Op::Catch => v.wrapping_add(CAUGHT),
            Op::Raise => runtime_result("pkgld_raise", v),
        }
    }
}

/// The mask that keeps an index within a string of `len` bytes.
pub(crate) fn text_mask(len: usize) -> usize {
    (1 << len.ilog2()) - 1
}

/// An integer of at most 4095 after a trip through a half, whose significand has eleven bits: ties go to even.
fn half_rounded(m: u64) -> u64 {
    if m < 2048 {
        m
    } else {
        let half = m >> 1;
        (half + (m & 1 & half)) << 1
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn halves_round_to_even() {
        let rounded = [2047, 2048, 2049, 2050, 2051, 4095].map(super::half_rounded);
        assert_eq!(rounded, [2047, 2048, 2048, 2050, 2052, 4096]);
    }
}
