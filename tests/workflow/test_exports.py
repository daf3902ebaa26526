"""Exports as targets of the workflow."""

import tarfile

import rasterio

from tests.placed_store import PATCH, VALIDATION, grid_of, ids_of, write_placed_store


def test_both_forms_are_exported_go_on_and_are_then_up_to_date(workflow):
    settings = {"grid": {"pixels": PATCH}, "store": {"shard_size": 4}}
    workflow.configuration = {"name": "placed"} | settings
    write_placed_store(workflow.store)
    (workflow.folder / "nol.index.parquet").touch()
    targets = ("export_geotiff", "export_webdataset")
    only = ("--allowed-rules", *targets)
    workflow.build(*targets, *only)
    output = workflow.folder / "export"
    validation = ids_of()[VALIDATION]
    assert {path.name for path in (output / "geotiff").glob("*/")} == {validation}
    label = output / "geotiff" / validation / f"{validation}_t0_label.tif"
    with rasterio.open(label) as file:
        assert file.transform == grid_of(VALIDATION).transform
    shards = sorted((output / "webdataset").glob("*/*.tar"))
    assert [path.parent.name for path in shards] == ["train", "validation"]
    with tarfile.open(shards[1]) as tar:
        assert f"{validation}.s1.npy" in tar.getnames()
    assert "Nothing to be done" in workflow.run(*targets, *only).stderr

    # What an interrupted export left is not written again.
    kept = (label.stat().st_mtime_ns, shards[0].stat().st_mtime_ns)
    lost = label.with_name(f"{validation}_t3_s1.tif")
    content = lost.read_bytes()
    lost.unlink()
    for name in ("geotiff.done", "webdataset.done"):
        (output / name).unlink()
    workflow.build(*targets, *only)
    assert lost.read_bytes() == content
    assert (label.stat().st_mtime_ns, shards[0].stat().st_mtime_ns) == kept
