"""CVAT's "CVAT for images 1.1"."""

import xml.etree.ElementTree as ET

from e2wsol.prediction.formats.base import AnnotatedImage, Common, Predictions, add_elements, to_xml, xml_text


def cvat_files(predictions: Predictions, common: Common) -> dict[str, str]:
    """annotations.xml: boxes of source "auto"; the format has no score. CVAT finds a task's pictures by their names."""
    root = ET.Element("annotations")
    add_elements(root, version="1.1")
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    add_elements(task, name="e2wsol", size=len(predictions), mode="annotation", overlap=0, flipped=False)
    labels = ET.SubElement(task, "labels")
    for name in common.class_names:
        label = ET.SubElement(labels, "label")
        add_elements(label, name=name, attributes="")
    for number, prediction in enumerate(predictions):
        root.append(_image(number, prediction))
    return {"annotations.xml": to_xml(root)}


def _image(number: int, prediction: AnnotatedImage) -> ET.Element:
    size = {"width": str(prediction.width), "height": str(prediction.height)}
    image = ET.Element("image", {"id": str(number), "name": xml_text(prediction.name), **size})
    for detection in prediction.boxes:
        corners = {side: f"{value:.3f}" for side, value in zip(("xtl", "ytl", "xbr", "ybr"), detection.box)}
        facts = {"label": xml_text(detection.class_name), "source": "auto", "occluded": "0"}
        ET.SubElement(image, "box", {**facts, **corners, "z_order": "0"})
    return image
