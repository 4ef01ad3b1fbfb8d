//! Tensors that no file holds as they are read: codes with scales, and elements in another order.
//!
//! A coding says what such a tensor is computed from; `crate::decode` says how. Everything that a decoder takes for
//! granted of sizes is checked here, once, when a coding is made.

use super::dtype::{Dtype, DtypeClass};

/// Bytes of a file that a coding is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Position of the file among the checkpoint's shards.
    pub shard: usize,
    /// First byte in the file.
    pub begin: u64,
    /// The byte past the last.
    pub end: u64,
    /// How the bytes are to be read; U8 for what is packed.
    pub dtype: Dtype,
}

impl Window {
    /// Bytes of the window.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    /// Elements of the window.
    pub fn elements(&self) -> u64 {
        self.bytes() * 8 / self.dtype.bits()
    }
}

/// Which number is wanted of a code: what it stands for, or where the cell of numbers that are nearest to it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the code stands for.
    Value,
    /// The lower end of the code's cell: halfway to the next smaller code, or minus infinity.
    Low,
    /// The upper end of the code's cell.
    High,
}

/// How blocks of a GGUF file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are ggml's own")]
pub enum Blocks {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Mxfp4,
}

impl Blocks {
    /// Every kind, by ggml's name, with elements and bytes of a block (ggml-common.h).
    pub const ALL: [(&str, Self, u64, u64); 13] = [
        ("Q4_0", Self::Q4_0, 32, 18),
        ("Q4_1", Self::Q4_1, 32, 20),
        ("Q5_0", Self::Q5_0, 32, 22),
        ("Q5_1", Self::Q5_1, 32, 24),
        ("Q8_0", Self::Q8_0, 32, 34),
        ("Q2_K", Self::Q2K, 256, 84),
        ("Q3_K", Self::Q3K, 256, 110),
        ("Q4_K", Self::Q4K, 256, 144),
        ("Q5_K", Self::Q5K, 256, 176),
        ("Q6_K", Self::Q6K, 256, 210),
        ("IQ4_NL", Self::Iq4Nl, 32, 18),
        ("IQ4_XS", Self::Iq4Xs, 256, 136),
        ("MXFP4", Self::Mxfp4, 32, 17),
    ];

    /// Elements and bytes of a block.
    pub fn size(self) -> (u64, u64) {
        let found = Self::ALL.iter().find(|each| each.1 == self);
        found.map_or((1, 1), |each| (each.2, each.3))
    }

    /// The kind that ggml calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|each| each.0 == name).map(|each| each.1)
    }
}

/// How 32-bit words of packed integers are laid out, of a matrix (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Words go along rows; zero points, if any, along columns: compressed-tensors, `pack_to_int32`.
    AlongRows,
    /// Words go along columns, and the matrix lies transposed: GPTQ, `qweight` (columns / 8, rows).
    Gptq,
    /// As GPTQ, with words along rows of the transposed matrix, in the order 0, 2, 4, 6, 1, 3, 5, 7: AWQ's GEMM.
    Awq,
}

/// How a product of low rank is rounded before it is added: a dtype of 16 bits, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounded {
    /// It stays float32.
    Never,
    /// Once, when it is scaled.
    Once(Dtype),
    /// Before it is scaled, and after.
    Twice(Dtype),
}

/// A product of two thin matrices, and what it is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowRank {
    /// Columns of the matrix.
    pub width: u64,
    /// Columns of the left factor, and rows of the right one.
    pub rank: u64,
    /// What the product is multiplied by, as the bits of a float32.
    pub scale: u32,
    /// How the product is rounded.
    pub rounded: Rounded,
    /// Whether there is a window of what it is added to.
    pub has_origin: bool,
    /// Whether there is a window of what the norm of each row becomes.
    pub has_magnitude: bool,
}

