//! Mach-O images from end to end.

use std::path::PathBuf;
use pkgld::{Input, Inputs, Options, Target};

#[test]
#[ignore = "scratch"]
fn scratch() {
    let arch = std::env::var("A").unwrap();
    let target = if arch == "arm64" { Target::MACOS_AARCH64 } else { Target::MACOS_X86_64 };
    let mut options = Options::julia(target);
    if let Ok(v) = std::env::var("V") {
        let v = v.parse::<u32>().unwrap() << 16;
        options.macho.platform_version = Some((v, v));
    }
    let inputs = std::env::var("I").unwrap();
    let inputs = inputs.split(':').map(|path| Input::path(path).whole_archive()).collect();
    let inputs = Inputs::open(inputs, &options).unwrap();
    let image = pkgld::link(&inputs, &options).unwrap_or_else(|e| panic!("{e}"));
    image.write_file(PathBuf::from(std::env::var("O").unwrap())).unwrap_or_else(|e| panic!("{e}"));
}
