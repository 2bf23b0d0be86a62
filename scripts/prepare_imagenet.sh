#!/usr/bin/env bash
# ImageNet (ILSVRC 2012 CLS-LOC) archives -> TFRecords: 1,281,167 training pictures, and the 50,000
# validation pictures, which every localization paper scores, as split "test".
#
#   bash scripts/prepare_imagenet.sh [FOLDER [OUTPUT [builder flags]]]
#   bash scripts/prepare_imagenet.sh dataset/ILSVRC records/ilsvrc --store=resized --short_side=256
#
# FOLDER (default: dataset/ILSVRC) holds the archives, which are read in place, or train/ and val/ unpacked.
# The records take about as much room as the archives (145 GB); --store=resized needs about a third of it.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

folder=${1:-dataset/ILSVRC}
output=${2:-records/ilsvrc}
shift $(($# < 2 ? $# : 2))

missing=()
[[ -d $folder/train || -f $folder/ILSVRC2012_img_train.tar ]] || missing+=("ILSVRC2012_img_train.tar (138 GB)")
[[ -d $folder/val || -f $folder/ILSVRC2012_img_val.tar ]] || missing+=("ILSVRC2012_img_val.tar (6.3 GB)")
[[ -d $folder/Annotations/CLS-LOC/val || -d $folder/bbox_val || -f $folder/val.txt ||
    -f $folder/ILSVRC2012_bbox_val_v3.tgz ]] || missing+=("ILSVRC2012_bbox_val_v3.tgz (2 MB, the boxes)")
if ((${#missing[@]})); then
    {
        echo "error: $folder: ImageNet is not complete. Log in at https://image-net.org/download-images, download by hand"
        printf '  %s\n' "${missing[@]}"
        echo "and put it into $folder. For boxes of training pictures, which only --holdout uses, also"
        echo "  ILSVRC2012_bbox_train_v2.tar.gz (20 MB)"
    } >&2
    exit 2
fi

if [[ -f $folder/ILSVRC2012_bbox_train_v2.tar.gz && ! -d $folder/bbox_train ]]; then
    echo "unpacking $folder/ILSVRC2012_bbox_train_v2.tar.gz"
    partial=$(mktemp -d "$folder/.unpack-XXXXXX")
    if ! tar -xzf "$folder/ILSVRC2012_bbox_train_v2.tar.gz" -C "$partial"; then
        rm -rf "$partial"
        echo "error: $folder/ILSVRC2012_bbox_train_v2.tar.gz: cannot be unpacked; is the download complete?" >&2
        exit 2
    fi
    mv "$partial" "$folder/bbox_train"
fi

environment ""
exec "$PYTHON" -m tfrecords.build --source=ilsvrc --input="$folder" --output="$output" \
    --expect_counts=train:1281167,test:50000 "$@"
