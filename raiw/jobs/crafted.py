"""The masks of a job."""

from raiw.jobs.masked import MaskedJob
from raiw.jobs.workspace import Workspace
from raiw.masks import MaskSet, load
from raiw.pipeline import craft_masks


def masks_of(job: MaskedJob, space: Workspace) -> MaskSet | None:
    """Return the masks that a job asks for, crafted here from a spec or stored before."""
    if job.spec is not None:
        importance = None if job.importance is None else space.file(job.importance)
        masks = craft_masks(job.spec, importance)
        masks.save(space.output("masks"))
        return masks
    return None if job.masks is None else load(space.file(job.masks))
