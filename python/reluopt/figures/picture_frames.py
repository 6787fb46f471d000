"""Frames of pictures as the arguments of figures: a cell holds the pixels of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reluopt.figures.frames import single


def digit_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A picture for each row."""
    return {
        "images": np.stack(list(frame["pixels"])),
        "labels": frame["label"].tolist(),
        "captions": frame["caption"].tolist(),
    }


def perturbation_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A column for each row."""
    names = {"original": "originals", "changed": "changed", "label": "labels"}
    names |= {"original_predicted": "predicted_original", "predicted": "predicted_changed"}
    names |= {"distance": "distances", "proven": "proven"}
    told = {argument: frame[name].tolist() for name, argument in names.items()}
    return {**told, "norm": single(frame, "norm")}


def optimal_input_arguments(frame: pd.DataFrame) -> dict[str, Any]:
    """A picture for each row."""
    names = {"pixels": "images", "label": "labels", "logit": "logits"}
    names |= {"predicted": "predicted", "proven": "proven"}
    return {argument: frame[name].tolist() for name, argument in names.items()}
