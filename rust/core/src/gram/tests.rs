//! One suite for every level: the scalar definition against exact arithmetic, and every other level
//! bit for bit against the scalar definition.

use proptest::prelude::*;

use super::*;

mod bounds;

/// Runs `test` at every level; one that this CPU lacks is said to be skipped.
fn at_every_level(test: impl Fn(Level)) {
    for name in Level::NAMES {
        match Level::named(name) {
            Ok(level) => test(level),
            Err(reason) => println!("skipped: {reason}"),
        }
    }
}

/// A stream of pseudo-random words (SplitMix64, Steele et al. 2014).
fn words(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

const NUMERIC: [Dtype; 15] = [
    Dtype::Bf16,
    Dtype::F16,
    Dtype::F32,
    Dtype::F64,
    Dtype::F8E4m3,
    Dtype::F8E5m2,
    Dtype::F8E8m0,
    Dtype::I8,
    Dtype::U8,
    Dtype::I16,
    Dtype::U16,
    Dtype::I32,
    Dtype::U32,
    Dtype::I64,
    Dtype::U64,
];

/// Weights of a base with relatives of it: normal-looking numbers, in any dtype.
fn relatives(dtype: Dtype, columns: usize, length: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut next = words(seed);
    let mut uniform = move || (next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    let base: Vec<f64> = (0..length).map(|_| uniform() * 0.2).collect();
    let scale = if Rounding::of(dtype).is_some() { 1.0 } else { 500.0 };
    (0..columns)
        .map(|column| {
            let width = (dtype.bits() / 8) as usize;
            let mut bytes = Vec::with_capacity(length * width);
            for value in &base {
                let moved = if column > 0 && uniform() < 0.4 { uniform() * 0.01 } else { 0.0 };
                let mut value = (value + moved) * scale;
                if scale > 1.0 {
                    value = value.abs().round();
                } else if dtype == Dtype::F8E8m0 {
                    value = binade(value.abs().max(1e-6));
                }
                let bits = encode(dtype, value).expect("a value of the dtype");
                bytes.extend_from_slice(&bits.to_le_bytes()[..width]);
            }
            bytes
        })
        .collect()
}

fn columns<'a>(dtype: Dtype, bytes: &'a [Vec<u8>]) -> Vec<Column<'a>> {
    bytes.iter().map(|bytes| Column { dtype, bytes }).collect()
}

fn assert_same_bits(level: Level, columns: &[Column<'_>]) {
    assert_same_bits_from(0, level, columns);
}

/// As [`assert_same_bits`], for a chunk that begins with element `start` of its slice.
fn assert_same_bits_from(start: u64, level: Level, columns: &[Column<'_>]) {
    let definition = scalar::chunk(columns, start, true);
    let result = level.chunk(columns, start, true);
    let bits = |chunk: &Chunk| chunk.gram.map(f64::to_bits);
    let name = level.name();
    assert_eq!(bits(&result), bits(&definition), "{name}: the Gram matrix of {columns:?}");
    assert_eq!(result.energy.to_bits(), definition.energy.to_bits(), "{name}: energy");
    let (seen, expected) = (result.sampled.unwrap(), definition.sampled.unwrap());
    let flat =
        |seen: &Sampled| seen.bias.as_flattened().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(flat(&seen), flat(&expected), "{name}: bias");
    assert_eq!(seen.histogram, expected.histogram, "{name}: histogram");
    assert_eq!(seen.precision, expected.precision, "{name}: precision");
    assert_eq!(result.counts, definition.counts, "{name}: counts");
}

#[test]
fn every_level_has_the_scalar_bits_for_every_dtype() {
    at_every_level(|level| {
        for dtype in NUMERIC {
            let bytes = relatives(dtype, 3, 1000, 1);
            assert_same_bits(level, &columns(dtype, &bytes));
        }
    });
}

#[test]
fn every_level_has_the_scalar_bits_for_every_number_of_columns() {
    at_every_level(|level| {
        for count in 2..=MAX_COLUMNS {
            let bytes = relatives(Dtype::Bf16, count, 777, count as u64);
            assert_same_bits(level, &columns(Dtype::Bf16, &bytes));
        }
    });
}

#[test]
fn every_level_has_the_scalar_bits_at_every_length_around_its_vectors() {
    at_every_level(|level| {
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F8E4m3] {
            for length in (0..70).chain([255, 256, 257, 271, 272, 511, 513, 1023, 1025]) {
                let bytes = relatives(dtype, 4, length, length as u64);
                assert_same_bits(level, &columns(dtype, &bytes));
            }
        }
    });
}

#[test]
fn every_level_has_the_scalar_bits_at_odd_offsets() {
    at_every_level(|level| {
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64] {
            for offset in 0..9 {
                let shifted: Vec<Vec<u8>> = relatives(dtype, 3, 300, 5)
                    .into_iter()
                    .enumerate()
                    .map(|(i, bytes)| [vec![0xFF; offset * (i + 1)], bytes].concat())
                    .collect();
                let columns: Vec<_> = shifted
                    .iter()
                    .enumerate()
                    .map(|(i, bytes)| Column { dtype, bytes: &bytes[offset * (i + 1)..] })
                    .collect();
                assert_same_bits(level, &columns);
            }
        }
    });
}

