//! The cell spectrum against its definition, carried out element by element and bin by bin.
//!
//! Numbers are chosen so that everything in the definition is a whole multiple of 2^-64: the
//! reference computes in i128 and rounds nowhere. Cells are found from the neighbours of a stored
//! value, not from its last place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;

use parentage_core::cells::{MAX_BINS, NARROW, Query, Spectrum, spectrum};
use parentage_core::checkpoint::{Checkpoint, Dtype};
use parentage_core::gram::{decode, encode};
use parentage_core::plan::Plan;
use parentage_core::progress::Progress;
use parentage_core::stream::Options;
use parentage_core::{Error, Io};
use tempfile::{TempDir, tempdir};

/// Elements of every slice: some end within a chunk, one spans several.
const SIZES: [usize; 4] = [300, 1, 40_000, 77];

/// splitmix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }
}

/// Columns as they are stored: base, parents, child; every slice is a tensor.
struct Case {
    dtypes: Vec<Dtype>,
    /// By column and slice.
    bits: Vec<Vec<Vec<u64>>>,
}

impl Case {
    /// A child that is, in most elements, about 0.375 of the first parent and 0.25 of the last.
    fn random(dtypes: &[Dtype], seed: u64) -> Self {
        let mut random = Random(seed);
        let child = dtypes.len() - 1;
        let mut bits = vec![vec![Vec::new(); SIZES.len()]; dtypes.len()];
        for (slice, &size) in SIZES.iter().enumerate() {
            while bits[child][slice].len() < size {
                let near = 0.125 * (1 + random.below(15)) as f64;
                let mut row: Vec<u64> =
                    dtypes[..child].iter().map(|&dtype| stored(dtype, near, &mut random)).collect();
                if random.below(6) == 0 {
                    // No displacement from the base, where the dtypes allow it.
                    let base = decode_bits(dtypes[0], row[0]);
                    for i in 1..child {
                        row[i] = encode(dtypes[i], base).unwrap();
                    }
                }
                let at = |i: usize| decode_bits(dtypes[i], row[i]);
                let blend = at(0) + 0.375 * (at(1) - at(0)) + 0.25 * (at(child - 1) - at(0));
                let value = match random.below(8) {
                    0 => 0.5 * blend,
                    1 => 2.0_f64.powi(random.below(4) as i32 - 3) * blend.signum(),
                    _ => blend,
                };
                if value.abs() < 1.0 / 16.0 || value.abs() > 4.0 {
                    continue;
                }
                row.push(encode(dtypes[child], value).unwrap());
                for (column, element) in bits.iter_mut().zip(row) {
                    column[slice].push(element);
                }
            }
        }
        Self { dtypes: dtypes.to_vec(), bits }
    }

    fn plan(&self) -> (TempDir, Plan) {
        let folder = tempdir().unwrap();
        let checkpoints = self
            .bits
            .iter()
            .zip(&self.dtypes)
            .enumerate()
            .map(|(i, (tensors, &dtype))| {
                let path = folder.path().join(format!("{i}.safetensors"));
                fs::write(&path, file_of(dtype, tensors)).unwrap();
                Arc::new(Checkpoint::open(&path).unwrap())
            })
            .collect();
        let columns = self.dtypes.len();
        let elements: Vec<u64> = self.bits[0].iter().map(|tensor| tensor.len() as u64).collect();
        let tensors: Vec<u64> =
            (0..elements.len() as u64).flat_map(|slice| vec![slice; columns]).collect();
        let starts = vec![0; tensors.len()];
        let plan = Plan::new(checkpoints, elements, &tensors, &starts).unwrap();
        (folder, plan)
    }

    fn value(&self, column: usize, slice: usize, element: usize) -> f64 {
        decode_bits(self.dtypes[column], self.bits[column][slice][element])
    }
}

fn decode_bits(dtype: Dtype, bits: u64) -> f64 {
    decode(dtype, &bits.to_le_bytes()[..(dtype.bits() / 8) as usize])
}

/// A number near `near`, of at most 24 bits above 2^-26, negative at times.
fn stored(dtype: Dtype, near: f64, random: &mut Random) -> u64 {
    let steps = random.below(1 << 12) as f64 - 2048.0;
    let scale = if random.below(3) == 0 { 2.0_f64.powi(-12) } else { 2.0_f64.powi(-16) };
    let sign = if random.below(8) == 0 { -1.0 } else { 1.0 };
    let fine = random.below(1 << 6) as f64 * 2.0_f64.powi(-24);
    encode(dtype, sign * (near + steps * scale + fine).max(0.125)).unwrap()
}

