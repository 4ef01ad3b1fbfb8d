//! Exact decoding of every numeric dtype to float64, and the rounding back.

use crate::checkpoint::dtype::Dtype;

/// Magnitudes from here on are decoded as infinite, so that no square overflows.
const F64_LIMIT: f64 = f64::from_bits((1023 + 500) << 52);

/// One element, exactly.
///
/// `bytes` holds one little-endian element of a numeric dtype. A value that float64 can not hold
/// exactly (an integer beyond 2^53 with low bits set), or whose square would overflow (float64 from
/// 2^500), comes back as an infinity of its sign: it is counted and excluded, never rounded.
/// Dtypes without arithmetic come back as NaN; a plan refuses them before any byte is read.
///
/// ```
/// use parentage_core::{checkpoint::dtype::Dtype, gram::decode};
/// assert_eq!(decode(Dtype::Bf16, &[0xC0, 0x3F]), 1.5);
/// assert_eq!(decode(Dtype::F8E4m3, &[0x7E]), 448.0);
/// assert_eq!(decode(Dtype::I64, &i64::MAX.to_le_bytes()), f64::INFINITY);
/// ```
#[inline]
pub fn decode(dtype: Dtype, bytes: &[u8]) -> f64 {
    match dtype {
        Dtype::Bf16 => f64::from(f32::from_bits(u32::from(le16(bytes)) << 16)),
        Dtype::F16 => small_float(u64::from(le16(bytes)), 5, 10, true),
        Dtype::F32 => f64::from(f32::from_bits(le32(bytes))),
        Dtype::F64 => limited(f64::from_bits(le64(bytes))),
        Dtype::F8E4m3 => match bytes[0] {
            0x7F | 0xFF => f64::NAN,
            bits => small_float(u64::from(bits), 4, 3, false),
        },
        Dtype::F8E5m2 => small_float(u64::from(bytes[0]), 5, 2, true),
        Dtype::F8E8m0 => match bytes[0] {
            0xFF => f64::NAN,
            exponent => power_of_two(i64::from(exponent) - 127),
        },
        Dtype::I8 => f64::from(bytes[0] as i8),
        Dtype::U8 => f64::from(bytes[0]),
        Dtype::I16 => f64::from(le16(bytes) as i16),
        Dtype::U16 => f64::from(le16(bytes)),
        Dtype::I32 => f64::from(le32(bytes) as i32),
        Dtype::U32 => f64::from(le32(bytes)),
        Dtype::I64 => {
            let value = le64(bytes) as i64;
            let exact = (value as f64) as i128 == i128::from(value);
            if exact { value as f64 } else { f64::INFINITY.copysign(value as f64) }
        }
        Dtype::U64 => {
            let value = le64(bytes);
            let exact = (value as f64) as u128 == u128::from(value);
            if exact { value as f64 } else { f64::INFINITY }
        }
        _ => f64::NAN,
    }
}

/// A float64, infinite from [`F64_LIMIT`] on.
#[inline(always)]
pub(super) fn limited(value: f64) -> f64 {
    if value.abs() >= F64_LIMIT { f64::INFINITY.copysign(value) } else { value }
}

/// The bits of `value` cast to `dtype`, as torch and numpy cast: round to nearest, ties to even,
/// through float32 for the dtypes narrower than that.
///
/// `None` where the cast is no rounding: a fraction or an overflow to an integer dtype, anything
/// that is no power of two to F8_E8M0, and dtypes without arithmetic.
///
/// ```
/// use parentage_core::{checkpoint::dtype::Dtype, gram::encode};
/// assert_eq!(encode(Dtype::Bf16, 1.0 + 1.0 / 256.0), Some(0x3F80)); // a tie goes to even
/// assert_eq!(encode(Dtype::F16, 70000.0), Some(0x7C00)); // infinity
/// assert_eq!(encode(Dtype::I8, 1.5), None);
/// ```
pub fn encode(dtype: Dtype, value: f64) -> Option<u64> {
    let narrow = f64::from(value as f32);
    let integer = |low: f64, high: f64, mask: u64| {
        let fits = value.fract() == 0.0 && value >= low && value <= high;
        fits.then_some(value as i64 as u64 & mask)
    };
    match dtype {
        Dtype::F64 => Some(value.to_bits()),
        Dtype::F32 => Some(u64::from((value as f32).to_bits())),
        Dtype::Bf16 => Some(small_float_bits(narrow, 8, 7, Overflow::Infinity)),
        Dtype::F16 => Some(small_float_bits(narrow, 5, 10, Overflow::Infinity)),
        Dtype::F8E5m2 => Some(small_float_bits(narrow, 5, 2, Overflow::Infinity)),
        Dtype::F8E4m3 => Some(small_float_bits(narrow, 4, 3, Overflow::Nan)),
        Dtype::F8E8m0 if value.is_nan() => Some(0xFF),
        Dtype::F8E8m0 => (0..0xFF).find(|&bits| decode(dtype, &[bits as u8]) == value),
        Dtype::I8 => integer(-128.0, 127.0, 0xFF),
        Dtype::U8 => integer(0.0, 255.0, 0xFF),
        Dtype::I16 => integer(-32768.0, 32767.0, 0xFFFF),
        Dtype::U16 => integer(0.0, 65535.0, 0xFFFF),
        Dtype::I32 => integer(f64::from(i32::MIN), f64::from(i32::MAX), 0xFFFF_FFFF),
        Dtype::U32 => integer(0.0, f64::from(u32::MAX), 0xFFFF_FFFF),
        Dtype::I64 => integer(-9007199254740992.0, 9007199254740992.0, u64::MAX),
        Dtype::U64 => integer(0.0, 9007199254740992.0, u64::MAX),
        _ => None,
    }
}

