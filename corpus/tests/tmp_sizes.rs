#![allow(clippy::unwrap_used)]
mod common;
use common::{link, run};
use pkgld_corpus::Manifest;
#[test]
fn sizes() {
    for name in std::env::var("SIZES").unwrap().split(' ') {
        let t = std::time::Instant::now();
        let made = pkgld_corpus::presets::cached(name, "../target/corpus".as_ref()).unwrap();
        let made_in = t.elapsed();
        let m = Manifest::read(&made.expect).unwrap();
        let image = link(&made.archive, m.julia, &["--eh-frame-hdr"]);
        println!("{name} made in {made_in:?}: {:?}", run(&image, &m));
        std::fs::remove_file(image).unwrap();
    }
}
