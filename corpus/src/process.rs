//! What happens inside the process that runs an image: it is loaded as Julia loads it, checked, and its frames are
//! unwound.
//!
//! This is the program's part, not the library's, because it needs a dynamic linker and an unwinder: glibc and libgcc.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use pkgld_corpus::Manifest;
use pkgld_corpus::loader::{self, Image, Report};
use pkgld_corpus::stubs::Stubs;

/// Runs an image and says what was done, as [`pkgld_corpus::run::check`] wants it. The manifest is read from standard
/// input if its name is `-`.
///
/// # Errors
/// What is wrong with the image.
pub(crate) fn run(image: &str, expect: &str, stubs: &str) -> io::Result<()> {
    let manifest = if expect == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text.parse().map_err(|error| io::Error::other(format!("standard input: {error}")))?
    } else {
        Manifest::read(Path::new(expect))?
    };
    let report = check(Path::new(image), &manifest, &Stubs::at(Path::new(stubs))).map_err(io::Error::other)?;
    println!("{report}");
    Ok(())
}

fn check(image: &Path, manifest: &Manifest, stubs: &Stubs) -> Result<Report, String> {
    // The dynamic linker then knows the image's needed libraries by their sonames.
    let _libjulia = Library::open(&stubs.libjulia)?;
    let internal = Library::open(&stubs.libjulia_internal)?;
    let library = Library::open(image)?;
    let (of_image, of_runtime) = (|name: &str| library.look_up(name), |name: &str| internal.look_up(name));
    // SAFETY: the image was linked from the manifest's archive, as the caller says, and nobody else uses it.
    unsafe {
        let mut report = loader::check(manifest, &of_image, &of_runtime)?;
        let image = Image::load(manifest, manifest.targets - 1, &of_image, &of_runtime)?;
        unwind(manifest, &image, &of_runtime, &mut report)?;
        Ok(report)
    }
}

const RTLD_LAZY: c_int = 1;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn dladdr(address: *const c_void, info: *mut [usize; 4]) -> c_int;
}

/// A library that stays open until the process ends.
struct Library(*mut c_void);

impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: the stubs have no constructor but one that fills their tables; images have none.
        let library = unsafe { dlopen(name.as_ptr(), RTLD_LAZY) };
        if library.is_null() {
            // SAFETY: after a failure there is a message, valid until the next call.
            return Err(unsafe { CStr::from_ptr(dlerror()) }.to_string_lossy().into_owned());
        }
        Ok(Self(library))
    }

    fn look_up(&self, name: &str) -> Option<*const u8> {
        let name = CString::new(name).ok()?;
        // SAFETY: the library is open; the address is only taken.
        let address = unsafe { dlsym(self.0, name.as_ptr()) };
        (!address.is_null()).then_some(address.cast_const().cast())
    }
}

#[link(name = "gcc_s")]
unsafe extern "C" {
    fn _Unwind_Backtrace(trace: extern "C" fn(*mut c_void, *mut c_void) -> c_int, data: *mut c_void) -> c_int;
    #[cfg(not(target_arch = "arm"))]
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
    #[cfg(target_arch = "arm")]
    fn _Unwind_VRS_Get(context: *mut c_void, class: c_int, register: u32, kind: c_int, value: *mut usize) -> c_int;
}

/// The address at which a frame will go on.
#[cfg(not(target_arch = "arm"))]
unsafe fn instruction_pointer(context: *mut c_void) -> usize {
    // SAFETY: the caller passes what the unwinder gave it.
    unsafe { _Unwind_GetIP(context) }
}

/// The same from Arm's unwinder, whose `_Unwind_GetIP` is a macro: core register 15, without the bit of Thumb.
#[cfg(target_arch = "arm")]
unsafe fn instruction_pointer(context: *mut c_void) -> usize {
    let mut value = 0;
    // SAFETY: the caller passes what the unwinder gave it; class 0 is the core registers, kind 0 an unsigned word.
    unsafe { _Unwind_VRS_Get(context, 0, 15, 0, &raw mut value) };
    value & !1
}

/// The base address of the object that has `address`, or zero.
fn base(address: usize) -> usize {
    let mut info = [0; 4];
    // SAFETY: `Dl_info` is four words, of which the second is the base.
    if unsafe { dladdr(address as *const c_void, &raw mut info) } == 0 { 0 } else { info[1] }
}

/// Where the image is, for the hooks, which take no argument.
static IMAGE_BASE: AtomicUsize = AtomicUsize::new(0);

/// A hook that counts the frames of the image on the stack.
extern "C-unwind" fn count_frames() -> u64 {
    extern "C" fn frame(context: *mut c_void, data: *mut c_void) -> c_int {
        // SAFETY: called by the unwinder with what `count_frames` passed.
        unsafe {
            if base(instruction_pointer(context)) == IMAGE_BASE.load(Ordering::Relaxed) {
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

/// What [`throw`] throws.
#[derive(Debug, PartialEq)]
struct Thrown;

/// A hook that does not return: `_Unwind_RaiseException` takes the image's frames off the stack.
extern "C-unwind" fn throw() -> u64 {
    std::panic::resume_unwind(Box::new(Thrown))
}

type Hook = extern "C-unwind" fn() -> u64;

/// Walks the image's frames, then throws an exception through them, which is caught below.
unsafe fn unwind(
    manifest: &Manifest,
    image: &Image,
    runtime: loader::Lookup<'_>,
    report: &mut Report,
) -> Result<(), String> {
    let set = runtime("pkgld_set_backtrace_hook").ok_or("pkgld_set_backtrace_hook: not found")?;
    let calls = runtime("pkgld_stub_calls").ok_or("pkgld_stub_calls: not found")?.cast::<u64>();
    // SAFETY: the stub's function and counter of those names have that signature and type, and those of `unwind` lines the native one.
    unsafe {
        let set: extern "C" fn(Option<Hook>) = std::mem::transmute(set);
        for unwind in &manifest.unwind {
            let function = image.function(unwind.fvar);
            IMAGE_BASE.store(base(function as usize), Ordering::Relaxed);
            let function: extern "C-unwind" fn(u64) -> u64 = std::mem::transmute(function);
            set(Some(count_frames));
            let frames = function(unwind.arg);
            if frames != unwind.frames {
                return Err(format!("{frames} frames of the image on the stack, not {}", unwind.frames));
            }
            set(Some(throw));
            let before = *calls;
            match std::panic::catch_unwind(|| function(unwind.arg)) {
                Err(thrown) if thrown.downcast_ref() == Some(&Thrown) => {}
                other => return Err(format!("an exception thrown through the image became {other:?}")),
            }
            set(None);
            // The stub that calls the hook does not count itself.
            let cleanups = *calls - before;
            if cleanups != unwind.cleanups {
                return Err(format!("an exception ran {cleanups} cleanups of the image, not {}", unwind.cleanups));
            }
            report.frames += frames as usize;
        }
    }
    Ok(())
}
