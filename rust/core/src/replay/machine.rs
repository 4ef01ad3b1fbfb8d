//! Programs carried out on registers of [`BLOCK`] elements.
//!
//! ```text
//! for each chunk:  fill the registers of scalars
//!   for each block of BLOCK elements:
//!     for each operation:  register[number] = operation of earlier registers, element by element
//!     for each result:     agrees[k] = round(register[k]) has the child's bits
//! ```
//!
//! Departures from the definition in `scalar`, none of which changes a bit:
//!
//! 1. An operation writes a register of its own, after all it reads, so that the compiler sees loops
//!    over arrays that do not overlap and vectorises them for the instruction set that
//!    [`Level::vectorize`] compiles them for. There are no intrinsics here.
//! 2. Rounding to bf16 and f16 is done on the bits, without branches.
//! 3. Where dtypes are not among those of large checkpoints, elements go through `scalar` one by one.
//! 4. Only blocks that hold a mismatch are looked at twice.

use super::program::{Factors, Op, Program};
use super::{BLOCK, Counts, scalar};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, Level, Vectorize};

/// Registers, kept from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    registers: Vec<Register>,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Register([f32; BLOCK]);

const ZERO: Register = Register([0.0; BLOCK]);

/// Where a chunk lies, and what its slice's scalars and matrices are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The slice's scalars.
    pub scalars: &'a [f32],
    /// The slice's low-rank matrices.
    pub factors: &'a [Option<Factors>],
    /// The chunk's first element in the slice.
    pub start: u64,
    /// The chunk's block of the slice.
    pub block: usize,
}

/// Replays one chunk and compares it with the child, the last of `columns`.
///
/// # Panics
///
/// If there are fewer columns, scalars or matrices than the program reads, or columns differ in length.
pub fn replay_chunk(
    level: Level,
    machine: &mut Machine,
    program: &Program,
    columns: &[Column<'_>],
    place: &Place<'_>,
) -> Counts {
    check(program, columns, place);
    level.vectorize(Compare { machine, program, columns, place })
}

/// Replays one chunk into `out`, rounded to `dtype`, elements one after the other; `columns` end
/// with one that is not read.
pub fn write_chunk(
    level: Level,
    machine: &mut Machine,
    program: &Program,
    columns: &[Column<'_>],
    place: &Place<'_>,
    dtype: Dtype,
    out: &mut Vec<u8>,
) {
    check(program, columns, place);
    level.vectorize(Write { machine, program, columns, place, dtype, out });
}

fn check(program: &Program, columns: &[Column<'_>], place: &Place<'_>) {
    assert!(program.columns() < columns.len(), "a column for each that the program reads");
    assert!(program.scalars() <= place.scalars.len(), "a scalar for each that the program reads");
    assert!(program.factors() <= place.factors.len(), "a matrix for each that the program reads");
    let length = columns[0].len();
    assert!(columns.iter().all(|column| column.len() == length), "columns of one length");
}

struct Compare<'a> {
    machine: &'a mut Machine,
    program: &'a Program,
    columns: &'a [Column<'a>],
    place: &'a Place<'a>,
}

impl Vectorize for Compare<'_> {
    type Output = Counts;

    #[inline(always)]
    fn run(self) -> Counts {
        let Self { machine, program, columns, place } = self;
        let registers = prepare(machine, program, place);
        let child = columns[columns.len() - 1];
        let length = child.len();
        let mut counts = Counts::default();
        let mut agree = Agreement { all: [1; BLOCK], any: [0; BLOCK] };
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            execute(program, registers, columns, place, first, n);
            let part = child.part(first..first + n);
            if n == BLOCK && all_equal(program, registers, &part) {
                counts.reproduced += BLOCK as u64;
                continue;
            }
            let (all, any) = compare(program, registers, &part, n, &mut agree);
            counts.reproduced += u64::from(all);
            counts.explained += u64::from(any - all);
            if (any as usize) < n {
                let result = &registers[usize::from(program.results()[0])].0[..n];
                for (k, (value, agrees)) in result.iter().zip(&agree.any).enumerate() {
                    if *agrees == 0 {
                        let start = place.start + first as u64;
                        scalar::mismatch(&mut counts, &part, k, *value, start, place.block);
                    }
                }
            }
        }
        counts
    }
}

struct Write<'a> {
    machine: &'a mut Machine,
    program: &'a Program,
    columns: &'a [Column<'a>],
    place: &'a Place<'a>,
    dtype: Dtype,
    out: &'a mut Vec<u8>,
}

