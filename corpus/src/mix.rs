//! The arithmetic that images, stubs and tests agree on.
//!
//! Whatever a loader or the runtime would put into an image has a value here that depends on nothing but a name or an
//! index, so that generator, stub libraries (in C) and tests compute it independently and must come to the same number.

/// The multiplier of the splitmix64 sequence, used wherever an odd 64-bit constant is wanted.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Finaliser of the splitmix64 generator: a bijection on 64-bit words.
pub fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bits, over the bytes of a name.
pub fn fnv1a(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What the stub of the runtime function `name` returns for `x`.
pub fn runtime_result(name: &str, x: u64) -> u64 {
    let y = (x ^ fnv1a(name.as_bytes())).wrapping_mul(GOLDEN);
    y ^ (y >> 32)
}

/// The first word of the object that the runtime's data symbol `name` points to.
pub fn object_word(name: &str) -> u64 {
    splitmix64(fnv1a(name.as_bytes()))
}

/// What a loader stores into global variable slot `index` of an image (a pointer, in Julia).
pub fn gvar_value(index: u32) -> u64 {
    splitmix64(0x6776_6172_0000_0000 | u64::from(index))
}

/// What a loader copies into word `index` of `jl_small_typeof`.
pub fn small_typeof_value(index: u32) -> u64 {
    splitmix64(0x736d_616c_0000_0000 | u64::from(index))
}

/// The word that the stub's `jl_get_pgcstack` returns a pointer to.
pub const PGCSTACK_WORD: u64 = 0x7067_6373_7461_636b;

/// The value of the stub's `jl_world_counter`.
pub const WORLD_COUNTER: u64 = 0x0000_776f_726c_64ff;

/// Word `index` (of eight bytes, little endian) of the heap image made from `seed`.
///
/// A last word that is cut short by the image's size holds the low bytes.
pub fn heap_word(seed: u64, index: u64) -> u64 {
    splitmix64(seed ^ index.wrapping_mul(GOLDEN))
}

/// A small deterministic generator: a counter through [`splitmix64`].
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose sequence depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self(splitmix64(seed))
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        splitmix64(self.0)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }
}
