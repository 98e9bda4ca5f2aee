//! The libraries that macOS images are linked to: text stubs (`.tbd`), and dylibs that define the same names.
//!
//! An image is linked to them only; a test runs it with the stub libraries of Linux, which its loader puts in their place.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;
use crate::julia::Julia;
use crate::names;
use crate::target::{Cpu, Target};

/// The directories of one version's libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacosStubs {
    /// With `libjulia.tbd` and `libjulia-internal.tbd`.
    pub dir: PathBuf,
    /// With `libjulia.dylib` and `libjulia-internal.dylib`, for the one version that has them committed (1.12).
    pub dylibs: PathBuf,
    /// With `libSystem.tbd`, as Julia 1.14 brings one, and `libclang_rt.osx.a`.
    pub system: PathBuf,
}

impl MacosStubs {
    /// The libraries under `dir`, which need not be there yet.
    pub fn at(dir: &Path, julia: Julia) -> Self {
        let of_julia = dir.join(julia.name());
        Self { dylibs: of_julia.join("dylibs"), dir: of_julia, system: dir.join("system") }
    }

    /// The committed libraries for images of `julia` on `target`.
    pub fn committed(target: Target, julia: Julia) -> Self {
        Self::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join(target.name).join("stubs"), julia)
    }
}

/// What libjulia-internal has beside the functions and objects of `names.inc`.
const INTERNAL: &[&str] = &[
    "ijl_apply_generic",
    "ijl_backtrace_from_here",
    "ijl_box_int64",
    "ijl_enter_handler",
    "ijl_load_and_lookup",
    "ijl_pop_handler",
    "ijl_throw",
    "ijl_unbox_int64",
    "jl_RTLD_DEFAULT_handle",
    "jl_boxed_int8_cache",
    "jl_boxed_uint8_cache",
    "jl_exe_handle",
    "jl_get_pgcstack",
    "jl_image_unpack_uncomp",
    "jl_image_unpack_zstd",
    "jl_libjulia_handle",
    "jl_libjulia_internal_handle",
    "jl_world_counter",
    "julia__gnu_f2h_ieee",
    "julia__gnu_h2f_ieee",
    "julia__truncdfbf2",
    "julia__truncdfhf2",
    "julia__truncsfbf2",
    "julia_double_to_half",
    "julia_float_to_half",
    "julia_half_to_float",
    "pkgld_set_backtrace_hook",
    "pkgld_stub_calls",
];

/// The exported names of a library, in C's spelling, sorted.
pub fn exports(library: &str) -> Vec<&'static str> {
    let mut all: Vec<&str> = match library {
        "libjulia" => names::PUBLIC.iter().chain(names::OBJECTS.iter()).copied().collect(),
        _ => names::INTERNAL.iter().chain(names::OBJECTS.iter()).chain(INTERNAL).copied().collect(),
    };
    all.sort_unstable();
    all
}

fn architecture(target: Target) -> &'static str {
    if target.cpu == Cpu::Aarch64 { "arm64" } else { "x86_64" }
}

/// A text stub of version 4: one library of `names`, in C's spelling.
fn text_stub(
    architecture: &str,
    install_name: &str,
    parent: Option<&str>,
    reexports: &[&str],
    names: &[&str],
) -> String {
    let target = format!("[ {architecture}-macos ]");
    let mut out = format!("--- !tapi-tbd\ntbd-version:     4\ntargets:         {target}\n");
    let _ = writeln!(out, "install-name:    '{install_name}'");
    if let Some(parent) = parent {
        let _ = writeln!(out, "parent-umbrella:\n  - targets:         {target}\n    umbrella:        {parent}");
    }
    if !reexports.is_empty() {
        let libraries: Vec<String> = reexports.iter().map(|name| format!("'{name}'")).collect();
        let libraries = libraries.join(", ");
        let _ =
            writeln!(out, "reexported-libraries:\n  - targets:         {target}\n    libraries:       [ {libraries} ]");
    }
    if !names.is_empty() {
        let symbols: Vec<String> = names.iter().map(|name| format!("_{name}")).collect();
        let _ = writeln!(out, "exports:\n  - targets:         {target}");
        // Lines of moderate length, as the tools of Apple write them.
        let lines: Vec<String> = symbols.chunks(4).map(|names| names.join(", ")).collect();
        let _ = writeln!(out, "    symbols:         [ {} ]", lines.join(",\n                       "));
    }
    out
}

