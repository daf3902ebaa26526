"""What is written for a store is valid by the validators of others, and true of the store."""

import hashlib
import json
import re

import geopandas
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import rustac
import xarray
import yaml

from pipeline.errors import PipelineError
from pipeline.metadata.__main__ import describe_store, main
from pipeline.metadata.validation import check_croissant, check_stac


@pytest.fixture(scope="session")
def described(nol, osm):
    """Both stores, described."""
    for one in (nol, osm):
        describe_store("tiny", one.store, one.index, one.output)
    return {"nol": nol, "osm": osm}


@pytest.fixture(params=["nol", "osm"])
def store(request, described):
    return described[request.param]


def collection_of(store):
    return json.loads((store.output / "collection.json").read_text())


def croissant_of(store):
    return json.loads((store.output / "croissant.json").read_text())


def test_stac_is_valid_and_the_table_gives_back_valid_items(store):
    collection = collection_of(store)
    assert pystac.Collection.from_dict(collection).id == f"tiny-{store.kind}"
    items = rustac.read_sync(str(store.output / "items.parquet"))["features"]
    kept = pq.read_table(store.index, filters=[("valid", "==", True)])
    assert len(items) == len(kept) == (5 if store.kind == "nol" else 3)
    assert check_stac([collection, *items]) == len(items) + 1


def test_an_item_leads_to_its_sample(store):
    items = rustac.read_sync(str(store.output / "items.parquet"))["features"]
    rows = geopandas.read_parquet(store.index)
    rows = rows[rows.valid].reset_index()
    assert len({item["id"] for item in items}) == len(items)
    for item, (_, row) in zip(items, rows.iterrows(), strict=True):
        properties = item["properties"]
        assert properties["noldo:sample"] == row["sample"]
        assert properties["noldo:s2_id"] == list(row["s2_id"])
        assert properties["proj:code"] == f"EPSG:{row['epsg']}"
        assert properties["proj:transform"] == [10.0, 0.0, row["left"], 0.0, -10.0, row["top"]]
        asset = store.output / item["assets"]["zarr"]["href"]
        assert (asset / "zarr.json").resolve().is_file()
        assert np.allclose(item["bbox"], row["geometry"].bounds)


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        (("assets", "index", "raster:bands"), [], "raster"),
        (("assets", "index", "eo:bands"), [{"name": 3}], "eo"),
        (("assets", "zarr", "cube:dimensions", "time"), {"type": "temporal"}, "datacube"),
        (("sci:publications",), "none", "scientific"),
        (("assets", "zarr", "raster:bands", 0, "classification:classes"), [{}], "classification"),
        (("license",), 3, "collection"),
    ],
)
def test_a_collection_that_breaks_a_rule_is_refused(described, path, value, names):
    broken = collection_of(described["nol"])
    # the schema is content with one correct description of the cube, at the top or in an asset
    del broken["cube:dimensions"], broken["cube:variables"]
    *parents, last = path
    place = broken
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(PipelineError, match=names):
        check_stac([broken])


def test_no_link_leads_out_of_the_folder_of_the_dataset(store):
    for document in (collection_of(store), croissant_of(store)):
        text = json.dumps(document)
        assert str(store.folder) not in text and "file://" not in text
    links = [link["href"] for link in collection_of(store)["links"]]
    assert all(href.startswith(("./", "../../", "https://")) for href in links)
    for asset in collection_of(store)["assets"].values():
        assert (store.output / asset["href"]).resolve().exists()


def test_croissant_is_valid_without_warnings(store):
    assert check_croissant(store.output / "croissant.json") == []


def test_croissant_loads_every_row_of_the_index(store):
    dataset = mlcroissant.Dataset(jsonld=store.output / "croissant.json")
    records = list(dataset.records("samples"))
    table = pq.read_table(store.index)
    assert set(records[0]) == {f"samples/{name}" for name in table.column_names}
    for record, row in zip(records, table.to_pylist(), strict=True):
        for name in ("group", "id", "split", "reason"):
            assert record[f"samples/{name}"].decode() == row[name]
        for name in ("sample", "valid", "epsg", "left", "top", "height"):
            assert record[f"samples/{name}"] == row[name]
        scenes = [scene.decode() for scene in record["samples/s2_id"]]
        assert scenes == row["s2_id"]
        assert record["samples/geometry"] == row["geometry"]


