//! The machine at every level against the scalar definition, on random programs and columns.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, Level, encode};

/// Any operation whose operands are among the `number` before it.
fn op(number: u8) -> BoxedStrategy<Op> {
    let leaf = prop_oneof![
        (0..3_u8).prop_map(Op::Column),
        (0..3_u8).prop_map(Op::Reversed),
        (0..2_u8).prop_map(Op::Scalar),
        Just(Op::LowRank(0)),
    ];
    if number == 0 {
        return leaf.boxed();
    }
    let dtype = prop_oneof![
        Just(Dtype::Bf16),
        Just(Dtype::F16),
        Just(Dtype::F32),
        Just(Dtype::F8E4m3),
        Just(Dtype::F8E5m2)
    ];
    let any = move || 0..number;
    prop_oneof![
        3 => leaf,
        1 => (any(), any()).prop_map(|(a, b)| Op::Add(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::Sub(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::Mul(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::Div(a, b)),
        1 => (any(), any(), any()).prop_map(|(a, b, c)| Op::Fma(a, b, c)),
        1 => any().prop_map(Op::Abs),
        1 => (any(), any()).prop_map(|(a, b)| Op::Max(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::Min(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::Greater(a, b)),
        1 => (any(), any()).prop_map(|(a, b)| Op::GreaterEqual(a, b)),
        1 => (any(), any(), any()).prop_map(|(a, b, c)| Op::Select(a, b, c)),
        2 => (any(), dtype).prop_map(|(a, dtype)| Op::Round(a, dtype)),
    ]
    .boxed()
}

fn program() -> impl Strategy<Value = Program> {
    (1..20_usize)
        .prop_flat_map(|length| {
            let ops: Vec<_> = (0..length).map(|number| op(number as u8)).collect();
            let results = prop::collection::vec(0..length as u8, 1..4);
            (ops, results)
        })
        .prop_map(|(ops, results)| Program::new(ops, results).unwrap())
}

/// Elements of many magnitudes: numbers of a normal spread, halves between representable ones, any bits.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (-3.0..3.0_f32).prop_map(|x| x * 0.02),
        2 => (any::<u16>(), prop_oneof![Just(0_u32), Just(0x8000), Just(0x7FFF), Just(0x1000)])
            .prop_map(|(high, low)| f32::from_bits(u32::from(high) << 16 | low)),
        1 => any::<u32>().prop_map(f32::from_bits),
        1 => prop_oneof![
            Just(0.0), Just(-0.0), Just(65504.0), Just(65519.9), Just(65520.0), Just(6.1e-5), Just(3.0e-8),
            Just(f32::NAN), Just(f32::INFINITY), Just(1e-40)
        ],
    ]
}

fn dtype() -> impl Strategy<Value = Dtype> {
    prop_oneof![
        Just(Dtype::Bf16),
        Just(Dtype::F16),
        Just(Dtype::F32),
        Just(Dtype::F8E4m3),
        Just(Dtype::F8E5m2),
        Just(Dtype::F64),
    ]
}

fn store(values: &[f32], dtype: Dtype, offset: usize) -> Vec<u8> {
    let width = (dtype.bits() / 8) as usize;
    let mut bytes = vec![0xA5; offset];
    for &value in values {
        bytes.extend(&encode(dtype, f64::from(value)).unwrap().to_le_bytes()[..width]);
    }
    bytes
}

fn columns<'a>(stored: &'a [Vec<u8>], dtypes: &[Dtype], offset: usize) -> Vec<Column<'a>> {
    let stored = stored.iter().zip(dtypes);
    stored.map(|(bytes, &dtype)| Column { dtype, bytes: &bytes[offset..] }).collect()
}

proptest! {
    #[test]
    fn every_level_is_the_definition(
        program in program(),
        length in prop_oneof![0..40_usize, 250..260_usize, 500..530_usize],
        seed in prop::collection::vec(prop::collection::vec(value(), 530), 3),
        dtypes in prop::collection::vec(dtype(), 4),
        offset in 0..3_usize,
        scalars in prop::collection::vec(value(), 2),
        start in 0..1000_u64,
    ) {
        // Factors of a matrix that is large enough for every element.
        let factors = [Some(Factors {
            left: seed[0].iter().copied().map(f64::from).cycle().take(800).collect(),
            right: seed[1][..14].iter().copied().map(f64::from).collect(),
            columns: 7,
            offset: start / 2,
        })];
        let mut stored: Vec<_> = (0..3)
            .map(|i| store(&seed[i][..length], dtypes[i], offset))
            .collect();
        // The child is what the first result gives, with some elements of another column.
        let blank = vec![0; offset + length * (dtypes[3].bits() / 8) as usize];
        stored.push(blank);
        let place = Place { scalars: &scalars, factors: &factors, start, block: 3 };
        let mut machine = Machine::default();
        let mut written = Vec::new();
        let level = Level::available()[0];
        write_chunk(level, &mut machine, &program, &columns(&stored, &dtypes, offset), &place, dtypes[3], &mut written);
        for k in (0..length).step_by(5) {
            let width = (dtypes[3].bits() / 8) as usize;
            let other = store(&seed[2][k..=k], dtypes[3], 0);
            written[k * width..(k + 1) * width].copy_from_slice(&other);
        }
        stored[3].truncate(offset);
        stored[3].extend(&written);

        let columns = columns(&stored, &dtypes, offset);
        let expected = scalar::replay_chunk(&program, &scalars, &factors, &columns, start, 3);
        prop_assert_eq!(
            expected.reproduced + expected.explained + expected.mismatched,
            length as u64
        );
        for level in Level::available() {
            // A machine that was used for something else.
            let found = replay_chunk(level, &mut machine, &program, &columns, &place);
            prop_assert_eq!(&found, &expected, "{}", level.name());
        }
    }
}

#[test]
fn every_bf16_and_f16_neighbourhood_is_rounded_as_encode_rounds() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let ops = vec![Op::Column(0), Op::Round(0, dtype)];
        let program = Program::new(ops, vec![1]).unwrap();
        for low in [0_u32, 1, 0x0FFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001, 0xF000] {
            let values: Vec<_> =
                (0..=u16::MAX).map(|high| f32::from_bits(u32::from(high) << 16 | low)).collect();
            let source = store(&values, Dtype::F32, 0);
            let rounded: Vec<_> = values.iter().map(|&value| scalar::round(value, dtype)).collect();
            let child = store(&rounded, Dtype::F32, 0);
            let columns = [
                Column { dtype: Dtype::F32, bytes: &source },
                Column { dtype: Dtype::F32, bytes: &child },
            ];
            let place = Place { scalars: &[], factors: &[], start: 0, block: 0 };
            for level in Level::available() {
                let counts =
                    replay_chunk(level, &mut Machine::default(), &program, &columns, &place);
                assert_eq!(counts.reproduced, 1 << 16, "{} {low:x} {}", dtype.name(), level.name());
            }
        }
    }
}

