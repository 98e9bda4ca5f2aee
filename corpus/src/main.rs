//! Makes archives on the command line.

fn main() {
    let julia = pkgld_corpus::Julia::by_name(&std::env::args().nth(1).unwrap()).unwrap();
    let spec = pkgld_corpus::Spec::new(pkgld_corpus::target::LINUX_X86_64, julia);
    println!("{:?}", pkgld_corpus::generate(&spec, "target/corpus".as_ref()));
    println!("{:?}", pkgld_corpus::stubs::build_stubs(&pkgld_corpus::stubs::Stubs::committed(julia).dir, julia, "cc"));
}
