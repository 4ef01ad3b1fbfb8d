//! A pass ends soon after it is asked to, whatever it computes.

use std::time::{Duration, Instant};

use parentage_core::Error;
use parentage_core::cells::{self, Query};
use parentage_core::gram::Level;
use parentage_core::plan::Plan;
use parentage_core::progress::Progress;
use parentage_core::replay::{Inputs, Op, Program, Replay, replay};
use parentage_core::stream::{Options, elements};
use parentage_core::{Result, statistics};

use super::{columns, words};

/// Ten columns of one tile each.
fn plan() -> (tempfile::TempDir, Plan) {
    let made: Vec<Vec<u8>> = (1..=10)
        .map(|seed| {
            let values = words(seed).take(1 << 21);
            values.flat_map(|word| (0x3F80 | word as u16 & 0x807F).to_le_bytes()).collect()
        })
        .collect();
    columns("BF16", 2, &made)
}

/// How long a call goes on after it is cancelled, which happens after `wait`.
fn lasts<T: Send>(wait: Duration, work: impl FnOnce(&Progress) -> Result<T> + Send) -> Duration {
    let progress = Progress::new();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let found = work(&progress);
            (Instant::now(), found.map(drop))
        });
        std::thread::sleep(wait);
        let cancelled = Instant::now();
        progress.cancel();
        let (ended, found) = worker.join().unwrap();
        assert!(
            matches!(found, Err(Error::Interrupted)),
            "it was not cancelled in time: {found:?}"
        );
        ended.duration_since(cancelled)
    })
}

#[test]
fn the_slowest_passes_are_cancelled_within_a_second() {
    let (_folder, plan) = plan();
    let level = Level::named("scalar").unwrap();
    let options = Options { threads: 1, level, ..Options::detect().unwrap() };
    let ops =
        vec![Op::Column(0), Op::Column(1), Op::Sub(1, 0), Op::Round(2, plan.extents(0)[0].dtype)];
    let program = Program::new(ops, vec![3]).unwrap();
    let replays = vec![Replay { program, inputs: Inputs::default() }; 20];
    let query = Query {
        weights: vec![0.1; 9],
        axis: 1,
        groups: vec![0],
        windows: vec![(-1.0, 2.0)],
        bins: 64,
        widen: 0.0,
        dtype: None,
    };
    let wait = Duration::from_millis(10);
    let found = [
        lasts(wait, |watch| statistics::gram(&plan, 0..1, &[], &options, watch)),
        lasts(wait, |watch| replay(&plan, 0..1, &replays, &options, watch)),
        lasts(wait, |watch| cells::spectrum(&plan, 0..1, &query, &options, watch)),
        lasts(wait, |watch| elements(&plan, 0..1, &options, watch)),
    ];
    assert!(found.iter().all(|lasted| *lasted < Duration::from_millis(500)), "{found:?}");
}