#[test]
fn every_level_has_the_scalar_bits_for_a_full_chunk() {
    at_every_level(|level| {
        let bytes = relatives(Dtype::Bf16, 3, CHUNK, 9);
        assert_same_bits(level, &columns(Dtype::Bf16, &bytes));
    });
}

#[test]
fn every_level_has_the_scalar_bits_of_narrow_arithmetic() {
    at_every_level(|level| {
        for (count, length, offset) in [
            (2, LEAST_NARROW, 0),
            (3, LEAST_NARROW - 1, 1),
            (3, LEAST_NARROW + 1, 3),
            (3, LEAST_NARROW + 777, 0),
            (4, LEAST_NARROW + RUN - 1, 1),
            (6, LEAST_NARROW + RUN, 5),
            (10, LEAST_NARROW, 2),
        ] {
            // Probes in other places, of which the last may be the run that is not whole.
            let start = (count * PROBED * RUN) as u64;
            for dtype in [Dtype::Bf16, Dtype::F16] {
                let bytes: Vec<Vec<u8>> = relatives(dtype, count, length, length as u64)
                    .into_iter()
                    .map(|bytes| [vec![0xFF; offset], bytes].concat())
                    .collect();
                let columns: Vec<_> =
                    bytes.iter().map(|bytes| Column { dtype, bytes: &bytes[offset..] }).collect();
                assert!(length < LEAST_NARROW || scalar::narrow(&columns, start).is_some());
                assert_same_bits_from(start, level, &columns);
            }
        }
    });
}

#[test]
fn every_level_has_the_scalar_bits_where_a_probe_is_the_last_run() {
    // Four groups of runs, and a fifth whose probe is its first run, which has 77 elements.
    let length = 4 * PROBED * RUN + 77;
    let start = (4 * 7 * PROBED * RUN) as u64;
    assert_eq!(sums::probe(start, 4 * PROBED, length).len(), 77);
    at_every_level(|level| {
        for count in [3, 5] {
            let bytes = relatives(Dtype::Bf16, count, length, 3);
            assert_same_bits_from(start, level, &columns(Dtype::Bf16, &bytes));
        }
    });
}

#[test]
fn an_element_that_is_not_finite_takes_no_part_in_a_long_chunk() {
    let mut zeroed = relatives(Dtype::Bf16, 3, LEAST_NARROW, 2);
    let mut spoiled = zeroed.clone();
    for (column, k, bits) in [(0, 3, 0x7FC0_u16), (1, 7777, 0x7F80), (2, LEAST_NARROW - 1, 0xFFC1)]
    {
        spoiled[column][2 * k..2 * k + 2].copy_from_slice(&bits.to_le_bytes());
        for bytes in &mut zeroed {
            bytes[2 * k..2 * k + 2].fill(0);
        }
    }
    at_every_level(|level| {
        assert_same_bits(level, &columns(Dtype::Bf16, &spoiled));
        let with = level.chunk(&columns(Dtype::Bf16, &spoiled), 0, true);
        assert_eq!(with.counts.excluded, 3);
        let without = level.chunk(&columns(Dtype::Bf16, &zeroed), 0, true);
        let norm = |i: usize| without.gram[pair(3, i, i)].sqrt();
        for (i, j) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
            let error = with.gram[pair(3, i, j)] - without.gram[pair(3, i, j)];
            assert!(error.abs() <= 1e-8 * norm(i) * norm(j), "entry {i} {j}");
        }
    });
}