/// How coarse a dtype is: what its rounding energy is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    /// Stored bits of the significand.
    pub mantissa: i32,
    /// Exponent of the smallest normal number.
    pub lowest: i32,
}

impl Rounding {
    /// The rounding of a floating-point dtype; `None` for integers, whose last place is 1.
    pub fn of(dtype: Dtype) -> Option<Self> {
        let (mantissa, lowest) = match dtype {
            Dtype::Bf16 => (7, -126),
            Dtype::F16 => (10, -14),
            Dtype::F32 => (23, -126),
            Dtype::F64 => (52, -1022),
            Dtype::F8E4m3 => (3, -6),
            Dtype::F8E5m2 => (2, -14),
            Dtype::F8E8m0 => (0, -127),
            _ => return None,
        };
        Some(Self { mantissa, lowest })
    }

    /// The rounding energy that a sum of squared binades stands for.
    pub(super) fn energy(self, squares: f64) -> f64 {
        squares * power_of_two(-2 * i64::from(self.mantissa)) / 12.0
    }

    /// The smallest normal number.
    #[inline(always)]
    pub(crate) fn least_normal(self) -> f64 {
        power_of_two(i64::from(self.lowest))
    }

    /// One unit in the last place of the dtype at `value`.
    #[inline(always)]
    pub(crate) fn ulp(self, value: f64) -> f64 {
        binade(value).max(power_of_two(i64::from(self.lowest)))
            * power_of_two(-i64::from(self.mantissa))
    }
}

/// The largest power of two not above |value|; 0 for 0.
#[inline(always)]
pub(crate) fn binade(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & 0x7FF0_0000_0000_0000)
}

/// 2^exponent for -1022 <= exponent <= 1023, exactly.
#[inline(always)]
pub(super) fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// Decodes a float of 1 sign bit, `exponent_bits` and `mantissa_bits`. With `specials` the largest
/// exponent holds infinities and NaN; without, it holds numbers.
fn small_float(bits: u64, exponent_bits: u32, mantissa_bits: u32, specials: bool) -> f64 {
    let sign = if bits >> (exponent_bits + mantissa_bits) & 1 == 1 { -1.0 } else { 1.0 };
    let top = (1 << exponent_bits) - 1;
    let exponent = bits >> mantissa_bits & top;
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let bias = (top >> 1) as i64;
    if specials && exponent == top {
        return if mantissa == 0 { sign * f64::INFINITY } else { f64::NAN };
    }
    let (significand, exponent) = match exponent {
        0 => (mantissa, 1),
        _ => (mantissa | 1 << mantissa_bits, exponent),
    };
    sign * significand as f64 * power_of_two(exponent as i64 - bias - i64::from(mantissa_bits))
}

/// The float32 bits of the nearest bf16, ties to even; any NaN stays one.
#[inline(always)]
pub(crate) fn bf16_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
    if value.is_nan() { bits | 0x0040_0000 } else { rounded }
}

