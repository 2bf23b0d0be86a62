"""Released checkpoints to models of ours, start weights to ours, and our weights back to the authors' format.

python -m e2wsol.convert --from=vgg99.pth.tar --method=bas --backbone=vgg16 --dataset=cub --to=bas_vgg16.keras
python -m e2wsol.convert --from=vgg99.pth.tar --method=bas --backbone=vgg16 --dataset=cub --data_dir=records/cub \
  --to=runs/bas_vgg16_cub
python -m e2wsol.convert --from=resnet50-19c8e357.pth --backbone=resnet50 --to=weights/resnet50_torchvision.npz
python -m e2wsol.convert --from=runs/bas_vgg16_cub --to=bas_vgg16.pth

The name of --to says what is made:
  NAME.keras  a model;
  NAME        a run folder, which e2wsol.evaluate, predict, export and train go on with; --data_dir names its classes;
  NAME.npz    start weights of --backbone alone, for --backbone_weights;
  NAME.pth, NAME.npz of a model of ours: its weights in the format of its method's authors.

--dataset=cub|ilsvrc takes the released settings from flags/ and the number of classes; further settings are flags of
e2wsol.train. Every tensor of the file and every variable of the model is accounted for, or nothing is written; --report
prints the report. docs/checkpoints.md lists the files that are known. No pickle is executed.
"""

import e2wsol.on_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import pathlib

import keras

from e2wsol import cli, config, files, model_files, releases, terminal, train
from e2wsol.backbones import BackboneOptions, build
from e2wsol.backbones.weights import start_values
from e2wsol.config import option
from e2wsol.data import dataset
from e2wsol.data.dataset import Dataset
from e2wsol.errors import UserError
from e2wsol.methods import Method, MethodOptions
from e2wsol.releases import matching
from e2wsol.releases.formats.source import OpenCheckpoint
from e2wsol.releases.matching import ConversionReport
from e2wsol.releases.naming import Release
from e2wsol.releases.reading import open_checkpoint
from e2wsol.releases.verification import verify
from e2wsol.releases.writing import write_npz, write_pytorch
from e2wsol.trained_run import TrainedRun, protocol_of
from e2wsol.training import checkpoints, optimizers
from e2wsol.training.loop import steps_per_epoch
from e2wsol.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """What is read, and what is made of it."""

    from_: str = option(
        "", "what to read: a released checkpoint, start weights, or a .keras file or run folder of ours"
    )
    to: str = option("", "what to make: NAME.keras, a run folder, NAME.npz or NAME.pth")
    dataset: str = option(
        "", "data set of the release, for its settings and classes", choices=("", *releases.DATASET_CLASSES)
    )
    num_classes: int = option(0, "classes of the checkpoint; 0 for those of --data_dir or of --dataset", minimum=0)
    report: bool = option(False, "print what became of every tensor and every variable")
    verify: str = option("", "a picture to check the written model and the preprocessing with")
    any_order: bool = option(False, "pass over the order of the tensors in a PyTorch file")


@dataclasses.dataclass(frozen=True)
class ConvertFlags:
    """All flags of the command: its own, and the settings of the model as e2wsol.train takes them."""

    convert: ConvertOptions
    settings: train.TrainFlags


def with_released_settings(argv: list[str]) -> list[str]:
    """The command line with the flags that the named release implies in front of the given ones.

    Raises:
      UserError: a bad flag, or no settings were released.
    """
    flags, _, help_text = config.parse(argv, ConvertFlags)
    options, method, backbone = flags.convert, flags.settings.method, flags.settings.backbone
    if help_text or _target(options) not in (".keras", "") or _is_ours(options.from_):
        return argv
    release = _release(method.method)
    implied = [f"--{name}={value}" for name, value in release.backbone_options.items()]
    implied.append(f"--resize_filter={'antialias' if release.resize == 'pillow' else 'bilinear'}")
    if options.dataset:
        file = releases.released_flagfile(method.method, backbone.backbone, options.dataset)
        implied = [f"--flagfile={file}", *implied]
    return [argv[0], *implied, *argv[1:]]


