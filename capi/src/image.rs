//! A linked image, and where its bytes go.

use std::ffi::c_char;
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;

use linker::{Input, Inputs, Options, Report};
use self_cell::self_cell;

use crate::border::{self, Failure, Opaque, guarded, path, prepare, put, refused, shared};
use crate::error::{Errors, Problem, Status, Stored, Text, failure};

/// A linked image. Its bytes are made whenever they are asked for. Many threads may use it at a time.
#[derive(Debug)]
pub struct Image {
    _opaque: (),
}

/// Bytes that belong to the library.
#[derive(Debug)]
pub struct Buffer {
    _opaque: (),
}

/// What an image borrows.
struct Owner {
    inputs: Inputs<'static>,
    options: Options,
}

type Borrowing<'a> = linker::Image<'a>;

self_cell!(
    /// An image with what it borrows.
    struct Linked {
        owner: Owner,
        #[covariant]
        dependent: Borrowing,
    }
);

/// What an [`Image`] holds.
pub(crate) struct ImageState {
    linked: Linked,
    warnings: Vec<Stored>,
}

// A handle may be used by many threads.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<ImageState>();
};

impl Opaque for Image {
    type State = ImageState;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldIMG");
    const NAME: &'static str = "image";
}

impl Opaque for Buffer {
    type State = Vec<u8>;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldBUF");
    const NAME: &'static str = "buffer";
}

/// Links, into a new handle.
pub(crate) fn link(inputs: Vec<Input<'static>>, options: Options) -> Result<*mut Image, Failure> {
    let inputs = Inputs::open(inputs, &options).map_err(|errors| failure(&errors))?;
    let linked = Linked::try_new(Owner { inputs, options }, |owner| linker::link(&owner.inputs, &owner.options));
    let linked = linked.map_err(|errors| failure(&errors))?;
    let warnings = linked.borrow_dependent().report().warnings.iter();
    let warnings = warnings.map(|warning| Stored::new(&**warning)).collect();
    Ok(border::handle(ImageState { linked, warnings }))
}

impl ImageState {
    fn image(&self) -> &linker::Image<'_> {
        self.linked.borrow_dependent()
    }
}

/// The image's bytes came out: their checksum, or what went wrong.
fn checksum(outcome: linker::Result<Report>) -> Result<u32, Failure> {
    let report = outcome.map_err(|errors| failure(&errors))?;
    let none = || vec![Problem::new(Status::Internal, "internal error: no checksum".to_owned())];
    report.crc32c.ok_or_else(none)
}

/// The image's size in bytes; 0 if `image` is null or no such handle.
///
/// # Safety
/// `image` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_size(image: *const Image) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { shared(image) }.map_or(0, |image| image.image().size())
}

/// The number of warnings; 0 if `image` is null or no such handle.
///
/// # Safety
/// `image` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_warning_count(image: *const Image) -> usize {
    // SAFETY: the caller's promise.
    unsafe { shared(image) }.map_or(0, |image| image.warnings.len())
}

/// The warning with this number, from 0. It belongs to `image`; empty with a null pointer if there is none.
///
/// # Safety
/// `image` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_warning(image: *const Image, number: usize) -> Text {
    // SAFETY: the caller's promise.
    let image = unsafe { shared(image) }.ok();
    image.and_then(|image| image.warnings.get(number)).map_or(Text::NONE, Stored::text)
}

