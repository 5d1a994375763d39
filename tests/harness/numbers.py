"""The numbers that Prometheus would read."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Numbers:
    """A page of metrics. `of` adds up the samples that have these labels, whatever others they have."""

    def __init__(self, text: str) -> None:
        self._samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float:
        wanted = frozenset(labels.items())
        return sum(value for (own, has), value in self._samples.items() if own == name and wanted <= has)

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(has)[label] for own, has in self._samples if own == name}
