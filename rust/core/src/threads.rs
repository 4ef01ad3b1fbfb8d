//! Threads of our own: started for one call and gone after it, so that a fork finds none.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::floats::Ieee;

/// Most threads that a call may ask for.
pub const MAX_THREADS: usize = 1024;

/// The number of CPUs this process may use.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Makes sure that a number of threads is one.
///
/// # Errors
///
/// [`Error::Argument`] if `threads` is 0 or above [`MAX_THREADS`].
pub(crate) fn check(threads: usize) -> Result<()> {
    if threads == 0 || threads > MAX_THREADS {
        return Err(Error::Argument(format!("threads must be 1 to {MAX_THREADS}, not {threads}")));
    }
    Ok(())
}

/// Lets so many threads at a time do something.
pub(crate) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

impl Permits {
    /// `count` of them, at least one.
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), returned: Condvar::new() }
    }

    /// Does `work` while it holds one, as soon as one is free.
    pub(crate) fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Gives a permit back, whatever becomes of the work.
        struct Held<'a>(&'a Permits);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                self.0.returned.notify_one();
            }
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        drop(free);
        let _held = Held(self);
        work()
    }
}

/// Calls `work(state, item)` for every item below `items` and returns the results in item order.
///
/// Items are handed out in ascending order to `threads` threads; which thread takes which item does
/// not show in the result, nor how the calling thread has arithmetic round. `state` makes what one thread keeps between its items. After an error no
/// further item is handed out, and the error of the lowest item that failed is returned.
///
/// # Errors
///
/// What `work` returns; [`Error::Argument`] if `threads` is 0 or above [`MAX_THREADS`].
pub(crate) fn run_ordered<S, T: Send>(
    threads: usize,
    items: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    check(threads)?;
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, Result<T>)>> = Mutex::new(Vec::with_capacity(items));
    let count = threads.min(items);
    let worker = |number| {
        let _ieee = Ieee::set();
        if count > 1 {
            spread(number);
        }
        let mut state = state();
        while !failed.load(Ordering::Relaxed) {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                break;
            }
            let panics = StopOnPanic(&failed);
            let result = work(&mut state, item);
            drop(panics);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((item, result));
        }
    };
    std::thread::scope(|scope| {
        for number in 1..count {
            // A thread that can not be started leaves its share to the others.
            if std::thread::Builder::new()
                .name("parentage".into())
                .spawn_scoped(scope, move || worker(number))
                .is_err()
            {
                break;
            }
        }
        worker(0);
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(item, _)| *item);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Has no further item handed out if it is dropped by a panic, which the caller sees only when every
/// thread has ended.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Moves this thread to the CPU of its number, of those that it may run on, and lets it go again.
///
/// Threads that are started one by the other begin on one CPU, and share it until the system looks for
/// work to move, which takes ten milliseconds: as long as a tenth of what they are started for.
fn spread(number: usize) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        if let Some(cpu) = cpus.nth(number % allowed.count().max(1) as usize) {
            let mut one = CpuSet::new();
            one.set(cpu);
            // If it can not be moved, it runs where it is.
            if sched_setaffinity(None, &one).is_ok() && sched_setaffinity(None, &allowed).is_err() {
                // What was allowed is not any more: it may run wherever the process may.
                let mut all = CpuSet::new();
                (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
                let _ = sched_setaffinity(None, &all);
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = number;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_item_order_for_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let squares = run_ordered(threads, 100, || (), |(), item| Ok(item * item)).unwrap();
            assert_eq!(squares, (0..100).map(|item| item * item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_than_the_permits_work_at_a_time() {
        let (permits, now, most) = (Permits::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |(): &mut (), item| {
            permits.hold(|| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(item)
            })
        };
        assert_eq!(run_ordered(8, 40, || (), work).unwrap().len(), 40);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_permit_comes_back_from_work_that_panics() {
        let permits = Permits::new(1);
        let held = std::panic::AssertUnwindSafe(|| permits.hold(|| panic!("on purpose")));
        assert!(std::panic::catch_unwind(held).is_err());
        assert_eq!(permits.hold(|| 7), 7);
    }

    #[test]
    fn the_error_of_the_lowest_failed_item_is_returned() {
        let error = run_ordered(
            1,
            100,
            || (),
            |(), item| match item {
                0..40 => Ok(()),
                _ => Err(Error::Plan(item.to_string())),
            },
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "plan: 40");
    }

    #[test]
    fn no_item_is_handed_out_after_an_error() {
        let calls = AtomicUsize::new(0);
        let result = run_ordered(
            1,
            1000,
            || (),
            |(), _| -> Result<()> {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(Error::Interrupted)
            },
        );
        assert!(matches!(result, Err(Error::Interrupted)));
        assert_eq!(calls.into_inner(), 1);
    }

    #[test]
    fn no_item_is_handed_out_after_a_panic() {
        let calls = AtomicUsize::new(0);
        let pass = std::panic::AssertUnwindSafe(|| {
            run_ordered(
                4,
                20_000,
                || (),
                |(), item| {
                    assert!(item != 3, "on purpose");
                    calls.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    Ok(())
                },
            )
        });
        assert!(std::panic::catch_unwind(pass).is_err());
        // Until the panic has been reported, the others go on.
        assert!(calls.into_inner() < 19_999);
    }

    #[test]
    fn no_items_is_no_work_and_no_threads_is_an_error() {
        assert_eq!(run_ordered(4, 0, || (), |(), item| Ok(item)).unwrap(), Vec::<usize>::new());
        assert!(run_ordered(0, 1, || (), |(), _| Ok(())).is_err());
        assert!(run_ordered(MAX_THREADS + 1, 1, || (), |(), _| Ok(())).is_err());
    }
}
