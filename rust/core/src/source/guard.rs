//! Turns a bus error inside a mapped checkpoint into a flag.
//!
//! A window is faulted in before it is used, but a file that is cut short in the very moment between
//! takes its pages with it, and touching them raises SIGBUS, which ends the process. While mappings
//! are guarded, a handler puts a page of zeros where one went missing and marks the mapping, whose
//! owner then returns an error. A bus error anywhere else goes to whoever handled it before.
#![expect(unsafe_code, reason = "a signal handler")]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Mappings that can be guarded at once: ten checkpoints of 400 shards.
const SLOTS: usize = 4096;

/// One guarded range. `start` 0 is a free slot, 1 one that is being filled; the handler skips both.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    faulted: AtomicBool,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), faulted: AtomicBool::new(false) }
}; SLOTS];

struct Previous(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, under `INSTALL`, before the handler that reads it exists.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::uninit()));
static INSTALL: Once = Once::new();
static INSTALLED: AtomicBool = AtomicBool::new(false);
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// A guarded address range.
pub(super) struct Guard(&'static Slot);

impl Guard {
    /// Guards `address .. address + length`, or `None` if no slot is free or no handler possible.
    pub(super) fn new(address: usize, length: usize) -> Option<Self> {
        INSTALL.call_once(install);
        if !INSTALLED.load(Ordering::Acquire) {
            return None;
        }
        let slot = TABLE.iter().find(|slot| {
            slot.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        slot.faulted.store(false, Ordering::Relaxed);
        slot.end.store(address + length, Ordering::Relaxed);
        slot.start.store(address, Ordering::Release);
        Some(Self(slot))
    }

    /// Whether a page of the range went missing.
    pub(super) fn faulted(&self) -> bool {
        self.0.faulted.load(Ordering::Acquire)
    }

    /// Ends the guard; called before the range is unmapped.
    pub(super) fn disarm(&self) {
        self.0.start.store(0, Ordering::Release);
    }
}

fn install() {
    PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: `sigaction` is plain data for which zeros are valid, both pointers are to live values,
    // and the handler calls only what is allowed in one.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, std::ptr::null(), PREVIOUS.0.get().cast()) == 0
            && libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) == 0
    };
    INSTALLED.store(installed, Ordering::Release);
}

extern "C" fn on_bus_error(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a valid `info` to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let slot = TABLE.iter().find(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        start > 1 && (start..slot.end.load(Ordering::Relaxed)).contains(&address)
    });
    if let Some(slot) = slot {
        let page = PAGE.load(Ordering::Relaxed);
        // SAFETY: the page lies in a guarded mapping of ours, so replacing it takes nothing from
        // anybody else; mmap is a bare system call and safe to make in a handler.
        let replaced = unsafe {
            libc::mmap(
                (address / page * page) as *mut c_void,
                page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if replaced != libc::MAP_FAILED {
            slot.faulted.store(true, Ordering::Release);
            return;
        }
    }
    // Not ours: with the previous action back in place, the instruction faults again and meets it.
    // SAFETY: `PREVIOUS` was filled before this handler was installed.
    unsafe { libc::sigaction(libc::SIGBUS, PREVIOUS.0.get().cast(), std::ptr::null_mut()) };
}
