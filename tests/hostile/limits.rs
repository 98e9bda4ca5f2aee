//! Each limit holds to the last unit, in every format, and its error says how to raise it.

use pkgld::{Error, Input, Inputs, Limits, Options};
use pkgld_corpus::Entry;

use super::victims::{dlls, one_of_each, read};

/// Links an archive with one limit set; what exceeds it otherwise.
fn excess(entry: &Entry, name: &str, limit: u64) -> Option<(u64, String)> {
    let mut options = Options::default();
    // Members come when they are asked for, so that there is something to look up.
    options.required_symbols = vec!["jl_image_pointers".to_owned(), "_jl_image_pointers".to_owned()];
    assert!(options.limits.set(name, limit));
    let archive = read(&entry.path);
    let beside = dlls(entry);
    let mut inputs = vec![Input::bytes("archive", &archive)];
    inputs.extend(beside.iter().map(|(name, bytes)| Input::bytes(name.clone(), bytes)));
    let link = || {
        let inputs = Inputs::open(inputs, &options)?;
        pkgld::link(&inputs, &options)?.to_vec()
    };
    let errors = link().err()?;
    let [Error::Limit { name: exceeded, wanted, limit: said, .. }] = errors.problems() else { panic!("{errors}") };
    assert_eq!((*exceeded, *said), (name, limit), "{errors}");
    Some((*wanted, errors.to_string()))
}

#[test]
fn every_limit_holds_to_the_last_unit() {
    for entry in one_of_each() {
        // Of compressed sections the archives have none; `tests/compressed.rs` has the test.
        for name in Limits::NAMES.into_iter().filter(|name| *name != "decompressed_size") {
            let what = format!("{name}, {}", entry.target.name);
            let (mut limit, mut said) = (0, String::new());
            for _ in 0..1000 {
                match excess(&entry, name, limit) {
                    Some((wanted, text)) => (limit, said) = (wanted.max(limit + 1), text),
                    None => break,
                }
            }
            assert!(limit > 1 && excess(&entry, name, limit).is_none(), "{what}: no image at {limit}");
            assert!(excess(&entry, name, limit - 1).is_some(), "{what}: an image at {}", limit - 1);
            assert!(said.contains(&format!("--limit={name}=N, in the library Limits::{name}")), "{what}: {said}");
        }
    }
}

#[test]
fn the_defaults_fit_real_images() {
    let limits = Limits::default();
    assert!(limits.output_size >= 16 << 30 && limits.symbols >= 100_000_000 && limits.relocations >= 1_000_000_000);
    assert!(!Limits::default().set("nothing", 1));
}
