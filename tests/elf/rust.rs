//! Libraries of another compiler: what `rustc` makes, linked with all that Rust's standard library consists of.

use std::os::unix::fs::symlink;

use crate::support::Bench;

/// Threads with variables of their own, destructors run by a panic on its way to who catches it, and a backtrace that finds
/// the name of the function and the line in the debug information.
const SOURCE: &str = r#"
use std::cell::Cell;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread;
thread_local! { static OWN: Cell<i32> = const { Cell::new(7) }; static LIST: Vec<i32> = vec![1, 2, 3]; }
static DROPPED: AtomicI32 = AtomicI32::new(0);
struct Part;
impl Drop for Part { fn drop(&mut self) { DROPPED.fetch_add(100, SeqCst); } }
#[inline(never)]
fn throw(number: i32) -> i32 { let _part = Part; if number > 0 { panic!("{number} is too many") } else { number } }
#[inline(never)]
fn traced() -> i32 {
    let (trace, line) = (std::backtrace::Backtrace::force_capture().to_string(), line!());
    i32::from(trace.contains("rust::traced")) + 2 * i32::from(trace.contains(&format!("rust.rs:{line}")))
}
#[unsafe(no_mangle)]
pub extern "C" fn probe() -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    let work = |more| move || OWN.with(|own| { own.set(own.get() + more); own.get() }) + LIST.with(|list| list.iter().sum::<i32>());
    let threads: Vec<_> = [10, 20].into_iter().map(|more| thread::spawn(work(more))).collect();
    let sum: i32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let message = std::panic::catch_unwind(|| throw(9)).unwrap_err().downcast::<String>().unwrap();
    sum + OWN.with(Cell::get) + DROPPED.load(SeqCst) + 1000 * message.len() as i32 + 100_000 * traced()
}
"#;

#[test]
fn rust_libraries_work() {
    let bench = Bench::new();
    bench.file("rust.rs", SOURCE);
    // The name chooses the dialect.
    symlink(env!("CARGO_BIN_EXE_pkgld"), bench.path("ld.lld")).unwrap();
    let directory = |file: &str| {
        let path = bench.must(&format!("gcc -print-file-name={file}"));
        path.trim().strip_suffix(file).unwrap().to_owned()
    };
    let search =
        ["libc.so", "libgcc_s.so.1", "libgcc.a"].map(|file| format!("-L native={}", directory(file))).join(" ");
    for more in ["-C opt-level=0", "-C opt-level=3", "-C opt-level=s -C lto=thin -C link-dead-code=yes"] {
        let line =
            format!("--edition 2021 -g {more} --crate-type cdylib -C linker-flavor=ld -C linker=./ld.lld {search}");
        bench.must(&format!("rustc {line} -o ours/rust.so rust.rs"));
        // Two threads' 7 + 6 and their more, one's 7, a destructor, 13 letters, and both answers of the backtrace.
        assert_eq!(bench.load("ours/rust.so"), format!("probe {}\nend\n", 56 + 7 + 100 + 13_000 + 300_000), "{more}");
    }
}
