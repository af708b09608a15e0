"""Gates: what masks must keep to, for a pipeline to go on with them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from raiw.specs.crafting import Density, Parameters
from raiw.specs.document import WHOLE, Document

AtMostGap = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Components = Annotated[int, Field(ge=1, strict=True), WHOLE]
Asked = Annotated[Literal[True], BeforeValidator(lambda value: value is True)]


class Gates(Document):
    """Limits for finished masks; they decide no bit of them.

    >>> Gates.parse({"max_density": 0.1, "components": 1}).asked
    {'components': 1, 'max_density': 0.1}
    """

    max_gap: AtMostGap | None = None
    """Most that the score kept by a layer may lack to its upper bound, as a share of the bound."""
    max_entropy_gap: AtMostGap | None = None
    """Most nats by which a layer's entropy may lie below that of the dense layer of its shape."""
    components: Components | None = None
    """Most connected components of a layer's graph; of a grouped layer, for each group."""
    min_density: Density | None = None
    """Least kept weights over all weights of the network."""
    max_density: Density | None = None
    """Most kept weights over all weights of the network."""
    max_weights: Parameters | None = None
    """Most kept weights of the network."""
    no_dead_units: Asked | None = None
    """No layer may leave outputs or inputs without an edge."""

    @model_validator(mode="after")
    def _satisfiable(self) -> "Gates":
        least, most = self.min_density, self.max_density
        if least is not None and most is not None and least > most:
            raise ValueError(f"no density is at least {least} and at most {most}")
        return self

    @property
    def asked(self) -> dict[str, float | int | bool]:
        """The gates that are set, by name."""
        return self.model_dump(exclude_none=True)

    def with_others(self, others: "Gates") -> "Gates":
        """Return these gates, with those that others set instead of them."""
        return type(self).parse(self.asked | others.asked)
