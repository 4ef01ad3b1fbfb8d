//! Turns a bus error inside a mapped checkpoint into a flag.
//!
//! A window is faulted in before it is used, but a file that is cut short in the very moment between
//! takes its pages with it, and touching them raises SIGBUS, which ends the process. While mappings
//! are guarded, a handler puts a page of zeros where one went missing and marks the mapping, whose
//! owner then returns an error. Any other SIGBUS goes to whoever would have had it without us, and the
//! guard stays; a handler that another library installs later is found before the next window is lent,
//! and put behind ours.
#![expect(unsafe_code, reason = "a signal handler")]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

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

static PAGE: AtomicUsize = AtomicUsize::new(0);

/// A guarded address range.
pub(super) struct Guard(&'static Slot);

impl Guard {
    /// Guards `address .. address + length`, or `None` if no slot is free or no handler possible.
    pub(super) fn new(address: usize, length: usize) -> Option<Self> {
        if !watch() {
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

/// How many more ranges can be guarded.
pub(super) fn free() -> usize {
    TABLE.iter().filter(|slot| slot.start.load(Ordering::Relaxed) == 0).count()
}

/// Handlers that can have been installed before and after ours.
const LINKS: usize = 64;

/// Whom a SIGBUS that is not ours goes to: the handlers that ours replaced, the last one first.
///
/// The first `count` links are written once, before they are counted, by whoever holds `busy`.
struct Chain {
    links: UnsafeCell<[MaybeUninit<libc::sigaction>; LINKS]>,
    count: AtomicUsize,
    /// The process that has a thread at it, or 0: a fork copies what another thread was in the middle of,
    /// and not the thread.
    busy: AtomicU32,
}

// SAFETY: links are written by one thread at a time, and read by nobody before they are counted.
unsafe impl Sync for Chain {}

static CHAIN: Chain = Chain {
    links: UnsafeCell::new([const { MaybeUninit::uninit() }; LINKS]),
    count: AtomicUsize::new(0),
    busy: AtomicU32::new(0),
};

impl Chain {
    /// Link `number` of those that are counted.
    fn link(&self, number: usize) -> libc::sigaction {
        // SAFETY: by the invariant it is written, and never again.
        unsafe {
            (*self.links.get().cast::<MaybeUninit<libc::sigaction>>().add(number)).assume_init()
        }
    }

    /// Adds what our handler is about to replace, if it is not in the chain yet. Called by whoever
    /// holds `busy`.
    fn add(&self, action: libc::sigaction) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        let known = |number| self.link(number).sa_sigaction == action.sa_sigaction;
        if (0..count).any(known) {
            return true;
        }
        if count == LINKS {
            return false;
        }
        // SAFETY: no reader looks at a link that is not counted, and no other thread writes.
        unsafe { (*self.links.get().cast::<MaybeUninit<_>>().add(count)).write(action) };
        self.count.store(count + 1, Ordering::Release);
        true
    }
}

/// What handles SIGBUS now.
fn current() -> Option<libc::sigaction> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: the pointer is to room for an action, which is filled where 0 is returned.
    unsafe {
        (libc::sigaction(libc::SIGBUS, std::ptr::null(), action.as_mut_ptr()) == 0)
            .then(|| action.assume_init())
    }
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == on_bus_error as *const () as usize
}

/// Makes sure that SIGBUS comes to us, whoever installed a handler meanwhile; whether it does.
pub(super) fn watch() -> bool {
    loop {
        match current() {
            Some(action) if is_ours(&action) => return true,
            None => return false,
            _ => {}
        }
        match install() {
            Some(done) => return done,
            None => std::hint::spin_loop(),
        }
    }
}

/// Puts our handler before the present one, or `None` while another thread does. May be called in a
/// handler.
fn install() -> Option<bool> {
    let own = std::process::id();
    let free = CHAIN.busy.load(Ordering::Relaxed);
    let taken = CHAIN.busy.compare_exchange(free, own, Ordering::Acquire, Ordering::Relaxed);
    if free == own || taken.is_err() {
        return None;
    }
    PAGE.store(rustix::param::page_size(), Ordering::Relaxed);
    let done = replace();
    CHAIN.busy.store(0, Ordering::Release);
    Some(done)
}

fn replace() -> bool {
    let Some(before) = current() else { return false };
    if is_ours(&before) {
        return true;
    }
    // Before our handler is there, so that it finds whom to hand on to.
    if !CHAIN.add(before) {
        return false;
    }
    let mut replaced = before;
    // SAFETY: `sigaction` is plain data for which zeros are valid, both pointers are to live values,
    // and the handler calls only what is allowed in one.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, &mut replaced) == 0
    };
    // One that came in between.
    installed && (is_ours(&replaced) || CHAIN.add(replaced))
}

extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid `info` to a handler installed with SA_SIGINFO, and so does who
    // calls it in its place.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Only the kernel sends positive codes, with an address that was touched.
    if code > 0 && fill_in(address) {
        return;
    }
    hand_on(signal, info, context, code);
}

