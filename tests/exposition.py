"""Reading what /metrics says, by Prometheus' own reader."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Exposition:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: bytes) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text.decode())}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name that have these labels; there must be one."""
        found = [one.value for one in self._samples if one.name == name and labels.items() <= one.labels.items()]
        assert found, f"no {name} {labels}"
        return sum(found)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the samples of a name by the value of a label, those above zero."""
        return {one.labels[label]: one.value for one in self._samples if one.name == name and one.value}

    @property
    def sample_names(self) -> set[str]:
        """Return all names that an expression can ask for."""
        return {sample.name for sample in self._samples}

    @property
    def labels(self) -> set[tuple[str, str]]:
        """Return all labels with all values."""
        return {pair for sample in self._samples for pair in sample.labels.items()}

    def shape(self) -> dict[str, Any]:
        """Return the label names of each family, without those of a histogram's buckets."""
        return {
            name: sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            for name, family in self.families.items()
        }