def test_a_stranger_finds_classes_units_and_pixels_in_croissant_alone(store):
    dataset = mlcroissant.Dataset(jsonld=store.output / "croissant.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(store.output)
        for record_set in dataset.metadata.record_sets:
            if not record_set.uuid.startswith("pixels-"):
                continue
            (field,) = record_set.fields
            recipe = re.search(r"xarray\.open_zarr\(.*?\)\['\w+'\]", record_set.description)[0]
            array = eval(recipe, {"xarray": xarray})  # noqa: S307 - our own document
            assert ",".join(map(str, array.shape[1:])) == field.array_shape
            assert array.dims[1:] == tuple(
                re.search("axes (.*?);", field.description)[1].split(", ")
            )
            if field.name == "s1":
                assert "stored value x 0.01 is in dB" in field.description
                assert array.encoding["scale_factor"] == 0.01
            if field.name.startswith("label"):
                records = list(dataset.records(f"classes-{field.name}"))
                ids = [row[f"classes-{field.name}/value"] for row in records]
                assert ids == list(array.attrs["flag_values"])
                assert records[0][f"classes-{field.name}/color"].startswith("#")


def test_pystac_leads_to_pixels_with_classes_and_units(store):
    collection = pystac.Collection.from_file(str(store.output / "collection.json"))
    asset = next(one for one in collection.assets.values() if "data" in (one.roles or []))
    pixels = xarray.open_zarr(asset.get_absolute_href(), mask_and_scale=False)
    names = [band["name"] for band in asset.extra_fields["bands"]]
    bands = dict(zip(names, asset.extra_fields["raster:bands"], strict=True))
    assert (
        bands["VV"]["scale"] == pixels["s1"].attrs["scale_factor"] and bands["VV"]["unit"] == "dB"
    )
    classes = bands["label"]["classification:classes"]
    named = {one["value"]: one["name"] for one in classes if not one.get("nodata")}
    assert list(named) == list(pixels["label"].attrs["flag_values"])
    assert {"sentinel-1", "sentinel-2"} == set(collection.summaries.get_list("constellation"))
    assert collection.description.count("SIMULATED") <= 1


def test_croissant_describes_bands_shapes_and_places(described):
    document = croissant_of(described["nol"])
    sets = {one["@id"]: one for one in document["recordSet"]}
    fine = sets["pixels-s2_10m"]["field"][0]
    assert fine["arrayShape"] == "4,4,12,12"
    assert fine["geocr:bandConfiguration"]["geocr:bandNamesList"] == ["B2", "B3", "B4", "B8"]
    blue = fine["geocr:spectralBandMetadata"][0]["geocr:centerWavelength"]
    assert blue == {"@type": "sc:QuantitativeValue", "value": 492.4, "unitText": "nm"}
    assert document["geocr:coordinateReferenceSystem"] == "EPSG:32633"
    assert document["rai:hasSyntheticData"] is True and "SIMULATED" in document["description"]
    south, west, north, east = map(float, document["spatialCoverage"]["geo"]["box"].split())
    assert west < 15.001 < east and south < 47.853 < north
    assert document["temporalCoverage"] == "2021-01-01/2021-01-01"


def test_a_store_without_a_valid_sample_and_without_times_is_described_too(osm, tmp_path):
    rows = pq.read_table(osm.index)
    times = [[None]] * len(rows)
    kind = rows.schema.field("s2_time").type
    for name in ("s2_time", "s1_time"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(times, kind))
    index = tmp_path / "osm.index.parquet"
    pq.write_table(rows, index)
    describe_store("tiny", osm.store, index, tmp_path / "metadata" / "osm")
    (first, *_) = rustac.read_sync(str(tmp_path / "metadata/osm/items.parquet"))["features"]
    properties = first["properties"]
    assert properties["start_datetime"] == "2015-06-27T00:00:00Z"
    assert properties["end_datetime"] == "2017-12-31T23:59:59Z"  # the first work on OSMLanduse
    place = rows.schema.get_field_index("valid")
    pq.write_table(rows.set_column(place, "valid", pa.array([False] * len(rows))), index)
    line = describe_store("tiny", osm.store, index, tmp_path / "metadata" / "osm")
    assert line.startswith("osm.zarr: 0 STAC items, 0 of them and the collection validated")


def test_the_checksum_of_the_index_is_right(described):
    for store in described.values():
        files = {one["@id"]: one for one in croissant_of(store)["distribution"]}
        for identifier in ("index", "zarr-metadata"):
            content = (store.output / files[identifier]["contentUrl"]).resolve().read_bytes()
            assert files[identifier]["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_command_and_its_one_line_errors(osm, tmp_path, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"name": "tiny"}))
    words = [
        "--settings",
        settings,
        "--index",
        osm.index,
        "--output",
        tmp_path / "metadata" / "osm",
    ]
    main([str(word) for word in [*words, "--store", osm.store]])
    assert "3 STAC items, 3 of them and the collection validated" in capsys.readouterr().out
    with pytest.raises(PipelineError, match="no store of ours at"):
        main([str(word) for word in [*words, "--store", tmp_path / "none.zarr"]])
    renamed = tmp_path / "mine.zarr"
    renamed.symlink_to(osm.store)
    with pytest.raises(PipelineError, match="no source of mine.zarr is known"):
        main([str(word) for word in [*words, "--store", renamed]])