#[test]
fn alternatives_explain_and_do_not_reproduce() {
    let ops = vec![Op::Column(0), Op::Column(1)];
    let program = Program::new(ops, vec![0, 1]).unwrap();
    let store = |values: &[f32]| store(values, Dtype::Bf16, 0);
    let stored =
        [store(&[1.0, 2.0, 3.0, 0.0]), store(&[1.0, 4.0, 5.0, 0.0]), store(&[1.0, 4.0, 6.0, -0.0])];
    let columns: Vec<_> = stored.iter().map(|bytes| Column { dtype: Dtype::Bf16, bytes }).collect();
    let place = Place { scalars: &[], factors: &[], start: 10, block: 15 };
    let level = Level::available()[0];
    let counts = replay_chunk(level, &mut Machine::default(), &program, &columns, &place);
    assert_eq!((counts.reproduced, counts.explained, counts.mismatched), (1, 1, 2));
    assert_eq!((counts.zero_signs, counts.first, counts.blocks[15]), (1, Some(12), 2));
    // From 3 to 6 there are 128 steps of bf16; zeros of different sign are 0 apart.
    assert_eq!((counts.ulps[0], counts.ulps[7]), (1, 1));
}

#[test]
fn a_program_is_checked() {
    let new = |ops: &[Op], results: &[u8]| Program::new(ops.to_vec(), results.to_vec());
    assert!(new(&[], &[0]).is_err());
    assert!(new(&[Op::Column(0)], &[]).is_err());
    assert!(new(&[Op::Column(0)], &[1]).is_err());
    assert!(new(&[Op::Column(9)], &[0]).is_err());
    assert!(new(&[Op::Abs(0)], &[0]).is_err());
    assert!(new(&[Op::Column(0), Op::Round(0, Dtype::I8)], &[1]).is_err());
    assert!(new(&vec![Op::Column(0); MAX_OPS + 1], &[0]).is_err());
    let program = new(&[Op::Column(2), Op::Scalar(4), Op::LowRank(0)], &[0]).unwrap();
    assert_eq!((program.columns(), program.scalars(), program.factors()), (3, 5, 1));
}

