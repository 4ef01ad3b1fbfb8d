"""Files and folders outlive a power failure, as far as a test can tell."""

import pytest
from parentage.support import nearest_existing, sync_file, sync_folder, sync_folder_strictly


def test_what_is_synchronised_is_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"kept")
    sync_file(path)
    sync_folder(tmp_path)
    sync_folder_strictly(tmp_path)
    assert path.read_bytes() == b"kept"


def test_a_folder_that_is_not_there_is_an_error_only_strictly(tmp_path):
    sync_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_folder_strictly(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_file(tmp_path / "none")


def test_the_nearest_folder_that_there_is_lies_above_the_target(tmp_path):
    assert nearest_existing(tmp_path / "new") == tmp_path
    assert nearest_existing(tmp_path / "new" / "and" / "below") == tmp_path
    (tmp_path / "there").mkdir()
    # The target itself is not asked about: what is made lies beside it.
    assert nearest_existing(tmp_path / "there") == tmp_path
