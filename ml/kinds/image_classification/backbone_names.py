"""The backbones that a classifier may name. Light: settings are checked by it where there is no keras."""

from __future__ import annotations

SMALL_CNN = "small_cnn"

#: Every model of keras.applications; a test compares it with keras.
PRETRAINED = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{layers}" for layers in (121, 169, 201)),
    *(f"EfficientNetB{number}" for number in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *(f"ResNet{layers}{version}" for version in ("", "V2") for layers in (50, 101, 152)),
    *("VGG16", "VGG19", "Xception"),
)

BACKBONES = (SMALL_CNN, *PRETRAINED)
