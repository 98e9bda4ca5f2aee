//! Compares two shared libraries by meaning.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&args[1]).unwrap();
    let image = pkgld_differ::image::Image::parse(&bytes).unwrap();
    let files: Vec<_> = args[2..].iter().map(|a| (a.clone(), std::fs::read(a).unwrap())).collect();
    let files: Vec<_> = files.iter().map(|(a, b)| (a.clone(), &b[..])).collect();
    let inputs = pkgld_differ::inputs::Inputs::parse(&files, &[]).unwrap();
    let checked = pkgld_differ::check::check_against_inputs(&image, &inputs);
    for f in &checked.findings { println!("{f}"); }
    println!("{:?}", checked.counts);
}
