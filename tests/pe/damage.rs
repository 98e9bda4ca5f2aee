//! Whatever the bytes, a link returns.
//!
//! Fields of committed archives, DLLs and import libraries take extreme values, bytes change, files end early. A campaign:
//! `PKGLD_HOSTILE_CASES=20000 cargo test --profile hostile --test pe damage`.

use std::fs;
use std::path::Path;

use pkgld::{Input, Inputs, Options, Target};

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        // Headers are small and stand first; members' headers stand all over the place.
        let limit = if random.below(2) == 0 { bytes.len().min(600) } else { bytes.len() };
        let at = random.below(limit.max(1));
        let values = [0, 1, 2, 3, 5, 6, 0x7f, 0xff, 0x69, 0x80, 0x10];
        let width = [1, 2, 4][random.below(3)];
        let value = values[random.below(values.len())];
        if random.below(40) == 0 {
            bytes.truncate(at);
            break;
        }
        let end = (at + width).min(bytes.len());
        let alike = random.below(2) == 0;
        for (number, byte) in bytes[at..end].iter_mut().enumerate() {
            *byte = if alike || number == 0 { value } else { 0 };
        }
    }
    bytes
}

/// Links with one of three inputs damaged and others whole; returns whether an image came out.
fn attempt(target: Target, inputs: &[Vec<u8>; 3], others: &[Vec<u8>], which: usize, number: usize) -> bool {
    let mut random = Random((number as u64) << 8 | which as u64);
    let mut inputs = inputs.clone();
    inputs[which] = damage(&inputs[which], &mut random);
    let mut options = Options::julia(target);
    options.allow_multiple_definition = random.below(2) == 0;
    options.gc_sections = random.below(4) == 0;
    options.pe.build_id = random.below(2) == 0;
    let [archive, dll, imports] = &inputs;
    let mut inputs = vec![
        Input::bytes("a.a", archive).whole_archive(),
        Input::bytes("internal.dll", dll),
        Input::bytes("libjulia.dll.a", imports),
    ];
    inputs.extend(others.iter().map(|other| Input::bytes("other.a", other)));
    let Ok(inputs) = Inputs::open(inputs, &options) else { return false };
    let Ok(image) = pkgld::link(&inputs, &options) else { return false };
    image.to_vec().is_ok()
}

fn campaign(target: Target, folder: &str, archive: &str) {
    let cases = std::env::var("PKGLD_HOSTILE_CASES").map_or(150, |cases| cases.parse().unwrap());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let read = |path: &str| fs::read(folder.join(path)).unwrap();
    let internal = read("stubs/bin/libjulia-internal.dll");
    let others = ["libgcc", "libmsvcrt"].map(|name| read(&format!("stubs/mingw/{name}.a")));
    for form in ["lib", "lib-short"] {
        let inputs = [read(archive), internal.clone(), read(&format!("stubs/{form}/libjulia.dll.a"))];
        let mut images = 0;
        for which in 0..3 {
            images += (0..cases).filter(|number| attempt(target, &inputs, &others, which, *number)).count();
        }
        assert!(images > 0, "some damage harms nothing");
    }
}

#[test]
fn of_x86_64() {
    campaign(Target::WINDOWS_X86_64, "windows-x86_64", "julia-1.11-llvm16-auto.a");
}

#[test]
fn of_i686() {
    campaign(Target::WINDOWS_X86, "windows-i686", "julia-1.11-llvm16-g2.a");
}