/// What a tensor is computed from, and how.
///
/// Matrices are (rows, columns), where rows are all dimensions but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `out[i][j] = in[rows[i]][columns[j]]`, of a matrix of `width` columns; all of them where there is no list.
    Gather {
        /// Columns of what is stored.
        width: u64,
        /// Which row each row is.
        rows: Option<Vec<u32>>,
        /// Which column each column is.
        columns: Option<Vec<u32>>,
    },
    /// `out[i, j, ..] = in[first + i strides[0] + j strides[1] + ..]`, in elements.
    Strided {
        /// The first element.
        first: u64,
        /// The shape of what is read.
        shape: Vec<u64>,
        /// Elements from one index to the next, of every dimension.
        strides: Vec<u64>,
    },
    /// `out[i][j] = (codes[i][j] - zeros[i / block.0][j / block.1]) scales[..same..]`, in float32.
    ///
    /// Windows: codes, scales, and zeros of the codes' dtype or none.
    Scaled {
        /// Columns of the matrix.
        width: u64,
        /// Rows and columns that one scale is for.
        block: (u64, u64),
        /// Whether the product is multiplied by 1/127 as well: LLM.int8 keeps the largest magnitude of a row.
        by_127: bool,
    },
    /// MXFP4 as gpt-oss stores it: 16 bytes for 32 elements, the lower half of a byte first, and a power of two.
    ///
    /// Windows: blocks, scales.
    Mxfp4,
    /// NVFP4: one byte for two elements, the lower half first, an F8_E4M3 for 16 elements, and a float32 for all.
    ///
    /// Windows: codes, scales, the scale of scales.
    Nvfp4 {
        /// Whether scales are divided by it (compressed-tensors) or multiplied (ModelOpt).
        is_divided: bool,
    },
    /// Integers packed into 32-bit words: `(q - zero) scale`.
    ///
    /// Windows: words, scales; zeros and groups, where there are any.
    Packed {
        /// Bits of an integer: 2, 4 or 8.
        bits: u64,
        /// How words are laid out.
        packing: Packing,
        /// Rows and columns of the matrix.
        shape: (u64, u64),
        /// Columns that one scale is for, where the windows have no groups.
        group: u64,
        /// What zero points are stored less than they are: 1 of GPTQ's first format.
        offset: u64,
        /// Whether there is a window of zeros; without, the zero is the middle of the codes.
        has_zeros: bool,
        /// Whether there is a window of groups, one I32 for each column.
        has_groups: bool,
    },
    /// NF4 and FP4 of bitsandbytes: two elements in a byte, the upper half first, `map[code] absmax[block]`.
    ///
    /// Windows: codes, absmax, map; and of nested scales the map of absmax codes and their absmax.
    Nf4 {
        /// Elements that one absmax is for.
        block: u64,
        /// Absmax codes that one absmax of theirs is for; 0 where absmax is stored as it is.
        nested: u64,
        /// What is added to nested absmax, as the bits of a float32.
        offset: u32,
    },
    /// `out[i] = in[i] + offset`, in float32: norms that are stored as 1 + w. One window.
    Shift {
        /// What is added, as the bits of a float32.
        offset: u32,
    },
    /// Blocks of GGUF. One window.
    Gguf(Blocks),
    /// `W + scale (B A)`, rows of that set to magnitudes where there are some.
    ///
    /// Windows: B (rows, rank), A (rank, columns); W and magnitudes, where there are any.
    LowRank(LowRank),
}

/// A tensor that is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coding {
    /// What it is.
    pub kind: Kind,
    /// Which number of every code is wanted.
    pub part: Part,
    /// The dtype of what is computed.
    pub dtype: Dtype,
    /// What it is computed from.
    pub windows: Vec<Window>,
}

/// Elements from one to the next, at most, that are read as one line.
pub(crate) const NEAR: u64 = 2;

impl Coding {
    /// Whether all that it does is to name bytes, which are lent where they lie.
    pub(crate) fn is_lying(&self) -> bool {
        matches!(self.kind, Kind::Gather { rows: None, columns: None, .. })
    }

    /// Whether elements that follow one another lie far apart.
    pub(crate) fn is_turned(&self) -> bool {
        match &self.kind {
            Kind::Strided { strides, .. } => strides.last().is_some_and(|&step| step > NEAR),
            _ => false,
        }
    }

