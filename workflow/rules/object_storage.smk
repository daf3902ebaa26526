# What lies in object storage: inputs, which are brought to the shared disk before the step that
# reads them, and copies of the stores.

from pipeline.inputs import in_object_storage, local_path
from pipeline.settings.tree import short_hash

INPUTS = SETTINGS.folder / "inputs"
REMOTE_INPUTS = {}


def brought(sources):
    """The records that sources from object storage have come, for the rule that reads them."""
    remote = {short_hash(source): source for source in sources if in_object_storage(source)}
    REMOTE_INPUTS.update(remote)
    return [f"{INPUTS.as_posix()}/{digest}.json" for digest in remote]


def local(sources):
    """Where sources lie on disk, or will lie once they have come."""
    return [local_path(source, INPUTS).as_posix() for source in sources]


def inputs_folder(wildcards):
    """Where everything from object storage comes to."""
    return INPUTS.as_posix()


def copies(*stores):
    """Records of the copies of stores, if the settings ask for any."""
    return [f"{FOLDER}/{store}.published.json" for store in stores if SETTINGS.publish]


def published(store):
    """The URL of a store's copy."""
    if SETTINGS.published_folder is None:
        raise WorkflowError(
            "publish is not set: name a place in object storage, such as s3://bucket/prefix"
        )
    return f"{SETTINGS.published_folder}/{store}.zarr"


def published_nol(wildcards):
    """The URL of the copy of nol.zarr."""
    return published("nol")
