//! A link as it is put together: inputs and options.

use std::ffi::{c_char, c_void};
use std::num::NonZeroUsize;

use linker::{Blob, BuildId, Input, Limits, Options, Strip, Target, Undefined};

use crate::border::{self, Failure, Opaque, bytes, exclusive, guarded, path, prepare, put, refused, shared, string};
use crate::error::{Errors, Status};
use crate::image::{self, Image, ImageState};
use crate::job::{self, Job, Made, Notify};

/// What the image is for is told by the first object.
pub const TARGET_OF_INPUTS: u32 = 0;
/// 64-bit x86 Linux.
pub const TARGET_LINUX_X86_64: u32 = 1;
/// 32-bit x86 Linux.
pub const TARGET_LINUX_X86: u32 = 2;
/// 64-bit Arm Linux.
pub const TARGET_LINUX_AARCH64: u32 = 3;
/// 32-bit Arm Linux.
pub const TARGET_LINUX_ARM: u32 = 4;
/// 64-bit RISC-V Linux.
pub const TARGET_LINUX_RISCV64: u32 = 5;
/// 64-bit little-endian POWER Linux.
pub const TARGET_LINUX_PPC64: u32 = 6;
/// 64-bit x86 FreeBSD.
pub const TARGET_FREEBSD_X86_64: u32 = 7;
/// 64-bit Arm FreeBSD.
pub const TARGET_FREEBSD_AARCH64: u32 = 8;
/// 64-bit Arm macOS.
pub const TARGET_MACOS_AARCH64: u32 = 9;
/// 64-bit x86 macOS.
pub const TARGET_MACOS_X86_64: u32 = 10;
/// 64-bit x86 Windows.
pub const TARGET_WINDOWS_X86_64: u32 = 11;
/// 32-bit x86 Windows.
pub const TARGET_WINDOWS_X86: u32 = 12;
/// 64-bit Arm Windows.
pub const TARGET_WINDOWS_AARCH64: u32 = 13;

/// Flag of an input: link every member, if it is an archive.
pub const WHOLE_ARCHIVE: u32 = 1;
/// Flag of an input: ask the loader for a shared library only if it defines something that is referenced.
pub const AS_NEEDED: u32 = 2;
/// Flag of a blob: nobody writes to the data.
pub const READ_ONLY: u32 = 4;

/// The most threads: small links use one. 0, as at first, for the number of processors that the process may use.
pub const OPTION_THREADS: u32 = 1;
/// Symbols that nothing defines: 0, as at first, leaves them to the loader, 1 also warns, 2 fails.
pub const OPTION_UNDEFINED: u32 = 2;
/// What to leave out: 0, as at first, nothing, 1 debug sections, 2 the symbol table too.
pub const OPTION_STRIP: u32 = 3;
/// 1, as at first for the Windows targets, lets the first of several definitions win, with a warning on Windows and macOS.
pub const OPTION_ALLOW_MULTIPLE_DEFINITION: u32 = 4;
/// 1 leaves out sections that nothing reachable refers to.
pub const OPTION_GC_SECTIONS: u32 = 5;
/// 1 reads inputs into memory instead of mapping them, so that who changes a file meanwhile cannot disturb the link.
pub const OPTION_READ_INPUTS: u32 = 6;
/// Bytes of an identity made of the contents in an ELF image: 0, as at first, none, 8, 16 or 20.
pub const OPTION_BUILD_ID: u32 = 7;
/// The largest image, in bytes of file and of address space each.
pub const OPTION_OUTPUT_SIZE_LIMIT: u32 = 8;
/// The oldest macOS that the image is for, as 16, 8 and 8 bits; it is also named as the SDK's. 0, as at first: what the objects
/// say.
pub const OPTION_MACOS_VERSION: u32 = 9;
/// 0, as at first for the Windows targets, has code refer to a DLL's data only through its imports; 1 also automatically, and as
/// if the data were the image's own, which MinGW's start code corrects.
pub const OPTION_AUTO_IMPORT: u32 = 10;
/// The largest number of symbols in all inputs together.
pub const OPTION_SYMBOL_LIMIT: u32 = 11;
/// The largest number of sections in all inputs together.
pub const OPTION_SECTION_LIMIT: u32 = 12;
/// The largest size of what compressed input sections hold, all together, in bytes.
pub const OPTION_DECOMPRESSED_SIZE_LIMIT: u32 = 13;
/// The largest number of times that a name is looked up in an archive or a library, all together.
pub const OPTION_LOOKUP_LIMIT: u32 = 14;
/// For tests of a library that has debug assertions: has running the link panic, as a defect would. Elsewhere it is no option.
const PANIC: u32 = u32::MAX;