#[test]
fn every_bit_pattern_of_two_bytes_is_decoded_alike() {
    // All 65,536 patterns, NaN, infinities and denormals among them, against a shifted copy.
    let patterns: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let mut shifted = patterns.clone();
    shifted.rotate_left(2 * 777);
    at_every_level(|level| {
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F8E4m3, Dtype::F8E5m2] {
            let length = CHUNK.min(patterns.len() * 8 / dtype.bits() as usize);
            let bytes = length * dtype.bits() as usize / 8;
            let columns = [&patterns, &shifted].map(|all| Column { dtype, bytes: &all[..bytes] });
            assert_same_bits(level, &columns);
        }
    });
}

#[test]
fn mixed_dtypes_have_the_scalar_bits() {
    let dtypes = [Dtype::Bf16, Dtype::F32, Dtype::F16, Dtype::F64, Dtype::F8E4m3];
    at_every_level(|level| {
        for child in dtypes {
            let bytes: Vec<_> =
                dtypes.iter().map(|&dtype| relatives(dtype, 1, 530, 3).remove(0)).collect();
            let mut columns: Vec<_> =
                dtypes.iter().zip(&bytes).map(|(&dtype, bytes)| Column { dtype, bytes }).collect();
            let last = relatives(child, 1, 530, 3).remove(0);
            columns.push(Column { dtype: child, bytes: &last });
            assert_same_bits(level, &columns);
        }
    });
}

#[test]
fn an_element_that_is_not_finite_takes_no_part_and_is_counted() {
    let mut zeroed = relatives(Dtype::F32, 3, 400, 2);
    let mut spoiled = zeroed.clone();
    for (column, k, value) in [(0, 3, f32::NAN), (1, 77, f32::INFINITY), (2, 399, -f32::NAN)] {
        spoiled[column][4 * k..4 * k + 4].copy_from_slice(&value.to_le_bytes());
        for bytes in &mut zeroed {
            bytes[4 * k..4 * k + 4].fill(0);
        }
    }
    at_every_level(|level| {
        assert_same_bits(level, &columns(Dtype::F32, &spoiled));
        let with = level.chunk(&columns(Dtype::F32, &spoiled), 0, true);
        let without = level.chunk(&columns(Dtype::F32, &zeroed), 0, true);
        assert_eq!(with.gram.map(f64::to_bits), without.gram.map(f64::to_bits));
        assert_eq!(with.counts.excluded, 3);
        assert_eq!(with.counts.nan[..3], [1, 0, 1]);
        assert_eq!(with.counts.inf[..3], [0, 1, 0]);
    });
}

