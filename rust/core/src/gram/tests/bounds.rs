//! The published error bounds, against exact arithmetic, on input that is made to break them.

use super::super::sums::is_for_narrow;
use super::*;

/// An exact sum of float64 (Shewchuk 1997): non-overlapping parts, smallest first.
#[derive(Default)]
struct Exact(Vec<f64>);

impl Exact {
    fn add(&mut self, mut x: f64) {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for &part in &self.0 {
            let (big, small) = if x.abs() >= part.abs() { (x, part) } else { (part, x) };
            let sum = big + small;
            let rest = small - (sum - big);
            if rest != 0.0 {
                kept.push(rest);
            }
            x = sum;
        }
        kept.push(x);
        self.0 = kept;
    }

    /// Adds a * b without error.
    fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.add(a.mul_add(b, -product));
    }

    fn value(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// Asserts the error bound of wide arithmetic against exact sums of exact products.
fn assert_error_bound(columns: &[Column<'_>]) {
    assert_deviation(columns, (8192.0 + 6.0) * f64::EPSILON / 2.0);
}

/// Asserts that |G_ij - exact| is at most `bound` of |x_i| |x_j|.
fn assert_deviation(columns: &[Column<'_>], bound: f64) {
    let count = columns.len();
    let result = scalar::chunk(columns, 0, true);
    let x: Vec<Vec<f64>> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let displaced = |k| scalar::element(column, k) - scalar::element(&columns[0], k);
            (0..column.len())
                .map(|k| if i == 0 { scalar::element(column, k) } else { displaced(k) })
                .collect()
        })
        .collect();
    let exact = |i: usize, j: usize| {
        let mut sum = Exact::default();
        for (&a, &b) in x[i].iter().zip(&x[j]) {
            sum.add_product(a, b);
        }
        sum.value()
    };
    let norms: Vec<f64> = (0..count).map(|i| exact(i, i).sqrt()).collect();
    for i in 0..count {
        for j in i..count {
            let error = (result.gram[pair(count, i, j)] - exact(i, j)).abs();
            // What a product may lose that has no bits of its own.
            let lost = columns[0].len() as f64 * f64::from_bits(1);
            let bound = bound * norms[i] * norms[j] + lost;
            assert!(error <= bound, "entry {i} {j}: error {error:e} above {bound:e}");
        }
    }
}

#[test]
fn the_definition_is_within_its_bound_of_exact_arithmetic() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let bytes = relatives(dtype, 4, 20_000, 8);
        assert_error_bound(&columns(dtype, &bytes));
    }
    // A constant repeats one rounding error in every step: the worst case of a running sum.
    let constant = |value: f32| value.to_le_bytes().repeat(CHUNK);
    let bytes = [constant(0.1), constant(0.100_000_1), constant(0.099_999_97)];
    assert_error_bound(&columns(Dtype::F32, &bytes));
    // Magnitudes that alternate over 30 binades.
    let ragged = |seed: u64| -> Vec<u8> {
        let mut next = words(seed);
        (0..5000)
            .flat_map(|_| {
                let bits = next();
                let value = (bits >> 40) as f32 * 2.0_f32.powi((bits % 30) as i32 - 40);
                (if bits & 64 == 0 { value } else { -value }).to_le_bytes()
            })
            .collect()
    };
    assert_error_bound(&columns(Dtype::F32, &[ragged(1), ragged(2), ragged(3)]));
}

#[test]
fn products_that_underflow_lose_no_more_than_the_least_float() {
    for scale in [1e-140, 1e-150, 1e-154, 1e-158, 1e-162, 1e-170, 1e-300] {
        let scaled = |seed: u64| -> Vec<u8> {
            let mut next = words(seed);
            let values = (0..3000).map(|_| scale * ((next() >> 11) as f64 / 2_f64.powi(52) - 1.0));
            values.flat_map(f64::to_le_bytes).collect()
        };
        assert_error_bound(&columns(Dtype::F64, &[scaled(1), scaled(2), scaled(3)]));
    }
}

/// `length` bf16 of a value.
fn constant_bf16(value: f32, length: usize) -> Vec<u8> {
    (encode(Dtype::Bf16, f64::from(value)).expect("a float") as u16).to_le_bytes().repeat(length)
}

#[test]
fn narrow_arithmetic_is_within_its_bound_of_exact_arithmetic() {
    let near = relatives(Dtype::Bf16, 4, LEAST_NARROW + 999, 4);
    let stranger = relatives(Dtype::Bf16, 1, LEAST_NARROW + 999, 5).remove(0);
    let narrow = columns(Dtype::Bf16, &near);
    assert!(is_for_narrow(&narrow));
    assert_deviation(&narrow, 1e-8);
    // Displacements of many bits, and such as repeat one rounding error: probes refuse those.
    assert_deviation(&columns(Dtype::Bf16, &[near[0].clone(), stranger, near[1].clone()]), 1e-8);
    let constants = [1.007_812_5, 0.0101, 0.55].map(|value| constant_bf16(value, LEAST_NARROW));
    assert_deviation(&columns(Dtype::Bf16, &constants), 1e-8);
    // Where squares are subnormal, or nothing, in float32, and where they overflow.
    for scale in [1e-21, 1e-25, 1e18, 1e19] {
        let constants = [1.0, 1.25, 1.5].map(|value| constant_bf16(value * scale, LEAST_NARROW));
        assert_deviation(&columns(Dtype::Bf16, &constants), 1e-8);
    }
}