/// Builds the text stubs of `target` for images of `julia` under `dir`. Needs nothing but Rust.
///
/// # Errors
/// A directory that cannot be written.
pub fn build(dir: &Path, target: Target, julia: Julia) -> io::Result<MacosStubs> {
    let stubs = MacosStubs::at(dir, julia);
    fs::create_dir_all(&stubs.dir)?;
    for library in ["libjulia", "libjulia-internal"] {
        let install_name = format!("@rpath/{library}.{julia}.dylib");
        let mut text = text_stub(architecture(target), &install_name, None, &[], &exports(library));
        text.push_str("...\n");
        fs::write(stubs.dir.join(format!("{library}.tbd")), text)?;
    }
    Ok(stubs)
}

/// Builds what Julia 1.14's command line has beside the two libraries: a text stub of libSystem that re-exports the
/// libraries which define its names, in one file, and the compiler's own library as an archive that is searched.
///
/// # Errors
/// As of [`generate`](crate::generate()).
pub fn build_system(dir: &Path, target: Target) -> io::Result<()> {
    let stubs = MacosStubs::at(dir, Julia::V1_14);
    fs::create_dir_all(&stubs.system)?;
    let architecture = architecture(target);
    let children = ["/usr/lib/system/libsystem_c.dylib", "/usr/lib/system/libsystem_platform.dylib"];
    let mut text = text_stub(
        architecture,
        "/usr/lib/libSystem.B.dylib",
        None,
        &children,
        &["libSystem_init_after_boot_tasks_4launchd"],
    );
    text.push_str(&text_stub(architecture, children[0], Some("System"), &[], &["exit", "fmod", "malloc"]));
    let platform = ["__bzero", "bzero", "memcmp", "memcpy", "memmove", "memset", "memset_pattern16"];
    text.push_str(&text_stub(architecture, children[1], Some("System"), &[], &platform));
    text.push_str("...\n");
    fs::write(stubs.system.join("libSystem.tbd"), text)?;

    let helper = |name: &str, body: &str| {
        format!("define hidden i128 @{name}(i128 %a, i128 %b) {{\n  %r = {body} i128 %a, %b\n  ret i128 %r\n}}\n")
    };
    // What they compute does not matter: that the right member comes in does.
    let members = [("udivti3.o", helper("__udivti3", "xor")), ("umodti3.o", helper("__umodti3", "or"))];
    let spec = crate::Spec::new(target, Julia::V1_14);
    let mut packed = Vec::new();
    for (name, assembly) in members {
        let assembly = format!("target triple = \"{}\"\n{assembly}", target.triple(Julia::V1_14));
        packed.push((name.to_owned(), crate::llc::compile(&spec, &stubs.system, name, &assembly)?));
    }
    crate::generate::pack_darwin(packed, &stubs.system.join("libclang_rt.osx.a"))
}

/// Builds dylibs that define what the text stubs list, with `llc-22` and the LLD at `lld`, for images of `julia`.
///
/// # Errors
/// As of [`generate`](crate::generate()), and a failing linker.
pub fn build_dylibs(dir: &Path, target: Target, julia: Julia, lld: &Path) -> io::Result<MacosStubs> {
    let stubs = MacosStubs::at(dir, julia);
    fs::create_dir_all(&stubs.dylibs)?;
    let spec = crate::Spec { llvm: 22, ..crate::Spec::new(target, julia) };
    for library in ["libjulia", "libjulia-internal"] {
        let mut assembly = format!("target triple = \"{}\"\n", target.triple(Julia::V1_14));
        for name in exports(library) {
            // As in the C stubs: variables are what has no code.
            let variable = names::OBJECTS.contains(&name) || name.ends_with("_handle") || name.ends_with("_cache");
            let definition = match (variable, name) {
                (true, _) => format!("@{name} = global ptr null\n"),
                (_, "jl_world_counter" | "pkgld_stub_calls") => format!("@{name} = global i64 0\n"),
                _ => format!("define i64 @{name}(i64 %x) {{\n  ret i64 %x\n}}\n"),
            };
            assembly.push_str(&definition);
        }
        let member = format!("{library}.o");
        let object = stubs.dylibs.join(&member);
        fs::write(&object, crate::llc::compile(&spec, &stubs.dylibs, &member, &assembly)?)?;
        let mut command = Command::new(lld);
        command.args([
            "-flavor",
            "darwin",
            "-arch",
            architecture(target),
            "-platform_version",
            "macos",
            "13.3.1",
            "13.3",
        ]);
        command.args(["-dylib", "-undefined", "dynamic_lookup", "-install_name"]);
        command.arg(format!("@rpath/{library}.{julia}.dylib"));
        command.args(["-current_version", "1.12.5", "-compatibility_version", "1.12.0", "-o"]);
        command.arg(stubs.dylibs.join(format!("{library}.dylib"))).arg(&object);
        run(command, "rust-lld", "a toolchain of rustup")?;
        fs::remove_file(&object)?;
    }
    Ok(stubs)
}
