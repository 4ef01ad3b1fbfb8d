//! Codings as tuples of Python.

use parentage_core::checkpoint::Dtype;
use parentage_core::checkpoint::coding::{
    Blocks, Coding, Kind, LowRank, Packing, Part, Rounded, Window,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Kind, dtype, part, windows as (shard, first byte, byte past the last, dtype), numbers, lists of numbers.
///
/// What numbers and lists mean is the kind's; `parentage.checkpoint.Coding` has a name for each.
pub(crate) type CodingState =
    (String, String, String, Vec<(usize, u64, u64, String)>, Vec<u64>, Vec<Vec<u64>>);

const PARTS: [(&str, Part); 3] = [("value", Part::Value), ("low", Part::Low), ("high", Part::High)];

const PACKINGS: [(&str, Packing); 3] =
    [("rows", Packing::AlongRows), ("gptq", Packing::Gptq), ("awq", Packing::Awq)];

/// How products of low rank are rounded, by number.
const ROUNDED: [Rounded; 5] = [
    Rounded::Never,
    Rounded::Once(Dtype::Bf16),
    Rounded::Once(Dtype::F16),
    Rounded::Twice(Dtype::Bf16),
    Rounded::Twice(Dtype::F16),
];

/// The coding of a tuple.
pub(crate) fn of(state: CodingState) -> PyResult<Coding> {
    let (kind, dtype, part, windows, numbers, lists) = state;
    let dtype = named(&dtype)?;
    let found = PARTS.iter().find(|each| each.0 == part).map(|each| each.1);
    let part = found.ok_or_else(|| PyValueError::new_err(format!("no part is called {part:?}")))?;
    let window = |(shard, begin, end, dtype): (usize, u64, u64, String)| {
        Ok(Window { shard, begin, end, dtype: named(&dtype)? })
    };
    let windows = windows.into_iter().map(window).collect::<PyResult<Vec<Window>>>()?;
    let kind = kind_of(&kind, &numbers, lists)
        .ok_or_else(|| PyValueError::new_err(format!("no coding is {kind:?} with {numbers:?}")))?;
    Ok(Coding { kind, part, dtype, windows })
}

/// Elements of what a coding gives, or -1 if what it is computed from does not fit it.
#[pyfunction]
pub(crate) fn coding_elements(coding: CodingState) -> PyResult<i64> {
    let elements = of(coding)?.elements().ok().and_then(|elements| i64::try_from(elements).ok());
    Ok(elements.unwrap_or(-1))
}

fn named(dtype: &str) -> PyResult<Dtype> {
    let unknown = || PyValueError::new_err(format!("no dtype is called {dtype:?}"));
    Dtype::from_name(dtype).ok_or_else(unknown)
}

/// A list of positions; none if it is empty, which stands for all.
fn positions(list: Vec<u64>) -> Option<Option<Vec<u32>>> {
    if list.is_empty() {
        return Some(None);
    }
    list.into_iter().map(|at| u32::try_from(at).ok()).collect::<Option<_>>().map(Some)
}

fn kind_of(kind: &str, numbers: &[u64], lists: Vec<Vec<u64>>) -> Option<Kind> {
    let mut lists = lists.into_iter();
    Some(match (kind, numbers) {
        ("gather", &[width]) => Kind::Gather {
            width,
            rows: positions(lists.next()?)?,
            columns: positions(lists.next()?)?,
        },
        ("strided", &[first]) => {
            Kind::Strided { first, shape: lists.next()?, strides: lists.next()? }
        }
        ("scaled", &[width, down, across, by_127]) => {
            Kind::Scaled { width, block: (down, across), by_127: by_127 != 0 }
        }
        ("shift", &[offset]) => Kind::Shift { offset: u32::try_from(offset).ok()? },
        ("mxfp4", []) => Kind::Mxfp4,
        ("nvfp4", &[is_divided]) => Kind::Nvfp4 { is_divided: is_divided != 0 },
        ("nf4", &[block, nested, offset]) => {
            Kind::Nf4 { block, nested, offset: u32::try_from(offset).ok()? }
        }
        ("packed", &[bits, rows, columns, group, offset, zeros, groups, packing]) => Kind::Packed {
            bits,
            packing: PACKINGS.get(usize::try_from(packing).ok()?)?.1,
            shape: (rows, columns),
            group,
            offset,
            has_zeros: zeros != 0,
            has_groups: groups != 0,
        },
        ("low_rank", &[width, rank, scale, rounded, origin, magnitude]) => Kind::LowRank(LowRank {
            width,
            rank,
            scale: u32::try_from(scale).ok()?,
            rounded: *ROUNDED.get(usize::try_from(rounded).ok()?)?,
            has_origin: origin != 0,
            has_magnitude: magnitude != 0,
        }),
        (name, []) => Kind::Gguf(Blocks::named(name)?),
        _ => return None,
    })
}

/// The tuple of a coding.
pub(crate) fn state(coding: &Coding) -> CodingState {
    let name = |dtype: Dtype| dtype.name().to_owned();
    let windows = coding.windows.iter();
    let windows = windows.map(|each| (each.shard, each.begin, each.end, name(each.dtype)));
    let list = |list: &Option<Vec<u32>>| {
        list.iter().flatten().map(|&at| u64::from(at)).collect::<Vec<_>>()
    };
    let (kind, numbers, lists): (&str, Vec<u64>, Vec<Vec<u64>>) = match &coding.kind {
        Kind::Gather { width, rows, columns } => {
            ("gather", vec![*width], vec![list(rows), list(columns)])
        }
        Kind::Strided { first, shape, strides } => {
            ("strided", vec![*first], vec![shape.clone(), strides.clone()])
        }
        Kind::Scaled { width, block, by_127 } => {
            ("scaled", vec![*width, block.0, block.1, u64::from(*by_127)], Vec::new())
        }
        Kind::Shift { offset } => ("shift", vec![u64::from(*offset)], Vec::new()),
        Kind::Mxfp4 => ("mxfp4", Vec::new(), Vec::new()),
        Kind::Nvfp4 { is_divided } => ("nvfp4", vec![u64::from(*is_divided)], Vec::new()),
        Kind::Nf4 { block, nested, offset } => {
            ("nf4", vec![*block, *nested, u64::from(*offset)], Vec::new())
        }
        Kind::Packed { bits, packing, shape, group, offset, has_zeros, has_groups } => {
            let at = PACKINGS.iter().position(|each| each.1 == *packing).unwrap_or(0);
            let (zeros, groups) = (u64::from(*has_zeros), u64::from(*has_groups));
            let numbers = vec![*bits, shape.0, shape.1, *group, *offset, zeros, groups, at as u64];
            ("packed", numbers, Vec::new())
        }
        Kind::LowRank(kind) => {
            let LowRank { width, rank, scale, rounded, has_origin, has_magnitude } = *kind;
            let at = ROUNDED.iter().position(|each| *each == rounded).unwrap_or(0);
            let (scale, origin) = (u64::from(scale), u64::from(has_origin));
            let numbers = vec![width, rank, scale, at as u64, origin, u64::from(has_magnitude)];
            ("low_rank", numbers, Vec::new())
        }
        Kind::Gguf(blocks) => {
            let name = Blocks::ALL.iter().find(|each| each.1 == *blocks);
            (name.map_or("", |each| each.0), Vec::new(), Vec::new())
        }
    };
    let part = PARTS.iter().find(|each| each.1 == coding.part).map_or("value", |each| each.0);
    (kind.to_owned(), name(coding.dtype), part.to_owned(), windows.collect(), numbers, lists)
}
