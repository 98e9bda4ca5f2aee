//! Runs every fuzz target on its seeds and on a fixed sequence of damaged copies of them.
//!
//! What is tested is that each run ends, soon, without a panic. The sequence is the same on every machine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// No run may take longer than this; a good one takes milliseconds.
const SLOW: Duration = Duration::from_secs(20);
/// Damaged copies of each target's seeds, all together.
const RUNS: usize = 2_000;

/// Makes a test of each target.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<_> = pkgld_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    archive elf_object macho_object coff_object elf_library dylib stub dll import_library script definitions
    version_script symbol_list darwin_list inspect made_elf made_macho made_coff link_elf link_macho link_pe options_elf options_macho options_pe
    command_line command_line_darwin command_line_mingw
}

fn run(name: &str) {
    let target = pkgld_fuzz::target(name);
    let seeds = (target.seeds)();
    let outcomes: Vec<_> = seeds.iter().map(|seed| check(&target, seed, "a seed")).collect();
    let good = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(good > 0, "{name}: no seed is good: {outcomes:#?}");
    let mut good = 0;
    for round in 0..RUNS {
        let mut random = Random(0x5eed_0000 + round as u64);
        let index = random.below(seeds.len());
        let mut bytes = seeds[index].clone();
        let damages = 1 + random.below(4);
        for _ in 0..damages {
            damage(&mut bytes, &seeds[random.below(seeds.len())], &mut random);
        }
        good += usize::from(check(&target, &bytes, &format!("round {round}, from seed {index}")).is_ok());
    }
    // Damage that always or never shows would test little.
    assert!((RUNS / 200..RUNS).contains(&good), "{name}: {good} of {RUNS} damaged inputs are good");
}

fn check(target: &pkgld_fuzz::Target, bytes: &[u8], what: &str) -> pkgld_fuzz::Outcome {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.body)(bytes)));
    assert!(began.elapsed() < SLOW, "{}: {what}: took {:?}", target.name, began.elapsed());
    outcome.unwrap_or_else(|_| panic!("{}: {what}: panicked", target.name))
}

/// Damages `bytes` in one place. Half of the places lie in the first or last 4 KiB, where headers and tables are.
fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.next() as u8);
        return;
    }
    let size = bytes.len();
    let at = match random.below(4) {
        0 => random.below(size.min(4096)),
        1 => size - 1 - random.below(size.min(4096)),
        _ => random.below(size),
    };
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..(at + 1 + random.below(64)).min(size))),
        4 => {
            let from = random.below(other.len().max(1)).min(other.len());
            let part = &other[from..(from + 64).min(other.len())];
            let to = (at + part.len()).min(size);
            bytes.splice(at..to, part.iter().copied());
        }
        5 => {
            let part = bytes[at..(at + 64).min(size)].to_vec();
            bytes.splice(at..at, part);
        }
        // Numbers at the edges of what fields hold.
        choice => {
            const NUMBERS: [u64; 12] = [
                0,
                1,
                0x7f,
                0xff,
                0x7fff,
                0xffff,
                0x7fff_ffff,
                0xffff_ffff,
                0x7fff_ffff_ffff_ffff,
                u64::MAX,
                u64::MAX - 7,
                1 << 32,
            ];
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let width = if choice == 6 { 4 } else { 8 };
            let at = at / width * width;
            for (byte, new) in bytes[at..].iter_mut().zip(&number[..width]) {
                *byte = *new;
            }
        }
    }
}

/// The splitmix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
