//! What a link costs: memory by a counting allocator, time by a watchdog.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The longest that one link may take: generous, for debug builds on busy machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

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

/// What `work` returns, the most bytes it held at once, and the time it took. If it takes longer than [`LIMIT`], the process
/// is aborted with `name` in its last words.
pub(crate) fn measure<T>(name: &str, work: impl FnOnce() -> T) -> (T, u64, Duration) {
    let ticket = watch(name);
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let start = Instant::now();
    let result = work();
    let time = start.elapsed();
    let most = HELD.with(|held| held.get().1) - before;
    release(ticket);
    (result, most.unsigned_abs() as u64, time)
}

/// The links under way: a number, when each started, and its name.
static RUNNING: Mutex<Vec<(u64, Instant, String)>> = Mutex::new(Vec::new());

fn watch(name: &str) -> u64 {
    static START: std::sync::Once = std::sync::Once::new();
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    START.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(500));
                for (_, start, name) in RUNNING.lock().unwrap().iter() {
                    if start.elapsed() > LIMIT {
                        eprintln!("{name}: more than {LIMIT:?}");
                        std::process::abort();
                    }
                }
            }
        });
    });
    let ticket = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    RUNNING.lock().unwrap().push((ticket, Instant::now(), name.to_owned()));
    ticket
}

fn release(ticket: u64) {
    RUNNING.lock().unwrap().retain(|(running, ..)| *running != ticket);
}
