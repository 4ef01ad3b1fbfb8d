//! The operations of a program on one block: a loop over arrays each.
//!
//! A macro writes out each loop for every kind of operand. There is no closure for what is done with
//! elements: it would be a function of its own, compiled for the least common instruction set.

use super::program::{Op, Place, Program};
use super::{BLOCK, scalar};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, Level, bf16_bits, widen_bf16, widen_e4m3, widen_e5m2};

/// The elements of a block after one operation.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Register(pub(super) [f32; BLOCK]);

pub(super) const ZERO: Register = Register([0.0; BLOCK]);

/// A program, and the chunk that it is carried out on. The child is the last column.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) level: Level,
    pub(super) program: &'a Program,
    pub(super) columns: &'a [Column<'a>],
    pub(super) place: &'a Place<'a>,
}

/// What an operation reads.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Register(&'a [f32; BLOCK]),
    Scalar(f32),
    Bf16(&'a [[u8; 2]; BLOCK]),
}

/// Elements of an operand, as float32.
trait Elements: Copy {
    /// Element `k` of the block.
    fn at(self, k: usize) -> f32;
}

impl Elements for &[f32; BLOCK] {
    #[inline(always)]
    fn at(self, k: usize) -> f32 {
        self[k]
    }
}

impl Elements for f32 {
    #[inline(always)]
    fn at(self, _k: usize) -> f32 {
        self
    }
}

impl Elements for &[[u8; 2]; BLOCK] {
    #[inline(always)]
    fn at(self, k: usize) -> f32 {
        widen_bf16(self[k])
    }
}

/// Compiles `$body` once for every kind of operand, with `$x` its [`Elements`].
macro_rules! with {
    ($x:ident = $operand:expr; $body:expr) => {
        match $operand {
            Operand::Register($x) => $body,
            Operand::Scalar($x) => $body,
            Operand::Bf16($x) => $body,
        }
    };
}

/// Sets every element of `$out` to an expression of the elements of one, two or three operands.
///
/// The loop is in a function, since arguments of a function are known not to overlap.
macro_rules! each {
    ($out:ident = |$a:ident| $value:expr; $one:expr) => {{
        #[inline(always)]
        fn each(out: &mut [f32; BLOCK], x: impl Elements) {
            for k in 0..BLOCK {
                let $a = x.at(k);
                out[k] = $value;
            }
        }
        with!(x = $one; each($out, x))
    }};
    ($out:ident = |$a:ident, $b:ident| $value:expr; $one:expr, $two:expr) => {{
        #[inline(always)]
        fn each(out: &mut [f32; BLOCK], x: impl Elements, y: impl Elements) {
            for k in 0..BLOCK {
                let ($a, $b) = (x.at(k), y.at(k));
                out[k] = $value;
            }
        }
        with!(x = $one; with!(y = $two; each($out, x, y)))
    }};
    ($out:ident = |$a:ident, $b:ident, $c:ident| $value:expr; $one:expr, $two:expr, $three:expr) => {{
        #[inline(always)]
        fn each(out: &mut [f32; BLOCK], x: impl Elements, y: impl Elements, z: impl Elements) {
            for k in 0..BLOCK {
                let ($a, $b, $c) = (x.at(k), y.at(k), z.at(k));
                out[k] = $value;
            }
        }
        with!(x = $one; with!(y = $two; with!(z = $three; each($out, x, y, z))))
    }};
}

impl<'a> Work<'a> {
    /// Carries every operation out on the `n` elements of the chunk from `first` on. Operations that are
    /// operands as they are, and those that comparing with the child makes up for, leave their registers
    /// as they were.
    #[inline(always)]
    pub(super) fn execute(&self, registers: &mut [Register], first: usize, n: usize) {
        let Self { level, program, place, .. } = *self;
        for (number, op) in program.ops().iter().enumerate() {
            if self.is_direct(number, n) || self.is_rounded_by_child(number) {
                continue;
            }
            let (before, rest) = registers.split_at_mut(number);
            let out = &mut rest[0].0;
            macro_rules! get {
                ($number:expr) => {
                    self.operand(before, usize::from($number), first, n)
                };
            }
            match *op {
                Op::Scalar(scalar) => *out = [place.scalars[usize::from(scalar)]; BLOCK],
                Op::Column(column) => decode(level, &self.part(column, first, n), out),
                Op::Reversed(column) => {
                    decode(level, &self.part(column, first, n), out);
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
                    each!(out = |a, b, c| select(a, b, c); get!(a), get!(b), get!(c));
                }
                Op::Round(a, Dtype::Bf16) => {
                    each!(out = |a| f32::from_bits(bf16_bits(a)); get!(a));
                }
                Op::Round(a, dtype) => {
                    each!(out = |a| a; get!(a));
                    match dtype {
                        Dtype::F16 => level.round_f16(out),
                        Dtype::F32 | Dtype::F64 => {}
                        _ => out.iter_mut().for_each(|x| *x = scalar::round(*x, dtype)),
                    }
                }
            }
        }
    }

