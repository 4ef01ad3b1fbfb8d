"""Checkpoints in a store of objects: the one of Amazon, played by moto on this machine."""

import logging
import pickle

import numpy as np
import parentage
import pytest
from common.networks import quick
from conftest import BF16, family_path, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources.buckets import BucketPlace, serves, why
from parentage.support import CheckpointError, ReadError

pytest.importorskip("obstore", reason="obstore needs Python 3.11: install parentage[cloud]")


@pytest.fixture(scope="module")
def store():
    boto3 = pytest.importorskip(
        "boto3", reason="boto3 and moto[server] are in parentage[cloud-test]"
    )
    moto = pytest.importorskip("moto.server", reason="moto[server] is in parentage[cloud-test]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {
        "AWS_ACCESS_KEY_ID": "key-id",
        "AWS_SECRET_ACCESS_KEY": "SECRET-key",
        "AWS_REGION": "us-east-1",
    }
    environment = pytest.MonkeyPatch()
    for name, value in {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}.items():
        environment.setenv(name, value)
    environment.setenv("NO_PROXY", "127.0.0.1")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="models")
    yield client
    server.stop()
    environment.undo()


def put(client, folder, name):
    """Copy a folder into the bucket."""
    for each in folder.iterdir():
        client.upload_file(str(each), "models", f"{name}/{each.name}")


def test_a_full_trace_has_the_slices_of_one_from_disk(store, tmp_path):
    for name in ("base", "parent", "child"):
        put(store, family_path(name), f"family/{name}")
    opened = {
        name: Checkpoint.open(f"s3://models/family/{name}", name, quick())
        for name in ("base", "parent", "child")
    }
    assert opened["child"].origin.where == "s3://models/family/child"
    parents = [opened["parent"]]
    parentage.trace(
        opened["child"], base=opened["base"], parents=parents, full=True, output=tmp_path / "there"
    )
    here = {name: family_path(name) for name in opened}
    parentage.trace(
        here["child"], base=here["base"], parents=[here["parent"]], output=tmp_path / "here"
    )
    tables = [(tmp_path / each / "slices.parquet").read_bytes() for each in ("there", "here")]
    assert tables[0] == tables[1]
    assert "SECRET" not in (tmp_path / "there" / "evidence.json").read_text()


def test_shards_and_an_index_are_one_checkpoint_and_so_is_a_file(store, tmp_path):
    tensors = {f"t{i}": np.full((16, 16), i, dtype=BF16) for i in range(4)}
    put(store, write_checkpoint(tmp_path / "sharded", tensors, shards=2), "sharded")
    whole = Checkpoint.open("s3://models/sharded", network=quick())
    assert (len(whole.shards), len(whole.tensors)) == (2, 4)
    index = Checkpoint.open("s3://models/sharded/model.safetensors.index.json", network=quick())
    assert len(index.tensors) == 4
    part = Checkpoint.open("s3://models/sharded/model-00001-of-00002.safetensors", network=quick())
    assert (len(part.tensors), part.name) == (2, "model-00001-of-00002")


def test_an_object_that_changes_is_an_error(store, tmp_path):
    store.put_object(Bucket="models", Key="changing/a.safetensors", Body=b"x" * 1000)
    meta = {"size": 1000, "e_tag": '"0123456789abcdef0123456789abcdef"'}
    place = BucketPlace("s3://models", "changing/a.safetensors", meta, quick())
    with pytest.raises(ReadError, match="changed while it was read"):
        place.fetch(0, 10, memoryview(bytearray(10)))
    del tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://models/nothing/here", "no .safetensors file"),
        ("s3://models/family/child/other.safetensors", "no such object"),
        ("s3://no-such-bucket/a", "s3://no-such-bucket/a: "),
        ("s3:///a", "no name of a folder"),
        ("s3://models/../a", "no name of a folder"),
    ],
)
def test_what_is_not_there_is_said(store, name, said):
    assert store is not None
    with pytest.raises((CheckpointError, ReadError), match=said):
        Checkpoint.open(name, network=quick())


def test_a_place_travels_without_keys(store):
    store.put_object(Bucket="models", Key="travels/a", Body=b"0123456789")
    place = BucketPlace("s3://models", "travels/a", {"size": 10, "e_tag": None}, quick())
    text = pickle.dumps(place)
    assert b"SECRET" not in text
    into = bytearray(4)
    pickle.loads(text).fetch(3, 7, memoryview(into))
    assert (bytes(into), place.identity) == (b"3456", "")


def test_errors_are_told_without_what_the_library_says():
    assert serves("gs://a/b")
    assert not serves("https://a/b")
    assert "SECRET" not in why(ValueError("https://host/?X-Amz-Signature=SECRET"))


def test_small_files_beside_weights_are_captured(store, tmp_path):
    folder = write_checkpoint(tmp_path / "m", {"w": np.ones((64, 64), np.float32)})
    (folder / "README.md").write_text("# Mine")
    put(store, folder, "captured")
    made = parentage.capture(
        "s3://models/captured", tmp_path / "kept", size="16KiB", network=quick()
    )
    assert (made / "files" / "README.md").read_text() == "# Mine"
    assert Checkpoint.open(made).tensors
