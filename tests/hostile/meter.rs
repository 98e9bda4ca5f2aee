//! What a link costs: memory by a counting allocator, work as the processor time of its thread, which other programs do not
//! lengthen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::thread::Pid;
use rustix::time::ClockId;

/// The most processor time that one link may take: generous, for debug builds.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The longest that a link may take in all: one that waits for ever takes no processor time.
const STUCK: Duration = Duration::from_secs(900);

thread_local! {
    /// Bytes that this thread holds, and the most it has held since [`measure`] began. Links here run on one thread.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, with a count of bytes for each thread.
pub(crate) struct Counting;

fn count(bytes: isize) {
    // A thread that is ending has no count any more.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = now.wrapping_add(bytes);
        held.set((now, most.max(now)));
    });
}

// SAFETY: every call is handed to the system's allocator as it is; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may exist side by side for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `work` returns, the most bytes it held at once, and the processor time it took. If it takes more than [`LIMIT`], the
/// process is aborted with `name` in its last words.
pub(crate) fn measure<T>(name: &str, work: impl FnOnce() -> T) -> (T, u64, Duration) {
    let ticket = watch(name);
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let start = now();
    let result = work();
    let time = now() - start;
    let most = HELD.with(|held| held.get().1) - before;
    release(ticket);
    (result, most.unsigned_abs() as u64, time)
}

/// The processor time of this thread.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The processor time of any thread of this process, to a hundredth of a second: fields 14 and 15 of `proc_pid_stat(5)`.
fn of_thread(thread: Pid) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{}/stat", thread.as_raw_pid())).ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    let mut ticks = after_name.split_ascii_whitespace().skip(11).take(2).map(|field| field.parse::<u64>());
    let sum = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_secs(sum) / rustix::param::clock_ticks_per_second() as u32)
}

/// A link under way.
struct Running {
    ticket: u64,
    name: String,
    start: Instant,
    thread: Pid,
    /// Processor time of the thread before.
    before: Duration,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());

fn watch(name: &str) -> u64 {
    static START: std::sync::Once = std::sync::Once::new();
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    START.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                for link in RUNNING.lock().unwrap().iter() {
                    // Whoever has just begun has taken nothing: most links end before anybody looks.
                    if link.start.elapsed() < LIMIT {
                        continue;
                    }
                    let taken = of_thread(link.thread).map_or(LIMIT, |time| time.saturating_sub(link.before));
                    if taken >= LIMIT || link.start.elapsed() > STUCK {
                        eprintln!("{}: {taken:?} of processor time in {:?}", link.name, link.start.elapsed());
                        std::process::abort();
                    }
                }
            }
        });
    });
    let ticket = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (thread, before) = (rustix::thread::gettid(), now());
    RUNNING.lock().unwrap().push(Running { ticket, name: name.to_owned(), start: Instant::now(), thread, before });
    ticket
}

fn release(ticket: u64) {
    RUNNING.lock().unwrap().retain(|running| running.ticket != ticket);
}

/// The watchdog sees the time that a thread works, and only that.
#[test]
fn the_watchdog_counts_work() {
    let before = (now(), of_thread(rustix::thread::gettid()).unwrap());
    std::thread::sleep(Duration::from_millis(300));
    assert!(now() - before.0 < Duration::from_millis(200), "sleep counts as work");
    while now() - before.0 < Duration::from_millis(200) {
        std::hint::black_box(0);
    }
    let seen = of_thread(rustix::thread::gettid()).unwrap() - before.1;
    assert!((100..2000).contains(&seen.as_millis()), "{seen:?} of 200 ms of work");
}
