"""Commands whose help comes from elsewhere: from a job's document, or from a table of names."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperOption

from raiw import extras

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class JobCommand(TyperCommand):
    """The command for the kind of job that it is named after.

    A parameter without a default or help takes it from the document's field of the same name. The
    document is imported when the command is called or its own help is asked for, so that the list
    of commands stays quick.
    """

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, completed from the document."""
        from raiw.jobs.registry import KINDS

        fields = KINDS[str(self.name)].document.model_fields
        params = super().get_params(ctx)
        for param in params:
            if (field := fields.get(str(param.name))) is not None:
                _complete(param, field)
        return params


class GatesCommand(TyperCommand):
    """A command with gates as options; their help is the document's."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, completed from the document."""
        from raiw.specs.gates import Gates

        params = super().get_params(ctx)
        for param in params:
            if (field := Gates.model_fields.get(str(param.name))) is not None:
                _complete(param, field)
        return params


def listing(option: str, module: str, table: str) -> type[TyperCommand]:
    """Return a kind of command whose help lists, at one option, the names of a table.

    The table is imported as late as a document is by :class:`JobCommand`.
    """

    class ListingCommand(TyperCommand):
        def get_params(self, ctx: Any) -> Any:
            """Return the parameters, with that one completed."""
            params = super().get_params(ctx)
            for param in params:
                if param.name == option and isinstance(param, TyperOption):
                    param.help = _one_of(getattr(extras.load(module), table))
            return params

    return ListingCommand


def _text(default: Any) -> Any:
    """Return a default as it is written on a command line."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else default


def _one_of(names: Iterable[Any]) -> str:
    return f"One of {', '.join(map(str, names))}."


def _complete(param: Any, field: "FieldInfo") -> None:
    if param.required and not field.is_required():
        param.required, param.default = False, _text(field.get_default())
    if not param.help:
        extra = field.json_schema_extra
        choices = extra.get("enum") if isinstance(extra, dict) else None
        listed = f" {_one_of(choices)}" if isinstance(choices, list) else ""
        param.help = f"{field.description}{listed}"