def main(flags: ConvertFlags, positional: list[str]) -> None:
    """Chooses the direction from what is read and what is made."""
    options = flags.convert
    cli.no_arguments(positional)
    if not options.from_:
        raise UserError("--from is missing: give a checkpoint, start weights, or a model of ours")
    if not options.to:
        raise UserError("--to is missing: give NAME.keras, a folder, NAME.npz or NAME.pth")
    target = _target(options)
    if target not in (".keras", ".npz", ".pth", ""):
        raise UserError(f"--to={options.to}: unknown kind; give NAME.keras, a folder (no suffix), NAME.npz or NAME.pth")
    if target and pathlib.Path(options.to).exists():
        raise UserError(f"--to={options.to}: is there already; give another name, or delete it")
    if _is_ours(options.from_):
        write_released(options, target)
    elif target == ".npz":
        convert_start_weights(options, flags.settings.backbone)
    elif target == ".pth":
        raise UserError(f"--to={options.to}: a .pth is made of a model of ours; --from={options.from_} is none")
    else:
        convert_model(options, flags.settings, target)


def convert_model(options: ConvertOptions, settings: train.TrainFlags, target: str) -> None:
    """From a released checkpoint to a .keras file or a run folder."""
    view = settings.data
    release = _release(settings.method.method)
    _check_backbone(release, settings.method, settings.backbone)
    info = dataset.load(view.data_dir) if view.data_dir else None
    if target == "":
        _check_new_folder(options.to, info)
    with open_checkpoint(options.from_) as source:
        model, report = _fitting(options, settings, source, _class_counts(options, info))
        _show(options, source, report)
        variables = releases.variables(model)
        for path, value in matching.values(source, report).items():
            variables[path].assign(value)
        written = pathlib.Path(options.to)
        if target:
            with files.replacing(options.to) as temporary:
                model_files.save(model, temporary)
        elif info:
            written = _write_run_folder(options.to, model, info, settings)
        terminal.say(f"wrote {options.to}: {report.summary()}, {model.num_classes} classes")
        if options.verify:
            protocol = protocol_of(model, settings.box)
            found = verify(written, source, report, options.verify, view=view, protocol=protocol, resize=release.resize)
            terminal.say(*found.split("\n"))


def _fitting(
    options: ConvertOptions, settings: train.TrainFlags, source: OpenCheckpoint, class_counts: tuple[int, ...]
) -> tuple[Method, ConversionReport]:
    """(method, report on the file) of the first number of classes that leaves no fault, else of the first."""
    tried = []
    for count in class_counts:
        model = train.build(settings, count)
        names, shapes = releases.namings_of(model), releases.shapes(model)
        tried.append((model, matching.best_match(source, names, shapes, any_order=options.any_order)))
        if not tried[-1][1].faults:
            return tried[-1]
    return tried[0]


def convert_start_weights(options: ConvertOptions, backbone: BackboneOptions) -> None:
    """From a file of start weights to an .npz for --backbone_weights."""
    shapes = releases.shapes(build(backbone, 224))
    if options.from_.endswith(".h5"):
        values, _ = start_values(options.from_, backbone, shapes, argument="from_")
        summary = "keras.applications' file"
        if missing := sorted(shapes.keys() - values.keys()):
            raise UserError(
                f"--from={options.from_}: holds no {missing[0]} ({len(missing)} variables are missing); give it to "
                "--backbone_weights as it is, which leaves those at their initial value"
            )
        values = {path: values[path] for path in shapes}
    else:
        with open_checkpoint(options.from_) as source:
            names = releases.start_namings(backbone.backbone, shapes)
            report = matching.best_match(source, names, shapes, any_order=options.any_order)
            _show(options, source, report)
            values, summary = matching.values(source, report), report.summary()
    write_npz(options.to, values)
    terminal.say(f"wrote {options.to}: {summary}")


