use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::checkpoint::{Checkpoint, Dtype, LentTensor};
use crate::progress::Stop;
use crate::source::{Buffer, Io, open};

/// A tensor of a shape over `bytes`, which begins at `offset` and has these strides.
fn lent(
    name: &str,
    dtype: Dtype,
    shape: &[u64],
    strides: &[isize],
    offset: usize,
    bytes: &Arc<Vec<u8>>,
) -> LentTensor {
    let address = NonNull::from(&bytes.as_slice()[offset..]).cast();
    let width = dtype.bits() / 8;
    // SAFETY: the tests below keep to the bytes, which the owner has.
    let elements = unsafe {
        let owner = Arc::clone(bytes) as Owner;
        Lent::new(width, shape.to_vec(), strides.to_vec(), address, owner)
    };
    LentTensor { name: name.into(), dtype, elements: elements.expect("a tensor") }
}

fn opened(tensors: Vec<LentTensor>) -> Checkpoint {
    Checkpoint::in_memory(Path::new("m"), "a.safetensors".into(), tensors).expect("a checkpoint")
}

/// All bytes of the file.
fn file(checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.copied(0, 0, checkpoint.shards[0].bytes).expect("bytes")
}

fn numbers(count: usize) -> Arc<Vec<u8>> {
    Arc::new((0..count).map(|at| (at * 31 % 251) as u8).collect())
}

#[test]
fn the_file_is_what_the_library_of_the_format_writes() {
    let bytes = numbers(64);
    let checkpoint = opened(vec![
        lent("b", Dtype::F32, &[2], &[4], 0, &bytes),
        lent("a\"\n\u{e9}", Dtype::F32, &[], &[], 8, &bytes),
        lent("c", Dtype::I64, &[1, 1], &[8, 8], 16, &bytes),
        lent("d", Dtype::Bf16, &[0, 3], &[6, 2], 60, &bytes),
    ]);
    let json = concat!(
        r#"{"c":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},"#,
        r#""a\"\né":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"#,
        r#""b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},"#,
        r#""d":{"dtype":"BF16","shape":[0,3],"data_offsets":[20,20]}}"#,
    );
    let mut expected = (json.len().next_multiple_of(8) as u64).to_le_bytes().to_vec();
    expected.extend(json.as_bytes());
    expected.resize(8 + json.len().next_multiple_of(8), b' ');
    for range in [16..24, 8..12, 0..8] {
        expected.extend(&bytes[range]);
    }
    assert_eq!(file(&checkpoint), expected);
    let names: Vec<_> = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a\"\n\u{e9}", "b", "c", "d"]);
}

#[test]
fn what_lies_side_by_side_is_lent_where_it_lies_and_what_does_not_is_copied() {
    let bytes = numbers(4096);
    let checkpoint = opened(vec![
        lent("a", Dtype::F32, &[64, 8], &[32, 4], 1, &bytes),
        lent("b", Dtype::F32, &[8, 64], &[4, 32], 1, &bytes),
    ]);
    let shard = &checkpoint.shards[0];
    for io in [Io::Mmap, Io::Pread, Io::Direct] {
        let source = open(shard, io, &Stop::default()).expect("a source");
        // Some of it is copied into buffers, which are not of the size of what is mapped.
        assert_eq!(source.io(), if io == Io::Mmap { Io::Pread } else { io });
        let mut buffer = Buffer::default();
        let (a, b) = (&checkpoint.tensors[0], &checkpoint.tensors[1]);
        let whole = source.lend(a.begin..a.end, &mut buffer).expect("bytes");
        assert_eq!(whole.as_ptr(), bytes[1..].as_ptr());
        assert!(source.map(b.begin..b.end).expect("no error").is_none());
        assert!(source.map(a.end - 4..b.begin + 4).expect("no error").is_none());
        assert_eq!(source.map(a.begin..a.begin).expect("no error"), Some(&[][..]));
        let all = file(&checkpoint);
        for range in [0..shard.bytes, a.end - 7..b.begin + 9, b.begin + 3..b.end - 2, 0..9] {
            let found = source.lend(range.clone(), &mut buffer).expect("bytes");
            assert_eq!(found, &all[range.start as usize..range.end as usize]);
        }
    }
}

#[test]
fn owners_live_as_long_as_a_checkpoint_or_a_source_has_the_tensors() {
    static GONE: AtomicUsize = AtomicUsize::new(0);
    struct Counted(Vec<u8>);
    impl Drop for Counted {
        fn drop(&mut self) {
            GONE.fetch_add(1, Ordering::SeqCst);
        }
    }
    let owner = Arc::new(Counted(vec![1, 2, 3, 4]));
    let address = NonNull::from(owner.0.as_slice()).cast();
    // SAFETY: the owner has four bytes.
    let elements = unsafe { Lent::new(1, vec![4], vec![1], address, owner) };
    let elements = elements.expect("a tensor");
    let checkpoint = opened(vec![LentTensor { name: "a".into(), dtype: Dtype::U8, elements }]);
    let source = open(&checkpoint.shards[0], Io::Mmap, &Stop::default()).expect("a source");
    let released = checkpoint.released();
    assert_eq!(released.shards[0].bytes, checkpoint.shards[0].bytes);
    assert_eq!(source.io(), Io::Mmap);
    drop(checkpoint);
    assert_eq!(GONE.load(Ordering::SeqCst), 0);
    let end = released.shards[0].bytes;
    assert_eq!(source.lend(end - 4..end, &mut Buffer::default()).expect("bytes"), [1, 2, 3, 4]);
    drop(source);
    assert_eq!(GONE.load(Ordering::SeqCst), 1);
    let error = released.copied(0, 0, 1).expect_err("they are gone").to_string();
    assert!(error.starts_with("m: ") && error.contains("not there any more"), "{error}");
    assert!(released.verify_unchanged().is_ok());
}

