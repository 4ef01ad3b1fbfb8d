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
//! 2. Scalars, and bf16 columns that only one operation reads, get no register: they are operands as they
//!    are. A result that is rounded to the child's dtype is not rounded twice.
//! 3. Rounding to bf16 is done on the bits, without branches; float16 by the instructions
//!    that a level has for it.
//! 4. Where dtypes are not among those of large checkpoints, elements go through `scalar` one by one.
//! 5. Only blocks that hold a mismatch are looked at twice.
//! 6. A blend of bf16 columns is first tried as a whole, see `linear`.

use super::linear::Linear;
use super::program::{Factors, Op, Program};
use super::{BLOCK, Counts, scalar};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, Level, Vectorize, bf16_bits, widen_bf16};

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
    level.vectorize(Compare { level, machine, program, columns, place })
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
    level.vectorize(Write { level, machine, program, columns, place, dtype, out });
}

fn check(program: &Program, columns: &[Column<'_>], place: &Place<'_>) {
    assert!(program.columns() < columns.len(), "a column for each that the program reads");
    assert!(program.scalars() <= place.scalars.len(), "a scalar for each that the program reads");
    assert!(program.factors() <= place.factors.len(), "a matrix for each that the program reads");
    let length = columns[0].len();
    assert!(columns.iter().all(|column| column.len() == length), "columns of one length");
}

struct Compare<'a> {
    level: Level,
    machine: &'a mut Machine,
    program: &'a Program,
    columns: &'a [Column<'a>],
    place: &'a Place<'a>,
}

impl Vectorize for Compare<'_> {
    type Output = Counts;

    #[inline(always)]
    fn run(self) -> Counts {
        let Self { level, machine, program, columns, place } = self;
        let registers = prepare(machine, program);
        let child = columns[columns.len() - 1];
        let length = child.len();
        let mut counts = Counts::default();
        let mut agree = Agreement { all: [1; BLOCK], any: [0; BLOCK] };
        let linear = Linear::of(program, columns, place.scalars);
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            if let Some(linear) = &linear
                && n == BLOCK
                && linear.all_equal(columns, first)
            {
                counts.reproduced += BLOCK as u64;
                continue;
            }
            execute(level, program, registers, columns, place, first, n);
            let part = child.part(first..first + n);
            if n == BLOCK && all_equal(level, program, registers, &part) {
                counts.reproduced += BLOCK as u64;
                continue;
            }
            let (all, any) = compare(level, program, registers, &part, n, &mut agree);
            counts.reproduced += u64::from(all);
            counts.explained += u64::from(any - all);
            if (any as usize) < n {
                let result = result_of(program, registers, program.results()[0], child.dtype);
                let result = &result[..n];
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
    level: Level,
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
        let Self { level, machine, program, columns, place, dtype, out } = self;
        let registers = prepare(machine, program);
        let length = columns[0].len();
        let width = (dtype.bits() / 8) as usize;
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            execute(level, program, registers, columns, place, first, n);
            let result = result_of(
                program,
                registers,
                program.results()[0],
                columns[columns.len() - 1].dtype,
            );
            for &value in &result[..n] {
                let bits = crate::gram::encode(dtype, f64::from(value)).unwrap_or(0);
                out.extend_from_slice(&bits.to_le_bytes()[..width]);
            }
        }
    }
}

/// Makes room for every operation.
fn prepare<'a>(machine: &'a mut Machine, program: &Program) -> &'a mut [Register] {
    machine.registers.resize(machine.registers.len().max(program.ops().len()), ZERO);
    &mut machine.registers[..program.ops().len()]
}

/// What an operation reads.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Register(&'a [f32; BLOCK]),
    Scalar(f32),
    Bf16(&'a [[u8; 2]; BLOCK]),
}

use Operand::{Bf16, Register as Reg, Scalar};

