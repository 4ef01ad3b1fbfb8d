//! Blocks of columns, widened to float32 or float64 in the cache, for wide arithmetic.

use super::arithmetic::Wide;
use super::products::{Room, Rows};
use super::simd::Simd;
use super::widen::{
    Rounding, halves_of_e4m3, limited, widen_bf16, widen_e4m3, widen_e5m2, widen_f16,
};
use super::{BLOCK, Column, MAX_COLUMNS, WIDE_LANES};
use crate::checkpoint::dtype::Dtype;

/// Rows of a block.
pub(super) const ROWS: usize = BLOCK / WIDE_LANES;
/// Elements widened by one vector operation.
const GROUP: usize = 16;

/// A block of one column.
///
/// Two rows are never used. Without them, the same rows of two columns could lie a multiple of 4096 bytes
/// apart, and the CPU, which compares the last twelve bits of addresses first, would have a load of one wait
/// for a store to the other.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Values<T>([T; BLOCK + 2 * WIDE_LANES]);

impl<T: Cell> Values<T> {
    pub(super) const ZERO: Self = Self([T::ZERO; BLOCK + 2 * WIDE_LANES]);

    /// The eight elements of a row.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> [f64; WIDE_LANES] {
        self.0.as_chunks().0[row].map(T::value)
    }

    /// All elements, and some that are never used.
    #[inline(always)]
    pub(super) fn all(&self) -> &[T] {
        &self.0
    }

    /// Writes element `k` of the block.
    #[inline(always)]
    pub(super) fn set(&mut self, k: usize, value: T) {
        self.0[k] = value;
    }

    /// Element `k` of the block.
    #[inline(always)]
    pub(super) fn get(&self, k: usize) -> f64 {
        self.0[k].value()
    }
}

/// The type that a widened element has in the cache.
pub(super) trait Cell: Copy + 'static {
    /// Zero.
    const ZERO: Self;
    /// A value that this type holds exactly.
    fn exactly(value: f64) -> Self;
    /// The value.
    fn value(self) -> f64;
    /// Part `pass` of a row, as float64.
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide;
    /// The same columns, if their elements are float32.
    fn singles(x: &[Values<Self>]) -> Option<&[Values<f32>]>;
    /// Widens the elements of a column that vector operations reach, from the first on, and returns how
    /// many those are: whole groups of some dtypes, all or none of others.
    fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize;
}

/// Writes a column's elements of `$width` bytes, and evaluates to how many those are. There is no closure: it would
/// be a function of its own, compiled without the instruction set.
macro_rules! elements {
    ($column:ident, $out:ident, |$bytes:ident: $width:literal| $value:expr) => {{
        let (elements, _) = $column.bytes.as_chunks::<$width>();
        for (bytes, value) in elements.iter().zip(&mut $out.0) {
            let $bytes = *bytes;
            *value = $value;
        }
        elements.len()
    }};
}