#[test]
fn the_same_memory_is_known_and_only_that() {
    let bytes = numbers(64);
    let one = |offset| opened(vec![lent("a", Dtype::U8, &[8], &[1], offset, &bytes)]);
    let memory = |of: &Checkpoint| of.shards[0].memory.clone().expect("in memory");
    assert!(memory(&one(0)).is_same(&memory(&one(0))));
    assert!(!memory(&one(0)).is_same(&memory(&one(8))));
    assert!(!memory(&one(0)).is_same(&Memory::gone()));
    let none = || opened(vec![lent("a", Dtype::U8, &[0], &[1], 0, &bytes)]);
    assert!(!memory(&none()).is_same(&memory(&none())));
}

#[test]
fn what_no_file_could_hold_is_refused_by_name() {
    let bytes = numbers(8);
    let error = |tensors| {
        let found = Checkpoint::in_memory(Path::new("m"), "a.safetensors".into(), tensors);
        found.expect_err("no checkpoint").to_string()
    };
    assert!(error(Vec::new()).contains("no tensor"));
    let twice = vec![
        lent("a", Dtype::U8, &[1], &[1], 0, &bytes),
        lent("a", Dtype::U8, &[1], &[1], 1, &bytes),
    ];
    assert!(error(twice).contains('a'));
    // A view that repeats one element may have any number of them.
    for shape in [[1 << 40, 1 << 20], [1 << 61, 1], [1 << 30, 1 << 31]] {
        let said = error(vec![lent("huge", Dtype::F32, &shape, &[0, 0], 0, &bytes)]);
        assert!(said.starts_with("m: tensor \"huge\""), "{said}");
    }
    let half = [(1 << 62) - 1];
    let halves = ["a", "b"].map(|name| lent(name, Dtype::U8, &half, &[0], 0, &bytes));
    let said = error(halves.into());
    assert!(said.starts_with("m: tensor \"b\""), "{said}");
    for (shape, strides) in [(vec![2, 2], vec![1]), (vec![u64::MAX, 2], vec![0, 0])] {
        let owner = Arc::clone(&bytes) as Owner;
        // SAFETY: it is never read.
        assert!(unsafe { Lent::new(1, shape, strides, NonNull::dangling(), owner) }.is_none());
    }
    let packed = error(vec![lent("packed", Dtype::F4, &[2], &[1], 0, &bytes)]);
    assert!(packed.contains("packed"), "{packed}");
}

/// The bytes of all elements in order, by definition.
fn gathered(
    bytes: &[u8],
    offset: usize,
    width: usize,
    shape: &[u64],
    strides: &[isize],
) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..shape.iter().product::<u64>() {
        let (mut rest, mut at) = (number, offset as isize);
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            at += (rest % size) as isize * stride;
            rest /= size;
        }
        out.extend(&bytes[at as usize..at as usize + width]);
    }
    out
}

proptest! {
    #[test]
    fn any_strides_give_their_elements_in_order_from_any_byte_on(
        shape in prop::collection::vec(1_u64..5, 0..5),
        steps in prop::collection::vec(-9_isize..10, 5),
        dtype in prop::sample::select(vec![Dtype::U8, Dtype::Bf16, Dtype::F32, Dtype::F64]),
        contiguous in 0_usize..5,
        cut in any::<prop::sample::Index>(),
        length in any::<prop::sample::Index>(),
    ) {
        let width = (dtype.bits() / 8) as usize;
        let bytes = numbers(4096);
        let mut strides: Vec<isize> = steps[..shape.len()].iter().map(|s| s * width as isize).collect();
        // The last dimensions lie side by side, as in most views.
        let mut next = width as isize;
        for (&size, stride) in shape.iter().zip(&mut strides).rev().take(contiguous) {
            *stride = next;
            next *= size as isize;
        }
        let lowest: isize = (shape.iter().zip(&strides))
            .map(|(&size, &stride)| (size as isize - 1) * stride.min(0)).sum();
        let offset = lowest.unsigned_abs() + 3;
        let checkpoint = opened(vec![lent("a", dtype, &shape, &strides, offset, &bytes)]);
        let expected = gathered(&bytes, offset, width, &shape, &strides);
        let tensor = &checkpoint.tensors[0];
        prop_assert_eq!(&checkpoint.copied(0, tensor.begin, tensor.end).unwrap(), &expected);
        let begin = cut.index(expected.len());
        let end = begin + length.index(expected.len() - begin + 1);
        let found = checkpoint.copied(0, tensor.begin + begin as u64, tensor.begin + end as u64);
        prop_assert_eq!(&found.unwrap(), &expected[begin..end]);
    }
}