    /// Elements of the tensor.
    ///
    /// # Errors
    ///
    /// What does not fit, in words.
    pub fn elements(&self) -> Result<u64, String> {
        let window = |number: usize| {
            self.windows.get(number).ok_or_else(|| format!("there is no window number {number}"))
        };
        let holds = |number: usize, elements: u64, what: &str| {
            let found = window(number)?.elements();
            if found == elements {
                return Ok(());
            }
            Err(format!("{what} has {found} elements where {elements} are needed"))
        };
        let main = window(0)?;
        let moves = matches!(self.kind, Kind::Gather { .. } | Kind::Strided { .. });
        if moves && (self.part != Part::Value || self.dtype != main.dtype) {
            return Err("elements that are moved keep their dtype, and have no cells".into());
        }
        if moves && !main.dtype.bits().is_multiple_of(8) {
            return Err(format!("elements of {} are not whole bytes", main.dtype));
        }
        if !moves && !matches!(self.dtype, Dtype::F32 | Dtype::Bf16 | Dtype::F16) {
            return Err(format!("codes are not decoded to {}", self.dtype));
        }
        if !moves && self.part != Part::Value && self.dtype != Dtype::F32 {
            return Err("the ends of cells are float32".into());
        }
        match &self.kind {
            Kind::Gather { width, rows, columns } => {
                let stored = matrix(main.elements(), *width)?;
                let count = |list: &Option<Vec<u32>>, all: u64| match list {
                    Some(list) if list.iter().any(|&at| u64::from(at) >= all) => {
                        Err(format!("an index is not below {all}"))
                    }
                    Some(list) => Ok(list.len() as u64),
                    None => Ok(all),
                };
                times(count(rows, stored)?, count(columns, *width)?)
            }
            Kind::Strided { first, shape, strides } => {
                if shape.len() != strides.len() {
                    return Err("there are as many strides as dimensions".into());
                }
                let mut last = *first;
                let mut elements = 1;
                for (&size, &stride) in shape.iter().zip(strides) {
                    elements = times(elements, size)?;
                    let reach = times(size.saturating_sub(1), stride)?;
                    last = last.checked_add(reach).ok_or("an index overflows")?;
                }
                if elements > 0 && last >= main.elements() {
                    return Err(format!("element {last} of {} is asked for", main.elements()));
                }
                Ok(elements)
            }
            Kind::Scaled { width, block, .. } => {
                let rows = matrix(main.elements(), *width)?;
                if block.0 == 0 || block.1 == 0 {
                    return Err("blocks have rows and columns".into());
                }
                let blocks = times(rows.div_ceil(block.0), width.div_ceil(block.1))?;
                holds(1, blocks, "the scales")?;
                if self.windows.len() > 2 {
                    holds(2, blocks, "the zeros")?;
                }
                is_number(main.dtype)?;
                real(window(1)?)?;
                Ok(main.elements())
            }
            Kind::Mxfp4 => {
                wide(window(1)?, 8)?;
                holds(1, main.bytes() / 16, "the scales")?;
                whole(main.bytes(), 16)?;
                times(main.bytes(), 2)
            }
            Kind::Nvfp4 { .. } => {
                holds(1, main.bytes() / 8, "the scales")?;
                holds(2, 1, "the scale of scales")?;
                whole(main.bytes(), 8)?;
                times(main.bytes(), 2)
            }
            Kind::Packed { bits, packing, shape, group, has_zeros, has_groups, .. } => {
                let (rows, columns) = *shape;
                if !matches!(bits, 2 | 4 | 8) {
                    return Err(format!("{bits} bits do not fill words"));
                }
                let each = 32 / bits;
                let words = match packing {
                    Packing::AlongRows => times(rows, columns.div_ceil(each))?,
                    Packing::Gptq => times(columns.div_ceil(each), rows)?,
                    Packing::Awq => times(columns, rows.div_ceil(each))?,
                };
                if *packing == Packing::Awq && *bits != 4 {
                    return Err("AWQ packs 4 bits".into());
                }
                wide(main, 32)?;
                holds(0, words, "the packed tensor")?;
                if *group == 0 {
                    return Err("groups have columns".into());
                }
                real(window(1)?)?;
                let scales = window(1)?.elements();
                let groups = if *has_groups {
                    scales.checked_div(rows).unwrap_or(0)
                } else {
                    columns.div_ceil(*group)
                };
                holds(1, times(rows, groups)?, "the scales")?;
                if groups == 0 && times(rows, columns)? > 0 {
                    return Err("there are no scales".into());
                }
                if *has_zeros {
                    wide(window(2)?, 32)?;
                    let zeros = match packing {
                        Packing::AlongRows => times(rows.div_ceil(each), groups)?,
                        Packing::Gptq | Packing::Awq => times(groups, rows.div_ceil(each))?,
                    };
                    holds(2, zeros, "the zeros")?;
                }
                if *has_groups {
                    holds(2 + usize::from(*has_zeros), columns, "the groups")?;
                    if window(2 + usize::from(*has_zeros))?.dtype != Dtype::I32 {
                        return Err("groups are I32".into());
                    }
                }
                times(rows, columns)
            }
            Kind::Nf4 { block, nested, .. } => {
                let elements = times(main.bytes(), 2)?;
                if *block == 0 {
                    return Err("blocks have elements".into());
                }
                let blocks = elements.div_ceil(*block);
                holds(1, blocks, "absmax")?;
                holds(2, 16, "the map")?;
                real(window(2)?)?;
                if *nested == 0 {
                    real(window(1)?)?;
                } else {
                    wide(window(1)?, 8)?;
                    real(window(3)?)?;
                    real(window(4)?)?;
                    holds(3, 256, "the nested map")?;
                    holds(4, blocks.div_ceil(*nested), "the nested absmax")?;
                }
                Ok(elements)
            }
            Kind::LowRank(kind) => {
                if kind.rank == 0 {
                    return Err("a product has a rank".into());
                }
                let rows = matrix(main.elements(), kind.rank)?;
                let elements = times(rows, kind.width)?;
                holds(1, times(kind.rank, kind.width)?, "the right factor")?;
                if kind.has_origin {
                    holds(2, elements, "what is added to")?;
                }
                if kind.has_magnitude {
                    holds(2 + usize::from(kind.has_origin), rows, "the magnitudes")?;
                }
                let windows = 2 + usize::from(kind.has_origin) + usize::from(kind.has_magnitude);
                if self.windows.len() != windows || self.part != Part::Value {
                    return Err(format!("a product is of {windows} windows, and has no cells"));
                }
                if let Some(odd) = self.windows.iter().find(|each| !is_plain(each.dtype)) {
                    return Err(format!("products of {} are not computed", odd.dtype));
                }
                if let Rounded::Once(dtype) | Rounded::Twice(dtype) = kind.rounded
                    && !matches!(dtype, Dtype::Bf16 | Dtype::F16)
                {
                    return Err(format!("products are not rounded to {dtype}"));
                }
                matrix(elements, kind.width)?;
                Ok(elements)
            }
            Kind::Shift { offset } => {
                is_number(main.dtype)?;
                real(main)?;
                if self.part != Part::Value || !f32::from_bits(*offset).is_finite() {
                    return Err("numbers are shifted by a number, and have no cells".into());
                }
                Ok(main.elements())
            }
            Kind::Gguf(blocks) => {
                let (elements, bytes) = blocks.size();
                whole(main.bytes(), bytes)?;
                times(main.bytes() / bytes, elements)
            }
        }
    }
}

