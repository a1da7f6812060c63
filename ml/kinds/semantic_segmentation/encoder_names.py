"""The encoders that a U-Net may name. Light: settings are checked by it where there is no keras."""

from __future__ import annotations

SMALL = "small"
MOBILE_NET_V2 = "MobileNetV2"

#: Encoder → what the image's side has to be a multiple of, since each level halves it.
ENCODERS = {SMALL: 16, MOBILE_NET_V2: 32}