/// Inputs and options, to be linked. To be used by one thread at a time.
#[derive(Debug)]
pub struct Link {
    _opaque: (),
}

/// What a [`Link`] holds.
#[derive(Clone)]
pub(crate) struct LinkState {
    /// What is in memory is borrowed from the caller, who keeps it for as long as this and its images live.
    inputs: Vec<Input<'static>>,
    options: Options,
    /// Only in tests.
    panics: bool,
}

impl LinkState {
    /// Links what it holds.
    #[expect(clippy::panic, reason = "to see that it is caught")]
    fn run(self) -> Result<ImageState, Failure> {
        if self.panics {
            panic!("as asked for");
        }
        image::link(self.inputs, self.options)
    }
}

impl Opaque for Link {
    type State = LinkState;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldLNK");
    const NAME: &'static str = "link";
}

fn target(number: u32) -> Result<Option<Target>, Failure> {
    Ok(Some(match number {
        TARGET_OF_INPUTS => return Ok(None),
        TARGET_LINUX_X86_64 => Target::LINUX_X86_64,
        TARGET_LINUX_X86 => Target::LINUX_X86,
        TARGET_LINUX_AARCH64 => Target::LINUX_AARCH64,
        TARGET_LINUX_ARM => Target::LINUX_ARM,
        TARGET_LINUX_RISCV64 => Target::LINUX_RISCV64,
        TARGET_LINUX_PPC64 => Target::LINUX_PPC64,
        TARGET_FREEBSD_X86_64 => Target::FREEBSD_X86_64,
        TARGET_FREEBSD_AARCH64 => Target::FREEBSD_AARCH64,
        TARGET_MACOS_AARCH64 => Target::MACOS_AARCH64,
        TARGET_MACOS_X86_64 => Target::MACOS_X86_64,
        TARGET_WINDOWS_X86_64 => Target::WINDOWS_X86_64,
        TARGET_WINDOWS_X86 => Target::WINDOWS_X86,
        TARGET_WINDOWS_AARCH64 => Target::WINDOWS_AARCH64,
        _ => return Err(refused(format!("target {number} is none"))),
    }))
}

/// Makes an empty link with the options that Julia has for a target (`PKGLD_TARGET_…`), or with the linker's own for
/// `PKGLD_TARGET_OF_INPUTS`, in `link`, which is null if that fails.
///
/// # Safety
/// `link` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_new(target: u32, link: *mut *mut Link, errors: *mut *mut Errors) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        unsafe { prepare("link", link, std::ptr::null_mut()) }?;
        let options = self::target(target)?.map_or_else(Options::default, Options::julia);
        // SAFETY: the caller's promise.
        unsafe { put(link, border::handle(LinkState { inputs: Vec::new(), options, panics: false })) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Frees a link, and sets the pointer to null. Null, and a pointer to null, are allowed. Images made of it stay.
///
/// # Safety
/// `link` is null, or points to null or a handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_free(link: *mut *mut Link) -> Status {
    // SAFETY: the caller's promise.
    unsafe { border::free(link) }
}

