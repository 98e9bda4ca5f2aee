//! Work that a thread of the library does while its caller does something else.
//!
//! Functions whose names end in `_start` return at once. Programs with an event loop give a function that wakes it, such as
//! libuv's `uv_async_send`; others ask, or wait in [`pkgld_job_finish`].

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use crate::border::{self, Failure, Opaque, exclusive, guarded, panicked, prepare, put, refused, shared};
use crate::error::{Errors, Problem, Status};
use crate::image::{Image, ImageState};
use crate::program::{Output, OutputState};

/// Work that a thread of the library does. To be used by one thread at a time.
#[derive(Debug)]
pub struct Job {
    _opaque: (),
}

/// What a [`Job`] holds.
pub(crate) struct JobState {
    /// Until it has been waited for.
    thread: Option<JoinHandle<Outcome>>,
    /// The work has been done: before its end is told, so that who is told and asks hears the same.
    done: Arc<AtomicBool>,
}

/// What a job makes.
pub(crate) enum Made {
    /// By linking.
    Image(Box<ImageState>),
    /// By running the program.
    Output(Box<OutputState>),
    /// By writing an image.
    Checksum(u32),
}

/// How a job ends.
pub(crate) type Outcome = Result<Made, Failure>;

impl Opaque for Job {
    type State = JobState;
    const MAGIC: u64 = u64::from_le_bytes(*b"pkgldJOB");
    const NAME: &'static str = "job";
}

/// A function that is told that a job is done, on the job's thread, once and when the job's handle is in its place; what it
/// returns means nothing. It must not wait for the job.
pub type Notify = Option<unsafe extern "C" fn(context: *mut c_void) -> i32>;

/// Work on its way to its thread, with whom to tell of its end.
struct Carried<W> {
    work: W,
    done: Arc<AtomicBool>,
    /// Whose other end goes away when the handle is where the caller wants it.
    handed_out: Receiver<()>,
    notify: Notify,
    context: *mut c_void,
}

// SAFETY: the pointers in it are the caller's, who has promised that they can be used on another thread until the job is
// finished.
unsafe impl<W> Send for Carried<W> {}

impl<W: FnOnce() -> Outcome> Carried<W> {
    fn run(self) -> Outcome {
        let Self { work, done, handed_out, notify, context } = self;
        // A panic can leave nothing half done that anybody sees, as in `guarded`.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        done.store(true, Ordering::Release);
        // Nobody is told of a job whose handle nobody has yet. The other end only goes away.
        let _ = handed_out.recv();
        if let Some(notify) = notify {
            // SAFETY: the caller has given it to be called so.
            unsafe { notify(context) };
        }
        outcome.unwrap_or_else(|payload| Err(vec![panicked(&*payload)]))
    }
}

/// Has a thread do the work that `make` returns, as a new job. What `make` finds wrong is found wrong at once.
///
/// # Safety
/// `job` and `errors` are null or can be written; what the work uses can be used on another thread until the job is finished,
/// and so can `notify` with `context`.
pub(crate) unsafe fn start<W: FnOnce() -> Outcome + 'static>(
    notify: Notify,
    context: *mut c_void,
    job: *mut *mut Job,
    errors: *mut *mut Errors,
    make: impl FnOnce() -> Result<W, Failure>,
) -> Status {
    let begin = || {
        // SAFETY: the caller's promise.
        unsafe { prepare("job", job, std::ptr::null_mut()) }?;
        let done = Arc::new(AtomicBool::new(false));
        let (hands_out, handed_out) = mpsc::channel();
        let carried = Carried { work: make()?, done: Arc::clone(&done), handed_out, notify, context };
        let thread = thread::Builder::new().name("pkgld".to_owned()).spawn(move || carried.run());
        let failed = |error| vec![Problem::new(Status::Limit, format!("no thread for the job: {error}"))];
        let thread = Some(thread.map_err(failed)?);
        // SAFETY: the caller's promise.
        unsafe { put(job, border::handle(JobState { thread, done })) };
        drop::<mpsc::Sender<()>>(hands_out);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, begin) }
}

/// Whether the job is done, so that `pkgld_job_finish` will wait for no more than the return of the function that is told
/// of it; false if `job` is null or no such handle.
///
/// # Safety
/// `job` is null, or a handle that has not been finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_job_is_done(job: *const Job) -> bool {
    // SAFETY: the caller's promise.
    let job = unsafe { shared(job) };
    job.is_ok_and(|job| job.done.load(Ordering::Acquire))
}

/// Waits for the job, says how it went, as the function of the same name without `_start` would have, and frees it: sets the
/// pointer to null. Every job is to be finished.
///
/// What it made is put into the place for it: a linked image into `image`, what the program said into `output`, the CRC-32C
/// (Castagnoli) of a written image into `crc32c`. The other places for handles become null. What has no place is freed.
///
/// # Safety
/// `job` is null, or points to null or a handle that nobody else uses; the others are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkgld_job_finish(
    job: *mut *mut Job,
    image: *mut *mut Image,
    output: *mut *mut Output,
    crc32c: *mut u32,
    errors: *mut *mut Errors,
) -> Status {
    let work = || {
        // SAFETY: the caller's promise.
        unsafe {
            put(image, std::ptr::null_mut());
            put(output, std::ptr::null_mut());
        }
        if job.is_null() {
            return Err(refused("job is null: there is no handle to finish"));
        }
        // SAFETY: the caller's promise.
        let state = unsafe { exclusive(job.read()) }?;
        let outcome = state.thread.take().map(JoinHandle::join);
        // SAFETY: the thread has ended, and the caller does not use the handle any more.
        let _ = unsafe { border::free(job) };
        let made = match outcome {
            Some(Ok(outcome)) => outcome?,
            Some(Err(payload)) => return Err(vec![panicked(&*payload)]),
            None => return Err(refused("job has been waited for")),
        };
        // SAFETY: the caller's promise.
        unsafe {
            match made {
                Made::Image(state) if !image.is_null() => image.write(border::handle(*state)),
                Made::Output(state) if !output.is_null() => output.write(border::handle(*state)),
                Made::Checksum(sum) => put(crc32c, sum),
                Made::Image(_) | Made::Output(_) => {}
            }
        }
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { guarded(errors, work) }
}