impl Cell for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn exactly(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide {
        simd.load(row, pass)
    }

    #[inline(always)]
    fn singles(_x: &[Values<Self>]) -> Option<&[Values<f32>]> {
        None
    }

    #[inline(always)]
    fn widen<S: Simd>(_simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize {
        match column.dtype {
            Dtype::F64 => elements!(column, out, |x: 8| limited(f64::from_le_bytes(x))),
            Dtype::F32 => elements!(column, out, |x: 4| f64::from(f32::from_le_bytes(x))),
            Dtype::Bf16 => elements!(column, out, |x: 2| f64::from(widen_bf16(x))),
            Dtype::F16 => {
                elements!(column, out, |x: 2| f64::from(widen_f16(u16::from_le_bytes(x))))
            }
            Dtype::F8E4m3 => elements!(column, out, |x: 1| f64::from(widen_e4m3(x[0]))),
            Dtype::F8E5m2 => elements!(column, out, |x: 1| f64::from(widen_e5m2(x[0]))),
            Dtype::I32 => elements!(column, out, |x: 4| f64::from(i32::from_le_bytes(x))),
            Dtype::U32 => elements!(column, out, |x: 4| f64::from(u32::from_le_bytes(x))),
            Dtype::I16 => elements!(column, out, |x: 2| f64::from(i16::from_le_bytes(x))),
            Dtype::U16 => elements!(column, out, |x: 2| f64::from(u16::from_le_bytes(x))),
            Dtype::I8 => elements!(column, out, |x: 1| f64::from(x[0] as i8)),
            Dtype::U8 => elements!(column, out, |x: 1| f64::from(x[0])),
            _ => 0,
        }
    }
}

impl Cell for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn exactly(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn value(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, row: &[Self; WIDE_LANES], pass: usize) -> S::Wide {
        simd.load_f32(row, pass)
    }

    #[inline(always)]
    fn singles(x: &[Values<Self>]) -> Option<&[Values<f32>]> {
        Some(x)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, column: &Column<'_>, out: &mut Values<Self>) -> usize {
        // Writes groups of elements of `$width` bytes, and evaluates to how many elements those are.
        macro_rules! groups {
            (|$bytes:ident: $width:literal, $row:ident| $widened:expr) => {{
                let (rows, _) = out.0.as_chunks_mut::<GROUP>();
                let (groups, _) = column.bytes.as_chunks::<{ $width * GROUP }>();
                for ($bytes, $row) in groups.iter().zip(rows) {
                    $widened;
                }
                groups.len() * GROUP
            }};
        }
        match column.dtype {
            Dtype::Bf16 => groups!(|bytes: 2, row| simd.widen_bf16(bytes, row)),
            Dtype::F16 => groups!(|bytes: 2, row| simd.widen_f16(bytes, row)),
            Dtype::F32 => elements!(column, out, |x: 4| f32::from_le_bytes(x)),
            Dtype::F8E4m3 => groups!(|codes: 1, row| {
                simd.widen_f16(&bytes_of(halves_of_e4m3(*codes)), row);
                *row = row.map(|value| value * 256.0);
            }),
            Dtype::F8E5m2 => groups!(|codes: 1, row| {
                simd.widen_f16(&bytes_of(codes.map(|code| u16::from(code) << 8)), row);
            }),
            Dtype::I16 => elements!(column, out, |x: 2| f32::from(i16::from_le_bytes(x))),
            Dtype::U16 => elements!(column, out, |x: 2| f32::from(u16::from_le_bytes(x))),
            Dtype::I8 => elements!(column, out, |x: 1| f32::from(x[0] as i8)),
            Dtype::U8 => elements!(column, out, |x: 1| f32::from(x[0])),
            _ => 0,
        }
    }
}

/// The bytes of sixteen float16, as they are stored.
#[inline(always)]
fn bytes_of(halves: [u16; GROUP]) -> [u8; 2 * GROUP] {
    let mut bytes = [0; 2 * GROUP];
    for (pair, half) in bytes.as_chunks_mut().0.iter_mut().zip(halves) {
        *pair = half.to_le_bytes();
    }
    bytes
}

/// Whether every value of a dtype, as [`super::decode`] gives it, is a float32.
pub(super) fn is_narrow(dtype: Dtype) -> bool {
    match Rounding::of(dtype) {
        Some(rounding) => rounding.mantissa <= 23 && dtype.bits() <= 32,
        None => dtype.bits() <= 16,
    }
}

impl<S: Simd, T: Cell> Rows<Wide<S>> for Values<T> {
    #[inline(always)]
    fn load(&self, arithmetic: Wide<S>, row: usize, pass: usize) -> S::Wide {
        T::load(arithmetic.0, &self.0.as_chunks().0[row], pass)
    }
}

impl<S: Simd> Room<Wide<S>> for Values<f64> {
    #[inline(always)]
    fn store(&mut self, arithmetic: Wide<S>, row: usize, pass: usize, value: S::Wide) {
        arithmetic.0.store(&mut self.0.as_chunks_mut().0[row], pass, value);
    }
}

/// Element `k` of a block, in every column.
#[inline(always)]
pub(super) fn element<T: Cell>(x: &[Values<T>], k: usize) -> [f64; MAX_COLUMNS] {
    let mut values = [0.0; MAX_COLUMNS];
    for (value, column) in values.iter_mut().zip(x) {
        *value = column.get(k);
    }
    values
}
