//! Linking with rust-lld and running the result.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod count;

use std::ffi::c_void;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use pkgld_corpus::loader::{self, Image, Report};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{LINUX_X86_64, Target};
use pkgld_corpus::{Julia, Manifest};

/// A directory under `target` for what a test makes.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The LLD that comes with rustc.
pub(crate) fn rust_lld() -> PathBuf {
    let out = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = String::from_utf8(out.stdout).unwrap();
    let lld = Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    assert!(lld.is_file(), "{} is missing; it is part of rustup's toolchains", lld.display());
    lld
}

/// Links an archive as Julia does.
pub(crate) fn link(archive: &Path, julia: Julia, more: &[&str]) -> PathBuf {
    let (output, mut command) = link_command(archive, julia, more);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    output
}

/// The command that links an archive as Julia does, and its output.
pub(crate) fn link_command(archive: &Path, julia: Julia, more: &[&str]) -> (PathBuf, Command) {
    let name = archive.file_stem().unwrap().to_str().unwrap();
    let folder = archive.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let output = scratch("linked").join(format!("{folder}-{name}.so"));
    let mut command = Command::new(rust_lld());
    command.args(["-flavor", "gnu", "-shared", "-o"]).arg(&output);
    command.arg("--whole-archive").arg(archive).arg("--no-whole-archive");
    let target = Target::by_name(folder).unwrap_or(LINUX_X86_64);
    command.arg("-L").arg(Stubs::committed_for(target, julia).dir).args(["-ljulia", "-ljulia-internal"]).args(more);
    (output, command)
}

/// Loads an image with the stubs of its version and makes the manifest's calls, those that unwind too.
pub(crate) fn run(image: &Path, manifest: &Manifest) -> Result<Report, String> {
    // Two images of one version share their stubs, whose hook for backtraces there is one of.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut header = [0; 8];
    fs::File::open(image).unwrap().read_exact(&mut header).unwrap();
    // FreeBSD's images differ from Linux's, for the dynamic linker, in one byte.
    let image = if header[7] == 9 {
        let mut bytes = fs::read(image).unwrap();
        bytes[7] = 0;
        let patched = image.with_extension("linux.so");
        fs::write(&patched, bytes).unwrap();
        patched
    } else {
        image.to_owned()
    };
    let stubs = Stubs::committed(manifest.julia);
    // SAFETY: the stubs have no constructor but one that fills their tables; images have none.
    let [_libjulia, internal, image] = unsafe {
        [&stubs.libjulia, &stubs.libjulia_internal, &image]
            .map(|path| Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL).unwrap_or_else(|e| panic!("{e}")))
    };
    let look = |library: &Library, name: &str| {
        // SAFETY: the address is only taken.
        unsafe { library.get::<*const u8>(name.as_bytes()).ok().map(|symbol| symbol.as_raw_ptr().cast_const().cast()) }
    };
    let (image, runtime) = (|name: &str| look(&image, name), |name: &str| look(&internal, name));
    // SAFETY: the image was linked from the manifest's archive, and nobody else uses it.
    unsafe {
        let report = loader::check(manifest, &image, &runtime)?;
        unwind(manifest, &Image::load(manifest, manifest.targets - 1, &image, &runtime)?, &runtime)?;
        Ok(report)
    }
}

#[link(name = "gcc_s")]
unsafe extern "C" {
    fn _Unwind_Backtrace(trace: extern "C" fn(*mut c_void, *mut c_void) -> i32, data: *mut c_void) -> i32;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut [usize; 4]) -> i32;
}

/// The base address of the object that has `address`, or zero.
fn base(address: usize) -> usize {
    let mut info = [0; 4];
    // SAFETY: `Dl_info` is four words, of which the second is the base.
    if unsafe { dladdr(address as *const c_void, &raw mut info) } == 0 { 0 } else { info[1] }
}

/// Where the stack's frames are, for the hook, which takes no argument.
static IMAGE_BASE: Mutex<usize> = Mutex::new(0);

extern "C" fn count_frames() -> u64 {
    extern "C" fn frame(context: *mut c_void, data: *mut c_void) -> i32 {
        // SAFETY: called by the unwinder with what `count_frames` passed.
        unsafe {
            if base(_Unwind_GetIP(context)) == *IMAGE_BASE.lock().unwrap() {
                *data.cast::<u64>() += 1;
            }
        }
        0
    }
    let mut frames = 0u64;
    // SAFETY: the callback gets the address of `frames`, which outlives the call.
    unsafe { _Unwind_Backtrace(frame, (&raw mut frames).cast()) };
    frames
}

/// Unwinds through the image, if it has a header for `.eh_frame` to be found by.
unsafe fn unwind(manifest: &Manifest, image: &Image, runtime: loader::Lookup<'_>) -> Result<(), String> {
    let set = runtime("pkgld_set_backtrace_hook").ok_or("pkgld_set_backtrace_hook: not found")?;
    // SAFETY: the stub's function of that name has that signature.
    unsafe {
        let set: extern "C" fn(Option<extern "C" fn() -> u64>) = std::mem::transmute(set);
        for unwind in &manifest.unwind {
            *IMAGE_BASE.lock().unwrap() = base(image.function(unwind.fvar) as usize);
            set(Some(count_frames));
            let frames = image.call(unwind.fvar, unwind.arg);
            set(None);
            if frames != unwind.frames {
                return Err(format!("{frames} frames of the image on the stack, not {}", unwind.frames));
            }
        }
    }
    Ok(())
}
