//! Buffers are bounded where a system can not fault in pages of mapped files. Alone in its process, whose
//! memory it measures.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "a filter of system calls")]

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parentage_core::checkpoint::Checkpoint;
use parentage_core::plan::Plan;
use parentage_core::progress::Progress;
use parentage_core::stream::Options;
use parentage_core::{can_map, statistics};

/// Has `madvise(.., MADV_POPULATE_READ)` fail in this thread and those it starts, as before Linux 5.14.
fn refuse_to_populate() {
    let code = |code: u32| code as u16;
    let jump = |k, jf| libc::sock_filter {
        code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
        jt: 0,
        jf,
        k,
    };
    let load = |k| libc::sock_filter {
        code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
        jt: 0,
        jf: 0,
        k,
    };
    let give = |k| libc::sock_filter { code: code(libc::BPF_RET | libc::BPF_K), jt: 0, jf: 0, k };
    // The number of the call, then the lower half of its third argument.
    let mut filter = [
        load(0),
        jump(libc::SYS_madvise as u32, 3),
        load(32),
        jump(libc::MADV_POPULATE_READ as u32, 1),
        give(libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a filter of this thread that lives until the call returns.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0), 0);
    }
}

/// Anonymous memory of this process in MiB.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn buffers_are_small_where_pages_can_not_be_faulted_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let elements: u64 = 256 << 20;
    let header = format!(
        r#"{{"a":{{"dtype":"BF16","shape":[{elements}],"data_offsets":[0,{}]}}}}"#,
        2 * elements
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    fs::write(&path, &bytes).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(bytes.len() as u64 + 2 * elements).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(&path).unwrap());
    let plan = Plan::new(vec![checkpoint; 10], vec![elements], &[0; 10], &[0; 10]).unwrap();

    let before = anonymous();
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous());
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let pass = scope.spawn(|| {
            refuse_to_populate();
            assert!(!can_map());
            let options = Options { threads: 16, ..Options::detect().unwrap() };
            let progress = Progress::new();
            // Enough of it to fill all buffers.
            let found = std::thread::scope(|scope| {
                let work = scope.spawn(|| statistics::gram(&plan, 0..1, &[], &options, &progress));
                while progress.bytes() < 1 << 30 && !work.is_finished() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                progress.cancel();
                work.join().unwrap()
            });
            assert!(found.is_err() || progress.bytes() == 20 * elements);
        });
        pass.join().unwrap();
        done.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    });
    assert!(most - before < 256, "{} MiB", most - before);
}
