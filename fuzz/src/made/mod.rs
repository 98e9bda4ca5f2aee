//! Objects made of arbitrary bytes: the shell is as a compiler's, what stands in it is anybody's.
//!
//! Damage to a file that a compiler wrote is mostly noticed in its headers. Here the bytes are read as a series of
//! choices instead ([`Choices`]): how many sections and symbols there are, what they are for, which numbers their records
//! have. Most choices are right, so that a link gets far; each number may be any.
//!
//! | module | what |
//! |---|---|
//! | [`elf`], [`macho`], [`coff`] | an object of that format |
//! | [`unwind`] | unwind records and compressed data, which all of them may have |
//! | [`tables`] | exports and resources that objects for Windows bring ready |
//! | [`options`] | what the link is asked to do |

pub(crate) mod coff;
pub(crate) mod elf;
pub(crate) mod macho;
pub(crate) mod options;
mod tables;
mod unwind;

/// A format, and objects of it made of the same choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Elf,
    MachO,
    Coff,
}

/// One to three objects for one CPU.
pub(crate) fn objects(format: Format, choices: &mut Choices<'_>) -> Vec<Vec<u8>> {
    let count = choices.pick(&[1, 1, 2, 3]);
    let cpu = choices.byte();
    let object = |_| match format {
        Format::Elf => elf::object(cpu, choices),
        Format::MachO => macho::object(cpu, choices),
        Format::Coff => coff::object(cpu, choices),
    };
    (0..count).map(object).collect()
}

/// Names of symbols: few, so that objects speak of each other's.
pub(crate) const NAMES: [&str; 20] = [
    "f",
    "g",
    "h",
    "data",
    "jl_system_image_data",
    "jl_system_image_size",
    "_jl_system_image_data",
    "malloc",
    "__imp_malloc",
    "",
    "__start_foo",
    "__stop_foo",
    "_end",
    "_GLOBAL_OFFSET_TABLE_",
    "__tls_get_addr",
    "_f",
    "__gxx_personality_v0",
    ".refptr.data",
    "__mh_dylib_header",
    "a_name_that_is_longer_than_eight_bytes",
];

/// A fuzzer's bytes as a series of choices. Beyond their end every byte is 0, which stands for what is usual.
#[derive(Debug)]
pub(crate) struct Choices<'d> {
    rest: &'d [u8],
}

impl<'d> Choices<'d> {
    pub(crate) fn new(bytes: &'d [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *byte
    }

    /// A number below `bound`, at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// True for one byte of 32.
    pub(crate) fn rarely(&mut self) -> bool {
        self.byte() >= 248
    }

    pub(crate) fn half(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// What is usual, or, for one byte of 64, any number: one at the edges of what fields hold, or one nearby. More, and hardly
    /// an object would come through.
    pub(crate) fn number(&mut self, usual: u64) -> u64 {
        if self.byte() < 252 {
            return usual;
        }
        match self.below(16) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::from(u32::MAX),
            3 => 1 << 31,
            4 => (1 << 31) - 1,
            5 => u64::MAX >> 1,
            6 => u64::from(u16::MAX),
            7 => usual.wrapping_add(1),
            8 => usual.wrapping_sub(1),
            9 => usual.wrapping_mul(2),
            10 => 1 << self.below(64),
            11 => u64::from(self.byte()),
            12 => u64::MAX - u64::from(self.byte()),
            13 => usual.wrapping_neg(),
            _ => self.word(),
        }
    }

    /// A few bytes: all alike, or any.
    pub(crate) fn bytes(&mut self, size: usize) -> Vec<u8> {
        if self.half() { (0..size).map(|_| self.byte()).collect() } else { vec![self.byte(); size] }
    }

    /// How many bytes a section has.
    pub(crate) fn size(&mut self) -> usize {
        match self.byte() {
            byte @ 0..=199 => usize::from(byte),
            // Beyond a page, and beyond the reach of small fields.
            200..=247 => 4096 + 16 * self.below(256),
            _ => 70_000,
        }
    }

    /// A name: one of few, one of any letters, or a long one.
    pub(crate) fn name(&mut self) -> String {
        match self.byte() {
            0..=239 => self.pick(&NAMES).to_owned(),
            240..=250 => {
                let size = self.below(12);
                self.bytes(size)
                    .into_iter()
                    .map(|byte| char::from(byte & 0x7f))
                    .filter(|letter| *letter != '\0')
                    .collect()
            }
            _ => "x".repeat(300 * self.below(256)),
        }
    }
}

/// A relocation that a section's contents want: where, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// 32 bits from the place.
    Relative32(u64),
    /// A pointer.
    Pointer(u64),
    /// 32 bits from the image's start.
    Image32(u64),
    /// The same, to something in the section itself.
    Own32(u64),
}

/// Bytes of a file in the making, little-endian.
#[derive(Debug, Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u64) {
        self.0.extend((value as u16).to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u64) {
        self.0.extend((value as u32).to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// 4 or 8 bytes.
    pub(crate) fn word(&mut self, value: u64, wide: bool) {
        if wide { self.u64(value) } else { self.u32(value) }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A name in a field of fixed size, cut if it is longer.
    pub(crate) fn name(&mut self, name: &str, size: usize) {
        let name = &name.as_bytes()[..name.len().min(size)];
        self.bytes(name);
        self.0.resize(self.0.len() + size - name.len(), 0);
    }

    /// Fills up to a multiple of `align` with a byte that no section has: it must not come out again.
    pub(crate) fn align(&mut self, align: usize) {
        self.0.resize(self.0.len().next_multiple_of(align), PADDING);
    }
}

/// What stands between the structures of an object.
const PADDING: u8 = 0xa7;
