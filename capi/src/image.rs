//! A linked image, and where its bytes go.

use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use linker::{Input, Inputs, Options, Report};
use self_cell::self_cell;

use crate::border::{self, Failure, Opaque, guarded, path, prepare, put, refused, shared};
use crate::error::{Errors, Problem, Status, Stored, Text, failure};
use crate::job::{self, Job, Made, Notify};

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

/// Links.
pub(crate) fn link(inputs: Vec<Input<'static>>, options: Options) -> Result<ImageState, Failure> {
    let inputs = Inputs::open(inputs, &options).map_err(|errors| failure(&errors))?;
    let linked = Linked::try_new(Owner { inputs, options }, |owner| linker::link(&owner.inputs, &owner.options));
    let linked = linked.map_err(|errors| failure(&errors))?;
    let warnings = linked.borrow_dependent().report().warnings.iter();
    let warnings = warnings.map(|warning| Stored::new(&**warning)).collect();
    Ok(ImageState { linked, warnings })
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
        unsafe {
            let path = self::path("path", path, path_size)?;
            put(crc32c, write_file(image, path)?);
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Has a thread do what `pkgld_image_write_file` does: returns at once, with a job for `pkgld_job_finish`. The path is copied.
///
/// # Safety
/// `image` and `path` are as for `pkgld_image_write_file`, and `image` is not freed before the job is finished; `notify` is
/// null, or a function that can be called with `context` from another thread until then; `job` and `errors` are null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_write_file_start(
    image: *const Image,
    path: *const c_char,
    path_size: usize,
    notify: Notify,
    context: *mut c_void,
    job: *mut *mut Job,
    errors: *mut *mut Errors,
) -> Status {
    let make = || {
        // SAFETY: the caller's promise.
        let path = unsafe {
            shared(image)?;
            self::path("path", path, path_size)?
        };
        // SAFETY: the caller's promise.
        Ok(move || unsafe { write_file(image, path) }.map(Made::Checksum))
    };
    // SAFETY: the caller's promise.
    unsafe { job::start(notify, context, job, errors, make) }
}

/// Writes the image to a file; returns its checksum.
///
/// # Safety
/// `image` is null, or a handle that is not freed meanwhile.
unsafe fn write_file(image: *const Image, path: PathBuf) -> Result<u32, Failure> {
    // SAFETY: the caller's promise.
    let image = unsafe { shared(image) }?.image();
    checksum(image.write_file(path))
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
        unsafe {
            let size = room_for(image, memory, capacity)?;
            put(crc32c, write_memory(image, memory, size)?);
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}

/// Has a thread do what `pkgld_image_write_memory` does: returns at once, with a job for `pkgld_job_finish`.
///
/// # Safety
/// `image` and `memory` are as for `pkgld_image_write_memory` until the job is finished; `notify` is null, or a function that
/// can be called with `context` from another thread until then; `job` and `errors` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_image_write_memory_start(
    image: *const Image,
    memory: *mut u8,
    capacity: usize,
    notify: Notify,
    context: *mut c_void,
    job: *mut *mut Job,
    errors: *mut *mut Errors,
) -> Status {
    let make = || {
        // SAFETY: the caller's promise.
        let size = unsafe { room_for(image, memory, capacity) }?;
        // SAFETY: the caller's promise, and there is room for so many bytes.
        Ok(move || unsafe { write_memory(image, memory, size) }.map(Made::Checksum))
    };
    // SAFETY: the caller's promise.
    unsafe { job::start(notify, context, job, errors, make) }
}

/// The image's size, for which there is room.
///
/// # Safety
/// `image` is null, or a handle that has not been freed.
unsafe fn room_for(image: *const Image, memory: *const u8, capacity: usize) -> Result<usize, Failure> {
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
    Ok(size)
}

/// Writes the image to memory; returns its checksum.
///
/// # Safety
/// `image` is null, or a handle that is not freed meanwhile; at `memory`, which is not null, its `size` bytes can be written,
/// and nobody else uses them meanwhile.
unsafe fn write_memory(image: *const Image, memory: *mut u8, size: usize) -> Result<u32, Failure> {
    // SAFETY: the caller's promise.
    let image = unsafe { shared(image) }?.image();
    // SAFETY: not null, and so many bytes are the caller's to write; an image is smaller than the address space. What they
    // hold is not read: every byte of an image is written.
    let memory = unsafe { std::slice::from_raw_parts_mut(memory, size) };
    checksum(image.write_into(memory))
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
