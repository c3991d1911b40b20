"""What all metrics share: one value an image, kept by the image's index, refused where the network broke down."""

from __future__ import annotations

import copy
import inspect
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from statistics import fmean
from typing import Any, ClassVar

import torch
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ofhkit.errors import OfhkitError, did_you_mean

__all__ = ["PerImageMetric", "regions"]


class PerImageMetric(BaseMetric):
    """A metric that is a mean over images. :meth:`measure` says what is measured, attributes say what the number is.

    Tables, best weights, the report and the page read these attributes only; ``name`` and ``higher_is_better`` must be
    given. ``measure`` is called with the batch keys that its parameters name. Values stay on the device until
    :meth:`evaluate`, which counts an index that came twice (a sampler's padding) once, joins all processes, and leaves
    every image's values in :attr:`per_image`.

    Attributes:
        name: of the number, as ``measure`` returns it and as it stands in results.json.
        title: over its column, without the unit; empty: the name.
        unit: as ``dB``; empty: a bare number.
        decimals: shown.
        higher_is_better: whether more is better; None: neither is, and nothing is marked.
        headline: shown with its interval and significance (and the paper's number).
        parts: other numbers that ``measure`` returns, of the same unit and direction -> their titles, as
            ``PSNR_hole`` -> ``PSNR in hole``.
        optional: numbers that an image may lack (NaN from ``measure``), as those of a hole where there is none.
        per_image: image index -> name -> value, of the last :meth:`evaluate`.
    """

    default_prefix = ""  # results are named by the field: PSNR, not metric/PSNR
    name: ClassVar[str]
    title: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 4
    higher_is_better: ClassVar[bool | None]
    headline: ClassVar[bool] = False
    parts: ClassVar[Mapping[str, str]] = {}
    optional: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Check what a metric says of itself.

        Raises:
            OfhkitError: names the class, the attribute and what it takes.
        """
        super().__init_subclass__(**options)
        if "measure" not in vars(cls):  # not a metric yet, or one that measures as its base does
            return
        takes = {
            "name": ("a word, as 'MAE'", lambda v: isinstance(v, str) and v.isidentifier()),
            "title": ("text", lambda v: isinstance(v, str)),
            "unit": ("text, as 'dB'", lambda v: isinstance(v, str)),
            "decimals": ("a whole number from 0 to 10", lambda v: type(v) is int and 0 <= v <= 10),
            "higher_is_better": ("True, False or None", lambda v: v is None or isinstance(v, bool)),
            "headline": ("True or False", lambda v: isinstance(v, bool)),
            "parts": ("names and their titles", lambda v: isinstance(v, Mapping) and all(map(str.isidentifier, v))),
        }
        for attribute, (what, good) in takes.items():
            if not hasattr(cls, attribute):
                raise OfhkitError(f"metric {cls.__name__} does not say its {attribute}: give the class {what}")
            if not good(getattr(cls, attribute)):
                raise OfhkitError(f"metric {cls.__name__}: {attribute} is {what}, got {getattr(cls, attribute)!r}")

    @classmethod
    def titles(cls) -> dict[str, str]:
        """Every number that it returns -> the title of its column, its own with the unit."""
        title = cls.title or cls.name
        return {cls.name: f"{title} ({cls.unit})" if cls.unit else title, **cls.parts}

    def __init__(self) -> None:
        super().__init__()
        self.per_image: dict[int, dict[str, float]] = {}

    def another(self) -> PerImageMetric:
        """The same metric with a memory of its own, for another method; networks that it reads faces by are shared."""
        twin = copy.copy(self)
        twin.results, twin.per_image = [], {}
        return twin

    @abstractmethod
    def measure(self, *args: Any, **fields: Any) -> dict[str, Tensor]:
        """Return name -> values (N,) of a batch; parameters are batch keys, those with a default may be missing."""

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Score a batch of outputs.

        Args:
            data_batch: not used.
            data_samples: usually one mapping for the whole batch, holding ``index`` (N,) and the batch keys.

        Raises:
            OfhkitError: a key is missing, an image holds NaN or infinity (named by its index), or ``measure`` returns a
                number that the class does not name.
        """
        for outputs in data_samples:
            fields = self._fields(outputs)
            index = torch.as_tensor(outputs["index"])
            for name, value in fields.items():
                if isinstance(value, Tensor) and value.is_floating_point():
                    self._refuse(~torch.isfinite(value.flatten(1).sum(1)), index, f"{name} holds NaN or infinity")
            with torch.no_grad():
                values = self.measure(**fields)
            for name in values:
                if name not in self.titles():
                    raise OfhkitError(
                        f"metric {type(self).__name__} returns {name!r}, which is neither its `name` ({self.name}) nor "
                        "one of its `parts`: say it there"
                    )
            self.results.append({"index": index, **values})

    def _fields(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        fields = {}
        for name, parameter in inspect.signature(self.measure).parameters.items():
            if outputs.get(name) is not None:
                fields[name] = outputs[name]
            elif parameter.default is parameter.empty:
                raise OfhkitError(
                    f"metric {type(self).__name__} needs {name!r}, which this model or data set does not give; "
                    f"{did_you_mean(name, outputs)}"
                )
        return fields

    def _refuse(self, bad: Tensor, index: Tensor, what: str) -> None:
        if bad.any():
            where = index.to(bad.device)[bad].tolist()
            raise OfhkitError(
                f"{type(self).__name__}: image {where[0]}: {what} ({len(where)} in this batch); not scored"
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """Return name -> mean over the images, and forget them, but for :attr:`per_image`.

        Args:
            size: how many images there are.

        Raises:
            OfhkitError: another number of images was scored.
        """
        own = [{name: value.cpu() for name, value in batch.items()} for batch in self.results]
        self.results.clear()
        turns = zip_longest(*all_gather_object(own))  # processes take batches in turn: the data set's order again
        batches = [batch for turn in turns for batch in turn if batch is not None]
        means = self.compute_metrics(batches)
        if len(self.per_image) != size:
            raise OfhkitError(
                f"{type(self).__name__} scored {len(self.per_image)} different images of {size}; "
                "check the sampler and that image indices are unique"
            )
        return means

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        """Means over the images that have a value; a name that no image has a value for is left out."""
        self.per_image = {}
        for batch in results:
            names = [name for name in batch if name != "index"]
            for name in names:
                if name not in self.optional:
                    self._refuse(torch.isnan(batch[name]), batch["index"], f"{name} is not a number")
            columns = [batch[name].double().tolist() for name in names]
            for index, *values in zip(batch["index"].tolist(), *columns):
                self.per_image[index] = {n: v for n, v in zip(names, values) if not math.isnan(v)}
        found = dict.fromkeys(name for values in self.per_image.values() for name in values)
        return {name: fmean([v[name] for v in self.per_image.values() if name in v]) for name in found}


def regions(name: str, mask: Tensor) -> Iterator[tuple[str, Tensor | None]]:
    """Yield the three regions a score is given for: all, inside the hole, outside it.

    >>> [key for key, region in regions('PSNR', torch.zeros(1, 1, 16, 16))]
    ['PSNR', 'PSNR_hole', 'PSNR_known']
    """
    yield name, None
    yield f"{name}_hole", mask
    yield f"{name}_known", 1 - mask