impl Vectorize for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { machine, program, columns, place, dtype, out } = self;
        let registers = prepare(machine, program, place);
        let length = columns[0].len();
        let width = (dtype.bits() / 8) as usize;
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            execute(program, registers, columns, place, first, n);
            for &value in &registers[usize::from(program.results()[0])].0[..n] {
                let bits = crate::gram::encode(dtype, f64::from(value)).unwrap_or(0);
                out.extend_from_slice(&bits.to_le_bytes()[..width]);
            }
        }
    }
}

/// Makes room for every operation and fills the registers of scalars.
fn prepare<'a>(
    machine: &'a mut Machine,
    program: &Program,
    place: &Place<'_>,
) -> &'a mut [Register] {
    machine.registers.resize(machine.registers.len().max(program.ops().len()), ZERO);
    for (register, op) in machine.registers.iter_mut().zip(program.ops()) {
        if let Op::Scalar(scalar) = op {
            register.0 = [place.scalars[usize::from(*scalar)]; BLOCK];
        }
    }
    &mut machine.registers[..program.ops().len()]
}

/// Sets every element of a register to an expression of those of other registers.
macro_rules! each {
    ($out:ident = |$($a:ident),+| $value:expr; $($register:expr),+) => {{
        each!(@lengths $($a = $register),+);
        for k in 0..BLOCK {
            $(let $a = $a[k];)+
            $out[k] = $value;
        }
    }};
    (@lengths $($a:ident = $register:expr),+) => { $(let $a: &[f32; BLOCK] = &$register.0;)+ };
}

#[inline(always)]
fn execute(
    program: &Program,
    registers: &mut [Register],
    columns: &[Column<'_>],
    place: &Place<'_>,
    first: usize,
    n: usize,
) {
    for (number, op) in program.ops().iter().enumerate() {
        let (before, rest) = registers.split_at_mut(number);
        let out = &mut rest[0].0;
        match *op {
            Op::Scalar(_) => {}
            Op::Column(column) => {
                let column = columns[usize::from(column)].part(first..first + n);
                decode(&column, out);
            }
            Op::Reversed(column) => {
                let column = columns[usize::from(column)].part(first..first + n);
                decode(&column, out);
                out[..n].reverse();
            }
            Op::LowRank(factor) => match &place.factors[usize::from(factor)] {
                Some(factors) => {
                    for (k, value) in out[..n].iter_mut().enumerate() {
                        *value = factors.element(place.start + (first + k) as u64);
                    }
                }
                None => *out = [0.0; BLOCK],
            },
            Op::Add(a, b) => {
                each!(out = |a, b| a + b; before[usize::from(a)], before[usize::from(b)])
            }
            Op::Sub(a, b) => {
                each!(out = |a, b| a - b; before[usize::from(a)], before[usize::from(b)])
            }
            Op::Mul(a, b) => {
                each!(out = |a, b| a * b; before[usize::from(a)], before[usize::from(b)])
            }
            Op::Div(a, b) => {
                each!(out = |a, b| a / b; before[usize::from(a)], before[usize::from(b)])
            }
            Op::Fma(a, b, c) => {
                each!(out = |a, b, c| a.mul_add(b, c); before[usize::from(a)], before[usize::from(b)], before[usize::from(c)]);
            }
            Op::Abs(a) => each!(out = |a| a.abs(); before[usize::from(a)]),
            Op::Max(a, b) => {
                each!(out = |a, b| if a > b { a } else { b }; before[usize::from(a)], before[usize::from(b)]);
            }
            Op::Min(a, b) => {
                each!(out = |a, b| if a < b { a } else { b }; before[usize::from(a)], before[usize::from(b)]);
            }
            Op::Greater(a, b) => {
                each!(out = |a, b| if a > b { 1.0 } else { 0.0 }; before[usize::from(a)], before[usize::from(b)]);
            }
            Op::GreaterEqual(a, b) => {
                each!(out = |a, b| if a >= b { 1.0 } else { 0.0 }; before[usize::from(a)], before[usize::from(b)]);
            }
            Op::Select(a, b, c) => {
                each!(out = |a, b, c| if a != 0.0 { b } else { c };
                    before[usize::from(a)], before[usize::from(b)], before[usize::from(c)]);
            }
            Op::Round(a, dtype) => match dtype {
                Dtype::Bf16 => {
                    each!(out = |a| f32::from_bits(bf16_bits(a)); before[usize::from(a)]);
                }
                Dtype::F16 => each!(out = |a| round_f16(a); before[usize::from(a)]),
                Dtype::F32 | Dtype::F64 => *out = before[usize::from(a)].0,
                _ => {
                    for (value, a) in out.iter_mut().zip(&before[usize::from(a)].0) {
                        *value = scalar::round(*a, dtype);
                    }
                }
            },
        }
    }
}

/// Per element of a block: whether all results, and whether any, have the child's bits, as 0 or 1.
struct Agreement {
    all: [u32; BLOCK],
    any: [u32; BLOCK],
}

/// Whether every element of a whole block has the child's bits in the only result. `false` may also
/// mean that this was not found out.
#[inline(always)]
fn all_equal(program: &Program, registers: &[Register], child: &Column<'_>) -> bool {
    let [result] = program.results() else {
        return false;
    };
    let result = &registers[usize::from(*result)].0;
    let mut differ = 0;
    match child.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in result.iter().zip(child.bytes.as_chunks::<2>().0) {
                differ |= (bf16_bits(*value) >> 16) ^ u32::from(u16::from_le_bytes(*bytes));
            }
        }
        Dtype::F32 => {
            for (value, bytes) in result.iter().zip(child.bytes.as_chunks::<4>().0) {
                differ |= value.to_bits() ^ u32::from_le_bytes(*bytes);
            }
        }
        _ => return false,
    }
    differ == 0
}

