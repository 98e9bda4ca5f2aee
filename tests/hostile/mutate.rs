//! Damage, by number.

use super::anatomy::{Anatomy, Field, Role};

/// SplitMix64: the same numbers on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        // FNV-1a over the name, so that victims differ.
        let start = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(start ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True one time in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}

/// A damaged copy of `file`.
pub(crate) fn damage(file: &[u8], anatomy: &Anatomy, random: &mut Random) -> Vec<u8> {
    let mut bytes = file.to_vec();
    // Half of the damage is a single change: a second one often only hides what the first does.
    let times = if random.once_in(2) { 1 } else { 2 + random.below(4) };
    for _ in 0..times {
        match random.below(100) {
            0..66 => set(&mut bytes, anatomy, random),
            66..76 => exchange(&mut bytes, anatomy, random),
            76..82 => flip(&mut bytes, random),
            82..84 => scribble(&mut bytes, random),
            84..88 => fill(&mut bytes, anatomy, random),
            88..91 => splice(&mut bytes, random),
            91..95 if !anatomy.members.is_empty() => shuffle(&mut bytes, file, anatomy, random),
            _ => {
                truncate(&mut bytes, anatomy, random);
                break;
            }
        }
    }
    bytes
}

/// Gives a field another value.
fn set(bytes: &mut [u8], anatomy: &Anatomy, random: &mut Random) {
    // By role first: else nearly all changes would be in relocations.
    let mut of_role = random.pick(&anatomy.fields);
    if matches!(of_role.0, Role::FileHeader | Role::ArchiveHeader) && !random.once_in(4) {
        // Nearly every change there is noticed at once.
        of_role = random.pick(&anatomy.fields);
    }
    let (_, fields) = of_role;
    let field = *random.pick(fields);
    let other = *random.pick(fields);
    let Some(old) = read(bytes, field) else { return };
    let other = read(bytes, other).unwrap_or(0);
    let length = bytes.len() as u64;
    let value = match random.below(18) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => u64::MAX >> 1,
        4 => (u64::MAX >> 1) + 1,
        5 => u64::MAX - random.below(64) as u64,
        6 => old.wrapping_add(1),
        7 => old.wrapping_sub(1),
        8 => 1 << random.below(64),
        9 => (1 << random.below(64)) - 1,
        10 => old ^ 1 << random.below(8 * field.size.min(8)),
        11 => length,
        12 => length.wrapping_sub(random.below(128) as u64),
        13 => old.wrapping_mul(2),
        14 => (u64::MAX >> (64 - 8 * field.size.min(8) as u32)) - random.below(4) as u64,
        15 => random.below(256) as u64,
        16 => random.next(),
        _ => other,
    };
    write(bytes, field, value);
}

fn read(bytes: &[u8], field: Field) -> Option<u64> {
    let bytes = bytes.get(field.offset..field.offset + field.size)?;
    if field.role == Role::ArchiveHeader {
        return Some(std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0));
    }
    Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
}

fn write(bytes: &mut [u8], field: Field, value: u64) {
    let Some(place) = bytes.get_mut(field.offset..field.offset + field.size) else { return };
    if field.role == Role::ArchiveHeader {
        let text = format!("{value:<size$}", size = field.size);
        place.copy_from_slice(&text.as_bytes()[..field.size]);
        return;
    }
    let value = value.to_le_bytes();
    let size = place.len().min(8);
    place[..size].copy_from_slice(&value[..size]);
}

/// Exchanges two records of a table, or puts one in another's place.
fn exchange(bytes: &mut [u8], anatomy: &Anatomy, random: &mut Random) {
    let (range, size) = random.pick(&anatomy.tables);
    let count = range.len() / size;
    let (first, second) = (random.below(count), if random.once_in(2) { random.below(count) } else { 1 });
    let (first, second) = (range.start + first * size, range.start + second * size);
    if first.max(second) + size > bytes.len() || first.abs_diff(second) < *size {
        return;
    }
    let copy = bytes[first..first + size].to_vec();
    if random.once_in(2) {
        bytes.copy_within(second..second + size, first);
    }
    bytes[second..second + size].copy_from_slice(&copy);
}

/// Flips a bit anywhere.
fn flip(bytes: &mut [u8], random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    bytes[at] ^= 1 << random.below(8);
}

/// Writes a few random bytes anywhere.
fn scribble(bytes: &mut [u8], random: &mut Random) {
    let size = (2 + random.below(15)).min(bytes.len());
    let at = random.below(bytes.len() - size + 1);
    bytes[at..at + size].fill_with(|| random.next() as u8);
}

/// Writes a part of another file over a part of this one.
pub(crate) fn graft(bytes: &mut [u8], other: &[u8], random: &mut Random) {
    let size = (1 + random.below(4096)).min(bytes.len()).min(other.len());
    let (from, to) = (random.below(other.len() - size + 1), random.below(bytes.len() - size + 1));
    bytes[to..to + size].copy_from_slice(&other[from..from + size]);
}

/// Makes a stretch of a table all zeros, all ones or all alike.
fn fill(bytes: &mut [u8], anatomy: &Anatomy, random: &mut Random) {
    let (range, size) = random.pick(&anatomy.tables);
    let start = range.start + random.below(range.len());
    let end = (start + 1 + random.below(8 * size)).min(range.end).min(bytes.len());
    let byte = *random.pick(&[0, 0xff, 0x80, 1, b'A']);
    if let Some(stretch) = bytes.get_mut(start..end) {
        stretch.fill(byte);
    }
}

/// Copies a stretch of the file to another place.
fn splice(bytes: &mut [u8], random: &mut Random) {
    let size = (1 + random.below(256)).min(bytes.len());
    let (from, to) = (random.below(bytes.len() - size + 1), random.below(bytes.len() - size + 1));
    bytes.copy_within(from..from + size, to);
}

/// Makes an archive of the same members in another order, with some twice and some gone.
fn shuffle(bytes: &mut Vec<u8>, file: &[u8], anatomy: &Anatomy, random: &mut Random) {
    let source = if bytes.len() == file.len() { std::mem::take(bytes) } else { file.to_vec() };
    *bytes = source[..8].to_vec();
    for _ in 0..1 + random.below(2 * anatomy.members.len()) {
        let member = random.pick(&anatomy.members).clone();
        bytes.extend_from_slice(&source[member]);
    }
}

/// Cuts the file at or beside the bound of a structure.
fn truncate(bytes: &mut Vec<u8>, anatomy: &Anatomy, random: &mut Random) {
    let bound = *random.pick(&anatomy.bounds);
    let at = match random.below(4) {
        0 => bound.saturating_sub(1),
        1 => bound + 1,
        2 => bound.saturating_sub(random.below(64)),
        _ => bound,
    };
    bytes.truncate(at);
}