#[test]
fn products_that_would_overflow_are_excluded_not_infinite() {
    let big = [1.0_f64, 2.0_f64.powi(499), 2.0_f64.powi(500), -1e300, 3.0];
    let base: Vec<u8> = [1.0_f64; 5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let child: Vec<u8> = big.iter().flat_map(|x| x.to_le_bytes()).collect();
    at_every_level(|level| {
        let bytes = [base.clone(), child.clone()];
        let columns = columns(Dtype::F64, &bytes);
        assert_same_bits(level, &columns);
        let result = level.chunk(&columns, 0, true);
        assert_eq!((result.counts.excluded, result.counts.inf[1]), (2, 2));
        assert!(result.gram.iter().all(|entry| entry.is_finite()));
    });
}

#[test]
fn counts_say_what_differs() {
    let bf16 = |values: [f32; 6]| -> Vec<u8> {
        values.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect()
    };
    let base = bf16([1.0, 1.0, 2.0, 2.0, 0.0, 4.0]);
    let parent = bf16([1.0, 1.5, 2.0, 3.0, -0.0, 4.0]);
    let child = bf16([1.0, 1.5, 2.5, 2.0, 0.0, 4.0]);
    at_every_level(|level| {
        let bytes = [base.clone(), parent.clone(), child.clone()];
        let Chunk { counts, sampled, .. } = level.chunk(&columns(Dtype::Bf16, &bytes), 0, true);
        assert_eq!((counts.moved, counts.stray), (3, 1));
        assert_eq!(counts.equal[..2], [4, 3]);
        let histogram = sampled.unwrap().histogram;
        assert_eq!(histogram[1][0], 4, "1.0, 2.0, 4.0 and the two zeros do not move");
        assert_eq!(histogram[1].iter().sum::<u64>(), 6);
    });
}

#[test]
fn equality_across_dtypes_is_that_of_the_cast() {
    let values = [1.0_f32, 1.001, 70000.0, 1e-8, -0.0, f32::NAN];
    let base: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let cast: Vec<u8> = values
        .iter()
        .flat_map(|&x| (encode(Dtype::F16, f64::from(x)).expect("a float") as u16).to_le_bytes())
        .collect();
    at_every_level(|level| {
        let columns = [
            Column { dtype: Dtype::F32, bytes: &base },
            Column { dtype: Dtype::F16, bytes: &cast },
        ];
        assert_eq!(level.chunk(&columns, 0, true).counts.equal[0], 6);
    });
}

#[test]
fn rounding_energy_is_the_sum_of_squared_units_in_the_last_place() {
    // 1.5 and 3.0 in bf16 have last places of 2^-7 and 2^-6.
    let bytes = [vec![0xC0, 0x3F, 0x40, 0x40], vec![0xC0, 0x3F, 0x40, 0x40]];
    at_every_level(|level| {
        let energy = level.chunk(&columns(Dtype::Bf16, &bytes), 0, true).energy;
        assert_eq!(energy, (2.0_f64.powi(-14) + 2.0_f64.powi(-12)) / 12.0);
        let integers = [vec![1, 2, 3], vec![1, 2, 4]];
        assert_eq!(level.chunk(&columns(Dtype::I8, &integers), 0, true).energy, 3.0 / 12.0);
    });
}

#[test]
fn bins_are_as_documented() {
    let cases = [
        (0.0, 0),
        (0.4, 1),
        (0.5, 2),
        (1.4, 2),
        (1.5, 3),
        (32.4, 33),
        (32.5, 34),
        (63.0, 34),
        (64.0, 35),
        (1e300, BINS - 1),
        (f64::INFINITY, BINS - 1),
    ];
    for (ratio, expected) in cases {
        assert_eq!(bin(ratio), expected, "{ratio}");
    }
}

#[test]
fn decoding_and_encoding_are_inverse_for_every_code() {
    for dtype in NUMERIC.into_iter().filter(|dtype| dtype.bits() <= 16) {
        let width = (dtype.bits() / 8) as usize;
        for code in 0..1_u64 << dtype.bits() {
            let value = decode(dtype, &code.to_le_bytes()[..width]);
            if !value.is_nan() {
                assert_eq!(encode(dtype, value), Some(code), "{dtype:?} {code:#x} {value}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_of_mixed_dtypes_give_the_scalar_bits(
        seed in any::<u64>(), length in 1_usize..300, dtypes in proptest::collection::vec(0..NUMERIC.len(), 2..6),
    ) {
        // Children near their parents: the value of the first column, cast, now and then one off.
        let mut next = words(seed);
        let first = NUMERIC[dtypes[0]];
        let values: Vec<f64> = (0..length)
            .map(|_| decode(first, &next().to_le_bytes()[..(first.bits() / 8) as usize]))
            .collect();
        let bytes: Vec<Vec<u8>> = dtypes
            .iter()
            .map(|&dtype| {
                let width = (NUMERIC[dtype].bits() / 8) as usize;
                let cast = |&value: &f64| {
                    let bits = encode(NUMERIC[dtype], value).unwrap_or_else(&mut next);
                    let bits = if next().is_multiple_of(8) { bits ^ 1 } else { bits };
                    bits.to_le_bytes().into_iter().take(width).collect::<Vec<_>>()
                };
                values.iter().flat_map(cast).collect()
            })
            .collect();
        let columns: Vec<_> = dtypes
            .iter()
            .zip(&bytes)
            .map(|(&dtype, bytes)| Column { dtype: NUMERIC[dtype], bytes })
            .collect();
        at_every_level(|level| assert_same_bits(level, &columns));
    }

    #[test]
    fn narrowing_is_the_nearest_code_with_ties_to_even(value in any::<f32>()) {
        let value = f64::from(value);
        // Up to where the dtype overflows.
        for (dtype, largest) in [(Dtype::Bf16, 3.396e38), (Dtype::F16, 65519.0), (Dtype::F8E5m2, 61439.0),
            (Dtype::F8E4m3, 463.0)] {
            if value.is_nan() || value.abs() > largest {
                continue;
            }
            let width = (dtype.bits() / 8) as usize;
            let code = encode(dtype, value).expect("a float");
            let back = |code: u64| decode(dtype, &code.to_le_bytes()[..width]);
            let error = (back(code) - value).abs();
            for neighbour in [code.wrapping_sub(1), code + 1] {
                if neighbour < 1 << dtype.bits() && (neighbour ^ code) >> (dtype.bits() - 1) == 0 {
                    let other = (back(neighbour) - value).abs();
                    prop_assert!(other.is_nan() || error < other || (error == other && code.is_multiple_of(2)));
                }
            }
        }
    }

    #[test]
    fn any_bytes_give_the_scalar_bits(
        seed in any::<u64>(), length in 0_usize..600, count in 2..=MAX_COLUMNS, dtype in 0..NUMERIC.len(),
    ) {
        let dtype = NUMERIC[dtype];
        let mut next = words(seed);
        let width = (dtype.bits() / 8) as usize;
        let bytes: Vec<Vec<u8>> = (0..count)
            .map(|_| (0..length * width).map(|_| next() as u8).collect())
            .collect();
        at_every_level(|level| assert_same_bits(level, &columns(dtype, &bytes)));
    }
}

#[test]
fn every_float16_is_widened_and_every_float32_rounded_to_one() {
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    // Every float16, both neighbours of it, and half-way to the next, with the numbers beside that.
    let mut values = Vec::new();
    for bits in 0..=u16::MAX {
        let value = decode(Dtype::F16, &bits.to_le_bytes()) as f32;
        let bits = value.to_bits();
        for step in [0, 1, u32::MAX, 0x0FFF, 0x1000, 0x1001] {
            values.push(f32::from_bits(bits.wrapping_add(step)));
        }
    }
    let mut next = words(16);
    values.extend((0..100_003).map(|_| f32::from_bits(next() as u32)));
    let alike = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    at_every_level(|level| {
        for skip in [0, 2, 34] {
            let mut wide = vec![7.0; halves.len() / 2];
            level.widen_f16(&halves[skip..], &mut wide);
            for (bytes, value) in halves[skip..].as_chunks::<2>().0.iter().zip(&wide) {
                let expected = decode(Dtype::F16, bytes) as f32;
                assert!(alike(*value, expected), "{}: {bytes:x?} is {value}", level.name());
            }
            assert!(wide[(halves.len() - skip) / 2..].iter().all(|&x| x == 7.0));
        }
        let mut rounded = values.clone();
        level.round_f16(&mut rounded);
        for (value, rounded) in values.iter().zip(rounded) {
            let bits = encode(Dtype::F16, f64::from(*value)).unwrap() as u16;
            let expected = decode(Dtype::F16, &bits.to_le_bytes()) as f32;
            assert!(alike(rounded, expected), "{}: {value:e} to {rounded:e}", level.name());
        }
    });
}
