//! What a code stands for, and the cell of numbers that are nearest to it.

use crate::checkpoint::coding::Part;
use crate::checkpoint::dtype::Dtype;
use crate::gram::decode;

/// A number of a code, known when code is compiled: what it stands for, or an end of its cell.
pub(super) trait Wanted: Copy {
    /// Whether it is what the code stands for.
    const IS_VALUE: bool;
    /// `code * scale - shift` or an end of its cell, where codes are all integers from `least` to `most`.
    fn uniform(self, code: f32, scale: f32, shift: f32, least: f32, most: f32) -> f32;
    /// The entry of `code` in ascending `values`, times `scale`, or an end of its cell.
    fn listed(self, code: usize, scale: f32, values: &[f32; 16]) -> f32;
}

/// What a code stands for.
#[derive(Clone, Copy)]
pub(super) struct Value;

impl Wanted for Value {
    const IS_VALUE: bool = true;

    #[inline(always)]
    fn uniform(self, code: f32, scale: f32, shift: f32, _least: f32, _most: f32) -> f32 {
        code * scale - shift
    }

    #[inline(always)]
    fn listed(self, code: usize, scale: f32, values: &[f32; 16]) -> f32 {
        values[code & 15] * scale
    }
}

/// The lower end of a code's cell, or the upper one.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) is_high: bool,
}

impl Wanted for End {
    const IS_VALUE: bool = false;

    #[inline(always)]
    fn uniform(self, code: f32, scale: f32, shift: f32, least: f32, most: f32) -> f32 {
        // A negative scale turns the order of codes around.
        let up = self.is_high == (scale >= 0.0);
        if up && code >= most || !up && code <= least {
            return if self.is_high { f32::INFINITY } else { f32::NEG_INFINITY };
        }
        (code + if up { 0.5 } else { -0.5 }) * scale - shift
    }

    #[inline(always)]
    fn listed(self, code: usize, scale: f32, values: &[f32; 16]) -> f32 {
        let up = self.is_high == (scale >= 0.0);
        let value = values[code & 15];
        match neighbour(values.iter().copied(), value, up) {
            Some(next) => (value + next) * 0.5 * scale,
            None if self.is_high => f32::INFINITY,
            None => f32::NEG_INFINITY,
        }
    }
}

/// The next greater or smaller value of a list.
#[inline(always)]
fn neighbour(values: impl Iterator<Item = f32>, value: f32, up: bool) -> Option<f32> {
    let beyond = values.filter(|&other| if up { other > value } else { other < value });
    beyond.reduce(|best, other| if (other < best) == up { other } else { best })
}

/// What each byte of a dtype of eight bits stands for, or the end of its cell.
pub(super) fn table(dtype: Dtype, part: Part) -> [f32; 256] {
    let value = |byte: usize| decode(dtype, &[byte as u8]) as f32;
    let finite = || (0..256).map(value).filter(|value| value.is_finite());
    let mut out = [0.0; 256];
    for (byte, out) in out.iter_mut().enumerate() {
        let value = value(byte);
        let up = part == Part::High;
        *out = match part {
            Part::Value => value,
            Part::Low | Part::High if !value.is_finite() => value,
            Part::Low | Part::High => match neighbour(finite(), value, up) {
                Some(next) => (value + next) * 0.5,
                None if up => f32::INFINITY,
                None => f32::NEG_INFINITY,
            },
        };
    }
    out
}

/// The other end of a cell; the value stays.
pub(super) fn turned(part: Part) -> Part {
    match part {
        Part::Value => Part::Value,
        Part::Low => Part::High,
        Part::High => Part::Low,
    }
}