/// Writes the image to a file, which appears under its name complete or not at all, and puts its CRC-32C (Castagnoli) into
/// `crc32c`, unless that is null.
///
/// # Safety
/// `image` is null, or a handle that has not been freed; `path` has `path_size` bytes; `crc32c` and `errors` are null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_write_file(
    image: *const Image,
    path: *const c_char,
    path_size: usize,
    crc32c: *mut u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let (image, path) = unsafe { (shared(image)?, self::path("path", path, path_size)?) };
        let sum = checksum(image.image().write_file(path))?;
        // SAFETY: the caller's promise.
        unsafe { put(crc32c, sum) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Writes the image to an open file descriptor (on Windows a `HANDLE`), from where that stands, and leaves it open. What has
/// been written before a failure stays written.
///
/// # Safety
/// `image` is null, or a handle that has not been freed; `descriptor` is open for as long as this takes; `crc32c` and `errors`
/// are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_write_descriptor(
    image: *const Image,
    descriptor: isize,
    crc32c: *mut u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let image = unsafe { shared(image) }?;
        // SAFETY: it is open, and stays so.
        let mut file = ManuallyDrop::new(unsafe { file_of(descriptor) }?);
        let outcome = image.image().write_to(&mut *file);
        let outcome = outcome.and_then(|report| {
            let path = || format!("descriptor {descriptor}").into();
            file.flush().map_err(|source| linker::Error::Write { path: path(), source })?;
            Ok(report)
        });
        // SAFETY: the caller's promise.
        unsafe { put(crc32c, checksum(outcome)?) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// # Safety
/// It is open, and stays so; the result is not dropped.
#[cfg(unix)]
unsafe fn file_of(descriptor: isize) -> Result<File, Failure> {
    use std::os::fd::FromRawFd;
    let number = i32::try_from(descriptor).ok().filter(|number| *number >= 0);
    let number = number.ok_or_else(|| refused(format!("descriptor {descriptor} is none")))?;
    // SAFETY: the caller's promise.
    Ok(unsafe { File::from_raw_fd(number) })
}

/// # Safety
/// It is open, and stays so; the result is not dropped.
#[cfg(windows)]
unsafe fn file_of(descriptor: isize) -> Result<File, Failure> {
    use std::os::windows::io::FromRawHandle;
    if descriptor == 0 || descriptor == -1 {
        return Err(refused(format!("handle {descriptor} is none")));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { File::from_raw_handle(descriptor as *mut std::ffi::c_void) })
}

/// Writes the image to the start of the caller's memory, which has `capacity` bytes: at least `pkgld_image_size`, or nothing is
/// written. After another failure the contents are undefined.
///
/// # Safety
/// `image` is null, or a handle that has not been freed; so many bytes at `memory` can be written, and nobody else uses them
/// meanwhile; `crc32c` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_write_memory(
    image: *const Image,
    memory: *mut u8,
    capacity: usize,
    crc32c: *mut u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let image = unsafe { shared(image) }?.image();
        let size = usize::try_from(image.size()).ok().filter(|size| *size <= capacity);
        let Some(size) = size else {
            let what = format!("the image has {} bytes, the memory {capacity}", image.size());
            return Err(vec![Problem::new(Status::BufferTooSmall, what)]);
        };
        if memory.is_null() {
            return Err(refused("memory is null"));
        }
        // SAFETY: not null, and so many bytes are the caller's to write; an image is smaller than the address space. What
        // they hold is not read: every byte of an image is written.
        let memory = unsafe { std::slice::from_raw_parts_mut(memory, size) };
        let sum = checksum(image.write_into(memory))?;
        // SAFETY: the caller's promise.
        unsafe { put(crc32c, sum) };
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Makes the image in memory of the library, in `buffer`, which is null if that fails.
///
/// # Safety
/// `image` is null, or a handle that has not been freed; `buffer`, `crc32c` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_to_buffer(
    image: *const Image,
    buffer: *mut *mut Buffer,
    crc32c: *mut u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        let image = unsafe {
            prepare("buffer", buffer, std::ptr::null_mut())?;
            shared(image)?
        };
        let (bytes, report) = image.image().to_vec().map_err(|errors| failure(&errors))?;
        let sum = checksum(Ok(report))?;
        // SAFETY: the caller's promise.
        unsafe {
            put(crc32c, sum);
            put(buffer, border::handle(bytes));
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// The first of the buffer's bytes, which belong to it; null if `buffer` is null or no such handle.
///
/// # Safety
/// `buffer` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_buffer_data(buffer: *const Buffer) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { shared(buffer) }.map_or(std::ptr::null(), |bytes| bytes.as_ptr())
}

/// The number of the buffer's bytes; 0 if `buffer` is null or no such handle.
///
/// # Safety
/// `buffer` is null, or a handle that has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_buffer_size(buffer: *const Buffer) -> usize {
    // SAFETY: the caller's promise.
    unsafe { shared(buffer) }.map_or(0, Vec::len)
}

/// Frees a buffer, and sets the pointer to null. Null, and a pointer to null, are allowed.
///
/// # Safety
/// `buffer` is null, or points to null or a handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_buffer_free(buffer: *mut *mut Buffer) -> Status {
    // SAFETY: the caller's promise.
    unsafe { border::free(buffer) }
}

/// Frees an image, and sets the pointer to null. Null, and a pointer to null, are allowed.
///
/// # Safety
/// `image` is null, or points to null or a handle that is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_free(image: *mut *mut Image) -> Status {
    // SAFETY: the caller's promise.
    unsafe { border::free(image) }
}
