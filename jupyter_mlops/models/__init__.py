"""Models: registered versions of estimators, stored without pickle, and their aliases."""

from .persistence import ModelStore, SavedModel
from .registered import Models
from .signature import Column, Signature
from .version import Model, ModelVersion

__all__ = ["Column", "Model", "ModelStore", "ModelVersion", "Models", "SavedModel", "Signature"]