/// Puts a page of zeros at `address`, if it lies in a guarded range, and marks the range.
fn fill_in(address: usize) -> bool {
    let slot = TABLE.iter().find(|slot| {
        let start = slot.start.load(Ordering::Acquire);
        let within = start > 1 && (start..slot.end.load(Ordering::Acquire)).contains(&address);
        // The end is that of the start, and not of a range that took its slot in between.
        within && slot.start.load(Ordering::Acquire) == start
    });
    let Some(slot) = slot else { return false };
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
    if replaced == libc::MAP_FAILED {
        return false;
    }
    slot.faulted.store(true, Ordering::Release);
    true
}

/// A call of a handler of the chain that has not returned: of which thread, for which signal, how deep
/// in its stack, and the number of the link.
static THREAD: AtomicUsize = AtomicUsize::new(0);
static INFO: AtomicUsize = AtomicUsize::new(0);
static DEPTH: AtomicUsize = AtomicUsize::new(usize::MAX);
static LINK: AtomicUsize = AtomicUsize::new(0);

/// Hands a signal that is not ours to whoever would have had it.
///
/// A handler that was installed after ours took ours for the one before it: it may call it, or put it
/// back and raise the signal again. Then the one before that is meant.
fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, code: c_int) {
    let marker = 0_u8;
    let depth = (&raw const marker) as usize;
    // SAFETY: plain system calls; `info` is valid, and who sent it is in it where the code says so.
    let (thread, raised) = unsafe {
        let own = code == libc::SI_TKILL && (*info).si_pid() == libc::getpid();
        (libc::syscall(libc::SYS_gettid) as usize, own)
    };
    let nested = THREAD.load(Ordering::Relaxed) == thread
        && depth < DEPTH.load(Ordering::Relaxed)
        && (raised || INFO.load(Ordering::Relaxed) == info as usize);
    let above =
        if nested { LINK.load(Ordering::Relaxed) } else { CHAIN.count.load(Ordering::Acquire) };
    let action = above.checked_sub(1).map(|number| CHAIN.link(number));
    let handler = action.map_or(libc::SIG_DFL, |action| action.sa_sigaction);
    if handler == libc::SIG_IGN && code <= 0 {
        return;
    }
    // To ignore what the kernel found is to end, too.
    let Some(action) = action.filter(|_| handler != libc::SIG_DFL && handler != libc::SIG_IGN)
    else {
        // SAFETY: zeros are the default action, without a mask; both calls are allowed in a handler.
        unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGBUS, &default, std::ptr::null_mut());
            libc::raise(libc::SIGBUS);
        }
        return;
    };
    let outer = [&THREAD, &INFO, &DEPTH, &LINK].map(|each| each.load(Ordering::Relaxed));
    let inner = [thread, info as usize, depth, above - 1];
    let remember = |values: [usize; 4]| {
        for (each, value) in [&THREAD, &INFO, &DEPTH, &LINK].into_iter().zip(values) {
            each.store(value, Ordering::Relaxed);
        }
    };
    remember(inner);
    // SAFETY: an action that is neither default nor ignored has a function of the kind that its flags
    // say, which takes what the kernel passed to us.
    unsafe {
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            let call: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                std::mem::transmute(handler);
            call(signal, info, context);
        } else {
            let call: extern "C" fn(c_int) = std::mem::transmute(handler);
            call(signal);
        }
    }
    remember(outer);
    // It may have said who is next by putting that one in our place, as the standard library does.
    if current().is_some_and(|action| !is_ours(&action)) {
        let _ = install();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use super::*;
    use crate::source::{Buffer, Io, open, tests::shard};

    /// Runs the test of this name again, in a process of its own, where `IN_CHILD` is set.
    fn again(name: &str) -> ExitStatus {
        let exe = std::env::current_exe().expect("this test");
        let name = format!("source::guard::tests::{name}");
        let mut command = Command::new(exe);
        command.args(["--exact", &name, "--nocapture"]).env(IN_CHILD, "1");
        command.output().expect("a process").status
    }

    const IN_CHILD: &str = "PARENTAGE_TEST_IN_CHILD";

    fn is_child() -> bool {
        std::env::var_os(IN_CHILD).is_some()
    }

    /// Lends a window of a mapped file, cuts the file, and touches the window.
    fn cut_and_touch(between: impl FnOnce()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let source =
            open(&shard(&path, &[7; 100_000]), Io::Mmap, &crate::progress::Stop::default())
                .expect("a source");
        between();
        let mut buffer = Buffer::default();
        let lent = source.lend(40_000..90_000, &mut buffer).expect("a window");
        std::fs::OpenOptions::new().write(true).open(&path).expect("it").set_len(0).expect("cut");
        assert_eq!(lent.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 0);
        assert!(source.release(40_000..90_000).is_err());
    }

    fn send() {
        // SAFETY: sends a signal to this thread.
        unsafe { libc::raise(libc::SIGBUS) };
    }

    fn handle(function: usize, flags: c_int) -> libc::sigaction {
        // SAFETY: zeros are valid, and the pointers are to live values.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut before: libc::sigaction = std::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (function, flags);
            assert_eq!(libc::sigaction(libc::SIGBUS, &action, &mut before), 0);
            before
        }
    }

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_signal: c_int) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_signal_that_was_sent_goes_to_the_handler_before_ours_and_the_guard_stays() {
        if !is_child() {
            let name = "a_signal_that_was_sent_goes_to_the_handler_before_ours_and_the_guard_stays";
            return assert!(again(name).success());
        }
        handle(count as *const () as usize, 0);
        cut_and_touch(|| ());
        for _ in 0..3 {
            send();
        }
        assert_eq!(CALLS.load(Ordering::Relaxed), 3);
        cut_and_touch(send);
        assert_eq!(CALLS.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_signal_that_nobody_handles_ends_the_process() {
        if !is_child() {
            let status = again("a_signal_that_nobody_handles_ends_the_process");
            return assert_eq!(status.signal(), Some(libc::SIGBUS));
        }
        handle(libc::SIG_DFL, 0);
        cut_and_touch(|| ());
        send();
    }

    #[test]
    fn a_signal_that_is_ignored_is_ignored() {
        if !is_child() {
            return assert!(again("a_signal_that_is_ignored_is_ignored").success());
        }
        handle(libc::SIG_IGN, 0);
        cut_and_touch(send);
    }

    #[test]
    fn the_guard_survives_a_handler_that_says_what_comes_next() {
        if !is_child() {
            let status = again("the_guard_survives_a_handler_that_says_what_comes_next");
            return assert_eq!(status.signal(), Some(libc::SIGBUS));
        }
        // That of the standard library, which puts the default in its place.
        cut_and_touch(|| ());
        cut_and_touch(send);
        send();
    }

    static BEFORE: AtomicUsize = AtomicUsize::new(0);

    /// As faulthandler of Python: what was before is put back, and the signal raised again.
    extern "C" fn put_back(_signal: c_int) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        handle(
            BEFORE.load(Ordering::Relaxed),
            libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER,
        );
        send();
    }

    #[test]
    fn a_handler_that_is_installed_later_stands_behind_ours() {
        if !is_child() {
            let status = again("a_handler_that_is_installed_later_stands_behind_ours");
            return assert_eq!(status.signal(), Some(libc::SIGBUS));
        }
        handle(count as *const () as usize, 0);
        cut_and_touch(|| ());
        let install = || {
            let before = handle(put_back as *const () as usize, libc::SA_NODEFER);
            BEFORE.store(before.sa_sigaction, Ordering::Relaxed);
        };
        cut_and_touch(install);
        assert_eq!(CALLS.load(Ordering::Relaxed), 0);
        // It hands on to us, and we to the one before both.
        send();
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        cut_and_touch(|| ());
        handle(libc::SIG_DFL, 0);
        send();
    }
}