    /// The register that holds a result. What is rounded to the child's dtype last of all has none: it is
    /// that of the number before it was rounded, since comparing rounds, too.
    #[inline(always)]
    pub(super) fn result<'r>(&self, registers: &'r [Register], result: u8) -> &'r [f32; BLOCK] {
        let number = usize::from(result);
        match self.program.ops()[number] {
            Op::Round(a, _) if self.is_rounded_by_child(number) => &registers[usize::from(a)].0,
            _ => &registers[number].0,
        }
    }

    /// Operation `number` as an operand, where `before` are the registers of all operations up to it.
    #[inline(always)]
    fn operand<'r>(
        &self,
        before: &'r [Register],
        number: usize,
        first: usize,
        n: usize,
    ) -> Operand<'r>
    where
        'a: 'r,
    {
        match self.program.ops()[number] {
            Op::Scalar(scalar) => Operand::Scalar(self.place.scalars[usize::from(scalar)]),
            Op::Column(column) if self.is_direct(number, n) => {
                match self.part(column, first, n).bytes.as_chunks::<2>().0.try_into() {
                    Ok(elements) => Operand::Bf16(elements),
                    Err(_) => Operand::Register(&before[number].0),
                }
            }
            _ => Operand::Register(&before[number].0),
        }
    }

    /// `n` elements of a column from `first` on.
    #[inline(always)]
    fn part(&self, column: u8, first: usize, n: usize) -> Column<'a> {
        self.columns[usize::from(column)].part(first..first + n)
    }

    /// Whether operation `number` is an operand as it is, and needs no register, in a block of `n`
    /// elements: a scalar, or bf16 that only one operation reads, and so widens only once.
    #[inline(always)]
    fn is_direct(&self, number: usize, n: usize) -> bool {
        let program = self.program;
        match program.ops()[number] {
            Op::Scalar(_) => !program.is_result(number),
            Op::Column(column) => {
                let is_bf16 = self.columns[usize::from(column)].dtype == Dtype::Bf16;
                n == BLOCK && is_bf16 && program.uses(number) == 1 && !program.is_result(number)
            }
            _ => false,
        }
    }

    /// Whether operation `number` only rounds a result to the child's dtype, which comparing does, too.
    #[inline(always)]
    fn is_rounded_by_child(&self, number: usize) -> bool {
        let (program, child) = (self.program, self.columns[self.columns.len() - 1].dtype);
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
}

/// `b` if `a` is not 0, else `c`. It has no branch: the compiler would load either `b` or `c` in it, one
/// element after the other.
#[inline(always)]
fn select(a: f32, b: f32, c: f32) -> f32 {
    let mask = u32::from(a != 0.0).wrapping_neg();
    f32::from_bits(b.to_bits() & mask | c.to_bits() & !mask)
}

/// Decodes the elements of a column, at most a block. Elements of `out` past its end keep what they had,
/// or become zero.
#[inline(always)]
pub(super) fn decode(level: Level, column: &Column<'_>, out: &mut [f32; BLOCK]) {
    match column.dtype {
        Dtype::Bf16 => {
            for (value, bytes) in out.iter_mut().zip(column.bytes.as_chunks::<2>().0) {
                *value = widen_bf16(*bytes);
            }
        }
        Dtype::F16 => level.widen_f16(column.bytes, out),
        Dtype::F8E4m3 => {
            for (value, byte) in out.iter_mut().zip(column.bytes) {
                *value = widen_e4m3(*byte);
            }
        }
        Dtype::F8E5m2 => {
            for (value, byte) in out.iter_mut().zip(column.bytes) {
                *value = widen_e5m2(*byte);
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
