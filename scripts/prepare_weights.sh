#!/usr/bin/env bash
# Start weights of the released settings: says what to download by hand, converts it and checks it.
#   scripts/prepare_weights.sh NAME [FILE]
#   scripts/prepare_weights.sh resnet50_torchvision resnet50-19c8e357.pth
# NAME is one of those below and becomes weights/NAME.npz; FILE is the download, by default weights/ORIGINAL_NAME.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

usage() {
  cat >&2 <<MESSAGE
usage: scripts/prepare_weights.sh NAME [FILE]; NAME is one of
  vgg16_torchvision         BAS, MNPO, MNPOs as released
  mobilenet_v1_bas          BAS as released
  inception_v3_torchvision  BAS as released
  resnet50_torchvision      BAS, SPOL
  resnet50_tensorpack       DGL
  resnet50_se_tensorpack    E2Net, DGL
  vgg16_tensorpack          E2Net, DGL (the same numbers as --backbone_weights=imagenet)
MESSAGE
  exit 2
}

[ $# -ge 1 ] || usage
name=$1
torchvision="torchvision's model page; its name carries the first digits of its SHA-256, which are checked"
tensorpack="tensorpack's model zoo"
case $name in
  vgg16_torchvision) backbone=vgg16 original=vgg16-397923af.pth publisher=$torchvision
    url=https://download.pytorch.org/models/$original ;;
  resnet50_torchvision) backbone=resnet50 original=resnet50-19c8e357.pth publisher=$torchvision
    url=https://download.pytorch.org/models/$original ;;
  inception_v3_torchvision) backbone=inception_v3 original=inception_v3_google-1a9a5a14.pth publisher=$torchvision
    url=https://download.pytorch.org/models/$original ;;
  mobilenet_v1_bas) backbone=mobilenet_v1 original=mobilenet_v1_with_relu_69_5.pth
    publisher="the authors of BAS" url="the link in the README of github.com/wpy1999/BAS" ;;
  resnet50_tensorpack) backbone=resnet50 original=ImageNet-ResNet50.npz publisher=$tensorpack
    url=http://models.tensorpack.com/ResNet/$original ;;
  resnet50_se_tensorpack) backbone=resnet50_se original=ImageNet-ResNet50-SE.npz publisher=$tensorpack
    url=http://models.tensorpack.com/ResNet/$original ;;
  vgg16_tensorpack) backbone=vgg16 original=vgg16.npz publisher=$tensorpack
    url=http://models.tensorpack.com/Caffe-Converted/$original ;;
  *) echo "error: $name: unknown" >&2; usage ;;
esac

file=${2:-weights/$original}
if [ ! -f "$file" ]; then
  cat >&2 <<MESSAGE
error: $file: not found. Download by hand, from $publisher:
  $url
and put it there, or: bash scripts/prepare_weights.sh $name FILE
MESSAGE
  exit 2
fi
extras=""
case $original in *.pth) extras=convert ;; esac
environment "$extras"
mkdir -p weights
exec "$PYTHON" -m e2wsol.convert --from="$file" --backbone="$backbone" --to="weights/$name.npz"