def write_released(options: ConvertOptions, target: str) -> None:
    """From a model of ours to the format of its method's authors."""
    path = pathlib.Path(options.from_)
    model = TrainedRun.at(path).model
    naming = releases.namings_of(model)[0]
    variables = {path: keras.ops.convert_to_numpy(value) for path, value in releases.variables(model).items()}
    suffix = {"pytorch": ".pth", "tensorflow": ".npz"}[naming.container]
    if target != suffix:
        raise UserError(f"--to={options.to}: {naming.title} is a {suffix} file; give NAME{suffix}")
    tensors = matching.authors_tensors(naming, variables)
    if suffix == ".pth":
        write_pytorch(options.to, tensors, naming.wrapper)
    else:
        write_npz(options.to, tensors)
    if options.report:
        terminal.say(*(f"{pair.ours} -> {naming.prefix}{pair.theirs} {pair.shape}" for pair in naming.pairs))
    terminal.say(f"wrote {options.to}: {naming.title}, {len(tensors)} tensors")


def _check_new_folder(folder: str, info: Dataset | None) -> None:
    """Raises a UserError where no run folder can be made: no data set, or there is something in it already."""
    if info is None:
        raise UserError(
            f"--to={folder}: a run folder needs the names of its classes: give --data_dir, or --to=NAME.keras"
        )
    path = pathlib.Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--to={folder}: is there already; give the name of a new folder")


def _write_run_folder(folder: str, model: Method, info: Dataset, settings: train.TrainFlags) -> pathlib.Path:
    """Writes flags, data set and a checkpoint of step 0, and returns the path of the model's file.

    Training goes on from there, evaluation takes it as the best.
    """
    settings = dataclasses.replace(settings, run=dataclasses.replace(settings.run, run_dir=str(folder)))
    run = RunFolder(folder)
    steps = steps_per_epoch(settings.loop, info)
    optimizer = optimizers.create(settings.optimizer, steps, settings.compute.precision)
    optimizer.build(model.trainable_variables)
    with run.held():
        run.start(info, settings)
        checkpoints.save(run.checkpoints, model, optimizer, {"step": 0, "best": None}, best=True)
    return run.model_file()


def _show(options: ConvertOptions, source: OpenCheckpoint, report: ConversionReport) -> None:
    """Prints the report if asked for; raises where there are faults."""
    if options.report:
        terminal.say(*report.text().split("\n"))
        terminal.say(*(f"{note}: in the file, not read" for note in source.notes))
    report.require_no_faults(options.from_, hint=" (--report lists everything)")


def _class_counts(options: ConvertOptions, info: Dataset | None) -> tuple[int, ...]:
    """The numbers of classes to try; without a given one those of all releases: some have 1000 outputs on CUB."""
    if given := options.num_classes or (len(info.classes) if info else 0):
        return (given,)
    if not options.dataset:
        raise UserError("--num_classes is missing: give it, or --dataset=cub|ilsvrc, or --data_dir")
    return tuple(dict.fromkeys((releases.DATASET_CLASSES[options.dataset], *releases.DATASET_CLASSES.values())))


def _release(method: str) -> Release:
    if method not in releases.RELEASES:
        raise UserError(f"--method={method}: no checkpoint was released; released are {', '.join(releases.RELEASES)}")
    return releases.RELEASES[method]


def _check_backbone(release: Release, method: MethodOptions, backbone: BackboneOptions) -> None:
    """Raises where a flag or flagfile asks for other pictures or paddings than the weights were made with."""
    for name, value in release.backbone_options.items():
        if (given := getattr(backbone, name)) != value:
            raise UserError(f"--{name}={given}: the released weights of {method.method} need --{name}={value}")


def _target(options: ConvertOptions) -> str:
    """The suffix of --to, "" for a folder."""
    return pathlib.Path(options.to).suffix


def _is_ours(path: str) -> bool:
    """Whether a path is a .keras file or a run folder."""
    return path.endswith(".keras") or (bool(path) and RunFolder(path).flags_file.is_file())


if __name__ == "__main__":
    cli.run(main, ConvertFlags, description=__doc__, complete=with_released_settings)
