"""An export has its folder for itself, and never touches what somebody else has there."""

import json
import threading

import pytest

from pipeline.errors import PipelineError
from pipeline.export.choice import Choice
from pipeline.export.output_folder import RECORD, claimed_folder
from pipeline.export.tar_shards import export_webdataset

FORM = {"export": "geotiff"}


def test_two_exports_at_once_keep_out_of_each_others_way(groups, tmp_path):
    told = []

    def second():
        try:
            with claimed_folder(tmp_path / "out", groups[0], FORM):
                told.append("no error")
        except PipelineError as error:
            told.append(str(error))

    with claimed_folder(tmp_path / "out", groups[0], FORM):
        half = tmp_path / "out" / ".a.tif.partial"
        half.write_bytes(b"half")
        other = threading.Thread(target=second)
        other.start()
        other.join()
        assert half.exists()
    assert "another export is writing into" in told[0]
    with claimed_folder(tmp_path / "out", groups[0], FORM):
        assert not half.exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [RECORD]


def test_the_files_of_somebody_else_stay(nol, tmp_path):
    foreign = tmp_path / "out" / "train" / "holiday.tar"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"mine")
    with pytest.raises(PipelineError, match="holds something else"):
        export_webdataset(nol, tmp_path / "out", Choice(), 10**6)
    assert foreign.read_bytes() == b"mine"


@pytest.mark.parametrize("content", ["rubbish", "7", json.dumps(["a"])])
def test_a_record_of_rubbish_and_a_file_in_the_way_are_told(groups, tmp_path, content):
    record = tmp_path / RECORD
    record.write_text(content)
    for folder, message in ((tmp_path, "not the record of an export"), (record, "is a file")):
        claim = claimed_folder(folder, groups[0], FORM)
        with pytest.raises(PipelineError, match=message), claim:
            pass