/// An input with the flags that say how it takes part.
fn flagged(mut input: Input<'static>, flags: u32) -> Result<Input<'static>, Failure> {
    if flags & !(WHOLE_ARCHIVE | AS_NEEDED) != 0 {
        return Err(refused(format!("flags 0x{flags:x}: such an input has only 1 (whole archive) and 2 (as needed)")));
    }
    if flags & WHOLE_ARCHIVE != 0 {
        input = input.whole_archive();
    }
    if flags & AS_NEEDED != 0 {
        input = input.as_needed();
    }
    Ok(input)
}

/// Adds a file: object, archive, shared library or linker script. It is opened when the link is run.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `path` has `path_size` bytes; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_add_path(
    link: *mut Link,
    path: *const c_char,
    path_size: usize,
    flags: u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (link, path) = unsafe { (exclusive(link)?, self::path("path", path, path_size)?) };
        link.inputs.push(flagged(Input::path(path), flags)?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Adds a library that is searched for by its name, as `-lNAME` is.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_add_library(
    link: *mut Link,
    name: *const c_char,
    name_size: usize,
    flags: u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (link, name) = unsafe { (exclusive(link)?, string("name", name, name_size)?) };
        if name.is_empty() {
            return Err(refused("name is empty"));
        }
        link.inputs.push(flagged(Input::library(name), flags)?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Adds an object, an archive or a shared library that is in memory, under a name for messages.
///
/// The bytes are not copied: they have to stay as they are until the link and all images made of it are freed.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `data` has `size` bytes, for as long as
/// is said above; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_add_bytes(
    link: *mut Link,
    name: *const c_char,
    name_size: usize,
    data: *const u8,
    size: usize,
    flags: u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise, which for the data holds longer than the input lives.
        let (link, name, data) =
            unsafe { (exclusive(link)?, string("name", name, name_size)?, bytes("data", data, size)?) };
        link.inputs.push(flagged(Input::bytes(name, data), flags)?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Adds bytes as data of the image, under an exported name as C has it; if `size_symbol_size` is not 0, with an exported
/// constant of this name, of a pointer's size, that says how many bytes there are. At least one byte.
///
/// `align` is a power of two, in bytes. The bytes are not copied: they have to stay as they are until the link and all images
/// made of it are freed. `flags` is 0 or `PKGLD_READ_ONLY`.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; the names have so many bytes; `data` has `size` bytes, for as long as
/// is said above; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_add_blob(
    link: *mut Link,
    name: *const c_char,
    name_size: usize,
    data: *const u8,
    size: usize,
    align: u64,
    size_symbol: *const c_char,
    size_symbol_size: usize,
    flags: u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise, which for the data holds longer than the input lives.
        let (link, name, data, size_symbol) = unsafe {
            let link = exclusive(link)?;
            let (name, data) = (string("name", name, name_size)?, bytes("data", data, size)?);
            (link, name, data, string("size_symbol", size_symbol, size_symbol_size)?)
        };
        if name.is_empty() || data.is_empty() {
            return Err(refused("a blob needs a name, and at least one byte"));
        }
        if !align.is_power_of_two() {
            return Err(refused(format!("align is {align}: a power of two is needed")));
        }
        let mut blob = Blob::new(name, data).align(align);
        if !size_symbol.is_empty() {
            blob = blob.size_symbol(size_symbol);
        }
        match flags {
            0 => {}
            READ_ONLY => blob = blob.read_only(),
            _ => return Err(refused(format!("flags 0x{flags:x}: a blob has only 4 (read-only)"))),
        }
        link.inputs.push(Input::blob(blob));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Adds a directory that is searched for libraries, after those added before.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `path` has `path_size` bytes; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_add_search_path(
    link: *mut Link,
    path: *const c_char,
    path_size: usize,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (link, path) = unsafe { (exclusive(link)?, self::path("path", path, path_size)?) };
        link.options.search_paths.push(path);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Sets the name by which loaders know the image: `DT_SONAME` in ELF images, the DLL's own name in PE images, the install name
/// in Mach-O images. Of no bytes: what the linker does by itself.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_set_name(
    link: *mut Link,
    name: *const c_char,
    name_size: usize,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (link, name) = unsafe { (exclusive(link)?, string("name", name, name_size)?) };
        let name = (!name.is_empty()).then_some(name);
        link.options.elf.soname = name.clone();
        link.options.pe.dll_name = name.clone();
        link.options.macho.install_name = name;
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Sets an option (`PKGLD_OPTION_…`) to a value, which that describes.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_set(link: *mut Link, option: u32, value: u64, errors: *mut *mut Errors) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let link = unsafe { exclusive(link) }?;
        if cfg!(debug_assertions) && option == PANIC {
            link.panics = true;
            return Ok(());
        }
        set(&mut link.options, option, value)
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Sets a limit by its name: `output_size`, `symbols`, `sections`, `decompressed_size`, `lookups` or `relocations`. A link that
/// would exceed it fails with `PKGLD_STATUS_LIMIT` and a message that has the name.
///
/// # Safety
/// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_set_limit(
    link: *mut Link,
    name: *const c_char,
    name_size: usize,
    value: u64,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (link, name) = unsafe { (exclusive(link)?, string("name", name, name_size)?) };
        match link.options.limits.set(&name, value) {
            true => Ok(()),
            false => Err(refused(format!("limit {name:?} is none of {}", Limits::NAMES.join(", ")))),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

fn set(options: &mut Options, option: u32, value: u64) -> Result<(), Failure> {
    let wrong = || refused(format!("option {option} cannot be {value}"));
    let switch = || match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(wrong()),
    };
    match option {
        OPTION_THREADS => options.threads = NonZeroUsize::new(usize::try_from(value).map_err(|_| wrong())?),
        OPTION_UNDEFINED => {
            let choices = [Undefined::Allow, Undefined::Warn, Undefined::Error];
            options.undefined = choice(choices, value).ok_or_else(wrong)?;
        }
        OPTION_STRIP => options.strip = choice([Strip::None, Strip::Debug, Strip::All], value).ok_or_else(wrong)?,
        OPTION_ALLOW_MULTIPLE_DEFINITION => options.allow_multiple_definition = switch()?,
        OPTION_GC_SECTIONS => options.gc_sections = switch()?,
        OPTION_READ_INPUTS => options.read_inputs = switch()?,
        OPTION_BUILD_ID => {
            options.elf.build_id = match value {
                0 => BuildId::None,
                8 => BuildId::Fast,
                16 => BuildId::Bytes16,
                20 => BuildId::Bytes20,
                _ => return Err(wrong()),
            }
        }
        OPTION_OUTPUT_SIZE_LIMIT => options.limits.output_size = value,
        OPTION_MACOS_VERSION => {
            let version = u32::try_from(value).map_err(|_| wrong())?;
            options.macho.platform_version = (version != 0).then_some((version, version));
        }
        OPTION_AUTO_IMPORT => {
            options.pe.auto_import = switch()?;
            options.pe.pseudo_relocs = options.pe.auto_import;
        }
        OPTION_SYMBOL_LIMIT => options.limits.symbols = value,
        OPTION_SECTION_LIMIT => options.limits.sections = value,
        OPTION_DECOMPRESSED_SIZE_LIMIT => options.limits.decompressed_size = value,
        OPTION_LOOKUP_LIMIT => options.limits.lookups = value,
        _ => return Err(refused(format!("option {option} is none"))),
    }
    Ok(())
}

fn choice<T: Copy>(choices: [T; 3], value: u64) -> Option<T> {
    choices.get(usize::try_from(value).ok()?).copied()
}

/// Links, into `image`, which is null if that fails. The link stays as it is, and may be changed and run again.
///
/// # Safety
/// `link` is null, or a handle that nobody changes now; what it was given in memory is still there; `image` and `errors` are
/// null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_run(link: *const Link, image: *mut *mut Image, errors: *mut *mut Errors) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        unsafe { prepare("image", image, std::ptr::null_mut()) }?;
        // SAFETY: the caller's promise.
        let link = unsafe { shared(link) }?;
        let made = border::handle(link.clone().run()?);
        // SAFETY: the caller's promise.
        unsafe { put(image, made) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Has a thread do what `pkgld_link_run` does: returns at once, with a job for `pkgld_job_finish`. The link is copied, and may
/// be changed or freed; what it was given in memory has to stay.
///
/// # Safety
/// `link` is as for `pkgld_link_run`; `notify` is null, or a function that can be called with `context` from another thread
/// until the job is finished; `job` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_link_run_start(
    link: *const Link,
    notify: Notify,
    context: *mut c_void,
    job: *mut *mut Job,
    errors: *mut *mut Errors,
) -> Status {
    let make = || {
        // SAFETY: the caller's promise.
        let link = unsafe { shared(link) }?.clone();
        Ok(move || Ok(Made::Image(Box::new(link.run()?))))
    };
    // SAFETY: the caller's promise.
    unsafe { job::start(notify, context, job, errors, make) }
}
