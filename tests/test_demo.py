"""The family that is shipped."""

import pytest
from conftest import load, raw_tensors
from parentage.demo import MEMBERS, family


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_is_a_folder_of_one_file(name):
    assert [path.name for path in family(name).iterdir()] == ["model.safetensors"]
    assert len(raw_tensors(family(name))) == 23


def test_members_are_of_one_architecture_and_no_two_are_the_same():
    tensors = {name: load(family(name)) for name in MEMBERS}
    shapes = [{key: x.shape for key, x in each.items()} for each in tensors.values()]
    assert all(each == shapes[0] for each in shapes)
    largest = max(shapes[0], key=lambda name: tensors["base"][name].size)
    assert len({each[largest].tobytes() for each in tensors.values()}) == len(MEMBERS)


def test_a_stranger_is_refused_by_name():
    with pytest.raises(ValueError, match="no 'cousin' in it"):
        family("cousin")
