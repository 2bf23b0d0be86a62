"""The lines of a study's table, and the data sets that a study runs on."""

import dataclasses

REFERENCE = "cam"  # what every method is compared with


@dataclasses.dataclass(frozen=True)
class StudyRow:
    """A line of the table: a method that is trained, or another localizer on a trained network.

    Attributes:
      name: of its run folders; for a trained one also of its flagfile, FLAGS_DIR/methods/NAME.cfg.
      title: as tables have it.
      method: its name among the published scores, see papers.py.
      of: the row whose trained network it localizes with; empty where it is trained itself.
      localizer: with `of`, one of localizers.LOCALIZERS.
      middle: with `of`, whether it takes the suite's middle layer instead of the last.
      masks_from: the row whose maps make the pseudo masks that it learns from; empty for none.
      classes_from: the row whose predicted classes count for Top-1 Loc; empty where it predicts its own.
    """

    name: str
    title: str
    method: str
    of: str = ""
    localizer: str = ""
    middle: bool = False
    masks_from: str = ""
    classes_from: str = ""


ROWS = (
    StudyRow("cam", "CAM", "cam"),
    StudyRow("has", "HaS", "has"),
    StudyRow("acol", "ACoL", "acol"),
    StudyRow("spg", "SPG", "spg"),
    StudyRow("adl", "ADL", "adl"),
    StudyRow("cutmix", "CutMix", "cutmix"),
    StudyRow("e2net_released", "E2Net, as released", "e2net"),
    StudyRow("e2net_paper", "E2Net, the paper's reading", "e2net"),
    StudyRow("bas", "BAS", "bas"),
    StudyRow("spol_cam", "SPOL, cam stage", "spol"),
    StudyRow("spol_seg", "SPOL, seg stage", "spol", masks_from="spol_cam", classes_from="cam"),
    StudyRow("mnpo", "MNPO", "mnpo"),
    StudyRow("mnpos", "MNPOs", "mnpos"),
    StudyRow("gradcam", "Grad-CAM", "gradcam", of="cam", localizer="gradcam"),
    StudyRow("layercam", "LayerCAM", "layercam", of="cam", localizer="layercam", middle=True),
    StudyRow("dgl_last", "DGL, last layer", "dgl", of="cam", localizer="dgl"),
    StudyRow("dgl", "DGL, middle layer", "dgl", of="cam", localizer="dgl", middle=True),
)


@dataclasses.dataclass(frozen=True)
class Suite:
    """A data set and how it is read.

    Attributes:
      name: of its flagfile, FLAGS_DIR/NAME.cfg, which has backbone, size, budget and protocol of every training.
      title: as pages have it.
      build: flags of python -m tfrecords.build, but for --input and --output.
      needs_input: whether the pictures have to be brought.
      read_by: keys of the scores (scores.SCORES) that the suite is read by.
      middle_layer, last_layer: end points of its backbone that other localizers take.
      note: what a reader has to know of it.
    """

    name: str
    title: str
    build: tuple[str, ...]
    read_by: tuple[str, ...]
    middle_layer: str
    last_layer: str
    needs_input: bool = True
    note: str = ""


_PHOTOS = ("--holdout=0.15", "--store=resized", "--short_side=256")
_LARGE = (
    "A full data set of the papers: for one or more GPUs. It was not on our machine, and nothing of it was measured."
)

SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "animals",
            "Twelve animals of Caltech-101",
            build=("--source=folder", *_PHOTOS),
            read_by=("gt_known_0.7", "pxap"),
            middle_layer="block10",
            last_layer="block13",
            note="The animals fill their photos: a box in the centre hits nearly all of them at IoU 0.5. So this suite "
            "is read at IoU 0.7 and by PxAP, from the objects' outlines.",
        ),
        Suite(
            "cub10",
            "Ten classes of CUB-200-2011",
            build=("--source=cub", *_PHOTOS),
            read_by=("gt_known_0.5",),
            middle_layer="block10",
            last_layer="block13",
        ),
        Suite(
            "cub50",
            "Fifty classes of CUB-200-2011",
            build=("--source=cub", *_PHOTOS),
            read_by=("gt_known_0.5",),
            middle_layer="block10",
            last_layer="block13",
            note="Input, maps and heads as large as the papers have them; the photos were reduced to a short side of "
            "224 pixels before.",
        ),
        Suite(
            "synthetic",
            "Synthetic creatures",
            build=("--source=synthetic",),
            needs_input=False,
            read_by=("gt_known_0.5", "pxap"),
            middle_layer="block10",
            last_layer="block13",
            note="Drawn pictures of small creatures, class by the colour of a part (python -m tfrecords.build "
            "--source=synthetic).",
        ),
        Suite(
            "cub",
            "CUB-200-2011",
            build=("--source=cub", "--holdout=0.1"),
            read_by=("gt_known_0.5",),
            middle_layer="conv4_3",
            last_layer="conv5_3",
            note=_LARGE,
        ),
        Suite(
            "ilsvrc",
            "ImageNet (ILSVRC 2012)",
            build=("--source=ilsvrc", "--holdout=0.01"),
            read_by=("gt_known_0.5",),
            middle_layer="conv4_3",
            last_layer="conv5_3",
            note=_LARGE,
        ),
    )
}