/// A bf16 as float32.
#[inline(always)]
pub(crate) fn widen_bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// The nearest float16, ties to even, as float32; any NaN stays one.
#[inline(always)]
pub(super) fn round_f16(value: f32) -> f32 {
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

/// The bits of a float32 rounded to `MANTISSA` bits after the leading one, and to that of 2^`LOWEST` below it, ties
/// to even. Those of a finite number of a dtype come out only of numbers that the dtype rounds to it: what is
/// beyond the dtype's largest gives some other number, or infinity.
#[inline(always)]
pub(super) fn rounded_bits<const MANTISSA: u32, const LOWEST: i32>(value: f32) -> u32 {
    let bits = value.to_bits();
    let (sign, magnitude) = (bits & 0x8000_0000, bits & 0x7FFF_FFFF);
    if MANTISSA == 23 {
        return bits;
    }
    let dropped = 23 - MANTISSA;
    let half = (1_u32 << (dropped - 1)) - 1;
    let normal =
        magnitude.wrapping_add(half + (magnitude >> dropped & 1)) & !((1_u32 << dropped) - 1);
    if LOWEST == -126 {
        return sign | normal;
    }
    // Below 2^LOWEST the last place is that of float32 numbers from this one to twice that.
    let place = f32::from_bits(((127 + LOWEST + dropped as i32) as u32) << 23);
    let subnormal = ((f32::from_bits(magnitude) + place) - place).to_bits();
    let small = magnitude < ((127 + LOWEST) as u32) << 23;
    sign | if small { subnormal } else { normal }
}

/// An F8_E4M3 as float32.
#[inline(always)]
pub(crate) fn widen_e4m3(bits: u8) -> f32 {
    let magnitude = u32::from(bits & 0x7F);
    let value = rebiased(magnitude << 20, magnitude < 0x08, 120);
    let value = if magnitude == 0x7F { 0x7FC0_0000 } else { value };
    f32::from_bits(u32::from(bits & 0x80) << 24 | value)
}

/// F8_E4M3 as float16, of which 256 times the value is theirs. It is exact, and conversions of float16 are one
/// instruction.
#[inline(always)]
pub(super) fn halves_of_e4m3<const GROUP: usize>(codes: [u8; GROUP]) -> [u16; GROUP] {
    codes.map(|code| {
        let magnitude = u16::from(code & 0x7F);
        let magnitude = if magnitude == 0x7F { 0x7E00 } else { magnitude << 7 };
        u16::from(code & 0x80) << 8 | magnitude
    })
}

/// An F8_E5M2 as float32.
#[inline(always)]
pub(crate) fn widen_e5m2(bits: u8) -> f32 {
    widen_f16(u16::from(bits) << 8)
}

/// A float16 as float32.
#[inline(always)]
pub(crate) fn widen_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    let special = magnitude >= 0x0F80_0000;
    let value = rebiased(magnitude, magnitude < 0x0080_0000, 112);
    let value = if special { magnitude | 0x7F80_0000 } else { value };
    f32::from_bits(sign | value)
}

/// The bits of a float32 whose exponent is `by` larger than in `magnitude`, where an exponent of 0 means a number
/// `is_subnormal`. No operand is subnormal: on many CPUs one costs a hundred cycles, for all lanes of a vector.
#[inline(always)]
fn rebiased(magnitude: u32, is_subnormal: bool, by: u32) -> u32 {
    // As if it were normal, with the leading one that a subnormal number lacks.
    let one = (by + 1) << 23;
    let subnormal = f32::from_bits(magnitude + one) - f32::from_bits(one);
    if is_subnormal { subnormal.to_bits() } else { magnitude + (by << 23) }
}

#[derive(Clone, Copy)]
enum Overflow {
    Infinity,
    Nan,
}

/// Rounds to a float of 1 sign bit, `exponent_bits` and `mantissa_bits`, ties to even.
fn small_float_bits(value: f64, exponent_bits: u32, mantissa_bits: u32, over: Overflow) -> u64 {
    let sign = u64::from(value.is_sign_negative()) << (exponent_bits + mantissa_bits);
    let top = (1u64 << exponent_bits) - 1;
    let infinity = top << mantissa_bits;
    let bias = (top >> 1) as i64;
    // The code that an overflow gives; codes at or above it are infinities and NaN.
    let (overflow, nan) = match over {
        Overflow::Infinity => (infinity, infinity | 1 << (mantissa_bits - 1)),
        Overflow::Nan => {
            (infinity | ((1 << mantissa_bits) - 1), infinity | ((1 << mantissa_bits) - 1))
        }
    };
    if value.is_nan() {
        return sign | nan;
    }
    let magnitude = value.abs();
    let floor = power_of_two(1 - bias);
    let step = binade(magnitude).max(floor) * power_of_two(-i64::from(mantissa_bits));
    // Steps are powers of two, so the quotient is exact and the rounding is the only one.
    let steps = (magnitude / step).round_ties_even();
    if !steps.is_finite() {
        return sign | overflow;
    }
    let binades = if magnitude < floor {
        0
    } else {
        (binade(magnitude).to_bits() >> 52) as i64 - 1023 + bias - 1
    };
    // A significand that rounds up to the next binade carries into the exponent by itself.
    let code = ((binades as u64) << mantissa_bits) + steps as u64;
    sign | code.min(overflow)
}

fn le16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn le64(bytes: &[u8]) -> u64 {
    u64::from(le32(&bytes[..4])) | u64::from(le32(&bytes[4..])) << 32
}
