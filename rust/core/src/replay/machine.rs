//! Programs carried out on registers of [`BLOCK`] elements.
//!
//! ```text
//! for each block of BLOCK elements of a chunk:
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
//! 3. Rounding to bf16 works on the bits, without branches; rounding to float16 uses the instructions
//!    that a level has for it.
//! 4. Elements of dtypes that large checkpoints do not have go through `scalar` one by one.
//! 5. A whole block with one result is first compared as a whole; elements are told apart only where it
//!    does not match.
//! 6. A blend of columns of one dtype is first tried in one loop, see `linear`.

use super::agreement::Agreement;
use super::linear::Linear;
use super::operations::{Register, Work, ZERO};
use super::program::{Place, Program};
use super::{BLOCK, Counts, scalar};
use crate::checkpoint::dtype::Dtype;
use crate::gram::{Column, Level, Vectorize, encode};

/// Registers, kept from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    registers: Vec<Register>,
}

impl Machine {
    /// A register for every operation.
    fn registers(&mut self, program: &Program) -> &mut [Register] {
        self.registers.resize(self.registers.len().max(program.ops().len()), ZERO);
        &mut self.registers[..program.ops().len()]
    }
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
    let work = Work { level, program, columns, place };
    check(&work);
    level.vectorize(Compare { work, registers: machine.registers(program) })
}

/// Replays one chunk into `out`, rounded to `dtype`, elements one after the other; `columns` end
/// with one that is not read.
///
/// # Panics
///
/// As [`replay_chunk`].
pub fn write_chunk(
    level: Level,
    machine: &mut Machine,
    program: &Program,
    columns: &[Column<'_>],
    place: &Place<'_>,
    dtype: Dtype,
    out: &mut Vec<u8>,
) {
    let work = Work { level, program, columns, place };
    check(&work);
    level.vectorize(Write { work, registers: machine.registers(program), dtype, out });
}

fn check(work: &Work<'_>) {
    let Work { program, columns, place, .. } = *work;
    assert!(program.columns() < columns.len(), "a column for each that the program reads");
    assert!(program.scalars() <= place.scalars.len(), "a scalar for each that the program reads");
    assert!(program.factors() <= place.factors.len(), "a matrix for each that the program reads");
    let length = columns[0].len();
    assert!(columns.iter().all(|column| column.len() == length), "columns of one length");
}

/// See [`replay_chunk`].
struct Compare<'a> {
    work: Work<'a>,
    registers: &'a mut [Register],
}

impl Vectorize for Compare<'_> {
    type Output = Counts;

    #[inline(always)]
    fn run(self) -> Counts {
        let Self { work, registers } = self;
        let Work { program, columns, place, .. } = work;
        let child = columns[columns.len() - 1];
        let length = child.len();
        let mut counts = Counts::default();
        let mut agree = Agreement::NONE;
        let linear = Linear::of(program, columns, place.scalars);
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            if let Some(linear) = &linear
                && n == BLOCK
                && linear.all_equal(work.level, columns, first)
            {
                counts.reproduced += BLOCK as u64;
                continue;
            }
            work.execute(registers, first, n);
            let part = child.part(first..first + n);
            if n == BLOCK && work.all_equal(registers, &part) {
                counts.reproduced += BLOCK as u64;
                continue;
            }
            let (all, any) = work.compare(registers, &part, n, &mut agree);
            counts.reproduced += u64::from(all);
            counts.explained += u64::from(any - all);
            if (any as usize) < n {
                let result = &work.result(registers, program.results()[0])[..n];
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

/// See [`write_chunk`].
struct Write<'a> {
    work: Work<'a>,
    registers: &'a mut [Register],
    dtype: Dtype,
    out: &'a mut Vec<u8>,
}

impl Vectorize for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { work, registers, dtype, out } = self;
        let length = work.columns[0].len();
        let width = (dtype.bits() / 8) as usize;
        for first in (0..length).step_by(BLOCK) {
            let n = BLOCK.min(length - first);
            work.execute(registers, first, n);
            let result = work.result(registers, work.program.results()[0]);
            for &value in &result[..n] {
                let bits = encode(dtype, f64::from(value)).unwrap_or(0);
                out.extend_from_slice(&bits.to_le_bytes()[..width]);
            }
        }
    }
}