/// Sets every element of `$out` to an expression of the elements of operands.
macro_rules! each {
    ($out:ident = |$a:ident| $value:expr; $one:expr) => {
        match $one {
            Reg(x) => each!(@loop $out, k, { let $a = x[k]; $value }),
            Scalar(x) => each!(@loop $out, k, { let $a = x; $value }),
            Bf16(x) => each!(@loop $out, k, { let $a = widen_bf16(x[k]); $value }),
        }
    };
    ($out:ident = |$a:ident, $b:ident| $value:expr; $one:expr, $two:expr) => {
        match $two {
            Reg(y) => each!(@then $out, k, $a, $one, { let $b = y[k]; $value }),
            Scalar(y) => each!(@then $out, k, $a, $one, { let $b = y; $value }),
            Bf16(y) => each!(@then $out, k, $a, $one, { let $b = widen_bf16(y[k]); $value }),
        }
    };
    ($out:ident = |$a:ident, $b:ident, $c:ident| $value:expr; $one:expr, $two:expr, $three:expr) => {
        match ($two, $three) {
            (Reg(y), Reg(z)) => each!(@then $out, k, $a, $one, { let ($b, $c) = (y[k], z[k]); $value }),
            (Reg(y), Scalar(z)) => each!(@then $out, k, $a, $one, { let ($b, $c) = (y[k], z); $value }),
            (Reg(y), Bf16(z)) => {
                each!(@then $out, k, $a, $one, { let ($b, $c) = (y[k], widen_bf16(z[k])); $value })
            }
            (Scalar(y), Reg(z)) => each!(@then $out, k, $a, $one, { let ($b, $c) = (y, z[k]); $value }),
            (Scalar(y), Scalar(z)) => each!(@then $out, k, $a, $one, { let ($b, $c) = (y, z); $value }),
            (Scalar(y), Bf16(z)) => {
                each!(@then $out, k, $a, $one, { let ($b, $c) = (y, widen_bf16(z[k])); $value })
            }
            (Bf16(y), Reg(z)) => {
                each!(@then $out, k, $a, $one, { let ($b, $c) = (widen_bf16(y[k]), z[k]); $value })
            }
            (Bf16(y), Scalar(z)) => {
                each!(@then $out, k, $a, $one, { let ($b, $c) = (widen_bf16(y[k]), z); $value })
            }
            (Bf16(y), Bf16(z)) => each!(@then $out, k, $a, $one, {
                let ($b, $c) = (widen_bf16(y[k]), widen_bf16(z[k])); $value
            }),
        }
    };
    (@then $out:ident, $k:ident, $a:ident, $one:expr, $value:block) => {
        match $one {
            Reg(x) => each!(@loop $out, $k, { let $a = x[$k]; $value }),
            Scalar(x) => each!(@loop $out, $k, { let $a = x; $value }),
            Bf16(x) => each!(@loop $out, $k, { let $a = widen_bf16(x[$k]); $value }),
        }
    };
    (@loop $out:ident, $k:ident, $value:block) => {
        for $k in 0..BLOCK {
            $out[$k] = $value;
        }
    };
}

