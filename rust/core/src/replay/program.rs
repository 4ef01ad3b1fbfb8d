//! What a recipe may compute.

use super::MAX_OPS;
use crate::checkpoint::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gram::MAX_COLUMNS;

/// One operation. Operands are the numbers of earlier operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The elements of a column, as float32: exact for dtypes up to that, rounded for wider ones.
    Column(u8),
    /// The same in reverse order within each block of [`super::BLOCK`]: a decoy that has all of a
    /// column's statistics and none of its elements in place.
    Reversed(u8),
    /// One of the slice's scalars.
    Scalar(u8),
    /// Row times column of one of the slice's low-rank matrices, summed in float64 in ascending
    /// order of rank with fused multiply-adds, then rounded to float32.
    LowRank(u8),
    /// a + b
    Add(u8, u8),
    /// a - b
    Sub(u8, u8),
    /// a b
    Mul(u8, u8),
    /// a / b
    Div(u8, u8),
    /// a b + c, rounded once
    Fma(u8, u8, u8),
    /// |a|
    Abs(u8),
    /// The larger; the second if one is NaN or they compare equal.
    Max(u8, u8),
    /// The smaller; the second if one is NaN or they compare equal.
    Min(u8, u8),
    /// 1 if a > b, else 0
    Greater(u8, u8),
    /// 1 if a >= b, else 0
    GreaterEqual(u8, u8),
    /// b if a is not 0, else c
    Select(u8, u8, u8),
    /// The nearest number of a dtype, as float32.
    Round(u8, Dtype),
}

impl Op {
    /// Its operands that are operations.
    pub fn operands(self) -> impl Iterator<Item = u8> {
        let found = match self {
            Self::Column(_) | Self::Reversed(_) | Self::Scalar(_) | Self::LowRank(_) => {
                [None, None, None]
            }
            Self::Abs(a) | Self::Round(a, _) => [Some(a), None, None],
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Mul(a, b)
            | Self::Div(a, b)
            | Self::Max(a, b)
            | Self::Min(a, b)
            | Self::Greater(a, b)
            | Self::GreaterEqual(a, b) => [Some(a), Some(b), None],
            Self::Fma(a, b, c) | Self::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        found.into_iter().flatten()
    }
}

/// A checked list of operations and which of them are results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    ops: Vec<Op>,
    results: Vec<u8>,
    uses: Vec<usize>,
    columns: usize,
    scalars: usize,
    factors: usize,
}

impl Program {
    /// Most results of a program.
    pub const MAX_RESULTS: usize = 32;

    /// A program of `ops` whose results are those numbered `results`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is no operation or no result or too many, if an operand is no
    /// earlier operation, or if a dtype can not be rounded to.
    pub fn new(ops: Vec<Op>, results: Vec<u8>) -> Result<Self> {
        let wrong = |what: String| Err(Error::Argument(format!("program: {what}")));
        if ops.is_empty() || ops.len() > MAX_OPS {
            return wrong(format!("{} operations, not 1 to {MAX_OPS}", ops.len()));
        }
        if results.is_empty() || results.len() > Self::MAX_RESULTS {
            return wrong(format!("{} results, not 1 to {}", results.len(), Self::MAX_RESULTS));
        }
        let (mut columns, mut scalars, mut factors) = (0, 0, 0);
        for (number, op) in ops.iter().enumerate() {
            if let Some(operand) = op.operands().find(|&operand| usize::from(operand) >= number) {
                return wrong(format!(
                    "operation {number} takes {operand}, which is not before it"
                ));
            }
            match *op {
                Op::Column(column) | Op::Reversed(column) => {
                    columns = columns.max(usize::from(column) + 1);
                }
                Op::Scalar(scalar) => scalars = scalars.max(usize::from(scalar) + 1),
                Op::LowRank(factor) => factors = factors.max(usize::from(factor) + 1),
                Op::Round(_, dtype) if !is_rounded_to(dtype) => {
                    return wrong(format!("operation {number} rounds to {}", dtype.name()));
                }
                _ => {}
            }
        }
        if columns >= MAX_COLUMNS {
            return wrong(format!("column {} of at most {}", columns - 1, MAX_COLUMNS - 1));
        }
        if let Some(result) = results.iter().find(|&&result| usize::from(result) >= ops.len()) {
            return wrong(format!("result {result} of {} operations", ops.len()));
        }
        let mut uses = vec![0; ops.len()];
        for operand in ops.iter().flat_map(|op| op.operands()) {
            uses[usize::from(operand)] += 1;
        }
        Ok(Self { ops, results, uses, columns, scalars, factors })
    }

    /// The operations, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The numbers of those that are results; the first is the one mismatches are measured from.
    pub fn results(&self) -> &[u8] {
        &self.results
    }

    /// How many operands operation `number` is.
    pub(super) fn uses(&self, number: usize) -> usize {
        self.uses[number]
    }

    /// Whether operation `number` is a result.
    pub(super) fn is_result(&self, number: usize) -> bool {
        self.results.iter().any(|&result| usize::from(result) == number)
    }

    /// How many columns it reads, counted from the base on.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many scalars each slice needs.
    pub fn scalars(&self) -> usize {
        self.scalars
    }

    /// How many low-rank matrices each slice needs.
    pub fn factors(&self) -> usize {
        self.factors
    }
}

/// Whether a replay can round to `dtype`, and so be compared with a child that is stored in it.
pub(crate) fn is_rounded_to(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::Bf16 | Dtype::F16 | Dtype::F32 | Dtype::F64 | Dtype::F8E4m3 | Dtype::F8E5m2
    )
}

/// A matrix of low rank, `left @ right`.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// (rows, rank) by rows.
    pub left: Vec<f64>,
    /// (rank, columns) by rows.
    pub right: Vec<f64>,
    /// Columns of the matrix.
    pub columns: usize,
    /// The element of the matrix, by rows, that the slice's first one belongs to.
    pub offset: u64,
}

impl Factors {
    /// Its rank.
    pub fn rank(&self) -> usize {
        self.right.len() / self.columns
    }

    /// What is added to element `k` of the slice; 0 past the end.
    #[inline]
    pub fn element(&self, k: u64) -> f32 {
        let rank = self.rank();
        let k = k + self.offset;
        let (row, column) = (k / self.columns as u64, k as usize % self.columns);
        let left = self.left.get(row as usize * rank..).unwrap_or_default();
        let sum = left
            .iter()
            .take(rank)
            .enumerate()
            .fold(0.0, |sum, (r, &l)| l.mul_add(self.right[r * self.columns + column], sum));
        sum as f32
    }
}

/// What a program needs to know about each slice.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Scalars by slice: (slices, [`Program::scalars`]).
    pub scalars: Vec<f32>,
    /// Matrices by slice: (slices, [`Program::factors`]); `None` is a matrix of zeros.
    pub factors: Vec<Option<Factors>>,
    /// Whether the program says anything about the slice. Empty: about all.
    pub applies: Vec<bool>,
}

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