#[test]
fn probes_that_are_off_leave_a_chunk_to_wide_arithmetic() {
    let constants = [1.007_812_5, 0.0101, 0.55].map(|value| constant_bf16(value, LEAST_NARROW));
    let shorter = constants.clone().map(|bytes| bytes[..2 * LEAST_NARROW - 2].to_vec());
    at_every_level(|level| {
        // One element less is wide in any case: the sums differ by that element's products alone.
        let long = level.chunk(&columns(Dtype::Bf16, &constants), 0, false).gram;
        let short = level.chunk(&columns(Dtype::Bf16, &shorter), 0, false).gram;
        let share = (LEAST_NARROW - 1) as f64 / LEAST_NARROW as f64;
        for (long, short) in long.iter().zip(&short).take(pairs(3)) {
            assert!((short / long - share).abs() < 1e-11, "{short} of {long}");
        }
    });
}

/// A base, and columns that differ from it by noise which is `ratio` as large.
fn apart(dtype: Dtype, count: usize, length: usize, ratio: f64) -> Vec<Vec<u8>> {
    let mut next = words(7);
    let mut normal =
        move || (0..6).map(|_| (next() >> 11) as f64 / 2_f64.powi(53) - 0.5).sum::<f64>() * 0.03;
    let base: Vec<f64> = (0..length).map(|_| normal()).collect();
    (0..count)
        .map(|column| {
            let far = if column > 0 { ratio } else { 0.0 };
            let bits = base.iter().map(|value| encode(dtype, value + far * normal()));
            bits.flat_map(|bits| (bits.expect("a float") as u16).to_le_bytes()).collect()
        })
        .collect()
}

#[test]
fn narrow_arithmetic_is_for_relatives_near_and_far() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        for ratio in [0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 1.4, 3.0] {
            let bytes = apart(dtype, 4, CHUNK, ratio);
            let columns = columns(dtype, &bytes);
            assert!(scalar::narrow(&columns, 0).is_some(), "{dtype} {ratio}: refused");
            assert_deviation(&columns, 1e-8);
        }
        for ratio in [10.0, 100.0, 1000.0] {
            assert_deviation(&columns(dtype, &apart(dtype, 4, CHUNK, ratio)), 1e-8);
        }
    }
}

/// The Gram matrix of a slice, chunk by chunk, and the exact one, both divided by the norms.
fn deviation(level: Level, columns: &[Column<'_>]) -> f64 {
    let count = columns.len();
    let mut found = vec![0.0; pairs(count)];
    let mut sums: Vec<Exact> = (0..pairs(count)).map(|_| Exact::default()).collect();
    for start in (0..columns[0].len()).step_by(CHUNK) {
        let elements = start..columns[0].len().min(start + CHUNK);
        let chunk: Vec<_> = columns.iter().map(|column| column.part(elements.clone())).collect();
        let result = level.chunk(&chunk, start as u64, false);
        for (sum, entry) in found.iter_mut().zip(&result.gram) {
            *sum += entry;
        }
        for k in 0..elements.len() {
            let x: Vec<f64> = chunk.iter().map(|column| scalar::element(column, k)).collect();
            let displaced = |i: usize| if i == 0 { x[0] } else { x[i] - x[0] };
            for i in 0..count {
                for j in i..count {
                    sums[pair(count, i, j)].add_product(displaced(i), displaced(j));
                }
            }
        }
    }
    let exact = |i: usize, j: usize| sums[pair(count, i, j)].value();
    let entries = (0..count).flat_map(|i| (i..count).map(move |j| (i, j)));
    let errors = entries.map(|(i, j)| {
        let norms = (exact(i, i) * exact(j, j)).sqrt();
        (found[pair(count, i, j)] - exact(i, j)).abs() / norms
    });
    errors.fold(0.0, f64::max)
}

#[test]
fn the_bound_holds_where_the_first_columns_of_a_matrix_are_unlike_the_others() {
    // Evenly spaced probes would see the first 256 columns of these widths and nothing else, but for the last.
    let level = Level::available().pop().expect("a level");
    let length = 4 * CHUNK;
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let base = apart(dtype, 1, length, 0.0).remove(0);
        let far = apart(dtype, 3, length, 1.7);
        let further = apart(dtype, 3, length, 3.0);
        let constant = |value: f64| -> Vec<u8> {
            let bits = encode(dtype, value / 16384.0).expect("a float") as u16;
            bits.to_le_bytes().repeat(length)
        };
        let (low, high, higher) = (constant(31.0), constant(1408.0), constant(1352.0));
        let sets =
            [[&base, &far[1], &far[2]], [&base, &further[1], &further[2]], [&low, &high, &higher]];
        for width in [1024, 2048, 4096, 8192, 5120] {
            for (number, [base, parent, child]) in sets.into_iter().enumerate() {
                let kept = |other: &[u8]| -> Vec<u8> {
                    let rows = base.chunks(2 * width).zip(other.chunks(2 * width));
                    rows.flat_map(|(base, other)| [&base[..512], &other[512..]].concat()).collect()
                };
                let bytes = [base.clone(), kept(parent), kept(child)];
                let error = deviation(level, &columns(dtype, &bytes));
                assert!(error <= 1e-8, "{dtype}, set {number}, width {width}: {error:e}");
            }
        }
    }
}

#[test]
fn probes_see_every_place_of_a_group_in_turn() {
    let runs: Vec<usize> = (0..PROBED / 8)
        .flat_map(|chunk| {
            let start = (chunk * CHUNK) as u64;
            (0..CHUNK / RUN)
                .step_by(PROBED)
                .map(move |first| sums::probe(start, first, CHUNK).start / RUN - first)
        })
        .collect();
    let mut places = runs.clone();
    places.sort_unstable();
    assert_eq!(places, (0..PROBED).collect::<Vec<_>>());
    assert_eq!(runs[..4], [0, 13, 26, 7]);
}
