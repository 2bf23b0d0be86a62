"""Scores the localization of a trained run.

python -m e2wsol.evaluate --run_dir=runs/e2net_vgg_cub

Prints a table and writes result.json and samples.npz into the run folder, for e2wsol.report. Every
score is given at the protocol's threshold, at the one chosen on a split that is not scored, and at
the best one of the scored split (an oracle, as most papers report it).
"""

import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip

import dataclasses
import json
import time

import cv2
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from e2wsol import cli, files
from e2wsol.config import from_mapping, option
from e2wsol.data import dataset, pipeline
from e2wsol.errors import UserError
from e2wsol.localization import protocols
from e2wsol.localization.baselines import Baselines
from e2wsol.localization.frame import Frame
from e2wsol.localization.metrics import LocalizationScorer
from e2wsol.prediction.models import box_protocol, load_model
from e2wsol.training.run_folder import RunFolder, git_commit, versions
from e2wsol.visualize.samples import SampleKeeper
from e2wsol.visualize.table import score_table


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, on which data."""

    run_dir: str = option("", "run folder of python -m e2wsol.train")
    checkpoint: str = option("", "a .keras file; empty for the run's best checkpoint, or its last without validation")
    data_dir: str = option("", "records to score; empty for those of the training")
    split: str = option("test", "split to score")
    threshold_split: str = option("", "split that the threshold is chosen on; empty for val, or train without val")
    threshold_limit: int = option(2000, "pictures of it to use at most; 0 for all", minimum=0)
    limit: int = option(0, "score the first pictures only; 0 for all", minimum=0)
    batch: int = option(32, "pictures a batch", minimum=1)
    crops: str = option(
        "auto",
        "views that a class is predicted from: 1, or the mean probability over 10 crops; auto as the protocol says",
        choices=("auto", "1", "10"),
    )
    samples: int = option(48, "pictures kept for the report: best, worst and random ones", minimum=0)


IOU_THRESHOLDS = (0.5, 0.7)


def main(options, box, positional):
    """Loads the run, chooses thresholds on one split, scores the other, writes what came out."""
    cli.no_arguments(positional)
    if not options.run_dir:
        raise UserError("--run_dir is missing: give a run folder of python -m e2wsol.train")
    start = time.monotonic()
    run = RunFolder(options.run_dir)
    flags = run.flags()
    view = from_mapping(pipeline.PipelineOptions, flags)
    info = dataset.load(options.data_dir or view.data_dir)
    if list(info.classes) != run.classes():
        raise UserError(f"--data_dir={info.folder}: other classes than those of the run ({run.dataset_file})")
    model_file = options.checkpoint or str(run.model_file())
    model = load_model(model_file)
    protocol = box_protocol(box, flags, model)
    crops = crops_to_take(options.crops, protocol, view)
    evaluation = Evaluation(model, info, view, protocol, options.batch)
    chooser_split = threshold_split(info, options)
    validation = best_thresholds(flags["method"], *evaluation.score(chooser_split, limit=options.threshold_limit))
    keeper = SampleKeeper(options.samples)
    scorer, baselines = evaluation.score(
        options.split,
        limit=options.limit,
        crops=crops,
        thresholds=[threshold for chosen in validation.values() for threshold in chosen.values()],
        keeper=keeper,
        shown_at=validation[flags["method"]]["0.5"],
    )
    data = {"name": info.name, "split": options.split, "pictures": scorer.classified, "classes": len(info.classes)}
    result = {
        "dataset": data,
        "method": flags["method"],
        "backbone": flags["backbone"],
        "checkpoint": model_file,
        "image_size": view.image_size,
        "protocol": protocol.name,
        "average": protocol.average,
        "crops": crops,
        "protocol_crops": protocol_crops(protocol),
        "threshold_split": chooser_split,
        **scores(flags["method"], scorer, baselines, validation),
        "flags": flags,
        "versions": versions(),
        "git_commit": git_commit(),
        "seconds": round(time.monotonic() - start, 1),
    }
    keeper.save(run.path / "samples.npz")
    files.write_text(run.result_file, json.dumps(result, indent=1) + "\n")
    print(score_table(result))
    print(f"wrote {run.result_file}")


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


class Evaluation:
    """Runs a method over splits and scores its maps.

    Args:
      model: Method.
      info: DatasetInfo.
      view: PipelineOptions, how pictures come to the network.
      protocol: BoxProtocol.
      batch: pictures a batch.
    """

    def __init__(self, model, info, view, protocol, batch):
        self.info, self.view, self.protocol, self.batch = info, view, protocol, batch
        resize = view.resize_size if view.eval_crop == "center" else view.image_size
        self.frame = Frame(size=view.image_size, resize=resize)
        self.localize = tf.function(model.localize)
        self.classify = tf.function(lambda images: tf.nn.softmax(model(images, training=False)["logits"]))

    def score(self, split, *, limit=0, crops=1, thresholds=(), keeper=None, shown_at=None):
        """Scores a split.

        Args:
          split: its name.
          limit: first pictures only; 0 for all.
          crops: views that a picture's class is predicted from, 1 or 10.
          thresholds: further thresholds to score.
          keeper: SampleKeeper that is offered every picture, or None.
          shown_at: threshold of the kept pictures' boxes.

        Returns:
          (LocalizationScorer, Baselines).
        """
        rules = {"thresholds": tuple(thresholds), "iou_thresholds": IOU_THRESHOLDS}
        scorer = LocalizationScorer(self.protocol, self.frame, **rules)
        baselines = Baselines(self.protocol, self.frame, **rules)
        for facts, localization_map, image, source_id in self._pictures(split, limit, crops):
            outcome = scorer.add(localization_map, **facts)
            baselines.add(**facts)
            if keeper is not None:
                keeper.offer(image, {"source_id": source_id, **facts}, outcome, scorer.index_of(shown_at))
        if not scorer.located:
            raise UserError(f"{self.info.folder}: split {split} has no box to score against")
        return scorer, baselines

    def _pictures(self, split, limit, crops):
        """Yields (what the scorer wants to know, map (h, w), picture (S, S, 3), its id) one by one."""
        total = min(limit or self.info.split(split).count, self.info.split(split).count)
        batches = pipeline.eval_dataset(self.info, self.view, split=split, batch=self.batch, limit=limit, crops=crops)
        with pipeline.guard(self.info, split), tqdm(total=total, desc=split, unit="picture") as bar:
            for batch in batches:
                logits, maps = self.localize(batch["image"], batch["label"])
                scores = logits if crops == 1 else self.ten_crop_probabilities(batch.pop("crops"))
                top5 = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :5]
                batch = {name: value.numpy() for name, value in batch.items()}
                for index, localization_map in enumerate(maps.numpy()):
                    source_id = batch["source_id"][index].decode()
                    yield _facts(batch, index, top5[index]), localization_map, batch["image"][index], source_id
                bar.update(len(top5))

    def ten_crop_probabilities(self, crops):
        """uint8 (b, 10, S, S, 3) -> (b, C) float32, the mean softmax; one crop of all pictures at a time."""
        return tf.add_n([self.classify(views) for views in tf.unstack(crops, axis=1)]) / crops.shape[1]


def _facts(batch, index, top5):
    png = batch["mask"][index]
    height, width = batch["size"][index]
    return {
        "boxes": batch["boxes"][index, : batch["num_boxes"][index]],
        "image_size": (width, height),
        "label": int(batch["label"][index]),
        "top5": top5,
        "mask": cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE) if png else None,
    }


def best_thresholds(method, scorer, baselines):
    """{localizer: {"0.5": threshold, "0.7": threshold}} with the most GT-known hits of each."""
    localizers = {method: scorer, **baselines.scorers}
    return {name: {f"{iou:g}": counts.best(iou) for iou in IOU_THRESHOLDS} for name, counts in localizers.items()}


def scores(method, scorer, baselines, validation):
    """The scores' part of result.json; `validation` is best_thresholds of the other split."""
    best = best_thresholds(method, scorer, baselines)
    default = scorer.protocol.default_threshold
    entries, curves, pxap = [], {}, {}
    for name, counts in {method: scorer, **baselines.scorers}.items():
        for iou in map("{:g}".format, IOU_THRESHOLDS):
            chosen = {"protocol": default, "validation": validation[name][iou], "best": best[name][iou]}
            for kind, threshold in chosen.items():
                entries += [_entry(name, kind, score) for score in counts.scores(threshold) if f"{score.iou:g}" == iou]
        curve = counts.curves()
        curves["thresholds"] = curve.pop("thresholds")
        curves[name] = curve
        if counts.pixels.pictures:
            pxap[name] = counts.pixels.value()
    top1, top5 = scorer.classification()
    return {
        "thresholds": {"protocol": default, "validation": validation[method], "best": best[method]},
        "scores": entries,
        "classification": {"top1": top1.value, "top5": top5.value},
        "pxap": pxap or None,
        "curves": curves,
    }


def _entry(localizer, kind, score):
    return {
        "localizer": localizer,
        "metric": score.metric,
        "average": score.average,
        "iou": score.iou,
        "threshold_from": kind,
        "threshold": score.threshold,
        "hits": score.hits,
        "pictures": score.pictures,
        "value": score.value,
    }


if __name__ == "__main__":
    cli.run(main, EvaluateOptions, protocols.BoxOptions, description=__doc__)