/// A safetensors file with one tensor per slice.
fn file_of(dtype: Dtype, tensors: &[Vec<u64>]) -> Vec<u8> {
    let width = (dtype.bits() / 8) as usize;
    let mut entries = Vec::new();
    let mut data = Vec::new();
    for (slice, tensor) in tensors.iter().enumerate() {
        let begin = data.len();
        data.extend(tensor.iter().flat_map(|bits| bits.to_le_bytes()[..width].to_vec()));
        entries.push(format!(
            r#""t{slice}":{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{begin},{}]}}"#,
            tensor.len(),
            data.len()
        ));
    }
    let header = format!("{{{}}}", entries.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn options(threads: usize) -> Options<'static> {
    Options { threads, ..Options::detect().unwrap() }
}

fn found(plan: &Plan, query: &Query, threads: usize) -> Spectrum {
    spectrum(plan, 0..plan.slices(), query, &options(threads), &Progress::new()).unwrap()
}

/// A multiple of 2^-64, from a float that is one.
fn exact(value: f64, unit: i32) -> i128 {
    let scaled = value * 2.0_f64.powi(-unit);
    assert!(scaled.fract() == 0.0 && scaled.abs() < 2.0_f64.powi(62), "{value} is too fine");
    scaled as i128
}

/// The cell of a stored value in multiples of 2^-64: halfway to the numbers next to it.
fn cell(dtype: Dtype, value: f64) -> (i128, i128) {
    let bits = encode(dtype, value).unwrap();
    assert!(decode_bits(dtype, bits) == value, "{value} is no {dtype}");
    let next = |bits: u64| exact(decode_bits(dtype, bits), -40);
    let (outer, inner, at) = (next(bits + 1), next(bits - 1), next(bits));
    let (low, high) = if value > 0.0 { (inner, outer) } else { (outer, inner) };
    ((low + at) << 23, (high + at) << 23)
}

/// The definition, with every bin asked of every element.
fn brute_force(case: &Case, query: &Query, slices: std::ops::Range<usize>) -> Spectrum {
    let groups = query.windows.len();
    let child = case.dtypes.len() - 1;
    let mut out = Spectrum {
        coverage: vec![0; groups * 2 * query.bins],
        intervals: vec![0; groups * 2],
        fixed: vec![0; groups],
        fixed_admitted: vec![0; groups],
    };
    let dtype = query.dtype.unwrap_or(case.dtypes[child]);
    let start = slices.start;
    for slice in slices {
        let group = query.groups[slice - start];
        let weights = &query.weights[(slice - start) * child..][..child];
        let (low_edge, high_edge) = query.windows[group];
        let edge = |k: usize| low_edge + (high_edge - low_edge) * (k as f64) / (query.bins as f64);
        for k in 0..case.bits[0][slice].len() {
            let values: Vec<f64> = (0..=child).map(|i| case.value(i, slice, k)).collect();
            let used = |i: usize| i == 0 || i == query.axis || weights[i] != 0.0;
            if !values[child].is_finite() || (0..child).any(|i| used(i) && !values[i].is_finite()) {
                continue;
            }
            let b = exact(values[0], -40);
            let moved = |i: usize| if i == 0 { b } else { exact(values[i], -40) - b };
            let mut rest = b << 24;
            let mut slack = 0;
            for i in (0..child).filter(|&i| used(i)) {
                slack += exact(values[i].abs(), -40) << 1;
                if i != query.axis {
                    rest += (exact(weights[i], -20) * moved(i)) << 4;
                }
            }
            let (cell_low, cell_high) = cell(dtype, values[child]);
            let strict = cell_high - cell_low;
            let wide = (strict * exact(query.widen, -4)) >> 4;
            let (low, high) = (cell_low - wide - slack, cell_high + wide + slack);
            let direction = moved(query.axis);
            if direction == 0 {
                out.fixed[group] += 1;
                out.fixed_admitted[group] += u64::from(low <= rest && rest <= high);
                continue;
            }
            let narrow = (strict as f64) < NARROW * (direction << 24).abs() as f64;
            out.intervals[group * 2] += 1;
            out.intervals[group * 2 + 1] += u64::from(narrow);
            for bin in 0..query.bins {
                // Mirrored where the blend falls with the weight, so that it rises.
                let sign = direction.signum();
                let at = |k: usize| sign * (rest + ((exact(edge(k), -20) * direction) << 4));
                let (from, to) = if sign > 0 { (low, high) } else { (-high, -low) };
                let is_last = bin + 1 == query.bins;
                let touches =
                    at(bin) <= to && (at(bin + 1) > from || (is_last && at(bin + 1) == from));
                for kind in 0..=usize::from(narrow) {
                    out.coverage[(group * 2 + kind) * query.bins + bin] += u32::from(touches);
                }
            }
        }
    }
    out
}

/// A query about one group, with the weights of every column 0.25, 0.25, ...
fn query(columns: usize, axis: usize) -> Query {
    let slices = SIZES.len();
    let mut weights = vec![0.25; slices * (columns - 1)];
    weights.chunks_mut(columns - 1).for_each(|row| row[0] = 0.0);
    Query {
        weights,
        axis,
        groups: vec![0; slices],
        windows: vec![(-1.0, 2.0)],
        bins: 96,
        widen: 0.0,
        dtype: None,
    }
}

const BF16: Dtype = Dtype::Bf16;
const F16: Dtype = Dtype::F16;
const F32: Dtype = Dtype::F32;

#[test]
fn the_spectrum_is_what_brute_force_counts() {
    for (seed, dtypes) in [
        vec![BF16; 3],
        vec![F16; 3],
        vec![F32; 3],
        vec![BF16; 4],
        vec![F16, BF16, F32, F16, BF16],
        vec![F32, F32, F32, BF16],
    ]
    .iter()
    .enumerate()
    {
        let case = Case::random(dtypes, seed as u64);
        let (_folder, plan) = case.plan();
        for axis in 0..dtypes.len() - 1 {
            let query = query(dtypes.len(), axis);
            let expected = brute_force(&case, &query, 0..SIZES.len());
            assert!(found(&plan, &query, 2) == expected, "{dtypes:?}, axis {axis}");
            // The test is of something: narrow and wide intervals, in and out of the window.
            assert!(expected.intervals[1] > 0 && expected.intervals[0] > 10_000);
            assert!(expected.coverage.iter().any(|&count| count > 1000));
        }
    }
}

#[test]
fn the_axis_of_the_blend_has_its_peak_at_the_weight() {
    let case = Case::random(&[BF16; 4], 9);
    let (_folder, plan) = case.plan();
    let query = Query { bins: 192, ..query(4, 1) };
    let found = found(&plan, &query, 2);
    let narrow = &found.coverage[query.bins..];
    let peak = (0..query.bins).max_by_key(|&bin| narrow[bin]).unwrap();
    let (low, high) = (peak as f64 / 64.0 - 1.0, (peak + 1) as f64 / 64.0 - 1.0);
    assert!(low <= 0.375 && 0.375 <= high, "{low} to {high}");
    assert!(f64::from(narrow[peak]) > 0.6 * found.intervals[1] as f64);
}

#[test]
fn cells_are_widened_and_taken_of_another_dtype() {
    let case = Case::random(&[BF16; 4], 20);
    let (_folder, plan) = case.plan();
    let mut before = 0;
    for widen in [0.0, 0.5, 1.0, 3.0] {
        let query = Query { widen, ..query(4, 2) };
        let found = found(&plan, &query, 2);
        assert!(found == brute_force(&case, &query, 0..SIZES.len()), "widened by {widen}");
        let total: u64 = found.coverage[query.bins..].iter().map(|&x| u64::from(x)).sum();
        assert!(total > before);
        before = total;
    }

    // The same numbers stored as F32 have the cells of F32, unless those of bf16 are asked for.
    let mut wide = Case::random(&[BF16; 4], 20);
    for tensor in &mut wide.bits[3] {
        for bits in tensor.iter_mut() {
            *bits = encode(F32, decode_bits(BF16, *bits)).unwrap();
        }
    }
    wide.dtypes[3] = F32;
    let (_other, plan_wide) = wide.plan();
    let own = query(4, 1);
    let as_bf16 = Query { dtype: Some(BF16), ..own.clone() };
    assert!(found(&plan_wide, &own, 1) == brute_force(&wide, &own, 0..SIZES.len()));
    assert!(found(&plan_wide, &as_bf16, 1) == found(&plan, &own, 1));
    assert!(found(&plan_wide, &own, 1) != found(&plan, &own, 1));
}

#[test]
fn groups_have_windows_of_their_own_and_add_up() {
    let case = Case::random(&[BF16; 4], 31);
    let (_folder, plan) = case.plan();
    let several = Query {
        groups: vec![2, 0, 1, 2],
        windows: vec![(-1.0, 2.0), (0.25, 0.5), (0.375, 0.375 + 0.0625), (0.0, 1.0)],
        bins: 64,
        ..query(4, 1)
    };
    let expected = brute_force(&case, &several, 0..SIZES.len());
    assert!(found(&plan, &several, 3) == expected);
    // No slice is in the last one.
    assert_eq!(expected.intervals[6..], [0, 0]);

    // Weights of their own for every slice, and slices that do not begin with the first.
    let mut own = query(4, 1);
    for (slice, row) in own.weights.chunks_mut(3).enumerate() {
        row[2] = 0.0625 * slice as f64;
    }
    assert!(found(&plan, &own, 2) == brute_force(&case, &own, 0..4));
    let tail = Query { weights: own.weights[6..].to_vec(), groups: vec![0; 2], ..own };
    let found = spectrum(&plan, 2..4, &tail, &options(2), &Progress::new()).unwrap();
    assert!(found == brute_force(&case, &tail, 2..4));
}

#[test]
fn how_it_is_read_changes_nothing() {
    let case = Case::random(&[BF16; 3], 40);
    let (_folder, plan) = case.plan();
    let query = Query { groups: vec![0, 1, 1, 0], windows: vec![(-1.0, 2.0); 2], ..query(3, 1) };
    let expected = found(&plan, &query, 1);
    for threads in 1..=3 {
        for io in [Io::Mmap, Io::Pread] {
            for tile_bytes in [Some(4096), Some(1 << 16), None] {
                let options = Options { threads, tile_bytes, io, ..options(1) };
                let found = spectrum(&plan, 0..4, &query, &options, &Progress::new()).unwrap();
                assert!(found == expected, "{threads} threads, {io:?}, {tile_bytes:?}");
            }
        }
    }
}

/// A case of a single slice, from values of every column.
fn small(dtype: Dtype, columns: &[&[f64]]) -> Case {
    let stored =
        |column: &&[f64]| vec![column.iter().map(|&value| encode(dtype, value).unwrap()).collect()];
    Case { dtypes: vec![dtype; columns.len()], bits: columns.iter().map(stored).collect() }
}

fn small_query(weights: &[f64], axis: usize) -> Query {
    Query {
        weights: weights.to_vec(),
        axis,
        groups: vec![0],
        windows: vec![(0.0, 1.0)],
        bins: 4,
        widen: 0.0,
        dtype: None,
    }
}

#[test]
fn elements_that_the_weight_does_not_change_are_in_their_cell_or_not() {
    let one = 1.0;
    let next = 1.0 + 1.0 / 128.0;
    // The blend of the last is halfway to the next number, which the closed cell holds.
    let columns: [&[f64]; 4] = [
        &[one, one, one, one],
        &[one, one, 2.0, one],
        &[one, one, one, next],
        &[one, next, next, one],
    ];
    let case = small(BF16, &columns);
    let (_folder, plan) = case.plan();
    let query = small_query(&[0.0, 0.0, 0.5], 1);
    let found = found(&plan, &query, 1);
    assert_eq!((found.fixed[0], found.fixed_admitted[0]), (3, 2));
    assert_eq!(found.intervals, [1, 1]);
    assert!(found == brute_force(&case, &query, 0..1));

    // A base of zero is changed by no weight of its own.
    let zero = small(F16, &[&[0.0, 1.0], &[0.0, 1.0], &[0.25, 1.0]]);
    let (_folder, plan) = zero.plan();
    let found = spectrum(&plan, 0..1, &small_query(&[0.0, 0.0], 0), &options(1), &Progress::new());
    let found = found.unwrap();
    assert_eq!((found.fixed[0], found.fixed_admitted[0], found.intervals[0]), (1, 0, 1));
}

#[test]
fn a_child_of_zero_has_a_cell_as_wide_as_the_least_number() {
    let least = 2.0_f64.powi(-24);
    let case = small(F16, &[&[-least, -least], &[least, 7.0 * least], &[0.0, 0.0]]);
    let (_folder, plan) = case.plan();
    // -1 + 2 w within 0.5 of 0, and -1 + 8 w: 1/4 to 3/4, and 1/16 to 3/16, but for the slack.
    let found = found(&plan, &small_query(&[0.0, 0.0], 1), 1);
    assert_eq!(found.coverage[..4], [1 + 1, 1, 1, 1]);
    assert_eq!(found.intervals, [2, 0]);
}

#[test]
fn elements_that_are_not_finite_say_nothing() {
    let nan = f64::NAN;
    let infinite = f64::INFINITY;
    let columns: [&[f64]; 4] = [
        &[nan, 1.0, 1.0, 1.0, -infinite, 1.0, 1.0],
        &[2.0, nan, 2.0, 2.0, 2.0, infinite, 2.0],
        &[1.0, 1.0, nan, 1.0, 1.0, 1.0, infinite],
        &[1.5, 1.5, 1.5, nan, 1.5, 1.5, 1.5],
    ];
    for dtype in [BF16, F16, F32] {
        let case = small(dtype, &columns);
        let (_folder, plan) = case.plan();
        // The second parent counts only where it has a weight.
        for (weight, intervals) in [(0.0, 2), (0.25, 0)] {
            let query = small_query(&[0.0, 0.0, weight], 1);
            let found = found(&plan, &query, 1);
            assert_eq!(found.intervals, [intervals; 2], "{dtype}");
            assert_eq!(found.fixed, [0]);
            assert!(found == brute_force(&case, &query, 0..1));
            let infinite = small_query(&[0.0, 0.0, weight], 2);
            assert!(spectrum(&plan, 0..1, &infinite, &options(1), &Progress::new()).is_ok());
        }
    }
    let child = small(BF16, &[&[1.0], &[2.0], &[infinite]]);
    let (_folder, plan) = child.plan();
    assert_eq!(found(&plan, &small_query(&[0.0, 0.0], 1), 1).intervals, [0, 0]);
}

#[test]
fn a_child_of_integers_has_no_cells() {
    let case = small(Dtype::I8, &[&[1.0, 2.0], &[3.0, 4.0], &[2.0, 3.0]]);
    let (_folder, plan) = case.plan();
    let found = found(&plan, &small_query(&[0.0, 0.0], 1), 1);
    assert_eq!((found.intervals, found.fixed), (vec![0, 0], vec![0]));
    assert!(found.coverage.iter().all(|&count| count == 0));
}

#[test]
fn a_query_that_does_not_fit_is_refused() {
    let case = Case::random(&[BF16; 3], 50);
    let (_folder, plan) = case.plan();
    let good = query(3, 1);
    assert!(spectrum(&plan, 0..4, &good, &options(1), &Progress::new()).is_ok());
    let window = |low: f64, high: f64| Query { windows: vec![(low, high)], ..good.clone() };
    let bad = [
        ("a weight for", Query { weights: vec![0.0; 7], ..good.clone() }),
        ("a weight for", Query { weights: vec![0.0; 9], ..good.clone() }),
        ("the axis", Query { axis: 2, ..good.clone() }),
        ("a group for", Query { groups: vec![0; 3], ..good.clone() }),
        ("a window for", Query { groups: vec![0, 0, 1, 0], ..good.clone() }),
        ("a window for", Query { windows: vec![], ..good.clone() }),
        ("windows", window(0.5, 0.5)),
        ("windows", window(1.0, 0.0)),
        ("windows", window(f64::NAN, 1.0)),
        ("windows", window(0.0, f64::INFINITY)),
        ("windows", window(f64::MIN, f64::MAX)),
        ("bins", Query { bins: 0, ..good.clone() }),
        ("bins", Query { bins: MAX_BINS + 1, ..good.clone() }),
        ("widened", Query { widen: -1.0, ..good.clone() }),
        ("widened", Query { widen: f64::NAN, ..good.clone() }),
        ("widened", Query { widen: f64::INFINITY, ..good.clone() }),
    ];
    for (part, query) in bad {
        match spectrum(&plan, 0..4, &query, &options(1), &Progress::new()) {
            Err(Error::Argument(text)) => assert!(text.contains(part), "no {part:?} in: {text}"),
            other => panic!("{part}: {other:?}"),
        }
    }
    // A query about fewer slices than the plan has is one about others.
    let found = spectrum(&plan, 1..4, &good, &options(1), &Progress::new());
    assert!(matches!(found, Err(Error::Argument(_))));
    // A pass that was told to stop gives nothing.
    let stopped = Progress::new();
    stopped.cancel();
    assert!(matches!(spectrum(&plan, 0..4, &good, &options(1), &stopped), Err(Error::Interrupted)));
}