/// Whether operation `number` is an operand as it is in a block of `n` elements.
#[inline(always)]
fn is_direct(program: &Program, columns: &[Column<'_>], number: usize, n: usize) -> bool {
    match program.ops()[number] {
        Op::Scalar(_) => !program.is_result(number),
        Op::Column(column) => {
            let is_bf16 = columns[usize::from(column)].dtype == Dtype::Bf16;
            n == BLOCK && is_bf16 && program.uses(number) == 1 && !program.is_result(number)
        }
        _ => false,
    }
}

#[inline(always)]
fn execute(
    level: Level,
    program: &Program,
    registers: &mut [Register],
    columns: &[Column<'_>],
    place: &Place<'_>,
    first: usize,
    n: usize,
) {
    let child = columns[columns.len() - 1].dtype;
    for (number, op) in program.ops().iter().enumerate() {
        if is_direct(program, columns, number, n) || is_rounded_by_child(program, number, child) {
            continue;
        }
        let (before, rest) = registers.split_at_mut(number);
        let out = &mut rest[0].0;
        /// An operand, by number.
        macro_rules! get {
            ($number:expr) => {{
                let number = usize::from($number);
                match program.ops()[number] {
                    Op::Scalar(scalar) => Scalar(place.scalars[usize::from(scalar)]),
                    Op::Column(column) if is_direct(program, columns, number, n) => {
                        let part = columns[usize::from(column)].part(first..first + n);
                        match part.bytes.as_chunks::<2>().0.try_into() {
                            Ok(elements) => Bf16(elements),
                            Err(_) => Reg(&before[number].0),
                        }
                    }
                    _ => Reg(&before[number].0),
                }
            }};
        }
        match *op {
            Op::Scalar(scalar) => *out = [place.scalars[usize::from(scalar)]; BLOCK],
            Op::Column(column) => {
                let column = columns[usize::from(column)].part(first..first + n);
                decode(level, &column, out);
            }
            Op::Reversed(column) => {
                let column = columns[usize::from(column)].part(first..first + n);
                decode(level, &column, out);
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
            Op::Add(a, b) => each!(out = |a, b| a + b; get!(a), get!(b)),
            Op::Sub(a, b) => each!(out = |a, b| a - b; get!(a), get!(b)),
            Op::Mul(a, b) => each!(out = |a, b| a * b; get!(a), get!(b)),
            Op::Div(a, b) => each!(out = |a, b| a / b; get!(a), get!(b)),
            Op::Fma(a, b, c) => {
                each!(out = |a, b, c| a.mul_add(b, c); get!(a), get!(b), get!(c));
            }
            Op::Abs(a) => each!(out = |a| a.abs(); get!(a)),
            Op::Max(a, b) => each!(out = |a, b| if a > b { a } else { b }; get!(a), get!(b)),
            Op::Min(a, b) => each!(out = |a, b| if a < b { a } else { b }; get!(a), get!(b)),
            Op::Greater(a, b) => {
                each!(out = |a, b| if a > b { 1.0 } else { 0.0 }; get!(a), get!(b));
            }
            Op::GreaterEqual(a, b) => {
                each!(out = |a, b| if a >= b { 1.0 } else { 0.0 }; get!(a), get!(b));
            }
            Op::Select(a, b, c) => {
                each!(out = |a, b, c| if a != 0.0 { b } else { c }; get!(a), get!(b), get!(c));
            }
            Op::Round(a, dtype) => match dtype {
                Dtype::Bf16 => each!(out = |a| f32::from_bits(bf16_bits(a)); get!(a)),
                Dtype::F16 => {
                    each!(out = |a| a; get!(a));
                    level.round_f16(out);
                }
                Dtype::F32 | Dtype::F64 => each!(out = |a| a; get!(a)),
                _ => {
                    each!(out = |a| a; get!(a));
                    for value in out.iter_mut() {
                        *value = scalar::round(*value, dtype);
                    }
                }
            },
        }
    }
}

/// Whether an operation only rounds a result to the child's dtype, which comparing does as well.
#[inline(always)]
fn is_rounded_by_child(program: &Program, number: usize, child: Dtype) -> bool {
    match program.ops()[number] {
        Op::Round(a, dtype) => {
            let operand = program.ops()[usize::from(a)];
            let has_register = !matches!(operand, Op::Scalar(_) | Op::Column(_));
            // F8 has no infinity to overflow to, so that a value rounded twice may differ.
            let is_plain = matches!(dtype, Dtype::Bf16 | Dtype::F16 | Dtype::F32);
            dtype == child && is_plain && has_register && program.uses(number) == 0
        }
        _ => false,
    }
}

/// The register that holds a result, before or after it is rounded to the child's dtype.
#[inline(always)]
fn result_of<'a>(
    program: &Program,
    registers: &'a [Register],
    result: u8,
    child: Dtype,
) -> &'a [f32; BLOCK] {
    let number = usize::from(result);
    match program.ops()[number] {
        Op::Round(a, _) if is_rounded_by_child(program, number, child) => {
            &registers[usize::from(a)].0
        }
        _ => &registers[number].0,
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
fn all_equal(level: Level, program: &Program, registers: &[Register], child: &Column<'_>) -> bool {
    let [result] = program.results() else {
        return false;
    };
    let result = result_of(program, registers, *result, child.dtype);
    let mut differ = 0;
    match child.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in result.iter().zip(child.bytes.as_chunks::<2>().0) {
                differ |= (bf16_bits(*value) >> 16) ^ u32::from(u16::from_le_bytes(*bytes));
            }
        }
        Dtype::F16 => {
            let (mut rounded, mut stored) = (*result, ZERO.0);
            level.round_f16(&mut rounded);
            level.widen_f16(child.bytes, &mut stored);
            for (value, stored) in rounded.iter().zip(&stored) {
                differ |= value.to_bits() ^ stored.to_bits();
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
    level: Level,
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
        decode(level, child, &mut stored.0);
    }
    let stored = &stored.0;
    for &result in program.results() {
        let result = result_of(program, registers, result, child.dtype);
        match child.dtype {
            Dtype::Bf16 => agree!(agree, stored, result, bf16_bits),
            Dtype::F16 => {
                let mut rounded = *result;
                level.round_f16(&mut rounded);
                agree!(agree, stored, rounded, f32::to_bits);
            }
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
fn decode(level: Level, column: &Column<'_>, out: &mut [f32; BLOCK]) {
    match column.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = widen_bf16(*bytes);
            }
        }
        Dtype::F16 => level.widen_f16(column.bytes, out),
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
