//! Writes the seeds of every fuzz target to `fuzz/corpus/TARGET/`, where `cargo fuzz run` takes them from.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in pkgld_fuzz::TARGETS {
        let directory = corpus.join(target.name);
        fs::create_dir_all(&directory)?;
        let seeds = (target.seeds)();
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("seed{index:03}")), seed)?;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    Ok(())
}
