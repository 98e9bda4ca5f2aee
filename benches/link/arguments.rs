//! The command line.

use std::path::PathBuf;

use pkgld_corpus::presets;

use crate::Result;
use crate::shapes::{PLATFORMS, SIZES};

pub(crate) const HELP: &str = "\
Measures pkgld against other linkers and cp.

  cargo bench --bench link -- [OPTION]...

  --summary            the README's figures: small, medium, large, 16m, 71m, 156m and 217m for ELF, PE and Mach-O, 1g and 2500m for
                       ELF, 11 runs of each
  --leave-out NAME,... archives not to link all the same
  --archives NAME,...  what to link (default 3m,16m,71m,156m,1g); `cargo run -p pkgld-corpus -- list` tells the names
  --runs N             counted runs of each linker (default 15; 9 from 32 MB, 5 from 512 MB)
  --also PROGRAM       another build of pkgld's program, to be measured beside this one; it has to write the same bytes
  --dir DIRECTORY      where images are written (default target/bench); the table names its file system
  --results DIRECTORY  where --summary leaves figures.md, summary.md and summary.svg (default target/bench)
  --help               this text
";

pub(crate) struct Arguments {
    pub(crate) archives: Vec<String>,
    pub(crate) runs: Option<usize>,
    pub(crate) also: Option<PathBuf>,
    pub(crate) directory: PathBuf,
    pub(crate) results: PathBuf,
    pub(crate) summary: bool,
    pub(crate) help: bool,
}

impl Arguments {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut parsed = Self {
            archives: names("3m,16m,71m,156m,1g"),
            runs: None,
            also: None,
            directory: PathBuf::from("target/bench"),
            results: PathBuf::from("target/bench"),
            summary: false,
            help: false,
        };
        let mut left_out = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--archives" => parsed.archives = names(&value()?),
                "--runs" => {
                    let runs: usize = value()?.parse().map_err(|error| format!("--runs: {error}"))?;
                    parsed.runs = Some(runs.max(1));
                }
                "--also" => parsed.also = Some(PathBuf::from(value()?)),
                "--dir" => parsed.directory = PathBuf::from(value()?),
                "--results" => parsed.results = PathBuf::from(value()?),
                "--summary" => {
                    parsed.summary = true;
                    parsed.runs = parsed.runs.or(Some(11));
                    let of_size = |size: &str| PLATFORMS.map(|platform| format!("{size}{}", platform.suffix()));
                    let all = SIZES.iter().flat_map(|size| of_size(size.preset));
                    parsed.archives = all.filter(|name| presets::preset(name).is_some()).collect();
                }
                "--leave-out" => left_out = names(&value()?),
                "--help" => parsed.help = true,
                // Cargo adds it.
                "--bench" => {}
                other => return Err(format!("unknown argument {other}\n\n{HELP}").into()),
            }
        }
        parsed.archives.retain(|name| !left_out.contains(name));
        Ok(parsed)
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}
