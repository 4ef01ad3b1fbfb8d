"""Files that are none of those that are read: what they are called, and what is to be done."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from common.containers import Call, refused, torch_pickle, weights
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.containers.foreign import refused as why
from parentage.checkpoint.containers.reading import Reader


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_numpy_arrays_is_called_so(tmp_path, protocol):
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(weights(), protocol))
    refused(
        tmp_path / "a.ckpt", "a Python pickle of NumPy arrays", "pickle.load", "numpy.save_file"
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Call("joblib.numpy_pickle.NumpyArrayWrapper"), "joblib.load"),
        ({"x": Call("torch.storage._load_from_bytes", b"x")}, "PyTorch's objects that pickle.dump"),
        (Call("sklearn.svm.SVC"), 'asks for "sklearn.svm.SVC"'),
        ({"epoch": Call("collections.OrderedDict")}, "of plain values"),
        ([Call("os.system", "true"), np.ones(3)], 'asks for "os.system"'),
    ],
)
def test_other_pickles_are_named_by_what_they_ask_for(tmp_path, value, what):
    (tmp_path / "a.bin").write_bytes(torch_pickle(value)[0])
    refused(tmp_path / "a.bin", "a.bin: this is a Python pickle", what, "never loaded")


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_folder_of_one_is_refused_alike(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(pickle.dumps(weights()))
    refused(tmp_path, "a Python pickle of NumPy arrays")


def tarred(path, *names):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def test_the_first_archives_of_torch_are_refused_by_name(tmp_path):
    tarred(tmp_path / "a.pth", "sys_info", "pickle", "tensors", "storages")
    refused(tmp_path / "a.pth", "a tar archive, as torch.save wrote", "torch.save_file")


def test_other_tar_archives_are_to_be_unpacked(tmp_path):
    tarred(tmp_path / "a.nemo", "model_config.yaml", "model_weights.ckpt")
    refused(tmp_path / "a.nemo", 'a tar archive, which begins with "model_config.yaml": unpack')


@given(raw=st.binary(max_size=400))
def test_any_bytes_are_said_of_or_not(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(b"\x80\x02" + raw)
    with Reader(path) as file:
        said = why(file)
    assert said is None or "Python pickle" in said
