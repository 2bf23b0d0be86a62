"""What an evaluation scores: a trained run, or maps that another program made."""

import dataclasses
import pathlib
import shutil

from e2wsol import compute, files
from e2wsol.config import to_mapping
from e2wsol.data import dataset, pipeline, skipped_records
from e2wsol.errors import UserError
from e2wsol.localization import parallel, protocols
from e2wsol.localizers import Localizer
from e2wsol.prediction import map_files
from e2wsol.prediction.evaluation import ModelMaps
from e2wsol.prediction.layers import LayerMaps
from e2wsol.prediction.models import box_protocol, load_model
from e2wsol.prediction.trained_runs import open_run
from e2wsol.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is scored, a run or a folder of maps.

    Attributes:
      name: how scores call the localizer.
      folder: where the result goes; that of stored maps is made by `prepare_folder`.
      info: DatasetInfo.
      view: PipelineOptions.
      protocol: BoxProtocol.
      maps: ModelMaps, LayerMaps or StoredMaps.
      crops: views that a class is predicted from, 1 or 10; None where none is predicted here.
      chooser_split: split that thresholds are chosen on, or None.
      facts: what else result.json says of it.
    """

    name: str
    folder: pathlib.Path
    info: dataset.DatasetInfo
    view: pipeline.PipelineOptions
    protocol: protocols.BoxProtocol
    maps: object
    crops: int | None
    chooser_split: str | None
    facts: dict


def trained_run(options, box, looking, computing):
    """The Subject of --run_dir, its model loaded.

    Args:
      options: EvaluateOptions.
      box: BoxOptions.
      looking: LocalizerOptions; with a localizer the maps are its, LayerMaps.
      computing: ComputeOptions.

    Raises:
      UserError: a flag, the run or the data is wrong.
    """
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train, or maps by --maps")
    run, flags, view, info = open_run(options.run_dir, options.data_dir, options.on_bad_record)
    chooser_split = threshold_split(info, options)
    info = without_bad_records(info, options, chooser_split, run.path)
    model_file = options.checkpoint or str(run.model_file())
    parallel.start_warm_up()
    compute.use(computing)
    model = load_model(model_file)
    protocol = box_protocol(box, flags, model)
    mean = protocol.ten_crop_mean or "probabilities"
    facts = {"backbone": flags["backbone"], "checkpoint": model_file, "precision": computing.precision, "flags": flags}
    if looking.localizer:
        maps = LayerMaps(model, Localizer(model, looking), mean, jit=computing.jit)
    else:
        maps = ModelMaps(model, mean, jit=computing.jit)
    crops = None
    if model.classifies and not options.predictions:
        crops = crops_to_take(options.crops, protocol, view)
        facts |= {"crops": crops, "protocol_crops": protocol_crops(protocol)}
    return Subject(
        name=flags["method"],
        folder=run.path,
        info=info,
        view=view,
        protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
        maps=maps,
        crops=crops,
        chooser_split=chooser_split,
        facts=facts,
    )


def stored_maps(options, box):
    """The Subject of --maps.

    Raises:
      UserError: a flag, the maps' folder or the data is wrong.
    """
    if not options.data_dir:
        raise UserError("--data_dir is missing: with --maps give the records of the pictures that the maps belong to")
    info = skipped_records.load(options.data_dir, options.on_bad_record)
    info.split(options.split)
    rules = protocols.get(box.protocol or "maxboxacc")
    protocol = rules if box.threshold < 0 else dataclasses.replace(rules, default_threshold=box.threshold)
    resize = protocol.frame(options.map_size).resize
    parallel.start_warm_up()
    maps = map_files.StoredMaps(options.maps, size=options.map_size, values=options.map_values)
    folder = result_folder(options)
    info = without_bad_records(info, options, options.threshold_split, folder)
    return Subject(
        name=maps.folder.resolve().name,
        folder=folder,
        info=info,
        view=pipeline.PipelineOptions(image_size=options.map_size, resize_size=resize),
        protocol=dataclasses.replace(protocol, skip_empty=options.skip_empty),
        maps=maps,
        crops=None,
        chooser_split=options.threshold_split or None,
        facts={"checkpoint": None, "maps": options.maps, "flags": to_mapping(options, box)},
    )


def without_bad_records(info, options, chooser_split, folder):
    """The DatasetInfo without the bad records of the splits that are read, where --on_bad_record=skip says so."""
    return skipped_records.leave_out(info, options.on_bad_record, (options.split, chooser_split), folder)


def result_folder(options):
    """Where the result of --maps goes.

    Raises:
      UserError: it is the folder of a training run, whose result.json is its model's.
    """
    folder = pathlib.Path(options.run_dir or options.maps)
    if RunFolder(folder).flags_file.exists():
        raise UserError(f"--run_dir={folder}: a training run, which keeps its own result; give another folder")
    return folder


def prepare_folder(folder, info):
    """Makes the folder of a result where it is missing, and puts the data set's description in it for the report."""
    folder.mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(info.folder) / dataset.FILE_NAME
    if source.resolve() != (folder / dataset.FILE_NAME).resolve():
        with files.replacing(folder / dataset.FILE_NAME) as temporary:
            shutil.copyfile(source, temporary)


def threshold_split(info, options):
    """The split that thresholds are chosen on: never the scored one unless asked for by name."""
    if options.threshold_split:
        return options.threshold_split
    has_val = "val" in info.splits and info.split("val").count and options.split != "val"
    return "val" if has_val else "train"


def protocol_crops(protocol):
    """The views of a picture that the protocol predicts its class from."""
    return 10 if protocol.ten_crop_mean else 1


def crops_to_take(crops, protocol, view):
    """The views of a picture to predict its class from, 1 or 10.

    Args:
      crops: "1", "10", or "auto" for the protocol's number; where the run leaves no margin to crop
        from, auto takes 1 and the printed table and result.json say so.
      protocol: BoxProtocol.
      view: PipelineOptions of the run.

    Raises:
      UserError: ten were asked for by number and there is no margin.
    """
    has_margin = view.resize_size > view.image_size
    if crops == "auto":
        return protocol_crops(protocol) if has_margin else 1
    if crops == "10" and not has_margin:
        raise UserError(
            f"--crops=10: ten crops need a margin, but the run has --resize_size={view.resize_size} and "
            f"--image_size={view.image_size}; train with a larger --resize_size, or evaluate with --crops=1"
        )
    return int(crops)