#[test]
fn sums_of_products_are_tried_as_a_whole_fused_or_not() {
    let (one, two, a, b) = (Op::Column(0), Op::Column(1), Op::Scalar(0), Op::Scalar(1));
    let round = |at| Op::Round(at, Dtype::Bf16);
    let given = [
        (vec![one, two, a, b, Op::Fma(0, 2, 3), Op::Fma(1, 3, 4), round(5)], true),
        (vec![one, two, a, b, Op::Mul(0, 2), Op::Mul(1, 3), Op::Add(4, 5), round(6)], true),
        (vec![one, a, Op::Mul(0, 1), round(2)], true),
        // Fused with a product that was rounded.
        (vec![one, two, a, b, Op::Mul(0, 2), Op::Fma(1, 3, 4), round(5)], false),
        // A sum with a fused one.
        (vec![one, two, a, b, Op::Mul(0, 2), Op::Fma(1, 3, 2), Op::Add(4, 5), round(6)], false),
        (vec![one, two, a, Op::Mul(0, 2), Op::Add(3, 1), round(4)], false),
        (vec![one, a, Op::Mul(0, 1)], false),
    ];
    let bytes = [0; 4];
    let columns = [Column { dtype: Dtype::Bf16, bytes: &bytes }; 3];
    for (ops, is_tried) in given {
        let last = (ops.len() - 1) as u8;
        let program = Program::new(ops.clone(), vec![last]).unwrap();
        let found = linear::Linear::of(&program, &columns, &[0.6, 0.4]);
        assert_eq!(found.is_some(), is_tried, "{ops:?}");
        // The same is tried of other dtypes where it rounds to them.
        let halves = columns.map(|column| Column { dtype: Dtype::F16, ..column });
        assert!(linear::Linear::of(&program, &halves, &[0.6, 0.4]).is_none());
    }
}

proptest! {
    /// Blends of columns of one dtype, which are tried as a whole: children are what the definition gives, or
    /// next to it, so that whole blocks agree.
    #[test]
    fn blends_are_the_definition_at_every_level(
        seed in prop::collection::vec(prop::collection::vec(value(), 2 * BLOCK + 7), 3),
        weights in prop::collection::vec(prop_oneof![9 => -1.5..1.5_f32, 1 => value()], 6),
        terms in prop::collection::vec((0..3_u8, 0..5_u8, prop::bool::weighted(0.1)), 1..6),
        is_fused in any::<bool>(),
        dtype in prop_oneof![Just(Dtype::Bf16), Just(Dtype::F16), Just(Dtype::F32)],
        off in prop_oneof![Just(None), (0..2 * BLOCK).prop_map(Some)],
        offset in 0..3_usize,
    ) {
        let mut ops = vec![Op::Column(0), Op::Column(1), Op::Column(2)];
        ops.extend((0..6).map(Op::Scalar));
        let mut sum = 8;
        for (number, (column, scalar, swapped)) in terms.into_iter().enumerate() {
            let (a, b) = if swapped { (3 + scalar, column) } else { (column, 3 + scalar) };
            if is_fused {
                ops.push(Op::Fma(a, b, sum));
            } else {
                ops.push(Op::Mul(a, b));
                if number > 0 {
                    ops.push(Op::Add(sum, (ops.len() - 1) as u8));
                }
            }
            sum = (ops.len() - 1) as u8;
        }
        ops.push(Op::Round(sum, dtype));
        let program = Program::new(ops.clone(), vec![(ops.len() - 1) as u8]).unwrap();
        let dtypes = [dtype; 4];
        let mut stored: Vec<_> =
            seed.iter().map(|values| store(values, dtype, offset)).collect();
        stored.push(stored[0].clone());
        let place = Place { scalars: &weights, factors: &[], start: 0, block: 0 };
        let mut child = vec![0xA5; offset];
        let level = Level::named("scalar").unwrap();
        let made = columns(&stored, &dtypes, offset);
        write_chunk(level, &mut Machine::default(), &program, &made, &place, dtype, &mut child);
        if let Some(k) = off {
            child[offset + (dtype.bits() / 8) as usize * k] ^= 1;
        }
        stored[3] = child;
        let columns = columns(&stored, &dtypes, offset);
        let definition = scalar::replay_chunk(&program, &weights, &[], &columns, 0, 0);
        for level in Level::available() {
            let found = replay_chunk(level, &mut Machine::default(), &program, &columns, &place);
            prop_assert_eq!(&found, &definition, "{}", level.name());
        }
    }
}
