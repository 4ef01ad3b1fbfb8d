//! Runs one kernel some times and nothing else, for a tool that counts instructions.

use std::error::Error;
use std::hint::black_box;

use parentage_core::checkpoint::dtype::Dtype;
use parentage_core::gram::{CHUNK, Column, Level};
use parentage_core::replay::{Machine, Op, Place, Program, replay_chunk, write_chunk};

use crate::{FAR, NEAR, relatives};

/// Runs `kernel`, `gram`, `far` (a Gram of strangers), `sampled` (one that looks at its first elements), `replay` or
/// `masked`, on `chunks` chunks of `columns` relatives of `dtype`, at the level of `PARENTAGE_LEVEL`. Of dtypes joined by
/// a plus, columns have one after the other. What is made ready takes as many instructions for any number of chunks.
pub(crate) fn run(
    kernel: &str,
    dtype: &str,
    columns: usize,
    chunks: usize,
) -> Result<(), Box<dyn Error>> {
    let dtypes: Option<Vec<_>> = dtype.split('+').map(Dtype::from_name).collect();
    let dtypes = dtypes.ok_or("no such dtype")?;
    let dtype = dtypes[0];
    let level = Level::detect()?;
    let mut bytes = relatives(&dtypes, columns, if kernel == "far" { FAR } else { NEAR });
    let program = if kernel == "masked" { masked(dtype)? } else { linear(dtype)? };
    let mut machine = Machine::default();
    let place = Place { scalars: &[0.6, 0.4, 0.0], factors: &[], start: 0, block: 0 };
    if matches!(kernel, "replay" | "masked") {
        // The child is what the program gives: all of it is reproduced.
        let parts: Vec<_> = bytes.iter().map(|bytes| Column { dtype, bytes }).collect();
        let mut child = Vec::new();
        write_chunk(level, &mut machine, &program, &parts, &place, dtype, &mut child);
        bytes[columns - 1] = child;
    }
    let of = |column: usize| dtypes[column % dtypes.len()];
    let columns = bytes.iter().enumerate();
    let parts: Vec<_> =
        columns.map(|(column, bytes)| Column { dtype: of(column), bytes }).collect();
    for _ in 0..chunks {
        match kernel {
            "gram" | "far" | "sampled" => {
                black_box(level.chunk(black_box(&parts), 0, kernel == "sampled"));
            }
            "replay" | "masked" => {
                let parts = black_box(&parts);
                black_box(replay_chunk(level, &mut machine, &program, parts, &place));
            }
            _ => return Err("gram, far, sampled, replay or masked".into()),
        }
    }
    println!("{}", CHUNK * chunks);
    Ok(())
}

/// 0.6 of the second column and 0.4 of the first, rounded.
fn linear(dtype: Dtype) -> Result<Program, Box<dyn Error>> {
    let ops = vec![
        Op::Column(1),
        Op::Column(0),
        Op::Scalar(0),
        Op::Scalar(1),
        Op::Scalar(2),
        Op::Fma(0, 2, 4),
        Op::Fma(1, 3, 5),
        Op::Round(6, dtype),
    ];
    Ok(Program::new(ops, vec![7])?)
}

/// The second column where it is far from the first, else a mean, and more: no blend, so that every
/// operation goes through a register.
fn masked(dtype: Dtype) -> Result<Program, Box<dyn Error>> {
    let ops = vec![
        Op::Column(0),
        Op::Column(1),
        Op::Sub(1, 0),
        Op::Abs(2),
        Op::Scalar(1),
        Op::Mul(3, 4),
        Op::Scalar(2),
        Op::Greater(5, 6),
        Op::Add(0, 1),
        Op::Scalar(0),
        Op::Div(8, 9),
        Op::Round(10, dtype),
        Op::Max(11, 0),
        Op::Column(1),
        Op::Select(7, 13, 12),
        Op::Fma(14, 9, 2),
        Op::Round(15, dtype),
    ];
    Ok(Program::new(ops, vec![16])?)
}
