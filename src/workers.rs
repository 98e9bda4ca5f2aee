//! The threads of one link.
//!
//! A link runs in a pool made for it, or in the one that its caller has installed; never in rayon's global pool, which
//! belongs to the program. With one thread there is no pool. Results come back in order, so the number of threads never
//! shows in the output.

use std::num::NonZeroUsize;
#[cfg(feature = "parallel")]
use std::sync::Arc;

/// Where the work of one link runs.
#[derive(Debug)]
pub(crate) struct Workers {
    #[cfg(feature = "parallel")]
    pool: Pool,
}

#[cfg(feature = "parallel")]
#[derive(Debug)]
enum Pool {
    /// The calling thread.
    None,
    /// The pool that the caller runs in.
    Callers,
    /// A pool of this link's own.
    Own(Arc<rayon::ThreadPool>),
}

impl Workers {
    /// Workers for a link that does as much as one over `bytes` bytes of input, on `threads` threads or, by default, all
    /// processors.
    #[cfg(feature = "parallel")]
    pub(crate) fn new(threads: Option<NonZeroUsize>, bytes: u64) -> Self {
        /// Below this many bytes, starting threads costs more than they save.
        const WORTH_A_THREAD: u64 = 8 << 20;
        let pool = match threads {
            Some(NonZeroUsize::MIN) => Pool::None,
            None if rayon::current_thread_index().is_some() => Pool::Callers,
            _ if bytes < WORTH_A_THREAD => Pool::None,
            _ => {
                let available = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
                let count = threads.map_or_else(available, NonZeroUsize::get).min(256);
                match rayon::ThreadPoolBuilder::new().num_threads(count).build() {
                    Ok(pool) if count > 1 => Pool::Own(Arc::new(pool)),
                    // A system that grants no thread still has this one.
                    _ => Pool::None,
                }
            }
        };
        Self { pool }
    }

    /// Workers without the feature `parallel`: the calling thread.
    #[cfg(not(feature = "parallel"))]
    pub(crate) fn new(_threads: Option<NonZeroUsize>, _bytes: u64) -> Self {
        Self {}
    }

    /// Does `work`, which gets these workers, on one of their threads: parts that are done at once then start without a
    /// thread having to be woken for each.
    pub(crate) fn enter<R: Send>(self, work: impl FnOnce(Self) -> R + Send) -> R {
        #[cfg(feature = "parallel")]
        if let Pool::Own(pool) = &self.pool {
            let pool = Arc::clone(pool);
            return pool.install(|| work(self));
        }
        work(self)
    }

    /// The number of threads that work at once.
    pub(crate) fn count(&self) -> usize {
        #[cfg(feature = "parallel")]
        match &self.pool {
            Pool::None => {}
            Pool::Callers => return rayon::current_num_threads(),
            Pool::Own(pool) => return pool.current_num_threads(),
        }
        1
    }

    /// `work` on each of `items`; the results in the items' order.
    pub(crate) fn map<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
        #[cfg(feature = "parallel")]
        {
            use rayon::prelude::*;
            match &self.pool {
                Pool::None => {}
                Pool::Callers => return items.par_iter().map(work).collect(),
                Pool::Own(pool) => return pool.install(|| items.par_iter().map(work).collect()),
            }
        }
        items.iter().map(work).collect()
    }

    /// `work` once on each thread.
    pub(crate) fn each<R: Send>(&self, work: impl Fn() -> R + Sync + Send) -> Vec<R> {
        self.map(&vec![(); self.count()], |()| work())
    }

    /// Two pieces of work, at once if there is a thread for each.
    pub(crate) fn join<A: Send, B: Send>(
        &self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        #[cfg(feature = "parallel")]
        match &self.pool {
            Pool::None => {}
            Pool::Callers => return rayon::join(first, second),
            Pool::Own(pool) => return pool.join(first, second),
        }
        (first(), second())
    }

    /// `work` on each of `items`, in place.
    pub(crate) fn for_each_mut<T: Send>(&self, items: &mut [T], work: impl Fn(usize, &mut T) + Sync + Send) {
        #[cfg(feature = "parallel")]
        {
            use rayon::prelude::*;
            let run = |items: &mut [T]| items.par_iter_mut().enumerate().for_each(|(index, item)| work(index, item));
            match &self.pool {
                Pool::None => {}
                Pool::Callers => return run(items),
                Pool::Own(pool) => return pool.install(|| run(items)),
            }
        }
        items.iter_mut().enumerate().for_each(|(index, item)| work(index, item));
    }
}