/// Rows of a matrix of `elements`, `width` to a row.
fn matrix(elements: u64, width: u64) -> Result<u64, String> {
    if width == 0 || !elements.is_multiple_of(width) {
        return Err(format!("{elements} elements are no rows of {width}"));
    }
    Ok(elements / width)
}

fn times(a: u64, b: u64) -> Result<u64, String> {
    a.checked_mul(b).ok_or_else(|| "too many elements".into())
}

fn whole(bytes: u64, each: u64) -> Result<(), String> {
    if bytes.is_multiple_of(each) {
        return Ok(());
    }
    Err(format!("{bytes} bytes are no blocks of {each}"))
}

/// Elements that are taken apart by their bytes have so many bits.
fn wide(window: &Window, bits: u64) -> Result<(), String> {
    if window.dtype.bits() == bits {
        return Ok(());
    }
    Err(format!("{} has not {bits} bits", window.dtype))
}

/// Scales are numbers with a fraction.
fn real(window: &Window) -> Result<(), String> {
    if window.dtype.class() == DtypeClass::Float {
        return Ok(());
    }
    Err(format!("{} has no scales", window.dtype))
}

/// Numbers that float32 holds, with a fraction.
fn is_plain(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::Bf16 | Dtype::F16)
}

/// Codes that are scaled have numbers of their own.
fn is_number(dtype: Dtype) -> Result<(), String> {
    if dtype.is_numeric() && dtype.bits() <= 32 {
        return Ok(());
    }
    Err(format!("codes of {dtype} are not scaled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(elements: u64, dtype: Dtype) -> Window {
        Window { shard: 0, begin: 8, end: 8 + elements * dtype.bits() / 8, dtype }
    }

    fn coding(kind: Kind, dtype: Dtype, windows: &[(u64, Dtype)]) -> Coding {
        let windows = windows.iter().map(|&(elements, dtype)| window(elements, dtype)).collect();
        Coding { kind, part: Part::Value, dtype, windows }
    }

    #[test]
    fn gathered_rows_and_columns_are_counted_and_stay_inside() {
        let kind =
            |rows: &[u32]| Kind::Gather { width: 4, rows: Some(rows.to_vec()), columns: None };
        let of = |rows| coding(kind(rows), Dtype::Bf16, &[(12, Dtype::Bf16)]).elements();
        assert_eq!(of(&[2, 0, 0, 1]), Ok(16));
        assert!(of(&[3]).is_err());
        let none = Kind::Gather { width: 5, rows: None, columns: None };
        assert!(coding(none, Dtype::Bf16, &[(12, Dtype::Bf16)]).elements().is_err());
    }

    #[test]
    fn strides_stay_inside_and_do_not_overflow() {
        let of = |shape: &[u64], strides: &[u64]| {
            let kind = Kind::Strided { first: 1, shape: shape.into(), strides: strides.into() };
            coding(kind, Dtype::F16, &[(12, Dtype::F16)]).elements()
        };
        assert_eq!(of(&[3, 2], &[1, 5]), Ok(6));
        assert!(of(&[3, 3], &[1, 5]).is_err());
        assert!(of(&[u64::MAX, 2], &[1, 1]).is_err());
        assert!(of(&[2, 2], &[u64::MAX, u64::MAX]).is_err());
        assert!(of(&[2], &[1, 1]).is_err());
        assert_eq!(of(&[0, 9], &[1, 99]), Ok(0));
    }

    #[test]
    fn scales_of_another_number_are_refused() {
        let kind = Kind::Scaled { width: 300, block: (128, 128), by_127: false };
        let of = |scales| {
            let windows = [(300 * 200, Dtype::F8E4m3), (scales, Dtype::F32)];
            coding(kind.clone(), Dtype::F32, &windows).elements()
        };
        assert_eq!(of(6), Ok(60_000));
        assert!(of(5).is_err());
    }

    #[test]
    fn factors_that_do_not_fit_are_refused() {
        let of = |rank, width, left, right, origin| {
            let kind = LowRank {
                width,
                rank,
                scale: 1.0_f32.to_bits(),
                rounded: Rounded::Never,
                has_origin: true,
                has_magnitude: false,
            };
            let windows = [(left, Dtype::F16), (right, Dtype::F32), (origin, Dtype::Bf16)];
            coding(Kind::LowRank(kind), Dtype::F32, &windows).elements()
        };
        assert_eq!(of(4, 5, 12, 20, 15), Ok(15));
        assert_eq!(of(9, 5, 27, 45, 15), Ok(15));
        assert!(of(0, 5, 12, 20, 15).is_err());
        assert!(of(4, 0, 12, 0, 0).is_err());
        assert!(of(4, 5, 13, 20, 15).is_err());
        assert!(of(4, 5, 12, 21, 15).is_err());
        assert!(of(4, 5, 12, 20, 16).is_err());
        assert!(of(u64::MAX, 5, 12, 20, 15).is_err());
        assert!(of(4, u64::MAX, 12, 20, 15).is_err());
    }

    #[test]
    fn numbers_with_a_fraction_are_shifted_and_nothing_else() {
        let of = |dtype, offset: f32| {
            let kind = Kind::Shift { offset: offset.to_bits() };
            coding(kind, Dtype::F32, &[(12, dtype)]).elements()
        };
        assert_eq!(of(Dtype::Bf16, 1.0), Ok(12));
        assert!(of(Dtype::I32, 1.0).is_err());
        assert!(of(Dtype::F64, 1.0).is_err());
        assert!(of(Dtype::F32, f32::NAN).is_err());
    }

    #[test]
    fn sizes_of_blocks_are_those_of_their_names() {
        for (name, kind, elements, bytes) in Blocks::ALL {
            assert_eq!(Blocks::named(name), Some(kind));
            assert_eq!(kind.size(), (elements, bytes));
            let of = |more| coding(Kind::Gguf(kind), Dtype::F32, &[(3 * bytes + more, Dtype::U8)]);
            assert_eq!(of(0).elements(), Ok(3 * elements));
            assert!(of(1).elements().is_err());
        }
    }
}