/// Adds one result to an agreement: equal bits after `$bits`, or two NaN.
macro_rules! agree {
    ($agree:ident, $child:ident, $result:ident, $bits:expr) => {
        for k in 0..BLOCK {
            let nan = $child[k].is_nan() & $result[k].is_nan();
            let same = u32::from(($bits($result[k]) == $child[k].to_bits()) | nan);
            $agree.all[k] &= same;
            $agree.any[k] |= same;
        }
    };
}

/// Compares the results with the child and returns how many elements agree with all, and with any.
#[inline(always)]
fn compare(
    program: &Program,
    registers: &[Register],
    child: &Column<'_>,
    n: usize,
    agree: &mut Agreement,
) -> (u32, u32) {
    *agree = Agreement { all: [1; BLOCK], any: [0; BLOCK] };
    let mut stored = ZERO;
    let simple = matches!(child.dtype, Dtype::Bf16 | Dtype::F16 | Dtype::F32);
    if simple {
        decode(child, &mut stored.0);
    }
    let stored = &stored.0;
    for &result in program.results() {
        let result = &registers[usize::from(result)].0;
        match child.dtype {
            Dtype::Bf16 => agree!(agree, stored, result, bf16_bits),
            Dtype::F16 => agree!(agree, stored, result, f16_bits),
            Dtype::F32 => agree!(agree, stored, result, f32::to_bits),
            _ => {
                for (k, value) in result[..n].iter().enumerate() {
                    let same = u32::from(scalar::equal(child, k, *value));
                    agree.all[k] &= same;
                    agree.any[k] |= same;
                }
            }
        }
    }
    let all = agree.all[..n].iter().sum();
    let any = agree.any[..n].iter().sum();
    (all, any)
}

/// Decodes a block; what is past its end is left zero or old.
#[inline(always)]
fn decode(column: &Column<'_>, out: &mut [f32; BLOCK]) {
    match column.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        Dtype::F16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = widen_f16(u16::from_le_bytes(*bytes));
            }
        }
        Dtype::F32 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        _ => {
            for (k, value) in out[..column.len()].iter_mut().enumerate() {
                *value = scalar::decode_f32(column, k);
            }
        }
    }
}

/// The float32 bits of the nearest bf16, ties to even; any NaN stays one.
#[inline(always)]
fn bf16_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    if value.is_nan() { bits | 0x0040_0000 } else { rounded }
}

/// The nearest f16, ties to even, as float32.
#[inline(always)]
fn round_f16(value: f32) -> f32 {
    let bits = value.to_bits();
    let sign = bits & 0x8000_0000;
    let magnitude = bits & 0x7FFF_FFFF;
    // Normal numbers: 13 bits of the significand are rounded away.
    let normal = magnitude.wrapping_add(0xFFF + (magnitude >> 13 & 1)) & !0x1FFF;
    // Below 2^-14 the last place is 2^-24, which is that of float32 numbers from 0.5 to 1.
    let subnormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let small = magnitude < 0x3880_0000;
    let rounded = if small { subnormal } else { normal };
    // From 65520 on everything is infinite.
    let rounded = if magnitude >= 0x477F_F000 { 0x7F80_0000 } else { rounded };
    let rounded = if value.is_nan() { magnitude } else { rounded };
    f32::from_bits(sign | rounded)
}

#[inline(always)]
fn f16_bits(value: f32) -> u32 {
    round_f16(value).to_bits()
}

#[inline(always)]
fn widen_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    // The exponent is rebiased by a multiplication, which subnormal numbers survive.
    let value = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let special = magnitude >= 0x0F80_0000;
    let value = if special { magnitude | 0x7F80_0000 } else { value.to_bits() };
    f32::from_bits(sign | value)
}
